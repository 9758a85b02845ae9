import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy } from '../../core/index.ts';
import { type MysqlDatabase, mysqlDatabase } from './index.ts';

const { missing } = await service('mariadb');

describe.skipIf(missing)('database mysql › TLS', () => {
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
    server = await startServer('mariadb', { env: { MARIADB_TLS_FOLDER: folder } });
    url = server.url.replace('127.0.0.1', 'localhost');
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const cipherOf = async ({ query }: MysqlDatabase): Promise<unknown> => {
    const { rows } = await sql<{ Value: string }>`show status like 'Ssl_cipher'`.execute(query);
    return rows[0]?.Value;
  };

  test('a connection is encrypted when it is asked to be, and otherwise not', async () => {
    await using encrypted = mysqlDatabase({ url: `${server.url}?ssl-mode=REQUIRED` });
    expect(await cipherOf(encrypted)).toMatch(/./);
    await using plain = mysqlDatabase({ url: server.url });
    expect(await cipherOf(plain)).toBe('');
  });

  test('a server whose certificate is not trusted is refused, unless it is given', async () => {
    for (const mode of ['VERIFY_CA', 'VERIFY_IDENTITY']) {
      await using strict = mysqlDatabase({ url: `${url}?ssl-mode=${mode}` });
      await expect(strict.start()).rejects.toMatchObject({
        code: 'failed-precondition',
        outcome: 'not-applied',
        message: expect.stringMatching(/check ssl-mode and the certificates/) as string,
      });
    }
    await using trusting = mysqlDatabase({ url, ssl: { ca: certificate } });
    expect(await cipherOf(trusting)).toMatch(/./);
    // An address has no name to check.
    const ssl = { ca: certificate, verifyIdentity: false };
    await using byAddress = mysqlDatabase({ url: server.url, ssl });
    expect(await cipherOf(byAddress)).toMatch(/./);
  });

  test('an abort ends the statement, and its connection goes on', async () => {
    await using database = mysqlDatabase({
      url: `${server.url}?ssl-mode=REQUIRED`,
      policy: noPolicy,
    });
    await database.start();
    const controller = new AbortController();
    const sleeping = sql`select sleep(600)`.execute(database.query, { signal: controller.signal });
    const failed = sleeping.catch((error: unknown) => error);
    await using watcher = mysqlDatabase({ url: server.url });
    const running = sql`select id from information_schema.processlist
      where info like '%sleep(600)%' and id <> connection_id()`;
    while ((await running.execute(watcher.query)).rows.length === 0) await sleep(10);
    controller.abort();
    expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(database.native.pool.totalCount).toBe(1);
  });
});
