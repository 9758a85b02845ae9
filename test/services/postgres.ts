import { randomBytes } from 'node:crypto';
import { globSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Client } from 'pg';

import type { PreparedServer, ServerDefinition, ServerSite } from './definition.ts';
import { exchange, firstThatRuns, isRoot, onPath } from './processes.ts';

/** The environment variable with the URL of the server that an instance is to be a standby of: see `startStandby`. */
export const PRIMARY_VARIABLE = 'UNDERPIN_TEST_POSTGRES_PRIMARY';

/** PostgreSQL, with passwords by SCRAM. Its user may do anything, and its database is `postgres`. */
export const postgres: ServerDefinition = {
  variable: 'POSTGRES_URL',
  packages: ['postgresql'],
  answers: async (address) => await exchange(address),
  // Debian keeps the servers of several versions apart, in folders that are on nobody's PATH.
  locate: async () =>
    await firstThatRuns([
      ...onPath(['postgres']),
      ...globSync('/usr/lib/postgresql/*/bin/postgres').toSorted().toReversed(),
    ]),
  forApplication: async (address) => ({ DATABASE_URL: address }),

  prepare: async (site) => await preparePostgres(site, realpathSync(site.binary)),
};

/** An instance of the server whose binary this is, beside its `initdb`. */
export async function preparePostgres(
  { folder, freePort, spawn, run }: ServerSite,
  binary: string,
): Promise<PreparedServer> {
  const port = await freePort();
  const primary = process.env[PRIMARY_VARIABLE];
  const password = primary ? new URL(primary).password : randomBytes(12).toString('hex');
  const data = path.join(folder, 'data');
  const passwordFile = path.join(folder, 'password');
  writeFileSync(passwordFile, password);
  // It refuses to run as root.
  const asOwner = { user: 'postgres', cwd: '/' };
  const tool = (name: string): string => path.join(path.dirname(binary), name);
  const address = `postgres://underpin:${password}@127.0.0.1:${port}/postgres`;
  if (isRoot()) {
    await run('install', ['-d', '-o', 'postgres', '-m', '700', data]);
    await run('chown', ['postgres', passwordFile]);
  }
  const access = ['-U', 'underpin', '--pwfile', passwordFile, '--auth', 'scram-sha-256'];
  const texts = ['--encoding', 'UTF8', '--locale', 'C.UTF-8'];
  if (primary) {
    // What it needs to follow the primary is written down by `--write-recovery-conf`.
    const copy = ['-D', data, '-d', primary, '--write-recovery-conf'];
    await run(tool('pg_basebackup'), [...copy, '--checkpoint=fast', '--no-sync'], asOwner);
  } else await run(tool('initdb'), ['-D', data, '--no-sync', ...access, ...texts], asOwner);
  return {
    address,
    launch() {
      const settings = {
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        max_connections: '200',
        // What a killed process has written, the machine still has.
        fsync: 'off',
      };
      const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      spawn(binary, ['-D', data, '-p', String(port), ...flags], asOwner);
    },
    isReady: async () => await takesConnections(address),
  };
}

async function takesConnections(address: string): Promise<boolean> {
  const client = new Client({ connectionString: address, connectionTimeoutMillis: 2000 });
  // It says so when the server ends, whoever waits for it.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end();
  }
}
