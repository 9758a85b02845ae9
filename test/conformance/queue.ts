import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import { type SqliteDatabase, sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { type QueueSubject, queueConformance } from '../../src/queue/conformance/index.ts';
import { MemoryQueueDriver } from '../../src/queue/memory.ts';
import { SqlQueueDriver } from '../../src/queue/sql/sql-queue-driver.ts';
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

/** The SQL adapter on SQLite: in a file of its own, or in memory. */
function sql(adapter: string, fileIn: (directory: string) => string): Target {
  const opened = new WeakMap<
    QueueSubject,
    { database: SqliteDatabase<Tables>; directory: string }
  >();
  return {
    adapter,
    capabilities: { transactions: true },
    async create() {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-queue-'));
      const database = sqliteDatabase<Tables>({ file: fileIn(directory) });
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
      opened.set(subject, { database, directory });
      return subject;
    },
    async dispose(subject) {
      const { database, directory } = opened.get(subject) ?? {};
      await subject.driver.close();
      await database?.close();
      await rm(directory ?? '', { recursive: true, force: true });
    },
  };
}

/** The queue's suite over its adapters. */
export const queuePort: RegisteredPort = port(queueConformance, [
  memory,
  sql('sql', (directory) => path.join(directory, 'queue.db')),
  sql('sql (memory)', () => ':memory:'),
]);
