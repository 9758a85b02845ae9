import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy, runWithContext, subscribeToOperations } from '../../core/index.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';
import { isQuery, scriptEndsTransaction } from '../postgres-sql/statements.ts';
import { parsePostgresUrl } from './url.ts';

const { missing } = await service('postgres');

interface Schema {
  item: { id: number; name: string };
}

describe('database postgres › url', () => {
  test('user, password, host, port and database are read, however they are written', () => {
    expect(parsePostgresUrl('postgres://a%40b:p%2F%3A%25@db.example.com:6543/my%20shop')).toEqual({
      user: 'a@b',
      password: 'p/:%',
      host: 'db.example.com',
      port: 6543,
      database: 'my shop',
      ssl: false,
    });
    expect(parsePostgresUrl('postgresql://ada@[::1]?sslmode=verify-full')).toMatchObject({
      host: '::1',
      port: 5432,
      database: 'ada',
      ssl: true,
    });
    expect(parsePostgresUrl('postgres:///shop?host=/run/postgresql')).toMatchObject({
      host: '/run/postgresql',
      database: 'shop',
      password: undefined,
    });
  });

  test.each([
    'mysql://h/d',
    'postgres://user:canary@h:port/d',
    'postgres://h/d?sslmode=prefer',
    'postgres://h/d?pool=3',
    'postgres://u:%zz@h/d',
    'no url: canary',
    'postgres://u:a?canary@h/d',
    'postgres://u:1?canary@h/d',
    'postgres://u:1?canary=x@h/d',
    'postgres://u:1/canary@h/d',
    'postgres://u:1#canary@h/d',
  ])('%s is refused, and not told', (url) => {
    expect(() => parsePostgresUrl(url)).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        message: expect.not.stringContaining('canary') as string,
      }) as Error,
    );
  });

  test('options that make no sense are refused', () => {
    const url = 'postgres://h/d';
    for (const options of [{ poolSize: 0 }, { poolSize: 1.5 }, { isolation: 'none' as never }])
      expect(() => postgresDatabase({ url, ...options })).toThrow(/poolSize|isolation/);
  });
});

describe('database postgres › statements', () => {
  test('a query is read by a cursor, and what changes data is not', () => {
    expect(isQuery('-- words\nselect 1')).toBe(true);
    expect(isQuery('values (1)')).toBe(true);
    expect(isQuery(`with a as (select 'delete', "update" from b) select * from a`)).toBe(true);
    expect(isQuery('with a as (delete from b returning *) select * from a')).toBe(false);
    expect(isQuery('insert into a values (1) returning id')).toBe(false);
  });

  test('a script that ends its transaction is known by its statements, not by its words', () => {
    expect(scriptEndsTransaction('create table a (id int); commit; create table b (id int)')).toBe(
      true,
    );
    expect(scriptEndsTransaction('select 1; /* x */ ROLLBACK')).toBe(true);
    expect(scriptEndsTransaction('rollback to savepoint a; select 1')).toBe(false);
    expect(scriptEndsTransaction(`select '; commit;', ";commit" -- ; commit\n`)).toBe(false);
    expect(scriptEndsTransaction('do $$ begin perform 1; end; $$; do $x$ commit; $x$')).toBe(false);
  });
});

describe.skipIf(missing)('database postgres', () => {
  let made: TestDatabase;
  let database: PostgresDatabase<Schema>;
  /** Looks on from outside of any transaction. */
  let watcher: PostgresDatabase;

  beforeAll(async () => {
    made = await makePostgresDatabase();
    watcher = postgresDatabase({ url: made.url, poolSize: 1 });
    // Without a policy, which would let go of a call before its outcome is known.
    const policy = noPolicy;
    database = postgresDatabase<Schema>({ url: made.url, policy, applicationName: 'tested' });
    await sql`create table item (id integer primary key, name text not null)`.execute(
      database.query,
    );
  });

  beforeEach(async () => {
    await database.query.deleteFrom('item').execute();
  });

  afterAll(async () => {
    await database?.close();
    await watcher?.close();
    await made?.remove();
  });

  const valueOf = async (text: string): Promise<unknown> => {
    const { rows } = await sql<{ value: unknown }>`select ${sql.raw(text)} as value`.execute(
      database.query,
    );
    return rows[0]?.value;
  };

  /** Waits until the server runs so many statements like this one. */
  const untilRunning = async (text: string, count: number): Promise<void> => {
    for (;;) {
      const { rows } = await sql<{
        running: number;
      }>`select count(*) as running from pg_stat_activity
        where datname = current_database() and state = 'active' and query like ${`%${text}%`} and pid <> pg_backend_pid()`.execute(
        watcher.query,
      );
      if (rows[0]?.running === count) return;
      await sleep(10);
    }
  };

  const idle = (): number => database.native.pool.totalCount - database.native.pool.idleCount;

  test.each<[string, unknown]>([
    ['9007199254740991::int8', 9_007_199_254_740_991],
    ['9007199254740993::int8', 9_007_199_254_740_993n],
    ["'{1,9007199254740993,null}'::int8[]", [1, 9_007_199_254_740_993n, null]],
    ['0.1::numeric + 0.2', '0.3'],
    ["'{0.10,12345678901234567890.5}'::numeric[]", ['0.10', '12345678901234567890.5']],
    ["timestamptz '2026-01-02 03:04:05+02'", '2026-01-02T01:04:05.000Z'],
    ["timestamptz '2026-01-02 03:04:05.678901Z'", '2026-01-02T03:04:05.678901Z'],
    ["timestamptz 'infinity'", 'infinity'],
    ["timestamp '2026-01-02 03:04:05.6'", '2026-01-02T03:04:05.600'],
    ["date '2026-01-02'", '2026-01-02'],
    ["time '03:04'", '03:04:00'],
    ["interval '1 day 2 hours'", '1 day 02:00:00'],
    [
      `'{"a":[1,9007199254740993,-1.5,"9007199254740993"]}'::jsonb`,
      { a: [1, 9_007_199_254_740_993n, -1.5, '9007199254740993'] },
    ],
    [`array['{"a":1}'::jsonb]`, [{ a: 1 }]],
    [String.raw`'\x00ff'::bytea`, Uint8Array.of(0, 255)],
    [String.raw`array['\x01'::bytea]`, [Uint8Array.of(1)]],
    ['true', true],
    ["array['a','b c','\"']", ['a', 'b c', '"']],
    [
      "'{{1,2},{3,4}}'::int4[]",
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])('%s comes back without loss', async (text, value) => {
    expect(await valueOf(text)).toStrictEqual(value);
  });

  test('a time with a zone is the same moment, whatever the zone of the session', async () => {
    await database.transaction(async () => {
      await sql`set local timezone = 'Asia/Kolkata'`.execute(database.query);
      expect(await valueOf("timestamptz '2026-01-02 03:04:05.678901Z'")).toBe(
        '2026-01-02T03:04:05.678901Z',
      );
    });
  });

  test('Dates, bytes, arrays and booleans are sent as what they are', async () => {
    const { rows } =
      await sql`select ${new Date(5)}::timestamptz as date, ${new Uint8Array([1, 2]).buffer}::bytea as bytes,
      ${['a', 'b,"\\', null]}::text[] as texts, ${[[1n], [2n]]}::int8[] as numbers, ${[Uint8Array.of(9)]}::bytea[] as blobs,
      ${true}::boolean as yes, ${-0}::float8 as zero`.execute(database.query);
    expect(rows).toStrictEqual([
      {
        date: '1970-01-01T00:00:00.005Z',
        bytes: Uint8Array.of(1, 2),
        texts: ['a', 'b,"\\', null],
        numbers: [[1], [2]],
        blobs: [Uint8Array.of(9)],
        yes: true,
        zero: -0,
      },
    ]);
  });

  test('an object, an invalid Date, NUL and half a character are refused before they are sent', async () => {
    for (const value of [{ a: 1 }, new Date(Number.NaN), 'a\0', '\ud83e', Symbol('a'), [undefined]])
      await expect(sql`select ${value}`.execute(database.query)).rejects.toMatchObject({
        code: 'invalid-argument',
        message: expect.stringMatching(/^parameter 1 is /) as string,
      });
  });

  test('a deadlock of nested transactions runs the outermost again, and both take effect once', async () => {
    const rows = [1, 2].map((id) => ({ id, name: 'a' }));
    await database.query.insertInto('item').values(rows).execute();
    const bump = async (id: number): Promise<unknown> =>
      await sql`update item set name = name || '.' where id = ${id}`.execute(database.query);
    const both = Promise.withResolvers<void>();
    let holding = 0;
    let runs = 0;
    const cross = async (first: number, second: number): Promise<void> =>
      await database.transaction(
        async () => {
          runs += 1;
          await bump(first);
          holding += 1;
          if (holding === 2) both.resolve();
          await both.promise;
          await database
            .transaction(async () => await bump(second))
            .catch((error: unknown) => {
              throw new Error('an error of the application', { cause: error });
            });
        },
        { isolation: 'read-committed' },
      );
    await Promise.all([cross(1, 2), cross(2, 1)]);
    // The one that is run again may take the row before the other wakes, and then they meet once more.
    expect(runs).toBeGreaterThanOrEqual(3);
    expect(await database.query.selectFrom('item').select('name').execute()).toEqual([
      { name: 'a..' },
      { name: 'a..' },
    ]);
  });

  test('of two that each decide on what the other writes one is run again, and sees it', async () => {
    const rows = [1, 2].map((id) => ({ id, name: 'on call' }));
    await database.query.insertInto('item').values(rows).execute();
    const both = Promise.withResolvers<void>();
    let looking = 0;
    let runs = 0;
    const leave = async (id: number): Promise<string> =>
      await database.transaction(async () => {
        runs += 1;
        const { rows: left } = await sql`select 1 from item where name = 'on call'`.execute(
          database.query,
        );
        looking += 1;
        if (looking === 2) both.resolve();
        await both.promise;
        if (left.length < 2) return 'stays';
        await sql`update item set name = 'gone' where id = ${id}`.execute(database.query);
        return 'leaves';
      });
    expect((await Promise.all([leave(1), leave(2)])).toSorted()).toEqual(['leaves', 'stays']);
    expect(runs).toBe(3);
  });

  test('a timeout, a signal and that of the context end what the server runs, and roll back', async () => {
    const text = 'pg_sleep(600) /* timeout */';
    const sleeping = async (): Promise<unknown> =>
      await sql`select ${sql.raw(text)}`.execute(database.query);
    const prepared = database.prepare<{ id: number }, unknown>((query, parameter) =>
      query
        .selectNoFrom(sql<string>`${sql.raw(text)}`.as('slept'))
        .where(sql<boolean>`${parameter('id')}::integer = 1`),
    );
    const ends: Readonly<Record<string, (controller: AbortController) => Promise<unknown>>> = {
      'a timeout': async () =>
        await database.transaction(
          async () => {
            await database.query.insertInto('item').values({ id: 1, name: 'a' }).execute();
            await sleeping();
          },
          { timeout: 500 },
        ),
      'a signal of the context': async ({ signal }) =>
        await runWithContext({ signal }, async () => await database.transaction(sleeping)),
      'a signal of a prepared query': async ({ signal }) =>
        await prepared.execute({ id: 1 }, { signal }),
      'a signal of a statement in a transaction': async ({ signal }) =>
        await database.transaction(async () => await prepared.execute({ id: 1 }, { signal })),
    };
    for (const [what, act] of Object.entries(ends)) {
      const controller = new AbortController();
      const failed = act(controller).catch((error: unknown) => error);
      await untilRunning(text, 1);
      controller.abort();
      expect(await failed, what).toMatchObject({
        code: what === 'a timeout' ? 'deadline-exceeded' : 'cancelled',
        outcome: 'not-applied',
      });
      await untilRunning(text, 0);
      expect(idle(), what).toBe(0);
    }
    expect(await valueOf('(select count(*) from item)')).toBe(0);
  });

  test('a read-only transaction is one to the server too', async () => {
    const readOnly = { readOnly: true } as const;
    const mode = async (): Promise<unknown> =>
      await valueOf("current_setting('transaction_read_only')");
    expect(await database.transaction(mode, readOnly)).toBe('on');
    expect(await database.transaction(mode)).toBe('off');
    const { message } = (await database
      .transaction(async () => await sql`delete from item`.execute(database.query), readOnly)
      .catch((error: unknown) => error)) as Error;
    expect(message).toContain('readOnly');
  });

  test('a transaction of its own on a pool of one connection is refused at once', async () => {
    await using own = postgresDatabase({ url: made.url, poolSize: 1 });
    for (const propagation of ['requires-new', 'not-supported'] as const)
      await expect(
        own.transaction(
          async () =>
            await own.transaction(async () => await sql`select 1`.execute(own.query), {
              propagation,
            }),
        ),
      ).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringContaining('which are 1') as string,
      });
  });

  test('whoever waits for a full pool in vain is told who holds it', async () => {
    await using own = postgresDatabase({ url: made.url, poolSize: 2, waitTimeout: 50 });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const stream = own.query.selectNoFrom(sql`generate_series(1, 10)`.as('n')).stream(1);
    await stream.next();
    const holder = own.transaction(async () => await released);
    const error = (await sql`select 1`
      .execute(own.query)
      .catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'resource-exhausted', details: { waiting: 1 } });
    expect(error.message).toMatch(
      /held by a stream of .*:\d+ for \d+ ms, a transaction of .*:\d+ for/,
    );
    release();
    await holder;
    await stream.return?.();
  });

  test('a statement tells how long it waited for a connection, and only when it did', async () => {
    const waits: unknown[] = [];
    const unsubscribe = subscribeToOperations({
      end: ({ attributes }) => {
        if (attributes['statement'] === 'select 1 as waited')
          waits.push(typeof attributes['waitedMs']);
      },
    });
    await using own = postgresDatabase({ url: made.url, poolSize: 1 });
    const ask = async (): Promise<unknown> => await sql`select 1 as waited`.execute(own.query);
    await own.start();
    await ask();
    await Promise.all([ask(), ask()]);
    unsubscribe();
    expect(waits).toEqual(['undefined', 'undefined', 'number']);
  });

  test('a conflict that the function swallowed runs it again all the same', async () => {
    await database.query.insertInto('item').values({ id: 1, name: 'a' }).execute();
    let runs = 0;
    await database.transaction(async () => {
      runs += 1;
      await database.query.selectFrom('item').selectAll().execute();
      if (runs === 1) {
        await using other = postgresDatabase<Schema>({ url: made.url });
        await other.query.updateTable('item').set({ name: 'b' }).execute();
      }
      await database.query
        .updateTable('item')
        .set({ name: 'c' })
        .execute()
        .catch(() => undefined);
    });
    expect(runs).toBe(2);
    expect(await database.query.selectFrom('item').select('name').execute()).toEqual([
      { name: 'c' },
    ]);
  });

  test('a transaction in which a statement was aborted is not committed, though that was caught', async () => {
    const transaction = database.transaction(async () => {
      await database.query.insertInto('item').values({ id: 1, name: 'a' }).execute();
      const signal = AbortSignal.timeout(50);
      await expect(
        sql`select pg_sleep(600)`.execute(database.query, { signal }),
      ).rejects.toMatchObject({ code: 'deadline-exceeded' });
    });
    await expect(transaction).rejects.toMatchObject({ code: 'failed-precondition' });
    expect(await database.query.selectFrom('item').selectAll().execute()).toEqual([]);
  });

  test('raw SQL that begins or ends a transaction is refused, and keeps nothing', async () => {
    await expect(sql`begin`.execute(database.query)).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    for (const text of ['commit', 'end', 'rollback', 'abort', '/**/ commit and chain'])
      await expect(
        database.transaction(async () => {
          await database.query.insertInto('item').values({ id: 1, name: 'a' }).execute();
          await sql
            .raw(text)
            .execute(database.query)
            .catch(() => undefined);
        }),
        text,
      ).rejects.toMatchObject({ code: 'failed-precondition' });
    const broken = {
      name: '1',
      up: `insert into item values (1, 'a'); commit; insert into item values (2, 'b')`,
    };
    await expect(database.migrate([broken], { set: 'broken' })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    expect(await database.query.selectFrom('item').selectAll().execute()).toEqual([]);
  });

  test('a stream holds one connection, and gives it back however it ends', async () => {
    const many = database.query
      .selectFrom(sql<{ n: number }>`generate_series(1, 1000)`.as('n'))
      .selectAll();
    for await (const row of many.stream(10)) {
      expect(row).toBeDefined();
      expect(idle()).toBe(1);
      break;
    }
    const failing = database.query
      .selectFrom(sql<{ n: number }>`generate_series(1, 10)`.as('n'))
      .select(sql`1 / (5 - n)`.as('quotient'))
      .stream(1);
    await expect(Array.fromAsync(failing)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(idle()).toBe(0);
  });

  test('a stream fails when what its query did could not be committed', async () => {
    await database.migrate(
      [
        {
          name: '1',
          up: `create table part (item_id integer references item deferrable initially deferred);
            create function add_part() returns integer language sql as 'insert into part values (99) returning item_id'`,
        },
      ],
      { set: 'parts' },
    );
    const stream = database.query.selectNoFrom(sql<number>`add_part()`.as('id')).stream(1);
    await expect(Array.fromAsync(stream)).rejects.toMatchObject({
      code: 'failed-precondition',
      details: { constraint: 'foreign-key' },
    });
    expect(idle()).toBe(0);
  });

  test('nobody gets a connection that the server is about to close', async () => {
    await using own = postgresDatabase({ url: made.url, policy: noPolicy, poolSize: 1 });
    for (let round = 0; round < 20; round += 1) {
      await expect(
        sql`select pg_terminate_backend(pg_backend_pid())`.execute(own.query),
      ).rejects.toMatchObject({ code: 'unavailable' });
      expect((await sql`select 1 as one`.execute(own.query)).rows).toEqual([{ one: 1 }]);
    }
  });

  describe('in the midst of', () => {
    beforeAll(async () => {
      await sql`create table slow (id integer)`.execute(database.query);
      await sql`create function slow() returns trigger language plpgsql as
        $$ begin perform pg_sleep(600); return null; end; $$`.execute(database.query);
      await sql`create constraint trigger slow after insert on slow deferrable initially deferred
        for each row execute function slow()`.execute(database.query);
    });

    /** Waits until a statement or a commit of that application sleeps. */
    const untilAsleep = async (applicationName: string): Promise<void> => {
      const sleeping = sql`select 1 from pg_stat_activity
        where application_name = ${applicationName} and wait_event = 'PgSleep'`;
      while ((await sleeping.execute(watcher.query)).rows.length === 0) await sleep(10);
    };

    const insertSlowly = async (own: PostgresDatabase): Promise<unknown> =>
      await sql`insert into slow values (1)`.execute(own.query);

    test.each<[string, string, (own: PostgresDatabase) => Promise<unknown>]>([
      ['the commit of a write, a close leaves its outcome unknown', 'unknown', insertSlowly],
      [
        'a commit, a close leaves its outcome unknown',
        'unknown',
        async (own) => await own.transaction(async () => await insertSlowly(own)),
      ],
    ])('%s', async (_, outcome, act) => {
      const applicationName = randomUUID();
      const own = postgresDatabase({ url: made.url, policy: noPolicy, applicationName });
      const failed = act(own).catch((error: unknown) => error);
      await untilAsleep(applicationName);
      await own.close();
      expect(await failed).toMatchObject({ code: 'failed-precondition', outcome });
    });

    test('a commit, an abort rolls back', async () => {
      const applicationName = randomUUID();
      await using own = postgresDatabase({ url: made.url, policy: noPolicy, applicationName });
      const controller = new AbortController();
      const committing = own.transaction(async () => await insertSlowly(own), {
        signal: controller.signal,
      });
      const failed = committing.catch((error: unknown) => error);
      await untilAsleep(applicationName);
      controller.abort();
      expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      expect(await valueOf('(select count(*) from slow)')).toBe(0);
      expect(own.native.pool).toMatchObject({ totalCount: 1, idleCount: 1 });
    });
  });

  test('the server knows the application by its name', async () => {
    expect(await valueOf("current_setting('application_name')")).toBe('tested');
  });
});
