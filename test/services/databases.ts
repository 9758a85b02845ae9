import { randomUUID } from 'node:crypto';

import { createConnection } from 'mysql2/promise';
import { Client } from 'pg';

import { PRIMARY_VARIABLE } from './postgres.ts';
import { type PrivateServer, sharedServer, startServer } from './servers.ts';

/** A database of a test's own. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** Drops it, whoever still uses it. */
  readonly remove: () => Promise<void>;
}

/**
 * Makes an empty database on a PostgreSQL server, the shared one unless a URL is given. Its texts sort by the rules of a language,
 * as most databases' do, and not by their bytes.
 */
export async function makePostgresDatabase(url?: string): Promise<TestDatabase> {
  const server = url ?? (await sharedServer('postgres')).url;
  const name = `underpin_${randomUUID().replaceAll('-', '')}`;
  const own = new URL(server);
  own.pathname = name;
  await runOn(
    server,
    `create database ${name} template template0 locale_provider icu icu_locale 'en-US'`,
  );
  const remove = async (): Promise<void> =>
    await runOn(server, `drop database if exists ${name} with (force)`);
  return { url: own.href, remove, [Symbol.asyncDispose]: remove };
}

/** Starts a standby of a private server, which it follows by streaming replication. It has the primary's databases and passwords. */
export async function startStandby(primary: PrivateServer): Promise<PrivateServer> {
  return await startServer('postgres', { env: { [PRIMARY_VARIABLE]: primary.url } });
}

async function runOn(url: string, text: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/**
 * Makes an empty database on a MariaDB server, the shared one unless a URL is given. Its texts compare without regard to case and
 * accents, as most databases' do.
 */
export async function makeMariadbDatabase(url?: string): Promise<TestDatabase> {
  const server = url ?? (await sharedServer('mariadb')).url;
  const name = `underpin_${randomUUID().replaceAll('-', '')}`;
  const own = new URL(server);
  own.pathname = name;
  await runOnMariadb(server, `create database ${name} character set utf8mb4`);
  const remove = async (): Promise<void> =>
    await runOnMariadb(server, `drop database if exists ${name}`);
  return { url: own.href, remove, [Symbol.asyncDispose]: remove };
}

async function runOnMariadb(url: string, text: string): Promise<void> {
  const connection = await createConnection(url);
  try {
    await connection.query(text);
  } finally {
    await connection.end();
  }
}
