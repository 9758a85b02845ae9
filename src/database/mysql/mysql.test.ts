import { setTimeout as sleep } from 'node:timers/promises';

import { CompiledQuery, sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { makeMariadbDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import {
  noPolicy,
  type OperationEvent,
  runWithContext,
  subscribeToOperations,
} from '../../core/index.ts';
import { sqlQueue } from '../../queue/sql/index.ts';
import { type MysqlDatabase, mysqlDatabase, type MysqlDatabaseOptions } from './index.ts';
import { MysqlDriver } from './mysql-driver.ts';
import { commitsImplicitly, endsTransaction, scriptEndsTransaction } from './statements.ts';
import { parseMysqlUrl } from './url.ts';

const { missing } = await service('mariadb');

interface Schema {
  item: { id: number; name: string };
}

describe('database mysql › url', () => {
  test('user, password, host, port and database are read, however they are written', () => {
    expect(parseMysqlUrl('mysql://a%40b:p%2F%3A%25@db.example.com:3307/my%20shop')).toEqual({
      user: 'a@b',
      password: 'p/:%',
      host: 'db.example.com',
      port: 3307,
      socket: undefined,
      database: 'my shop',
      ssl: undefined,
    });
    expect(parseMysqlUrl('mariadb://ada@[::1]?ssl-mode=required')).toMatchObject({
      host: '::1',
      port: 3306,
      database: 'ada',
      ssl: { rejectUnauthorized: false },
    });
    expect(parseMysqlUrl('mysql:///shop?socket=/run/mysqld/mysqld.sock')).toMatchObject({
      socket: '/run/mysqld/mysqld.sock',
      database: 'shop',
      password: undefined,
    });
  });

  test.each([
    'postgres://h/d',
    'mysql://user:canary@h:port/d',
    'mysql://h/d?ssl-mode=PREFERRED',
    'mysql://h/d?pool=3',
    'mysql://u:%zz@h/d',
    'no url: canary',
    'mysql://u:a?canary@h/d',
    'mysql://u:1?canary=x@h/d',
    'mysql://u:1/canary@h/d',
    'mysql://u:1#canary@h/d',
    'mysql://127.0.0.1/d?ssl-mode=VERIFY_IDENTITY',
  ])('%s is refused, and not told', (url) => {
    expect(() => parseMysqlUrl(url)).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        message: expect.not.stringContaining('canary') as string,
      }) as Error,
    );
  });

  test('options that make no sense are refused', () => {
    const url = 'mysql://127.0.0.1/d';
    const wrong: Partial<MysqlDatabaseOptions>[] = [
      { poolSize: 0 },
      { poolSize: 1.5 },
      { isolation: 'none' as never },
      { ssl: true },
    ];
    for (const options of wrong)
      expect(() => mysqlDatabase({ url, ...options })).toThrow(/poolSize|isolation|identity/);
  });
});

test('database mysql › the SQL queue says that it has no statements for it', () => {
  const database = mysqlDatabase({ url: 'mysql://h/d' });
  expect(() => sqlQueue({ database })).toThrow(/no statements for a database of mysql/);
});

describe('database mysql › statements', () => {
  test('what ends a transaction is known in whatever comment it is', () => {
    for (const text of ['begin', '# x\ncommit', '/* x */ ROLLBACK', '/*!50000 commit */', 'xa end'])
      expect(endsTransaction(text), text).toBe(true);
    for (const text of ['rollback to savepoint a', 'select "commit"', '-- commit\nselect 1'])
      expect(endsTransaction(text), text).toBe(false);
  });

  test('what changes the schema commits, and a temporary table does not', () => {
    for (const text of ['create table a (id int)', 'DROP INDEX a on b', '/*M! alter table a */'])
      expect(commitsImplicitly(text), text).toBe(true);
    for (const text of ['create temporary table a (id int)', 'insert into a values (1)'])
      expect(commitsImplicitly(text), text).toBe(false);
  });

  test('a script that ends its transaction is known by its statements, not by its words', () => {
    expect(scriptEndsTransaction('create table a (id int); commit; select 1')).toBe(true);
    expect(scriptEndsTransaction('select 1; /* x */ ROLLBACK')).toBe(true);
    expect(scriptEndsTransaction('rollback to savepoint a; select 1')).toBe(false);
    expect(
      scriptEndsTransaction(`select '\\'; commit;', "; commit", \`;commit\` -- ; commit\n`),
    ).toBe(false);
    expect(scriptEndsTransaction('create procedure p() begin commit; end')).toBe(false);
  });
});

describe.skipIf(missing)('database mysql', () => {
  let made: TestDatabase;
  let database: MysqlDatabase<Schema>;
  let driver: MysqlDriver;
  /** Looks on from outside of any transaction. */
  let watcher: MysqlDatabase;

  beforeAll(async () => {
    made = await makeMariadbDatabase();
    watcher = mysqlDatabase({ url: made.url, poolSize: 1 });
    driver = driverOn(made.url);
    // Without a policy, which would let go of a call before its outcome is known.
    database = mysqlDatabase<Schema>({ url: made.url, policy: noPolicy });
    await sql`create table item (id integer primary key, name varchar(200) not null)`.execute(
      database.query,
    );
  });

  beforeEach(async () => {
    await database.query.deleteFrom('item').execute();
  });

  afterAll(async () => {
    await database?.close();
    await driver?.close();
    await watcher?.close();
    await made?.remove();
  });

  const insert = async (id: number, name = 'a'): Promise<unknown> =>
    await database.query.insertInto('item').values({ id, name }).execute();

  const names = async (): Promise<unknown> =>
    (await database.query.selectFrom('item').select('name').orderBy('id').execute()).map(
      ({ name }) => name,
    );

  const valueOf = async (text: string): Promise<unknown> => {
    const { rows } = await sql<{ value: unknown }>`select ${sql.raw(text)} as value`.execute(
      database.query,
    );
    return rows[0]?.value;
  };

  /** Waits until the server runs so many statements like this one. */
  const untilRunning = async (text: string, count: number): Promise<void> => {
    for (;;) {
      const { rows } = await sql`select id from information_schema.processlist
        where db = database() and info like ${`%${text}%`} and id <> connection_id()`.execute(
        watcher.query,
      );
      if (rows.length === count) return;
      await sleep(10);
    }
  };

  const busy = (): number => database.native.pool.totalCount - database.native.pool.idleCount;

  test.each<[string, unknown]>([
    ['cast(9007199254740991 as signed)', 9_007_199_254_740_991],
    ['cast(9007199254740993 as signed)', 9_007_199_254_740_993n],
    ['cast(18446744073709551615 as unsigned)', 18_446_744_073_709_551_615n],
    ['cast(0.1 as decimal(3, 2)) + 0.2', '0.30'],
    ['cast(12345678901234567890.5 as decimal(30, 2))', '12345678901234567890.50'],
    ["timestamp'2026-01-02 03:04:05.678901'", '2026-01-02T03:04:05.678901'],
    ["timestamp'2026-01-02 03:04:05'", '2026-01-02T03:04:05.000'],
    ["timestamp'2026-01-02 00:00:00'", '2026-01-02T00:00:00.000'],
    ["date'2026-01-02'", '2026-01-02'],
    ["time'-03:04:05.000001'", '-03:04:05.000001'],
    [
      `json_detailed('{"a":[1,9007199254740993,-1.5,"9007199254740993"]}')`,
      { a: [1, 9_007_199_254_740_993n, -1.5, '9007199254740993'] },
    ],
    ["x'00ff'", Uint8Array.of(0, 255)],
    ["b'1'", Uint8Array.of(1)],
    ['true', 1],
    ['1e0 / 3', 1 / 3],
    ["concat('a', 'ß')", 'aß'],
    ['null', null],
  ])('%s comes back without loss', async (text, value) => {
    expect(await valueOf(text)).toStrictEqual(value);
  });

  test('columns come back without loss, by their names and in their order', async () => {
    await sql`create table kinds (at timestamp(6) not null, day datetime(3), json json, bytes varbinary(9), flag bit(3),
      kind enum('a', 'b'), large bigint unsigned, exact decimal(20, 10), small float, year year)`.execute(
      database.query,
    );
    await sql`insert into kinds values (${'2026-01-02 03:04:05.678901'}, ${new Date(5)}, ${'{"n":9007199254740993}'},
      ${Uint8Array.of(1, 2).buffer}, ${5}, ${'b'}, ${2n ** 64n - 1n}, ${'0.1'}, ${0.5}, ${2026})`.execute(
      database.query,
    );
    const query = CompiledQuery.raw('select * from kinds');
    const row = {
      at: '2026-01-02T03:04:05.678901Z',
      day: '1970-01-01T00:00:00.005',
      json: { n: 9_007_199_254_740_993n },
      bytes: Uint8Array.of(1, 2),
      flag: Uint8Array.of(5),
      kind: 'b',
      large: 18_446_744_073_709_551_615n,
      exact: '0.1000000000',
      small: 0.5,
      year: 2026,
    };
    expect((await database.query.executeQuery(query)).rows).toStrictEqual([row]);
    expect(await Array.fromAsync(streamed(database, 'select * from kinds'))).toStrictEqual([row]);
    const { rows } = await driver.execute(query, undefined, 'array');
    expect(rows).toStrictEqual([Object.values(row)]);
    const twice = CompiledQuery.raw('select at, at from kinds');
    expect((await driver.execute(twice, undefined, 'array')).rows).toStrictEqual([
      [row.at, row.at],
    ]);
    expect((await database.query.executeQuery(twice)).rows).toStrictEqual([{ at: row.at }]);
  });

  test('parameters are sent as what they are', async () => {
    const { rows } =
      await sql`select ${true} as yes, ${-0} as zero, ${2n ** 70n} as huge, ${0.1} as tenth,
      ${9_007_199_254_740_993n} = 9007199254740993 as same, ${9_007_199_254_740_993n} = 9007199254740992 as other,
      ${'a'} = 'A' as folded, ${'?'} as mark`.execute(database.query);
    expect(rows).toStrictEqual([
      {
        yes: 1,
        zero: 0,
        huge: '1180591620717411303424',
        tenth: 0.1,
        same: 1,
        other: 0,
        folded: 0,
        mark: '?',
      },
    ]);
  });

  test('what MySQL cannot hold is refused before it is sent', async () => {
    const values = [{ a: 1 }, ['a'], new Date(Number.NaN), new Date('+012345-01-01'), '\ud83e'];
    for (const value of [...values, Symbol('a'), Number.NaN, Infinity])
      await expect(sql`select ${value}`.execute(database.query)).rejects.toMatchObject({
        code: 'invalid-argument',
        outcome: 'not-applied',
        message: expect.stringMatching(/^parameter 1 is /) as string,
      });
  });

  test('another number of parameters than of places is refused', async () => {
    for (const parameters of [[], [1], [1, 2, 3]])
      await expect(
        database.query.executeQuery(CompiledQuery.raw('select ?, ?', parameters)),
      ).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(await valueOf('1')).toBe(1);
  });

  test('nothing is cut, and words mean what they mean elsewhere', async () => {
    await expect(insert(1, 'x'.repeat(201))).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(sql`insert into item values (1, null)`.execute(database.query)).rejects.toThrow();
    await insert(1, 'b');
    const { rows } =
      await sql`select "name" || '.' as dotted from "item" where "name" = 'b'`.execute(
        database.query,
      );
    expect(rows).toEqual([{ dotted: 'b.' }]);
    expect(await valueOf('@@time_zone')).toBe('+00:00');
    const { rows: counted } = await sql`with recursive counted(n) as
      (select 1 union all select n + 1 from counted where n < 5000) select count(*) as n from counted`.execute(
      database.query,
    );
    expect(counted).toEqual([{ n: 5000 }]);
  });

  test('texts are compared by their code points where that is asked, blanks at the end included', async () => {
    for (const [id, name] of ['a', 'A', 'a ', 'ä', '\u{1f600}', '\u{ff5e}'].entries())
      await insert(id, name);
    const exact = database.dialect.expressions.byCodePoint(sql.ref('name'));
    const { rows } = await sql<{
      name: string;
    }>`select name from item order by ${exact}`.execute(database.query);
    expect(rows.map(({ name }) => name)).toEqual(['A', 'a', 'a ', 'ä', '\u{ff5e}', '\u{1f600}']);
    expect(
      (await sql`select id from item where ${exact} = ${'a'}`.execute(database.query)).rows,
    ).toEqual([{ id: 0 }]);
  });

  test('a statement that takes too long is ended on the server, and undone alone', async () => {
    await using hasty = mysqlDatabase<Schema>({
      url: made.url,
      policy: noPolicy,
      statementTimeout: 200,
    });
    await hasty.transaction(async () => {
      await hasty.query.insertInto('item').values({ id: 1, name: 'a' }).execute();
      await expect(sql`select sleep(600) /* hasty */`.execute(hasty.query)).rejects.toMatchObject({
        code: 'deadline-exceeded',
        outcome: 'not-applied',
        retryable: false,
        message: expect.stringContaining('statementTimeout') as string,
      });
      await untilRunning('sleep(600) /* hasty */', 0);
    });
    expect(await names()).toEqual(['a']);
  });

  test('a deadlock that the function swallowed keeps nothing of it, and runs it again', async () => {
    await insert(1);
    await insert(2);
    const { promise: both, resolve: meet } = Promise.withResolvers<void>();
    let runs = 0;
    let locked = 0;
    const cross = async (mine: number, other: number): Promise<void> =>
      await database.transaction(
        async () => {
          runs += 1;
          const run = runs;
          const mark = async (id: number): Promise<unknown> =>
            await sql`update item set name = concat(name, '.') where id = ${id}`.execute(
              database.query,
            );
          await mark(mine);
          locked += 1;
          if (locked === 2) meet();
          await both;
          await mark(other).catch(() => undefined);
          // It would take effect by itself, since the server has ended the transaction of the victim.
          await insert(10 + run).catch(() => undefined);
        },
        { isolation: 'read-committed' },
      );
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect(runs).toBe(3);
    expect(await names()).toEqual(['a..', 'a..', 'a', 'a']);
  });

  test('a lock that is waited for in vain undoes its statement alone', async () => {
    await insert(1);
    await database.transaction(
      async () => {
        await sql`update item set name = 'b' where id = 1`.execute(database.query);
        await watcher.transaction(async () => {
          await sql`insert into item values (2, 'mine')`.execute(watcher.query);
          await sql`set innodb_lock_wait_timeout = 1`.execute(watcher.query);
          await expect(
            sql`update item set name = 'c' where id = 1`.execute(watcher.query),
          ).rejects.toMatchObject({ code: 'unavailable', outcome: 'not-applied', retryable: true });
        });
      },
      { isolation: 'read-committed' },
    );
    expect(await names()).toEqual(['b', 'mine']);
  });

  test('raw SQL that begins or ends a transaction is refused, and keeps nothing', async () => {
    for (const text of ['begin', 'start transaction', 'set autocommit = 0'])
      await expect(sql.raw(text).execute(database.query), text).rejects.toMatchObject({
        code: 'failed-precondition',
      });
    for (const text of [
      'commit',
      'rollback',
      '/*!50000 commit */',
      '# x\ncommit and chain',
      'begin',
    ])
      await expect(
        database.transaction(async () => {
          await insert(1);
          await sql
            .raw(text)
            .execute(database.query)
            .catch(() => undefined);
        }),
        text,
      ).rejects.toMatchObject({ code: 'failed-precondition' });
    const broken = { name: '1', up: `insert into item values (1, 'a'); commit; select 1` };
    await expect(database.migrate([broken], { set: 'broken' })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    expect(await names()).toEqual([]);
  });

  test('a change of the schema in a transaction is refused before it commits what came before', async () => {
    const { schema } = database.query;
    const changes = [
      async () => await schema.createTable('other').addColumn('id', 'integer').execute(),
      async () => await schema.alterTable('item').addColumn('extra', 'integer').execute(),
      async () => await schema.dropTable('item').execute(),
      async () => await sql`truncate table item`.execute(database.query),
    ];
    for (const change of changes)
      await expect(
        database.transaction(async () => {
          await insert(1);
          await change().catch(() => undefined);
        }),
      ).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringMatching(/would commit .* in a migration/) as string,
      });
    expect(await names()).toEqual([]);
    await database.transaction(async () => {
      await sql`create temporary table notes (id integer)`.execute(database.query);
      await sql`drop temporary table notes`.execute(database.query);
    });
  });

  test('a procedure that commits is told of, since nobody can undo it', async () => {
    await database.migrate(
      [{ name: '1', up: 'create procedure sneak() begin commit; select 1 as one; end' }],
      { set: 'sneak' },
    );
    await expect(
      database.transaction(async () => {
        await insert(1);
        await sql`call sneak()`.execute(database.query).catch(() => undefined);
        await insert(2).catch(() => undefined);
      }),
    ).rejects.toMatchObject({
      code: 'failed-precondition',
      outcome: 'unknown',
      message: expect.stringContaining('may have committed') as string,
    });
    expect(await names()).toEqual(['a']);
    expect((await sql`call sneak()`.execute(database.query)).rows).toEqual([{ one: 1 }]);
  });

  test('a transaction that only reads refuses to write, sees one moment, and is in no way', async () => {
    await insert(1);
    const reading = await driver.begin({ readOnly: true });
    const read = async (): Promise<unknown> =>
      (await reading.execute(CompiledQuery.raw('select name from item'))).rows;
    expect(await read()).toEqual([{ name: 'a' }]);
    await sql`update item set name = 'b'`.execute(watcher.query);
    expect(await read()).toEqual([{ name: 'a' }]);
    const error: unknown = await Promise.resolve(
      reading.execute(CompiledQuery.raw('update item set name = 1')),
    ).catch((reason: unknown) => reason);
    expect(driver.classify(error)).toMatchObject({ code: 'permission-denied' });
    await reading.rollback();
  });

  test('a migration that fails says what it may have left, and is tried again', async () => {
    const broken = {
      name: '1',
      up: 'create table left_behind (id integer); insert into nowhere values (1)',
    };
    await expect(database.migrate([broken], { set: 'left' })).rejects.toMatchObject({
      code: 'invalid-argument',
      outcome: 'unknown',
      message: expect.stringContaining('may have stayed') as string,
    });
    expect(await valueOf('(select count(*) from left_behind)')).toBe(0);
    await expect(
      database.migrate([{ name: '1', up: 'create table left_behind (id integer)' }], {
        set: 'left',
      }),
    ).rejects.toThrow(/already exists/);
    const mended = { name: '1', up: 'create table if not exists left_behind (id integer)' };
    expect(await database.migrate([mended], { set: 'left' })).toEqual({ applied: ['1'] });
  });

  test.each([
    ['a procedure with results of its own', 'call results(); insert into nowhere values (1)', 2],
    ['semicolons that end nothing', "select ';'; -- a; b\nselect 1; /* ; */ selec 2; select 3", 3],
    ['a failure after its first columns', 'select 1; select (select 1 union select 2); do 1', 2],
    ['statements of a block', 'if 1 = 1 then select 1; select 2; end if; selec 3', 2],
    ['nothing before it', 'selec 1', 1],
  ])(
    'the number of the statement of a migration that failed is told: %s',
    async (_, up, number) => {
      await database.migrate(
        [{ name: '1', up: 'create or replace procedure results() begin select 1; select 2; end' }],
        { set: 'results' },
      );
      await expect(
        database.migrate([{ name: '1', up }], { set: 'numbered' }),
      ).rejects.toMatchObject({ details: { migration: '1', statement: number } });
    },
  );

  test('a migration goes on after a change of the schema that it expected to fail', async () => {
    const up = async (): Promise<void> => {
      const table = sql`create table expected (id integer)`;
      await table.execute(database.query);
      await insert(1);
      await table.execute(database.query).catch(() => undefined);
      await insert(2);
      await insert(2);
    };
    await expect(database.migrate([{ name: '1', up }], { set: 'expected' })).rejects.toThrow(
      /migration "1" failed/,
    );
    // What came before that change was committed by it, and what came after was undone.
    expect(await names()).toEqual(['a']);
  });

  test('a nested transaction that commits by itself is not run again', async () => {
    await database.migrate([{ name: '1', up: 'create procedure leak() begin commit; end' }], {
      set: 'leak',
    });
    let runs = 0;
    await expect(
      database.transaction(async () => {
        runs += 1;
        await insert(runs);
        await database
          .transaction(async () => await sql`call leak()`.execute(database.query))
          .catch(() => undefined);
      }),
    ).rejects.toMatchObject({ code: 'failed-precondition', outcome: 'unknown' });
    expect(runs).toBe(1);
  });

  test('a migration of data alone takes effect as a whole, or not at all', async () => {
    const broken = {
      name: '1',
      up: async () => {
        await insert(1);
        await insert(1);
      },
    };
    await expect(database.migrate([broken], { set: 'data' })).rejects.toMatchObject({
      code: 'already-exists',
    });
    expect(await names()).toEqual([]);
  });

  test('a lock is let go of with its transaction, and with the process that had it', async () => {
    const own = driverOn(made.url);
    const first = await own.begin({ lock: 'one' });
    let got = 0;
    const second = (async (): Promise<void> => {
      const transaction = await driver.begin({ lock: 'one' });
      got += 1;
      await transaction.commit();
    })();
    const other = await driver.begin({ lock: 'another' });
    await other.rollback();
    await untilRunning('get_lock', 1);
    expect(got).toBe(0);
    await first.commit();
    await second;
    await own.begin({ lock: 'one' });
    const third = driver.begin({ lock: 'one' });
    await untilRunning('get_lock', 1);
    // The transaction is never ended: its connection is cut.
    await own.close();
    await (await third).commit();
  });

  test('routines and triggers are for migrations', async () => {
    const up = `create trigger shout before insert on item for each row set new.name = upper(new.name);
      create function twice(n integer) returns integer deterministic return n * 2`;
    await database.migrate([{ name: '1', up }], { set: 'routines' });
    await insert(1, 'a');
    await sql`drop trigger shout`.execute(database.query);
    expect(await names()).toEqual(['A']);
    expect(await valueOf('twice(4)')).toBe(8);
  });

  test('many rows go to the server in few messages, and a failure says which key', async () => {
    const add = database.prepare<Schema['item'], unknown>((query, parameter) =>
      query.insertInto('item').values({ id: parameter('id'), name: parameter('name') }),
    );
    const sent = async (): Promise<number> =>
      Number(
        (
          await sql<{
            Value: string;
          }>`show global status like 'Com_stmt_execute'`.execute(watcher.query)
        ).rows[0]?.Value,
      );
    const items = Array.from({ length: 2500 }, (_, id) => ({ id, name: `name ${id}` }));
    const before = await sent();
    expect(await add.executeMany(items)).toBe(2500n);
    expect((await sent()) - before).toBeLessThan(50);
    await expect(
      add.executeMany([
        { id: 3000, name: 'x' },
        { id: 7, name: 'y' },
      ]),
    ).rejects.toMatchObject({
      code: 'already-exists',
      details: { name: 'PRIMARY', table: 'item' },
    });
    expect(await valueOf('(select count(*) from item)')).toBe(2500);
    const rename = database.prepare<Schema['item'], unknown>((query, parameter) =>
      query
        .updateTable('item')
        .set({ name: parameter('name') })
        .where('id', '=', parameter('id')),
    );
    expect(await rename.executeMany([1, 2, 9999].map((id) => ({ id, name: 'z' })))).toBe(2n);
  });

  test('rows larger than one message are sent in several', async () => {
    await sql`create table page (id integer primary key, body longtext not null)`.execute(
      database.query,
    );
    const pages = database as unknown as MysqlDatabase<{ page: { id: number; body: string } }>;
    const add = pages.prepare<{ id: number; body: string }, unknown>((query, parameter) =>
      query.insertInto('page').values({ id: parameter('id'), body: parameter('body') }),
    );
    const body = 'ß'.repeat(1_000_000);
    expect(await add.executeMany(Array.from({ length: 40 }, (_, id) => ({ id, body })))).toBe(40n);
    expect(await valueOf('(select sum(char_length(body)) from page)')).toBe('40000000');
  });

  test('a stream holds one connection, and gives it back however it ends', async () => {
    for await (const row of streamed(database, 'select seq from seq_1_to_100000', 10)) {
      expect(row).toBeDefined();
      expect(busy()).toBe(1);
      break;
    }
    expect(busy()).toBe(0);
    const failing = streamed(
      database,
      'select case when seq = 5000 then (select 1 union select 2) else seq end as n from seq_1_to_10000',
      1,
    );
    await expect(Array.fromAsync(failing)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(busy()).toBe(0);
    await untilRunning('seq_1_to', 0);
  });

  test('in a transaction, a statement amid a stream takes the rest of its rows into memory, and both go on', async () => {
    await database.transaction(async () => {
      let seen = 0;
      for await (const row of streamed(database, 'select seq from seq_1_to_50000', 100)) {
        seen += 1;
        if (seen % 10_000 === 1) await insert(seen, JSON.stringify(row));
      }
      expect(seen).toBe(50_000);
    });
    expect(await names()).toHaveLength(5);
  });

  test('a transaction commits what it did beside a stream that was left open', async () => {
    await database.transaction(async () => {
      await insert(1);
      await streamed(database, 'select seq from seq_1_to_1000000', 1).next();
    });
    expect(await names()).toEqual(['a']);
    expect(busy()).toBe(0);
    await untilRunning('seq_1_to', 0);
  });

  test('what the server cannot return is refused, and not left out', async () => {
    await insert(1);
    await expect(
      database.query.updateTable('item').set({ name: 'b' }).returning('id').execute(),
    ).rejects.toMatchObject({ code: 'unimplemented' });
    expect(await names()).toEqual(['a']);
  });

  test('a connection is replaced when it has been idle for too long', async () => {
    const idOf = async (own: MysqlDatabase): Promise<unknown> =>
      (await sql`select connection_id() as id`.execute(own.query)).rows[0];
    await using lasting = mysqlDatabase({ url: made.url, maxLifetime: 0, idleTimeout: 50 });
    const kept = await idOf(lasting);
    expect(await idOf(lasting)).toEqual(kept);
    while (lasting.native.pool.totalCount > 0) await sleep(5);
    expect(await idOf(lasting)).not.toEqual(kept);
  });

  test('who waited for a connection is told for how long', async () => {
    const own = driverOn(made.url, 1);
    const one = CompiledQuery.raw('select 1 as one');
    expect((await own.execute(one)).waitedMs).toBeGreaterThan(0);
    expect((await own.execute(one)).waitedMs).toBeUndefined();
    const holding = await own.begin();
    expect(holding.waitedMs).toBeUndefined();
    const waiting = own.execute(one);
    await holding.commit();
    expect((await waiting).waitedMs).toBeGreaterThan(0);
    await own.close();
  });

  test('reads of a context go to a replica until it writes, and read-only transactions too', async () => {
    await using primary = await makeMariadbDatabase();
    await using replica = await makeMariadbDatabase();
    const named = [
      [primary.url, 'primary'],
      [replica.url, 'replica'],
    ] as const;
    for (const [url, name] of named) {
      await using one = mysqlDatabase({ url });
      await sql`create table place (name varchar(10))`.execute(one.query);
      await sql`insert into place values (${name})`.execute(one.query);
    }
    await using replicated = mysqlDatabase<{ place: { name: string } }>({
      url: primary.url,
      replicas: [replica.url],
    });
    const names = async (): Promise<string[]> => {
      const rows = await replicated.query
        .selectFrom('place')
        .select('name')
        .orderBy('name')
        .execute();
      return rows.map(({ name }) => name);
    };
    await runWithContext({ requestId: '1' }, async () => {
      expect(await names()).toEqual(['replica']);
      expect(await replicated.transaction(names, { readOnly: true })).toEqual(['replica']);
      await replicated.query.insertInto('place').values({ name: 'written' }).execute();
      expect(await names()).toEqual(['primary', 'written']);
    });
    await runWithContext({ requestId: '2' }, async () => {
      expect(await names()).toEqual(['replica']);
    });
  });

  test('a replica that is reached by a socket is named by it', async () => {
    const { rows } = await sql<{ socket: string }>`select @@socket as socket`.execute(
      database.query,
    );
    const { socket = '' } = rows[0] ?? {};
    const url = new URL(made.url);
    url.searchParams.set('socket', socket);
    await using replicated = mysqlDatabase<Schema>({ url: made.url, replicas: [url.href] });
    const events: OperationEvent[] = [];
    await replicated.start();
    const unsubscribe = subscribeToOperations({ end: (event) => events.push(event) });
    await replicated.query.selectFrom('item').selectAll().execute();
    unsubscribe();
    expect(events.map(({ attributes }) => attributes['replica'])).toEqual([
      `${socket}${url.pathname}`,
    ]);
  });
});

/** What the Database runs on, for what it does not hand on by itself. */
function driverOn(url: string, poolSize = 10): MysqlDriver {
  const { password, ...target } = parseMysqlUrl(url);
  return new MysqlDriver({
    target: { ...target, password: () => password ?? '' },
    poolSize,
    waitTimeout: 10_000,
    connectTimeout: 5000,
    idleTimeout: 30_000,
    maxLifetime: 0,
    statementTimeout: 60_000,
    isolation: 'serializable',
  });
}

function streamed(
  database: MysqlDatabase<Schema>,
  text: string,
  chunkSize = 100,
): AsyncIterableIterator<unknown> {
  return database.query
    .selectFrom(sql<Record<string, unknown>>`(${sql.raw(text)})`.as('rows_of'))
    .selectAll()
    .stream(chunkSize);
}
