import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { describe, expect, it } from 'vitest';

import type { Database } from '../../src/database/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import { atomicJob, makeTables, openDatabase, plainJob, type Tables } from './jobs.ts';

const jobs = 60;

function startWorker(target: string, lease: number): ChildProcessByStdio<null, Readable, null> {
  const script = path.join(import.meta.dirname, 'worker-process.ts');
  const args = ['--conditions=underpin-source', script, target, String(lease)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Starts a worker and kills it, without any warning, once so many handlers have started. */
async function killAfter(starts: number, target: string): Promise<void> {
  const worker = startWorker(target, 300);
  const ended = once(worker, 'exit');
  let seen = 0;
  for await (const _ of createInterface({ input: worker.stdout })) {
    seen += 1;
    if (seen === starts) worker.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
}

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
    fn: (database: Database<Tables>, target: string) => Promise<void>,
  ): Promise<void> => {
    const { target, remove } = await make();
    try {
      await using database = openDatabase(target);
      await makeTables(database);
      await fn(database, target);
    } finally {
      await remove();
    }
  };

  describe.skipIf(missing)(`sqlQueue on ${engine}`, () => {
    it('workers killed again and again in the midst of jobs lose none, and repeat no atomic one', async () => {
      await withDatabase(async (database, target) => {
        await using queue = sqlQueue({ database });
        const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
        await queue.enqueueMany(atomicJob, numbers);
        await queue.enqueueMany(plainJob, numbers);

        for (const starts of [1, 7, 20]) await killAfter(starts, target);
        // And two at once, while others work.
        await Promise.all([killAfter(5, target), killAfter(9, target)]);
        const last = startWorker(target, 300);
        last.stdout.resume();
        const ended = once(last, 'exit');
        expect(await ended).toEqual([0, null]);

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
      await withDatabase(async (database, target) => {
        await using queue = sqlQueue({ database });
        const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
        await queue.enqueueMany(plainJob, numbers);
        const workers = [startWorker(target, 10_000), startWorker(target, 10_000)];
        const ends = await Promise.all(
          workers.map(async (worker) => {
            worker.stdout.resume();
            const [code] = (await once(worker, 'exit')) as [number | null];
            return code;
          }),
        );
        expect(ends).toEqual([0, 0]);
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
