import { setTimeout as sleep } from 'node:timers/promises';

import { type CompiledQuery, type Generated, sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy } from '../../core/index.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';
import { PostgresDriver } from './postgres-driver.ts';

const { missing } = await service('postgres');

interface Row {
  key: Generated<number>;
  id: number;
}

interface Schema {
  free: Row;
  held: Row;
}

describe.skipIf(missing)('database postgres › writes outside of transactions', () => {
  let made: TestDatabase;
  /** Looks on, and holds locks. */
  let other: PostgresDatabase<Schema>;

  beforeAll(async () => {
    made = await makePostgresDatabase();
    other = postgresDatabase<Schema>({ url: made.url });
    const columns = '(key bigint generated always as identity, id integer)';
    await other.migrate([
      { name: '1', up: `create table free ${columns}; create table held ${columns}` },
    ]);
  });

  beforeEach(async () => {
    await sql`truncate free, held`.execute(other.query);
  });

  afterAll(async () => {
    await other?.close();
    await made?.remove();
  });

  const open = (poolSize: number): PostgresDatabase<Schema> =>
    postgresDatabase<Schema>({ url: made.url, policy: noPolicy, poolSize });

  /** Nobody can write to `held` until what this gives is called. */
  const hold = async (): Promise<() => Promise<void>> => {
    const held = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const transaction = other.transaction(async () => {
      await sql`lock table held in exclusive mode`.execute(other.query);
      held.resolve();
      await ended.promise;
    });
    await held.promise;
    return async () => {
      ended.resolve();
      await transaction;
    };
  };

  /** The backends that wait for `held`, once they are so many. */
  const untilBlocked = async (count: number): Promise<number[]> => {
    for (;;) {
      const { rows } = await sql<{ pid: number }>`select pid from pg_locks where not granted
        and relation = 'held'::regclass and database = (select oid from pg_database where datname = current_database())`.execute(
        other.query,
      );
      if (rows.length === count) return rows.map(({ pid }) => pid);
      await sleep(5);
    }
  };

  const write = async (
    database: PostgresDatabase<Schema>,
    table: keyof Schema,
    id: number,
    signal?: AbortSignal,
  ): Promise<unknown> =>
    await database.query
      .insertInto(table)
      .values({ id })
      .execute({ signal })
      .catch((error: unknown) => error);

  const written = async (table: keyof Schema): Promise<number[]> =>
    (await other.query.selectFrom(table).select('id').orderBy('key').execute()).map(({ id }) => id);

  test('those that wait for a connection have it one after the other, in their order', async () => {
    await using database = open(1);
    const ids = Array.from({ length: 50 }, (_, id) => id);
    await Promise.all(ids.map(async (id) => await write(database, 'free', id)));
    expect(await written('free')).toEqual(ids);
    expect(database.native.pool.totalCount).toBe(1);
  });

  test('one that waits for a lock holds up none behind it', async () => {
    await using database = open(2);
    const release = await hold();
    const blocked = write(database, 'held', 1);
    await untilBlocked(1);
    const ids = Array.from({ length: 50 }, (_, id) => id);
    await Promise.all(ids.map(async (id) => await write(database, 'free', id)));
    expect(await written('free')).toEqual(ids);
    await release();
    await blocked;
    expect(await written('held')).toEqual([1]);
  });

  test('an abort of one that waits for a connection leaves its place to the next, and nothing of it is done', async () => {
    await using database = open(1);
    const release = await hold();
    const blocked = write(database, 'held', 1);
    await untilBlocked(1);
    const controller = new AbortController();
    const aborted = write(database, 'free', 2, controller.signal);
    const next = write(database, 'free', 3);
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    await release();
    await Promise.all([blocked, next]);
    expect(await written('free')).toEqual([3]);
  });

  test('an abort of the one that runs stops it on the server, and only then has the next its connection', async () => {
    await using database = open(1);
    const release = await hold();
    const controller = new AbortController();
    const aborted = write(database, 'held', 1, controller.signal);
    const next = write(database, 'free', 2);
    await untilBlocked(1);
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'cancelled' });
    await next;
    await untilBlocked(0);
    await release();
    expect([await written('held'), await written('free')]).toEqual([[], [2]]);
    expect(database.native.pool.totalCount).toBe(1);
  });

  test('whether one took effect whose connection is lost is unknown, and the next has another', async () => {
    await using database = open(1);
    const release = await hold();
    const lost = write(database, 'held', 1);
    const next = write(database, 'free', 2);
    const [pid] = await untilBlocked(1);
    await sql`select pg_terminate_backend(${pid}::integer)`.execute(other.query);
    expect(await lost).toMatchObject({ code: 'unavailable', outcome: 'unknown' });
    await next;
    await release();
    expect(await written('free')).toEqual([2]);
  });

  test('those that wait when the database is closed are refused, and what ran has an unknown outcome', async () => {
    const database = open(1);
    const release = await hold();
    const running = write(database, 'held', 1);
    const waiting = write(database, 'free', 2);
    await untilBlocked(1);
    await database.close();
    expect(await running).toMatchObject({ code: 'failed-precondition', outcome: 'unknown' });
    expect(await waiting).toMatchObject({ code: 'failed-precondition', outcome: 'not-applied' });
    await release();
    expect(await written('free')).toEqual([]);
  });

  test('a driver that is closed while a connection goes from one to the next closes it, and refuses the next', async () => {
    const { hostname, port, pathname, username, password } = new URL(made.url);
    for (let steps = 0; steps < 12; steps += 1) {
      const driver = new PostgresDriver({
        target: {
          host: hostname,
          port: Number(port),
          database: pathname.slice(1),
          user: username,
          password: () => password,
          ssl: false,
        },
        poolSize: 1,
        waitTimeout: 10_000,
        connectTimeout: 10_000,
        idleTimeout: 10_000,
        maxLifetime: 0,
        statementTimeout: 0,
        applicationName: 'underpin',
        isolation: 'serializable',
        preparedStatements: true,
      });
      const query = (id: number): CompiledQuery =>
        other.query.insertInto('free').values({ id }).compile();
      const first = driver.execute(query(1));
      const next = driver.execute(query(2)).catch((error: unknown) => error);
      await first;
      // The connection is on its way to the next for some of these.
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      await driver.close();
      expect(await next).toMatchObject({ code: 'failed-precondition' });
      expect(driver.native.pool.totalCount).toBe(0);
    }
  });
});
