import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { exchange, isRoot, whenAllExist } from './processes.ts';

/** What the server's Postfix takes at most, in bytes. */
export const MESSAGE_LIMIT: number = 8 * 1024 * 1024;

/**
 * Postfix, which takes mail for every domain that ends in `.example` from anybody, and for others from its user alone;
 * passwords only over TLS. It puts off `later@refused.example` and `full@refused.example`, refuses `nobody@refused.example`, and finds
 * that `rate@refused.example` sends too much. What it took lies in `mail/` of its folder, which the address has as the
 * parameter `folder`, beside the `certificate.pem` that it shows. Needs root.
 */
export const smtp: ServerDefinition = {
  variable: 'SMTP_URL',
  needsRoot: true,
  packages: ['postfix', 'sasl2-bin', 'libsasl2-modules', 'openssl'],
  answers: async (address) => await exchange(address, '', '220 '),
  locate: async () => (isRoot() ? whenAllExist(['postfix', 'saslpasswd2', 'openssl']) : undefined),
  forApplication: async (address) => {
    const url = new URL(address);
    const certificate = path.join(url.searchParams.get('folder') ?? '', 'certificate.pem');
    url.search = '';
    return { MAIL_URL: url.href, NODE_EXTRA_CA_CERTS: certificate };
  },

  async prepare({ folder, binary, freePort, spawn, run }) {
    const port = await freePort();
    const password = randomBytes(12).toString('hex');
    const settings = path.join(folder, 'settings');
    for (const name of ['settings', 'settings/sasl', 'queue', 'data', 'mail'])
      mkdirSync(path.join(folder, name), { mode: 0o755 });
    await run('chown', ['postfix', path.join(folder, 'data')]);
    await run('chown', ['mail:mail', path.join(folder, 'mail')]);
    const flags = {
      '-newkey': 'ec',
      '-pkeyopt': 'ec_paramgen_curve:prime256v1',
      '-days': '2',
      '-subj': '/CN=localhost',
      '-addext': 'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-keyout': path.join(folder, 'key.pem'),
      '-out': path.join(folder, 'certificate.pem'),
    };
    await run('openssl', ['req', '-x509', '-nodes', ...Object.entries(flags).flat()]);
    chmodSync(path.join(folder, 'certificate.pem'), 0o644);
    const users = path.join(folder, 'users');
    await run('sh', [
      '-c',
      `printf %s "$1" | saslpasswd2 -p -c -f "$2" -u test.example user && chown postfix "$2"`,
      'sh',
      password,
      users,
    ]);
    writeFileSync(path.join(settings, 'main.cf'), mainSettings(folder, await idsOfMail(run)));
    writeFileSync(path.join(settings, 'master.cf'), processSettings(port));
    writeFileSync(path.join(folder, 'domains'), '/\\.example$/ local\n');
    writeFileSync(
      path.join(settings, 'sasl', 'smtpd.conf'),
      `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${users}\nmech_list: PLAIN LOGIN\n`,
    );
    const user = encodeURIComponent('user@test.example');
    const address = `smtp://${user}:${password}@127.0.0.1:${port}?folder=${encodeURIComponent(folder)}`;
    return {
      address,
      launch() {
        spawn(binary, ['-c', settings, 'start-fg']);
      },
      isReady: async () => await exchange(address, '', '220 '),
    };
  },
};

async function idsOfMail(run: (command: string, args: string[]) => Promise<string>): Promise<{
  readonly user: string;
  readonly group: string;
}> {
  return {
    user: (await run('id', ['-u', 'mail'])).trim(),
    group: (await run('id', ['-g', 'mail'])).trim(),
  };
}

function mainSettings(
  folder: string,
  mail: { readonly user: string; readonly group: string },
): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/log
maillog_file_prefixes = ${folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test.example
mydestination =
mynetworks = 127.0.0.2/32
virtual_mailbox_domains = regexp:${folder}/domains
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_mailbox_limit = 0
virtual_uid_maps = static:${mail.user}
virtual_gid_maps = static:${mail.group}
virtual_minimum_uid = 1
message_size_limit = ${MESSAGE_LIMIT}
# The names of queue files, and of the Received header, in the order of their making.
enable_long_queue_ids = yes
default_transport = error:mail goes nowhere from here
smtpd_tls_cert_file = ${folder}/certificate.pem
smtpd_tls_key_file = ${folder}/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sender_restrictions = check_sender_access inline:{ {rate@refused.example = 450 4.7.1 Error: too much mail} }
smtpd_recipient_restrictions = check_recipient_access inline:{ {later@refused.example = 451 4.3.0 try again later}, {nobody@refused.example = 550 5.1.1 no such user}, {full@refused.example = 452 4.2.2 mailbox full} }, check_recipient_access static:{INFO accepted}, permit
# So that the line of each accepted recipient in the log has the name of the message.
smtpd_delay_open_until_valid_rcpt = no
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_recipient_limit = 2000
# Else it waits before it refuses a client that was refused often.
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
`;
}

function processSettings(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
`;
}
