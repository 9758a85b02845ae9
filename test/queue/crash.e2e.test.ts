import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { expect, it } from 'vitest';

import { type SqliteDatabase, sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { atomicJob, plainJob, type Tables } from './jobs.ts';

const jobs = 60;

function startWorker(file: string): ChildProcessByStdio<null, Readable, null> {
  const script = path.join(import.meta.dirname, 'worker-process.ts');
  return spawn(process.execPath, ['--conditions=underpin-source', script, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Starts a worker and kills it, without any warning, once so many handlers have started. */
async function killAfter(starts: number, file: string): Promise<void> {
  const worker = startWorker(file);
  const ended = once(worker, 'exit');
  let seen = 0;
  for await (const _ of createInterface({ input: worker.stdout })) {
    seen += 1;
    if (seen === starts) worker.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
}

async function withDatabase(
  fn: (database: SqliteDatabase<Tables>, file: string) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'underpin-queue-'));
  try {
    const file = path.join(directory, 'app.db');
    await using database = sqliteDatabase<Tables>({ file });
    await database.migrate([
      {
        name: '0001-effects',
        up: 'create table effect (kind text not null, number integer not null, attempt integer not null)',
      },
    ]);
    await fn(database, file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

it('sqlQueue › a worker killed again and again in the midst of jobs loses none, and repeats no atomic one', async () => {
  await withDatabase(async (database, file) => {
    await using queue = sqlQueue({ database });
    const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
    await queue.enqueueMany(atomicJob, numbers);
    await queue.enqueueMany(plainJob, numbers);

    for (const starts of [1, 7, 20]) await killAfter(starts, file);
    const last = startWorker(file);
    last.stdout.resume();
    expect(await once(last, 'exit')).toEqual([0, null]);

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

it('sqlQueue › workers of several processes on one file share the jobs, and each job runs once', async () => {
  await withDatabase(async (database, file) => {
    await using queue = sqlQueue({ database });
    const numbers = Array.from({ length: jobs }, (_, number) => ({ number }));
    await queue.enqueueMany(plainJob, numbers);
    const workers = [startWorker(file), startWorker(file)];
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
