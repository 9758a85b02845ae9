import { spawn } from 'node:child_process';
import { createECDH, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import webPush from 'web-push';

const vapid = webPush.generateVAPIDKeys();
const target = {
  kind: 'web-push',
  endpoint: 'http://127.0.0.1:PORT/',
  keys: {
    p256dh: createECDH('prime256v1').generateKeys('base64url'),
    auth: randomBytes(16).toString('base64url'),
  },
};

/** What a process is in the middle of when its server stops to answer. Each makes `component` and begins `call`. */
const calls: Readonly<Record<string, string>> = {
  'a start of smtpMailer': `
    import { smtpMailer } from 'underpin/mail/smtp';
    const component = smtpMailer({ url: 'smtp://user:password@127.0.0.1:PORT' });
    const call = component.start();`,
  'a send of smtpMailer': `
    import { smtpMailer } from 'underpin/mail/smtp';
    const component = smtpMailer({ url: 'smtp://127.0.0.1:PORT', from: 'a@a.example' });
    const call = component.send({ to: 'b@b.example', subject: 's', text: 't' });`,
  'a send of webPush': `
    import { webPush } from 'underpin/push/web-push';
    const component = webPush({
      vapid: {
        subject: 'mailto:tests@underpin.example',
        publicKey: '${vapid.publicKey}',
        privateKey: '${vapid.privateKey}',
      },
      allowPrivateNetworks: true,
    });
    const call = component.send([${JSON.stringify(target)}], { title: 't' });`,
};

test.each(Object.entries(calls))(
  'shutdown › closed in the middle of %s that nobody answers, a process ends by itself',
  async (_what, code) => {
    const server = createServer((socket) => void socket.on('error', () => {}).resume());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const script = `${code.replaceAll('PORT', String(port))}
      call.catch(() => {});
      process.stdin.once('data', async () => {
        process.stdin.destroy();
        await component.close();
        console.log('closed');
      });`;
    const child = spawn(
      process.execPath,
      ['--conditions=underpin-source', '--input-type=module', '-e', script],
      { cwd: import.meta.dirname, stdio: 'pipe', timeout: 60_000 },
    );
    const [output, complaints] = [text(child.stdout), text(child.stderr)];
    const ended = once(child, 'exit');
    await Promise.race([once(server, 'connection'), ended]);
    child.stdin.write('close\n');
    expect({ ended: await ended, output: await output, complaints: await complaints }).toEqual({
      ended: [0, null],
      output: 'closed\n',
      complaints: '',
    });
    server.close();
  },
);
