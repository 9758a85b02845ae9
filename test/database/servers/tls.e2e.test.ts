import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { noPolicy } from '../../../src/core/index.ts';
import { mysqlDatabase } from '../../../src/database/mysql/index.ts';
import { type PrivateServer, startServer } from '../../services/servers.ts';
import { type ServerDatabase, type ServerTarget, targets } from './targets.ts';

interface Encryption {
  /** Starts a server that encrypts, with the `key.pem` and `certificate.pem` of a folder. */
  readonly start: (target: ServerTarget, folder: string) => Promise<PrivateServer>;
  /** Of the URL, to encrypt whoever it is. */
  readonly require: string;
  /** Of the URL, to encrypt only with a server that is trusted. */
  readonly verify: readonly string[];
  /** What the refusal names. */
  readonly setting: string;
  readonly isEncrypted: (database: ServerDatabase) => Promise<boolean>;
  /** Trusts the server without checking its name, where that can be asked for: an address has none. */
  readonly openUnnamed?: (url: string, ca: string) => ServerDatabase;
}

const encryptions: Readonly<Record<ServerTarget['engine'], Encryption>> = {
  postgres: {
    async start({ server: name, open }, folder) {
      const [key, certificate] = ['key', 'certificate'].map((file) => `${folder}/${file}.pem`);
      // The server refuses a key that others can read, and runs as this user when root starts it.
      chmodSync(`${key}`, 0o600);
      if (process.getuid?.() === 0) execFileSync('chown', ['postgres', `${key}`]);
      const server = await startServer(name);
      await using owner = open({ url: server.url });
      for (const setting of [
        `ssl_cert_file = '${certificate}'`,
        `ssl_key_file = '${key}'`,
        'ssl = on',
      ])
        await sql.raw(`alter system set ${setting}`).execute(owner.query);
      await server.restart();
      return server;
    },
    require: 'sslmode=require',
    verify: ['sslmode=verify-full'],
    setting: 'sslmode',
    async isEncrypted({ query }) {
      const text = sql<{ ssl: boolean }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
      return (await text.execute(query)).rows[0]?.ssl === true;
    },
  },
  mysql: {
    start: async ({ server }, folder) =>
      await startServer(server, { env: { MARIADB_TLS_FOLDER: folder } }),
    require: 'ssl-mode=REQUIRED',
    verify: ['ssl-mode=VERIFY_CA', 'ssl-mode=VERIFY_IDENTITY'],
    setting: 'ssl-mode',
    async isEncrypted({ query }) {
      const { rows } = await sql<{ Value: string }>`show status like 'Ssl_cipher'`.execute(query);
      return rows[0]?.Value !== '';
    },
    openUnnamed: (url, ca) => mysqlDatabase({ url, ssl: { ca, verifyIdentity: false } }),
  },
};

for (const target of targets)
  describe.skipIf(target.missing)(`database ${target.engine} › TLS`, () => {
    const encryption = encryptions[target.engine];
    const { isEncrypted, openUnnamed } = encryption;
    let folder: string;
    let server: PrivateServer;
    let certificate: string;
    /** By its name, which the certificate has. */
    let url: string;

    beforeAll(async () => {
      folder = mkdtempSync(path.join(tmpdir(), 'underpin-tls-'));
      chmodSync(folder, 0o755);
      const [key, file] = [path.join(folder, 'key.pem'), path.join(folder, 'certificate.pem')];
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
      const files = ['-keyout', key, '-out', file];
      execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...subject, ...files], {
        stdio: 'ignore',
      });
      certificate = readFileSync(file, 'utf8');
      server = await encryption.start(target, folder);
      url = server.url.replace('127.0.0.1', 'localhost');
    });

    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    });

    test('a connection is encrypted when it is asked to be, and otherwise not', async () => {
      await using encrypted = target.open({ url: `${server.url}?${encryption.require}` });
      expect(await isEncrypted(encrypted)).toBe(true);
      await using plain = target.open({ url: server.url });
      expect(await isEncrypted(plain)).toBe(false);
    });

    test.each(encryption.verify)(
      'with %s, a server whose certificate is not trusted is refused, unless it is given',
      async (mode) => {
        await using strict = target.open({ url: `${url}?${mode}` });
        await expect(strict.start()).rejects.toMatchObject({
          code: 'failed-precondition',
          outcome: 'not-applied',
          message: expect.stringContaining(
            `check ${encryption.setting} and the certificates`,
          ) as string,
        });
        await using trusting = target.open({ url: `${url}?${mode}`, ssl: { ca: certificate } });
        expect(await isEncrypted(trusting)).toBe(true);
      },
    );

    if (openUnnamed)
      test('a server at an address is trusted by its certificate alone, where that is asked for', async () => {
        await using byAddress = openUnnamed(server.url, certificate);
        expect(await isEncrypted(byAddress)).toBe(true);
      });

    test('an abort ends the statement, and its connection goes on', async () => {
      await using database = target.open({
        url: `${server.url}?${encryption.require}`,
        policy: noPolicy,
      });
      await database.start();
      const controller = new AbortController();
      const sleeping = sql`select ${sql.raw(target.sleep(600))}`.execute(database.query, {
        signal: controller.signal,
      });
      const failed = sleeping.catch((error: unknown) => error);
      await using watcher = target.open({ url: server.url });
      const running = target.running(target.sleep(600));
      while ((await running.execute(watcher.query)).rows.length === 0) await sleep(10);
      controller.abort();
      expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      expect(database.native.pool.totalCount).toBe(1);
    });
  });
