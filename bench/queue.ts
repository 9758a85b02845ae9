import { randomUUIDv7 } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { sqliteDatabase } from 'underpin/database/sqlite';
import { defineJob } from 'underpin/queue';
import { sqlQueue } from 'underpin/queue/sql';
import { z } from 'zod';

import type { Bench, Variant } from './harness.ts';
import { temporaryFolder } from './temporary-folder.ts';

const job = defineJob({ name: 'bench', payload: z.object({ number: z.number() }) });

const payloads = Array.from({ length: 1000 }, (_, number) => ({ number }));

/** How many jobs the hand-written worker claims at once; ours claims as many as run at once. */
const batch = 500;

/** Waits until a handler has been called so many times. */
class Countdown {
  #left = 0;
  #reached: () => void = () => undefined;

  async expect(count: number, start: () => Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#left = count;
    this.#reached = resolve;
    await start();
    await promise;
  }

  readonly count = (): void => {
    this.#left -= 1;
    if (this.#left === 0) this.#reached();
  };
}

async function underpin(file: string) {
  const database = sqliteDatabase({ file });
  const queue = sqlQueue({ database });
  await queue.start();
  return {
    queue,
    async fill(count: number) {
      for (let done = 0; done < count; done += payloads.length)
        await queue.enqueueMany(job, payloads.slice(0, count - done));
    },
    async close() {
      await queue.close();
      await database.close();
    },
  };
}

/**
 * What a careful hand would write on the raw engine for jobs with delays, attempts and leases: two indexes, prepared statements,
 * batches. No validation, fencing, deduplication, retries, context or recovery.
 */
function limit(file: string) {
  const database = new DatabaseSync(file);
  database.exec(`
    pragma journal_mode = wal;
    pragma synchronous = normal;
    create table job (
      id text not null primary key, name text not null, payload text not null, state integer not null,
      attempts integer not null, available_at integer not null, lease_until integer
    ) strict, without rowid;
    create index waiting on job (name, available_at, id) where state = 0;
    create index active on job (lease_until) where state = 1`);
  const insert = database.prepare(
    `insert into job (id, name, payload, state, attempts, available_at) values (?, 'bench', ?, 0, 0, ?)`,
  );
  const claim = database.prepare(`
    update job set state = 1, attempts = attempts + 1, lease_until = ? where id in (
      select id from job where state = 0 and name = 'bench' and available_at <= ?
      order by available_at, id limit ?
    ) returning id, payload, attempts`);
  const remove = database.prepare('delete from job where id = ? and state = 1');
  return {
    fill(count: number) {
      database.exec('begin immediate');
      for (let number = 0; number < count; number += 1)
        insert.run(randomUUIDv7(), JSON.stringify({ number }), Date.now());
      database.exec('commit');
    },
    async work(count: number, handler: (payload: unknown) => Promise<void>) {
      for (let done = 0; done < count;) {
        const now = Date.now();
        const rows = claim.all(now + 60_000, now, Math.min(batch, count - done)) as {
          id: string;
          payload: string;
        }[];
        await Promise.all(rows.map(async ({ payload }) => await handler(JSON.parse(payload))));
        database.exec('begin immediate');
        for (const { id } of rows) remove.run(id);
        database.exec('commit');
        done += rows.length;
      }
    },
    close() {
      database.close();
    },
  };
}

async function open(
  variantsOn: (
    fileOf: (name: string) => string,
  ) => Promise<{ variants: Variant[]; close: () => Promise<void> }>,
) {
  const folder = await temporaryFolder();
  const { variants, close } = await variantsOn((name) => path.join(folder, name));
  return {
    variants,
    async close() {
      await close();
      await rm(folder, { recursive: true });
    },
  };
}

const bench: Bench = {
  component: 'queue',
  notes: [
    'Handlers do nothing: this is what the queue itself costs.',
    '`limit` claims and removes 500 jobs at a time, with delays, attempts and leases, and without validation, fencing, deduplication, retries or recovery.',
    '`underpin` runs 500 jobs at once; `underpin (as it comes)` runs 10.',
  ],
  cases: [
    {
      id: 'sqlite-process-20k',
      unit: 'ops/s',
      count: 20_000,
      goals: [{ against: 'limit', ratioAtLeast: 0.5 }],
      open: async () =>
        await open(async (fileOf) => {
          const raw = limit(fileOf('limit.db'));
          const processing = async (id: string, concurrency: number) => {
            const own = await underpin(fileOf(`${id}.db`));
            const countdown = new Countdown();
            const variant: Variant = {
              id,
              async run(count) {
                const worker = own.queue.worker([job.handle(countdown.count)], { concurrency });
                await countdown.expect(count, async () => await worker.start());
                await worker.drain();
                await worker.close();
              },
            };
            return { own, variant };
          };
          const fast = await processing('underpin', batch);
          const plain = await processing('underpin (as it comes)', 10);
          return {
            variants: [
              { ...fast.variant, reset: async () => await fast.own.fill(20_000) },
              { ...plain.variant, reset: async () => await plain.own.fill(20_000) },
              {
                id: 'limit',
                run: async (count) => await raw.work(count, async () => undefined),
                reset: () => {
                  raw.fill(20_000);
                },
              },
            ],
            async close() {
              await fast.own.close();
              await plain.own.close();
              raw.close();
            },
          };
        }),
    },
    {
      id: 'sqlite-enqueue-batch',
      unit: 'ops/s',
      count: 20_000,
      goals: [],
      open: async () =>
        await open(async (fileOf) => {
          const own = await underpin(fileOf('underpin.db'));
          const raw = limit(fileOf('limit.db'));
          return {
            variants: [
              { id: 'underpin', run: async (count) => await own.fill(count) },
              {
                id: 'limit',
                run(count) {
                  for (let done = 0; done < count; done += payloads.length)
                    raw.fill(Math.min(payloads.length, count - done));
                },
              },
            ],
            async close() {
              await own.close();
              raw.close();
            },
          };
        }),
    },
    {
      id: 'sqlite-latency-idle',
      unit: 'ns',
      count: 200,
      goals: [{ against: 'limit', moreAtMost: 1_000_000 }],
      open: async () =>
        await open(async (fileOf) => {
          const own = await underpin(fileOf('underpin.db'));
          const raw = limit(fileOf('limit.db'));
          const countdown = new Countdown();
          const worker = own.queue.worker([job.handle(countdown.count)]);
          await worker.start();
          return {
            variants: [
              {
                id: 'underpin',
                async run(count) {
                  for (let number = 0; number < count; number += 1)
                    await countdown.expect(1, async () => await own.queue.enqueue(job, { number }));
                },
              },
              {
                id: 'limit',
                async run(count) {
                  for (let number = 0; number < count; number += 1) {
                    raw.fill(1);
                    await raw.work(1, async () => undefined);
                  }
                },
              },
            ],
            async close() {
              await worker.close();
              await own.close();
              raw.close();
            },
          };
        }),
    },
  ],
};

export default bench;
