import { randomUUID } from 'node:crypto';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy } from '../../core/index.ts';
import type { Parameter } from '../prepared-query.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';
import { KnownStatement } from './known-statements.ts';

const { missing } = await service('postgres');

describe('database postgres › statements that only read', () => {
  test.each([
    'select "id" from "user" where "id" in ($1, $2) and ("name" = $3 or "name" is null)',
    'select count(*), max("at") from "user" group by ("name") having count(*) > $1',
    `select coalesce(json_agg("a"), '[]') from (select * from "b") as "a"`,
    `select 'insert into x (f(', "update" from "delete"`,
  ])('%s', (text) => {
    expect(new KnownStatement(text).isRead).toBe(true);
  });

  test.each([
    'insert into "user" values ($1)',
    'select nextval($1)',
    'select "public"."mine" ($1)',
    'select pg_advisory_lock (1)',
    'select * from "user" for update',
    'select * into "copy" from "user"',
    'with "a" as (delete from "b" returning *) select * from "a"',
    'select * from "user" -- (',
    String.raw`select E'\' , mine(', 'x'`,
    "select $$ ' $$, mine() , ' '",
  ])('not %s', (text) => {
    expect(new KnownStatement(text).isRead).toBe(false);
  });
});

interface Schema {
  item: { id: number; name: string };
}

describe.skipIf(missing)('database postgres › prepared statements', () => {
  let made: TestDatabase;
  let owner: PostgresDatabase;

  beforeAll(async () => {
    made = await makePostgresDatabase();
    owner = postgresDatabase({ url: made.url });
  });

  afterAll(async () => {
    await owner?.close();
    await made?.remove();
  });

  /** A database on one connection, with a table of its own. */
  const open = async (
    preparedStatements?: boolean,
  ): Promise<{ database: PostgresDatabase<Schema>; table: string }> => {
    const schema = `s${randomUUID().replaceAll('-', '')}`;
    await owner.migrate(
      [
        {
          name: '1',
          up: `create schema ${schema}; create table ${schema}.item (id integer, name text)`,
        },
      ],
      { set: schema },
    );
    const database = postgresDatabase<Schema>({
      url: made.url,
      policy: noPolicy,
      poolSize: 1,
      ...(preparedStatements !== undefined && { preparedStatements }),
    });
    await sql`set search_path = ${sql.ref(schema)}`.execute(database.query);
    return { database, table: `${schema}.item` };
  };

  const kept = async ({ query }: PostgresDatabase<Schema>): Promise<unknown[]> =>
    (await sql`select statement from pg_prepared_statements`.execute(query)).rows;

  const alter = async (table: string, change: string): Promise<unknown> =>
    await sql`alter table ${sql.raw(`${table} ${change}`)}`.execute(owner.query);

  test('what comes again is kept prepared, unless that is turned off', async () => {
    for (const [preparedStatements, count] of [
      [undefined, 1],
      [false, 0],
    ] as const) {
      const { database } = await open(preparedStatements);
      await using _ = database;
      const select = database.query.selectFrom('item').select('name').where('id', '=', 1);
      await select.execute();
      expect(await kept(database)).toHaveLength(0);
      for (let times = 0; times < 3; times += 1) await select.execute();
      // The query of what is kept is kept itself.
      expect(
        (await kept(database)).filter((row) => JSON.stringify(row).includes('item')),
      ).toHaveLength(count);
    }
  });

  test('a connection keeps a bounded number of them', async () => {
    const { database } = await open();
    await using _ = database;
    for (let columns = 1; columns <= 400; columns += 1) {
      const text = sql.raw(`select ${Array.from({ length: columns }, () => '1').join()}`);
      for (let times = 0; times < 2; times += 1) await text.execute(database.query);
    }
    const { length } = await kept(database);
    expect(length).toBeGreaterThanOrEqual(100);
    expect(length).toBeLessThanOrEqual(257);
  });

  test('a schema that changes under one is not seen, outside of transactions and inside', async () => {
    const { database, table } = await open();
    await using _ = database;
    const all = async (): Promise<unknown> =>
      await database.query.selectFrom('item').selectAll().where('id', '=', 1).execute();
    const add = database.prepare((query, parameter: Parameter<Schema['item']>) =>
      query
        .insertInto('item')
        .values({ id: parameter('id'), name: parameter('name') })
        .returningAll(),
    );
    for (let times = 0; times < 3; times += 1) await add.execute({ id: times, name: 'a' });
    for (let times = 0; times < 3; times += 1) expect(await all()).toEqual([{ id: 1, name: 'a' }]);
    await alter(table, 'add column more integer default 5');
    expect(await Promise.all([all(), all(), all()])).toEqual(
      Array.from({ length: 3 }, () => [{ id: 1, name: 'a', more: 5 }]),
    );
    expect(await add.execute({ id: 9, name: 'b' })).toEqual([{ id: 9, name: 'b', more: 5 }]);
    await alter(table, 'drop column more');
    let runs = 0;
    await database.transaction(async () => {
      runs += 1;
      await add.execute({ id: 10, name: 'c' });
      expect(await all()).toEqual([{ id: 1, name: 'a' }]);
    });
    expect(runs).toBeGreaterThan(1);
    const tens = database.query.selectFrom('item').select('name').where('id', '=', 10);
    expect(await tens.execute()).toHaveLength(1);
    await alter(table, 'alter column id type text');
    expect(await all()).toEqual([{ id: '1', name: 'a' }]);
  });

  test('whoever loses them, as a pooler does, is told them again', async () => {
    const { database } = await open();
    await using _ = database;
    const count = database.query.selectFrom('item').select(({ fn }) => fn.countAll().as('count'));
    const insert = database.query.insertInto('item').values({ id: 1, name: 'a' });
    for (let times = 0; times < 3; times += 1) await insert.execute();
    for (let times = 0; times < 3; times += 1) await count.execute();
    await sql`deallocate all`.execute(database.query);
    expect(await count.execute()).toEqual([{ count: 3 }]);
    await insert.execute();
    await sql`deallocate all`.execute(database.query);
    await database.transaction(async () => await insert.execute());
    expect(await count.execute()).toEqual([{ count: 5 }]);
  });

  test('a mistake in one is told each time, and what is right is not harmed', async () => {
    const { database } = await open();
    await using _ = database;
    const wrong = database.query.selectFrom('item').select(sql`nothing`.as('nothing'));
    for (let times = 0; times < 4; times += 1)
      await expect(wrong.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
    const right = database.query.selectFrom('item').select('id');
    expect(await Promise.all([right.execute(), right.execute()])).toEqual([[], []]);
  });

  test('a column may be named __proto__', async () => {
    const { database } = await open();
    await using _ = database;
    const { rows } = await sql`select 1 as "__proto__", 2 as "a", 3 as "a"`.execute(database.query);
    expect(Object.entries(rows[0] as object)).toEqual([
      ['__proto__', 1],
      ['a', 3],
    ]);
  });
});
