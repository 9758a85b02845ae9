import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { startProxy } from '../../../test/services/proxy.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy } from '../../core/index.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';

const { missing } = await service('postgres');

interface Schema {
  free: { id: number; name: string };
  held: { id: number };
  kept: { id: number };
}

type Name = 'held' | 'kept';

describe.skipIf(missing)('database postgres › reads that share a connection', () => {
  let made: TestDatabase;
  /** Looks on, and holds locks. */
  let other: PostgresDatabase<Schema>;

  beforeAll(async () => {
    made = await makePostgresDatabase();
    other = postgresDatabase<Schema>({ url: made.url });
    await other.migrate([
      {
        name: '1',
        up: `create table free (id integer, name text); insert into free values (1, 'a');
          create table held (id integer); insert into held values (1); create table kept (id integer); insert into kept values (2)`,
      },
    ]);
  });

  afterAll(async () => {
    await other?.close();
    await made?.remove();
  });

  const open = (options: { poolSize?: number; url?: string } = {}): PostgresDatabase<Schema> =>
    postgresDatabase<Schema>({ url: made.url, policy: noPolicy, poolSize: 1, ...options });

  /** Nobody can read the table until what this gives is called. */
  const hold = async (table: Name): Promise<() => Promise<void>> => {
    const held = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const transaction = other.transaction(async () => {
      await sql`lock table ${sql.table(table)} in access exclusive mode`.execute(other.query);
      held.resolve();
      await ended.promise;
    });
    await held.promise;
    return async () => {
      ended.resolve();
      await transaction;
    };
  };

  /** Waits until so many wait for the table. */
  const untilBlocked = async (table: Name, count: number): Promise<void> => {
    const waiting = sql`select 1 from pg_locks where not granted
      and relation = ${table}::regclass and database = (select oid from pg_database where datname = current_database())`;
    while ((await waiting.execute(other.query)).rows.length !== count) await sleep(5);
  };

  const idsOf = async (
    database: PostgresDatabase<Schema>,
    table: Name,
    signal?: AbortSignal,
  ): Promise<unknown> => await database.query.selectFrom(table).select('id').execute({ signal });

  const readFree = async (database: PostgresDatabase<Schema>): Promise<unknown> =>
    await database.query.selectFrom('free').selectAll().execute();

  const outcomeOf = async (call: Promise<unknown>): Promise<unknown> =>
    await call.catch((error: unknown) => error);

  test('an abort of the one that runs stops it on the server, and the one behind it goes on', async () => {
    await using database = open();
    const release = await hold('held');
    const controller = new AbortController();
    const aborted = outcomeOf(idsOf(database, 'held', controller.signal));
    await untilBlocked('held', 1);
    const behind = readFree(database);
    await sleep(0);
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(await behind).toEqual([{ id: 1, name: 'a' }]);
    await untilBlocked('held', 0);
    await release();
    expect(database.native.pool.totalCount).toBe(1);
  });

  test('a request to cancel that comes too late, and hits the next one, is not that caller’s failure', async () => {
    await using database = open();
    for (let round = 0; round < 5; round += 1) {
      const releaseHeld = await hold('held');
      const releaseKept = await hold('kept');
      const controller = new AbortController();
      const aborted = outcomeOf(idsOf(database, 'held', controller.signal));
      await untilBlocked('held', 1);
      const innocent = idsOf(database, 'kept');
      await sleep(0);
      // The lock is gone before the request, for which a connection must be made, has arrived.
      const released = releaseHeld();
      controller.abort();
      await released;
      expect(await aborted).toMatchObject({ code: 'cancelled' });
      await untilBlocked('kept', 1);
      await releaseKept();
      expect(await innocent).toEqual([{ id: 2 }]);
    }
  });

  test('an abort of one that waits behind another lets go of its caller alone', async () => {
    await using database = open();
    const release = await hold('held');
    const first = idsOf(database, 'held');
    await untilBlocked('held', 1);
    const controller = new AbortController();
    const second = outcomeOf(idsOf(database, 'kept', controller.signal));
    await sleep(0);
    controller.abort();
    expect(await second).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    await release();
    expect(await first).toEqual([{ id: 1 }]);
    expect(await readFree(database)).toEqual([{ id: 1, name: 'a' }]);
  });

  test('one that waits behind a slow one is answered on another connection, as soon as there is one', async () => {
    await using database = open({ poolSize: 2 });
    const release = await hold('held');
    const held = Promise.withResolvers<void>();
    const transaction = database.transaction(async () => await held.promise);
    const slow = idsOf(database, 'held');
    await untilBlocked('held', 1);
    const behind = readFree(database);
    await sleep(0);
    held.resolve();
    await transaction;
    expect(await behind).toEqual([{ id: 1, name: 'a' }]);
    await untilBlocked('held', 1);
    await release();
    expect(await slow).toEqual([{ id: 1 }]);
  });

  test('those that run on connections that are lost are unavailable, and a policy sends them again, as those behind them', async () => {
    await using proxy = await startProxy(made.url);
    await using database = open({ url: proxy.url, poolSize: 4 });
    await using patient = postgresDatabase<Schema>({ url: proxy.url, poolSize: 4 });
    const release = await hold('held');
    const calls = (of: PostgresDatabase<Schema>, count: number): Promise<unknown>[] =>
      Array.from({ length: count }, async () => await outcomeOf(idsOf(of, 'held')));
    const failing = calls(database, 4);
    const repeated = calls(patient, 40);
    await untilBlocked('held', 8);
    proxy.cut();
    for (const error of await Promise.all(failing))
      expect(error).toMatchObject({ code: 'unavailable', retryable: true });
    await release();
    for (const rows of await Promise.all(repeated)) expect(rows).toEqual([{ id: 1 }]);
    expect(await readFree(database)).toEqual([{ id: 1, name: 'a' }]);
  });

  test('the server’s limit of time ends one, and not the one behind it', async () => {
    await using database = postgresDatabase<Schema>({
      url: made.url,
      policy: noPolicy,
      poolSize: 1,
      statementTimeout: 500,
    });
    const release = await hold('held');
    const slow = outcomeOf(idsOf(database, 'held'));
    await untilBlocked('held', 1);
    const behind = readFree(database);
    expect(await slow).toMatchObject({ code: 'deadline-exceeded', outcome: 'not-applied' });
    expect(await behind).toEqual([{ id: 1, name: 'a' }]);
    await release();
  });

  test('the error of one is not the others’', async () => {
    await using database = open();
    const quotient = async (divisor: number): Promise<unknown> =>
      await database.query
        .selectFrom('free')
        .select(sql<number>`10 / ${divisor}::integer`.as('quotient'))
        .execute();
    const outcomes = await Promise.all(
      [5, 0, 2, 0, 1].map(async (divisor) => await outcomeOf(quotient(divisor))),
    );
    const refused = expect.objectContaining({ code: 'invalid-argument' }) as unknown;
    expect(outcomes).toEqual([
      [{ quotient: 2 }],
      refused,
      [{ quotient: 5 }],
      refused,
      [{ quotient: 10 }],
    ]);
  });

  test('a read inside of a transaction sees what that did, and one outside does not', async () => {
    await using database = open({ poolSize: 2 });
    const names = async (): Promise<number> =>
      (await database.query.selectFrom('free').select('name').where('id', '=', 7).execute()).length;
    for (let round = 0; round < 3; round += 1) expect(await names()).toBe(0);
    const inside = Promise.withResolvers<number[]>();
    const looked = Promise.withResolvers<void>();
    const transaction = database.transaction(async () => {
      await database.query.insertInto('free').values({ id: 7, name: 'mine' }).execute();
      inside.resolve(await Promise.all([names(), names()]));
      await looked.promise;
      throw new RangeError('undone');
    });
    const failed = outcomeOf(transaction);
    expect(await inside.promise).toEqual([1, 1]);
    expect(await Promise.all([names(), names()])).toEqual([0, 0]);
    looked.resolve();
    expect(await failed).toBeInstanceOf(RangeError);
  });

  test('where nothing is free each waits no longer than it may, and leaves nothing behind', async () => {
    await using database = postgresDatabase<Schema>({
      url: made.url,
      policy: noPolicy,
      poolSize: 1,
      waitTimeout: 200,
    });
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const transaction = database.transaction(async () => {
      begun.resolve();
      await gate.promise;
    });
    await begun.promise;
    const errors = await Promise.all(
      [1, 2, 3].map(async () => await outcomeOf(readFree(database))),
    );
    for (const error of errors)
      expect(error).toMatchObject({ code: 'resource-exhausted', outcome: 'not-applied' });
    const controller = new AbortController();
    const aborted = outcomeOf(idsOf(database, 'kept', controller.signal));
    await sleep(0);
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    gate.resolve();
    await transaction;
    expect(await readFree(database)).toEqual([{ id: 1, name: 'a' }]);
  });

  test('reads without end leave a transaction its turn', async () => {
    await using database = open();
    const done = new AbortController();
    const readers = Array.from({ length: 4 }, async () => {
      while (!done.signal.aborted) await readFree(database);
    });
    await database.transaction(
      async () => await database.query.updateTable('free').set({ name: 'a' }).execute(),
    );
    done.abort();
    await Promise.all(readers);
    expect(await readFree(database)).toEqual([{ id: 1, name: 'a' }]);
  });

  test('to drain waits for them, and to close fails them', async () => {
    await using database = open();
    const release = await hold('held');
    const slow = idsOf(database, 'held');
    await untilBlocked('held', 1);
    const order: string[] = [];
    const draining = (async () => {
      await database.drain();
      order.push('drained');
    })();
    await sleep(60);
    order.push('released');
    await release();
    expect(await slow).toEqual([{ id: 1 }]);
    await draining;
    expect(order).toEqual(['released', 'drained']);
    const releaseAgain = await hold('held');
    const failed = outcomeOf(idsOf(database, 'held'));
    await untilBlocked('held', 1);
    await database.close();
    expect(await failed).toMatchObject({ code: 'failed-precondition' });
    await releaseAgain();
  });
});
