import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';

import {
  abortable,
  definePolicy,
  fakeClock,
  InfrastructureError,
  runWithContext,
} from '../core/index.ts';
import { systemClock } from '../core/index.ts';
import { Database } from './database.ts';
import type { DatabaseDriver, DriverTransaction } from './driver.ts';
import { SqliteDriver } from './sqlite/sqlite-driver.ts';

interface Schema {
  item: { id: number };
}

class Collision extends Error {}

const opened: Database<Schema>[] = [];

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

/** A database whose commits fail so many times, as one that serializes transactions does. */
async function colliding(collisions: number): Promise<{
  database: Database<Schema>;
  clock: ReturnType<typeof fakeClock>;
  driver: DatabaseDriver;
}> {
  const clock = fakeClock();
  const driver = new SqliteDriver({
    file: ':memory:',
    synchronous: 'normal',
    waitTimeout: 1000,
    clock: systemClock,
  });
  const { classify } = driver;
  const begin = driver.begin.bind(driver);
  let left = collisions;
  const broken: Partial<DatabaseDriver> = {
    classify: (error) => (error instanceof Collision ? { code: 'aborted' } : classify(error)),
    begin: async (options) => {
      const transaction = await begin(options);
      const commit = transaction.commit.bind(transaction);
      transaction.commit = () => {
        if (left === 0) return commit();
        left -= 1;
        void transaction.rollback();
        throw new Collision('could not serialize');
      };
      return transaction;
    },
  };
  const database = new Database<Schema>(Object.assign(driver, broken), { clock });
  opened.push(database);
  await database.query.schema.createTable('item').addColumn('id', 'integer').execute();
  return { database, clock, driver };
}

async function ids({ query }: Database<Schema>): Promise<number[]> {
  return (await query.selectFrom('item').select('id').execute()).map(({ id }) => id);
}

describe('transaction › retries', () => {
  it('runs the function again after a serialization failure, and takes effect once', async () => {
    const { database, clock } = await colliding(2);
    let runs = 0;
    const seen: string[] = [];
    const transaction = database.transaction(async () => {
      runs += 1;
      await database.afterCommit(() => void seen.push('committed'));
      await database.query.insertInto('item').values({ id: runs }).execute();
    });
    for (let step = 0; step < 3; step += 1) await clock.advance(1000);
    await transaction;
    expect(await ids(database)).toEqual([3]);
    expect(seen).toEqual(['committed']);
  });

  it('what is to run after a rollback runs for each run that was rolled back', async () => {
    const { database, clock } = await colliding(2);
    const undone: number[] = [];
    let runs = 0;
    const transaction = database.transaction(async () => {
      const run = (runs += 1);
      database.afterRollback(() => void undone.push(run));
    });
    for (let step = 0; step < 3; step += 1) await clock.advance(1000);
    await transaction;
    expect(undone).toEqual([1, 2]);
  });

  it('gives up after so many', async () => {
    const { database, clock } = await colliding(10);
    let runs = 0;
    const transaction = database.transaction(async () => void (runs += 1), { retries: 2 });
    const failed = transaction.catch((error: unknown) => error);
    for (let step = 0; step < 3; step += 1) await clock.advance(1000);
    expect(await failed).toMatchObject({ code: 'aborted', outcome: 'not-applied' });
    expect(runs).toBe(3);
  });

  it('a nested transaction is not run again by itself', async () => {
    const { database, clock } = await colliding(1);
    const runs = { outer: 0, inner: 0 };
    const transaction = database.transaction(async () => {
      runs.outer += 1;
      await database.transaction(async () => void (runs.inner += 1));
    });
    await clock.advance(1000);
    await transaction;
    expect(runs).toEqual({ outer: 2, inner: 2 });
  });

  it("an error of the function's own is no reason to repeat it, whatever the policy", async () => {
    const policy = definePolicy('eager', { retry: { attempts: 3, initialDelay: 1 } });
    const driver = new SqliteDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    const database = new Database<Schema>(driver, { policy });
    opened.push(database);
    let runs = 0;
    const mine = new InfrastructureError({
      code: 'unavailable',
      component: 'mail',
      outcome: 'not-applied',
      message: 'mine',
    });
    const transaction = database.transaction(async () => {
      runs += 1;
      throw mine;
    });
    await expect(transaction).rejects.toBe(mine);
    expect(runs).toBe(1);
  });
});

describe('transaction › an engine that cannot undo', () => {
  /** A database whose transactions are broken in the given way. */
  async function breaking(
    change: (transaction: DriverTransaction) => Partial<DriverTransaction>,
  ): Promise<Database<Schema>> {
    const driver = new SqliteDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    const begin = driver.begin.bind(driver);
    const broken: Partial<DatabaseDriver> = {
      begin: async (signal) => {
        const transaction = await begin(signal);
        return Object.assign(transaction, change(transaction));
      },
    };
    const database = new Database<Schema>(Object.assign(driver, broken));
    opened.push(database);
    await database.query.schema.createTable('item').addColumn('id', 'integer').execute();
    return database;
  }

  it("still throws the function's own error, and runs what follows a rollback", async () => {
    const database = await breaking((transaction) => {
      const rollback = transaction.rollback.bind(transaction);
      return {
        rollback: async () => {
          await rollback();
          throw new Error('the connection was lost');
        },
      };
    });
    const mine = new Error('mine');
    let isUndone = false;
    const transaction = database.transaction(async () => {
      database.afterRollback(() => void (isUndone = true));
      throw mine;
    });
    await expect(transaction).rejects.toBe(mine);
    expect(isUndone).toBe(true);
  });

  it('commits nothing of a nested transaction that failed', async () => {
    const database = await breaking(() => ({
      rollbackToSavepoint: () => {
        throw new Error('out of memory');
      },
    }));
    const mine = new Error('mine');
    const transaction = database.transaction(
      async () => {
        const nested = database.transaction(async () => {
          await database.query.insertInto('item').values({ id: 1 }).execute();
          throw mine;
        });
        await expect(nested).rejects.toBe(mine);
      },
      { retries: 0 },
    );
    await expect(transaction).rejects.toMatchObject({ code: 'aborted', outcome: 'not-applied' });
    expect(await ids(database)).toEqual([]);
  });
});

describe('transaction › signal', () => {
  it.each(['options', 'context'] as const)(
    'of the %s ends the wait before a retry, and nothing was applied',
    async (where) => {
      const { database, clock } = await colliding(1);
      const controller = new AbortController();
      const { signal } = controller;
      const run = async (): Promise<unknown> =>
        await database
          .transaction(async () => undefined, where === 'options' ? { signal } : {})
          .catch((reason: unknown) => reason);
      const error = where === 'options' ? run() : runWithContext({ signal }, run);
      while (clock.sleepers === 0) await nextTurn();
      controller.abort();
      expect(await error).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    },
  );

  it('is that of the context when none is given', async () => {
    const { database } = await colliding(0);
    const controller = new AbortController();
    await runWithContext({ signal: controller.signal }, async () => {
      const transaction = database.transaction(async () => {
        await database.query.insertInto('item').values({ id: 1 }).execute();
        controller.abort();
        await database.query.insertInto('item').values({ id: 2 }).execute();
      });
      await expect(transaction).rejects.toMatchObject({ code: 'cancelled' });
    });
    expect(await ids(database)).toEqual([]);
  });
});

describe('abort › in the midst of a commit', () => {
  it('what follows it still runs, once it took effect', async () => {
    const policy = definePolicy('impatient', { timeout: 20 });
    const driver = new SqliteDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    const begin = driver.begin.bind(driver);
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    const broken: Partial<DatabaseDriver> = {
      begin: async (signal) => {
        const transaction = await begin(signal);
        const commit = transaction.commit.bind(transaction);
        transaction.commit = async () => {
          await commit();
          await answered;
        };
        return transaction;
      },
    };
    const database = new Database<Schema>(Object.assign(driver, broken), { policy });
    opened.push(database);
    const { promise: told, resolve: tell } = Promise.withResolvers<string>();
    const transaction = database.transaction(async () => {
      await database.afterCommit(() => {
        tell('committed');
      });
    });
    await expect(transaction).rejects.toMatchObject({
      code: 'deadline-exceeded',
      outcome: 'unknown',
    });
    answer();
    expect(await told).toBe('committed');
  });
});

describe('abort › while the database starts', () => {
  it('a stream that is cancelled does not end the start for others', async () => {
    const driver = new SqliteDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    const start = driver.start.bind(driver);
    const { promise: connected, resolve: connect } = Promise.withResolvers<void>();
    const slow: Partial<DatabaseDriver> = {
      start: async (signal) => {
        await (signal ? abortable(connected, signal) : connected);
        await start();
      },
    };
    const database = new Database<Schema>(Object.assign(driver, slow));
    opened.push(database);
    const controller = new AbortController();
    const stream = database.query
      .selectFrom('item')
      .select('id')
      .stream({ chunkSize: 1, signal: controller.signal });
    const cancelled = stream.next().catch((reason: unknown) => reason);
    const other = sql<{ one: number }>`select 1 as one`.execute(database.query);
    controller.abort();
    connect();
    expect((await other).rows).toEqual([{ one: 1 }]);
    expect(await cancelled).toMatchObject({ code: 'cancelled' });
  });
});

describe('abort › before a call has reached the engine', () => {
  it('nothing was applied', async () => {
    const { database } = await colliding(0);
    const controller = new AbortController();
    const { signal } = controller;
    const insert = database.query.insertInto('item').values({ id: 1 });
    const caught = (reason: unknown): unknown => reason;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: held, resolve: hold } = Promise.withResolvers<void>();
    const holder = database.transaction(async () => {
      hold();
      await released;
      return await insert.execute({ signal }).catch(caught);
    });
    await held;
    const waiting = [
      insert.execute({ signal }).catch(caught),
      database.transaction(async () => undefined, { signal }).catch(caught),
    ];
    controller.abort();
    const expected: unknown = expect.objectContaining({
      code: 'cancelled',
      outcome: 'not-applied',
    });
    expect(await Promise.all(waiting)).toEqual([expected, expected]);
    release();
    expect(await holder).toEqual(expected);
    expect(await ids(database)).toEqual([]);
  });

  it('a transaction that cannot begin was not applied, so that a policy may begin it again', async () => {
    const policy = definePolicy('eager', { retry: { attempts: 1, initialDelay: 1 } });
    const driver = new SqliteDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    const begin = driver.begin.bind(driver);
    let isLost = true;
    const broken: Partial<DatabaseDriver> = {
      begin: async (signal) => {
        if (!isLost) return await begin(signal);
        isLost = false;
        throw Object.assign(new Error('lost'), { code: 'ECONNRESET' });
      },
    };
    const database = new Database<Schema>(Object.assign(driver, broken), { policy });
    opened.push(database);
    expect(await database.transaction(async () => 'done')).toBe('done');
  });
});

describe('policy › an answer that was lost', () => {
  it('a read is sent again, and what may change data is not', async () => {
    const { driver } = await colliding(0);
    const execute = driver.execute.bind(driver);
    let isLost = false;
    const losing: Partial<DatabaseDriver> = {
      execute: (query, signal) => {
        if (!isLost) return execute(query, signal);
        isLost = false;
        throw new Collision('lost');
      },
      classify: () => ({ code: 'unavailable', outcome: 'unknown' }),
    };
    const policy = definePolicy('eager', { retry: { attempts: 1, initialDelay: 1 } });
    const { query } = new Database<Schema>(Object.assign(driver, losing), { policy });
    await query.schema.createTable('item').addColumn('id', 'integer').execute();
    isLost = true;
    const read = query.with('few', (part) => part.selectFrom('item').selectAll());
    expect(await read.selectFrom('few').selectAll().execute()).toEqual([]);
    const changes = [
      query.insertInto('item').values({ id: 1 }),
      query.with('gone', (part) => part.deleteFrom('item').returning('id')).selectFrom('gone'),
      { execute: async () => await sql`select 1`.execute(query) },
    ];
    for (const change of changes) {
      isLost = true;
      await expect(change.execute()).rejects.toMatchObject({ outcome: 'unknown' });
    }
  });
});

describe('kysely › transaction settings', () => {
  it('an isolation level reaches the driver, as that of our own transactions does', async () => {
    const { database, driver } = await colliding(0);
    const asked: unknown[] = [];
    const begin = driver.begin.bind(driver);
    driver.begin = async (options) => {
      asked.push(options?.isolation);
      return await begin(options);
    };
    await database.query
      .transaction()
      .setIsolationLevel('snapshot')
      .execute(async () => undefined);
    await database.transaction(async () => undefined, { isolation: 'read-committed' });
    await database.transaction(async () => undefined);
    expect(asked).toEqual(['repeatable-read', 'read-committed', undefined]);
  });

  it('an access mode is that of our own transactions', async () => {
    const { database, driver } = await colliding(0);
    const asked: unknown[] = [];
    const begin = driver.begin.bind(driver);
    driver.begin = async (options) => {
      asked.push(options?.readOnly);
      return await begin(options);
    };
    for (const mode of ['read only', 'read write'] as const)
      await database.query
        .transaction()
        .setAccessMode(mode)
        .execute(async () => undefined);
    expect(asked).toEqual([true, false]);
  });
});
