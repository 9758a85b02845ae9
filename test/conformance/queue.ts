import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import type { Database } from '../../src/database/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { type QueueSubject, queueConformance } from '../../src/queue/conformance/index.ts';
import { MemoryQueueDriver } from '../../src/queue/memory.ts';
import { SqlQueueDriver } from '../../src/queue/sql/sql-queue-driver.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { type Keyspace, makeKeyspace } from '../services/keyspaces.ts';
import { service } from '../services/services.ts';
import { givePgliteBack, takePglite } from './pglite.ts';
import { port, type RegisteredPort } from './registry.ts';

type Target = ConformanceTarget<QueueSubject, 'transactions'>;

const memory: Target = {
  adapter: 'memory',
  capabilities: new MemoryQueueDriver().capabilities,
  create: async () => ({ driver: new MemoryQueueDriver() }),
  dispose: async ({ driver }) => {
    await driver.close();
  },
};

// A type and no interface, which would lack the index signature that Kysely asks for.
type Tables = { effect: { text: string } };

/** A database of a subject's own, and what closes and removes it. */
interface Opened {
  readonly database: Database<Tables>;
  readonly release: () => Promise<void>;
}

/** The SQL adapter, on databases that are made by `open`. */
function sql(adapter: string, open: () => Promise<Opened>): Target {
  const opened = new WeakMap<QueueSubject, Opened>();
  return {
    adapter,
    capabilities: { transactions: true },
    async create() {
      const { database, release } = await open();
      await database.migrate([{ name: 'effects', up: 'create table effect (text text not null)' }]);
      const subject: QueueSubject = {
        driver: SqlQueueDriver.on(database),
        transactions: {
          run: async (fn) => await database.transaction(fn),
          write: async (text) => {
            await database.query.insertInto('effect').values({ text }).execute();
          },
          read: async () => {
            const rows = await database.query.selectFrom('effect').select('text').execute();
            return rows.map(({ text }) => text);
          },
        },
      };
      opened.set(subject, { database, release });
      return subject;
    },
    async dispose(subject) {
      await subject.driver.close();
      await opened.get(subject)?.release();
    },
  };
}

async function sqliteFile(): Promise<Opened> {
  const directory = await mkdtemp(path.join(tmpdir(), 'underpin-queue-'));
  const database = sqliteDatabase<Tables>({ file: path.join(directory, 'queue.db') });
  return {
    database,
    release: async () => {
      await database.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function sqliteMemory(): Promise<Opened> {
  const database = sqliteDatabase<Tables>({ file: ':memory:' });
  return { database, release: async () => await database.close() };
}

async function postgresServer(): Promise<Opened> {
  const { url, remove } = await makePostgresDatabase();
  const database = postgresDatabase<Tables>({ url });
  return {
    database,
    release: async () => {
      await database.close();
      await remove();
    },
  };
}

async function pglite(): Promise<Opened> {
  const database = await takePglite<Tables>('memory');
  return { database, release: async () => await givePgliteBack(database) };
}

const postgres = await service('postgres');
const { missing: redisMissing } = await service('redis');
const keyspaces = new WeakMap<QueueSubject, Keyspace>();

const redis: Target & { readonly skip: string | undefined } = {
  adapter: 'redis',
  capabilities: { transactions: false },
  skip: redisMissing,
  async create() {
    const keyspace = await makeKeyspace();
    const subject = { driver: keyspace.queueDriver() };
    keyspaces.set(subject, keyspace);
    return subject;
  },
  async dispose(subject) {
    await subject.driver.close();
    await keyspaces.get(subject)?.remove();
  },
};

/** The queue's suite over its adapters. */
export const queuePort: RegisteredPort = port(queueConformance, [
  memory,
  sql('sql', sqliteFile),
  sql('sql (memory)', sqliteMemory),
  sql('sql (pglite)', pglite),
  { ...sql('sql (postgres)', postgresServer), skip: postgres.missing },
  redis,
]);
