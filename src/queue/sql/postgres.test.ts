import { setTimeout as delay } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { type PostgresDatabase, postgresDatabase } from '../../database/postgres/index.ts';
import type { NewJob, Settlement } from '../driver.ts';
import { defineJob } from '../job.ts';
import { sqlQueue } from './index.ts';
import { SqlQueueDriver } from './sql-queue-driver.ts';

const { missing } = await service('postgres');

const job = defineJob({ name: 'job', payload: z.object({ number: z.number() }) });

function newJobs(count: number, name = 'job'): NewJob[] {
  return Array.from({ length: count }, (_, number) => ({
    id: `${name}-${String(number).padStart(8, '0')}`,
    name,
    version: 1,
    payload: '{"number":1}',
    context: undefined,
    maxAttempts: 3,
    availableAt: Date.now(),
    createdAt: Date.now(),
    deduplicationKey: undefined,
  }));
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

/** What the server has counted of the table of jobs. */
async function scans(
  url: string,
): Promise<{ sequential: number; byIndex: number; inserted: number }> {
  await using database = postgresDatabase({ url });
  const { rows } = await sql<{ sequential: number; byIndex: number; inserted: number }>`
    select seq_scan as sequential, idx_scan as "byIndex", n_tup_ins as inserted
    from pg_stat_user_tables where relname = 'underpin_job'`.execute(database.query);
  return rows[0] ?? { sequential: 0, byIndex: 0, inserted: 0 };
}

describe.skipIf(missing)('sqlQueue on PostgreSQL', () => {
  let target: TestDatabase;
  let database: PostgresDatabase;
  let driver: SqlQueueDriver;

  beforeAll(async () => {
    target = await makePostgresDatabase();
    database = postgresDatabase({ url: target.url });
    driver = SqlQueueDriver.on(database);
    await driver.start();
  });

  beforeEach(async () => {
    await sql`truncate underpin_job`.execute(database.query);
  });

  afterAll(async () => {
    await database?.close();
    await target?.remove();
  });

  const claim = async (limit: number, names = ['job']) =>
    await driver.claim({ names, limit, now: Date.now(), leaseUntil: Date.now() + 60_000 });

  it('start › many processes that start at once make the tables once', async () => {
    await using empty = await makePostgresDatabase();
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        await using own = postgresDatabase({ url: empty.url });
        await using queue = sqlQueue({ database: own });
        await queue.start();
        await queue.enqueue(job, { number: 1 });
      }),
    );
    await using own = postgresDatabase({ url: empty.url });
    await using queue = sqlQueue({ database: own });
    expect((await queue.counts()).waiting).toBe(8);
  });

  it('listen › a job enqueued by another process starts without a poll, once it is committed', async () => {
    await using elsewhere = postgresDatabase({ url: target.url });
    await using sender = sqlQueue({ database: elsewhere });
    await sender.start();
    await using queue = sqlQueue({ database });
    const started: number[] = [];
    let commit: () => void = () => undefined;
    const committed = new Promise<void>((resolve) => (commit = resolve));
    await using worker = queue.worker([job.handle(({ number }) => started.push(number))], {
      pollInterval: '1h',
    });
    await worker.start();
    // A first one shows that it listens: hints before that are lost.
    await vi.waitUntil(
      async () => {
        await sender.enqueue(job, { number: 0 });
        await delay(50);
        return started.length > 0;
      },
      { timeout: 20_000 },
    );
    await vi.waitUntil(
      async () => {
        const { waiting, active } = await queue.counts();
        return waiting + active === 0;
      },
      { timeout: 20_000 },
    );
    started.length = 0;
    const sending = elsewhere.transaction(async () => {
      await sender.enqueue(job, { number: 1 });
      await committed;
    });
    await delay(100);
    expect(started).toEqual([]);
    commit();
    await sending;
    await vi.waitUntil(() => started.length > 0, { timeout: 20_000 });
    expect(started).toEqual([1]);
  });

  it('listen › a worker that lost its connection hears again, and of what it may have missed', async () => {
    await using queue = sqlQueue({ database });
    await using elsewhere = postgresDatabase({ url: target.url });
    await using sender = sqlQueue({ database: elsewhere });
    await sender.start();
    const started: number[] = [];
    await using worker = queue.worker([job.handle(({ number }) => started.push(number))], {
      pollInterval: '1h',
    });
    await worker.start();
    const listeners = sql<{ pid: number }>`
      select pid from pg_stat_activity where datname = current_database() and query like 'listen %'`;
    const pids = async () => (await listeners.execute(database.query)).rows.map(({ pid }) => pid);
    await vi.waitUntil(async () => (await pids()).length === 1, { timeout: 20_000 });
    const [first] = await pids();
    await sql`select pg_terminate_backend(${first})`.execute(database.query);
    await sender.enqueue(job, { number: 7 });
    await vi.waitUntil(() => started.length > 0, { timeout: 20_000 });
    expect(started).toEqual([7]);
  });

  it('claim, extend, settle, maintain › never read the whole table, however many jobs wait', async () => {
    await using big = await makePostgresDatabase();
    {
      await using own = postgresDatabase({ url: big.url });
      const queue = SqlQueueDriver.on(own);
      await queue.start();
      await sql`
        insert into underpin_job (id, name, version, payload, state, generation, attempts, max_attempts, available_at, created_at, failure)
        select 'job-' || n, 'job-' || n % 10, 1, '{}', case when n % 10 = 9 then 'dead' else 'waiting' end, 0, 0, 3, n, n, null
        from generate_series(1, 20000) as n`.execute(own.query);
      await sql`analyze underpin_job`.execute(own.query);
    }
    await vi.waitUntil(async () => (await scans(big.url)).inserted > 0, { timeout: 20_000 });
    const before = await scans(big.url);
    {
      await using own = postgresDatabase({ url: big.url });
      const queue = SqlQueueDriver.on(own);
      const names = Array.from({ length: 9 }, (_, index) => `job-${index}`);
      for (const limit of [1, 10, 500]) {
        const claimed = await queue.claim({ names, limit, now: 30_000, leaseUntil: 40_000 });
        expect(claimed).toHaveLength(limit);
        await queue.extend(claimed, 50_000);
        await queue.settle(
          claimed.map(({ id, generation }, index): Settlement => {
            const kind = (['complete', 'release', 'retry'] as const)[index % 3] ?? 'complete';
            const failure = { message: 'm', code: 'c', at: 1 };
            return { id, generation, kind, availableAt: 60_000, failure, keepUntil: undefined };
          }),
          30_000,
        );
      }
      await queue.claim({ names, limit: 3, now: 30_000, leaseUntil: 40_000 });
      await queue.maintain(45_000);
      await queue.nextEventAt(names);
      await queue.enqueue(newJobs(10));
      await queue.list({ state: 'dead', name: undefined, after: undefined, limit: 10 });
    }
    // Statistics arrive once the connection is closed.
    await vi.waitUntil(async () => (await scans(big.url)).byIndex > before.byIndex + 20, {
      timeout: 20_000,
    });
    expect((await scans(big.url)).sequential).toBe(before.sequential);
  });

  it('claim › locks no more rows than it takes, so that others find the rest', async () => {
    await driver.enqueue([...newJobs(10, 'a'), ...newJobs(10, 'b')]);
    await using elsewhere = postgresDatabase({ url: target.url });
    const other = SqlQueueDriver.on(elsewhere);
    await other.start();
    const names = ['a', 'b'];
    const now = Date.now();
    await database.transaction(
      async () => {
        // Its locks stay until the commit.
        expect(await claim(4, names)).toHaveLength(4);
        const rest = await other.claim({ names, limit: 100, now, leaseUntil: now + 1000 });
        expect(rest).toHaveLength(16);
      },
      { isolation: 'read-committed' },
    );
  });

  it('settle, extend › at the same time for the same claims, each takes effect once and none waits for ever', async () => {
    await driver.enqueue(newJobs(200));
    const claimed = await claim(200);
    const results = await Promise.all([
      ...Array.from(
        { length: 4 },
        async () =>
          await driver.settle(
            shuffled(claimed).map(({ id, generation }): Settlement => ({
              id,
              generation,
              kind: 'complete',
              keepUntil: undefined,
            })),
            Date.now(),
          ),
      ),
      ...Array.from({ length: 4 }, async () => {
        await driver.extend(shuffled(claimed), Date.now() + 90_000);
        return [];
      }),
    ]);
    expect(results.flat().filter(Boolean)).toHaveLength(200);
    expect((await driver.counts(undefined)).active).toBe(0);
  });

  it('redrive › beside enqueues of the same keys there is one unfinished job of each key', async () => {
    const keyed = (round: number): NewJob[] =>
      newJobs(20).map((one, index) => ({
        ...one,
        id: `${round}-${index}`,
        deduplicationKey: `key-${index}`,
      }));
    await driver.enqueue(keyed(0));
    const failure = { message: 'm', code: 'c', at: 1 };
    const buried = await claim(20);
    await driver.settle(
      buried.map(({ id, generation }): Settlement => ({ id, generation, kind: 'bury', failure })),
      Date.now(),
    );
    const now = Date.now();
    await Promise.all([
      ...Array.from({ length: 4 }, async (_, round) => await driver.enqueue(keyed(round + 1))),
      ...Array.from(
        { length: 4 },
        async () => await driver.redrive({ ids: undefined, name: undefined, limit: 100, now }),
      ),
    ]);
    expect((await driver.counts(undefined)).waiting).toBe(20);
  });

  it('atomic › a handler that outlives many leases runs once, and nobody else gets its job', async () => {
    await using queue = sqlQueue({ database });
    await sql`create table if not exists counter (id integer primary key, value integer not null)`.execute(
      database.query,
    );
    await sql`insert into counter values (1, 0) on conflict (id) do update set value = 0`.execute(
      database.query,
    );
    await queue.enqueue(job, { number: 1 });
    let runs = 0;
    const handled = job.handle(
      async () => {
        runs += 1;
        await sql`update counter set value = value + 1 where id = 1`.execute(database.query);
        await delay(3500);
      },
      { atomic: true },
    );
    await using worker = queue.worker([handled], { lease: '1s', pollInterval: '50ms' });
    await using other = queue.worker([handled], { lease: '1s', pollInterval: '50ms' });
    await worker.start();
    await other.start();
    await vi.waitUntil(
      async () => {
        const { waiting, active, dead } = await queue.counts();
        return waiting + active + dead === 0;
      },
      { timeout: 20_000 },
    );
    const { rows } = await sql`select value from counter`.execute(database.query);
    expect([runs, rows]).toEqual([1, [{ value: 1 }]]);
  });

  it('atomic › handlers at once that change the same row lose no change', async () => {
    await using queue = sqlQueue({ database });
    await sql`create table if not exists counter (id integer primary key, value integer not null)`.execute(
      database.query,
    );
    await sql`insert into counter values (1, 0) on conflict (id) do update set value = 0`.execute(
      database.query,
    );
    await queue.enqueueMany(
      job,
      Array.from({ length: 30 }, (_, number) => ({ number })),
    );
    const handled = job.handle(
      async () => {
        const { rows } = await sql<{ value: number }>`select value from counter`.execute(
          database.query,
        );
        await sql`update counter set value = ${(rows[0]?.value ?? 0) + 1}`.execute(database.query);
      },
      { atomic: true },
    );
    await using worker = queue.worker([handled], { concurrency: 4 });
    await worker.start();
    await vi.waitUntil(
      async () => {
        const { waiting, active } = await queue.counts();
        return waiting + active === 0;
      },
      { timeout: 30_000 },
    );
    const { rows } = await sql`select value from counter`.execute(database.query);
    expect(rows).toEqual([{ value: 30 }]);
  });

  it("atomic › handlers at once that have nothing in common are not in each other's way", async () => {
    await using queue = sqlQueue({ database });
    await sql`create table if not exists effect (number integer not null)`.execute(database.query);
    await queue.enqueueMany(
      job,
      Array.from({ length: 60 }, (_, number) => ({ number })),
    );
    let runs = 0;
    const handled = job.handle(
      async ({ number }) => {
        runs += 1;
        await sql`insert into effect values (${number})`.execute(database.query);
        await delay(5);
      },
      { atomic: true },
    );
    await using worker = queue.worker([handled], { concurrency: 8 });
    await worker.start();
    await vi.waitUntil(
      async () => {
        const { waiting, active } = await queue.counts();
        return waiting + active === 0;
      },
      { timeout: 30_000 },
    );
    // PostgreSQL ends a serializable transaction that collides with another, and the handler runs again.
    expect(runs).toBe(60);
  });

  it('time › a lease is the same to all, however far the clock of a machine is off', async () => {
    const hour = 3_600_000;
    await driver.enqueue(newJobs(1));
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hour });
    try {
      const ahead = SqlQueueDriver.on(database);
      await ahead.start();
      const [added] = await ahead.enqueue(
        newJobs(1, 'ahead').map((one) => ({ ...one, availableAt: Date.now() + 30_000 })),
      );
      expect((await ahead.find(added?.id ?? ''))?.availableAt).toBe(Date.now() + 30_000);
      // Its own time says that the lease lasts a minute, and so does the engine's.
      const leaseUntil = Date.now() + 60_000;
      const [claimed] = await ahead.claim({
        names: ['job'],
        limit: 1,
        now: Date.now(),
        leaseUntil,
      });
      expect(claimed?.id).toBe('job-00000000');
      const next = (await ahead.nextEventAt(['job'])) ?? 0;
      expect(Math.abs(next - leaseUntil)).toBeLessThan(1000);
      // It does not take away what others hold.
      expect((await ahead.maintain(Date.now())).recovered).toBe(0);
    } finally {
      vi.useRealTimers();
    }
    const { rows } = await sql<{ left: number }>`
      select lease_until - cast(extract(epoch from now()) * 1000 as bigint) as left
      from underpin_job where id = 'job-00000000'`.execute(database.query);
    expect(rows[0]?.left).toBeGreaterThan(0);
    expect(rows[0]?.left).toBeLessThan(61_000);
    expect((await driver.maintain(Date.now())).recovered).toBe(0);
    expect(await claim(10, ['ahead'])).toHaveLength(0);
  });
});
