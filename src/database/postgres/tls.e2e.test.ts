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
import { type PostgresDatabase, postgresDatabase } from './index.ts';

const { missing } = await service('postgres');

describe.skipIf(missing)('database postgres › TLS', () => {
  let folder: string;
  let server: PrivateServer;
  let certificate: string;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'underpin-tls-'));
    chmodSync(folder, 0o755);
    const [key, file] = [path.join(folder, 'key.pem'), path.join(folder, 'certificate.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const files = ['-keyout', key, '-out', file];
    execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...subject, ...files], {
      stdio: 'ignore',
    });
    // The server refuses a key that others can read, and runs as this user when root starts it.
    chmodSync(key, 0o600);
    if (process.getuid?.() === 0) execFileSync('chown', ['postgres', key]);
    certificate = readFileSync(file, 'utf8');
    server = await startServer('postgres');
    await using owner = postgresDatabase({ url: server.url });
    for (const setting of [`ssl_cert_file = '${file}'`, `ssl_key_file = '${key}'`, 'ssl = on'])
      await sql.raw(`alter system set ${setting}`).execute(owner.query);
    await server.restart();
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const isEncrypted = async ({ query }: PostgresDatabase): Promise<unknown> => {
    const { rows } = await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(
      query,
    );
    return rows;
  };

  test('a connection is encrypted when it is asked to be, and otherwise not', async () => {
    await using encrypted = postgresDatabase({ url: `${server.url}?sslmode=require` });
    expect(await isEncrypted(encrypted)).toEqual([{ ssl: true }]);
    await using plain = postgresDatabase({ url: server.url });
    expect(await isEncrypted(plain)).toEqual([{ ssl: false }]);
  });

  test('a server whose certificate is not trusted is refused, unless it is given', async () => {
    const url = `${server.url}?sslmode=verify-full`;
    await using strict = postgresDatabase({ url });
    await expect(strict.start()).rejects.toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
      message: expect.stringMatching(/check sslmode and the certificates/) as string,
    });
    await using trusting = postgresDatabase({ url, ssl: { ca: certificate } });
    expect(await isEncrypted(trusting)).toEqual([{ ssl: true }]);
  });

  test('an abort cancels the statement, and its connection goes on', async () => {
    await using database = postgresDatabase({
      url: `${server.url}?sslmode=require`,
      policy: noPolicy,
    });
    await database.start();
    const controller = new AbortController();
    const sleeping = sql`select pg_sleep(600)`.execute(database.query, {
      signal: controller.signal,
    });
    const failed = sleeping.catch((error: unknown) => error);
    await using watcher = postgresDatabase({ url: server.url });
    for (let running = 0; running === 0; await sleep(10)) {
      const { rows } = await sql`select from pg_stat_activity
        where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`.execute(
        watcher.query,
      );
      running = rows.length;
    }
    controller.abort();
    expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(database.native.pool.totalCount).toBe(1);
  });
});
