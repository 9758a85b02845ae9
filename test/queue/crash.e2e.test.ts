import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import type { Database } from '../../src/database/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import { atomicJob, makeTables, openDatabase, plainJob, type Tables } from './jobs.ts';
import { WorkerProcesses } from './worker-processes.ts';

const jobs = 60;

const postgres = await service('postgres');

/** Where the jobs are kept, and why they cannot be. */
const engines: readonly {
  readonly engine: string;
  readonly missing?: string | undefined;
  readonly make: () => Promise<{ readonly target: string; readonly remove: () => Promise<void> }>;
}[] = [
  {
    engine: 'SQLite',
    async make() {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-queue-'));
      return {
        target: path.join(directory, 'app.db'),
        remove: async () => {
          await rm(directory, { recursive: true, force: true });
        },
      };
    },
  },
  {
    engine: 'PostgreSQL',
    missing: postgres.missing,
    async make() {
      const { url, remove } = await makePostgresDatabase();
      return { target: url, remove };
    },
  },
];

for (const { engine, missing, make } of engines) {
  const withDatabase = async (
    fn: (database: Database<Tables>, workers: WorkerProcesses) => Promise<void>,
  ): Promise<void> => {
    const { target, remove } = await make();
    try {
      await using database = openDatabase(target);
      await makeTables(database);
      await fn(database, new WorkerProcesses('worker-process.ts', target));
    } finally {
      await remove();
    }
  };

  describe.skipIf(missing)(`sqlQueue on ${engine}`, () => {
    it('workers killed again and again in the midst of jobs lose none, and repeat no atomic one', async () => {
      await withDatabase(async (database, workers) => {
        await using queue = sqlQueue({ database });
        const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
        await queue.enqueueMany(atomicJob, numbers);
        await queue.enqueueMany(plainJob, numbers);

        for (const starts of [1, 7, 20]) await workers.killAfter(starts);
        // And two at once, while others work.
        await Promise.all([workers.killAfter(5), workers.killAfter(9)]);
        await workers.finish(300);

        expect(await queue.counts()).toEqual({ waiting: 0, active: 0, completed: 0, dead: 0 });
        const rows = await database.query.selectFrom('effect').selectAll().execute();
        const numbersOf = (kind: string): number[] =>
          rows
            .filter((row) => row.kind === kind)
            .map(({ number }) => number)
            .toSorted((a, b) => a - b);
        const all = numbers.map(({ number }) => number);
        expect(numbersOf('atomic')).toEqual(all);
        expect([...new Set(numbersOf('plain'))]).toEqual(all);
        // The kills were felt: some jobs took more than one attempt.
        expect(rows.some(({ attempt }) => attempt > 1)).toBe(true);
      });
    });

    it('workers of several processes on one database share the jobs, and each job runs once', async () => {
      await withDatabase(async (database, workers) => {
        await using queue = sqlQueue({ database });
        const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
        await queue.enqueueMany(plainJob, numbers);
        await Promise.all([workers.finish(10_000), workers.finish(10_000)]);
        const rows = await database.query
          .selectFrom('effect')
          .select('number')
          .orderBy('number')
          .execute();
        expect(rows).toEqual(numbers);
      });
    });
  });
}
