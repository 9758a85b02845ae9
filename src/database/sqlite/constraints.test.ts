import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';

import { InfrastructureError } from '../../core/index.ts';
import { declaredConstraints } from './declared-constraints.ts';
import { sqliteDatabase, type SqliteDatabase } from './index.ts';

let database: SqliteDatabase | undefined;

afterEach(async () => {
  await database?.close();
});

async function open(script: string): Promise<SqliteDatabase> {
  database = sqliteDatabase({ file: ':memory:' });
  await database.migrate([{ name: 'tables', up: script }]);
  return database;
}

async function details(text: string): Promise<unknown> {
  const error: unknown = await sql
    .raw(text)
    .execute(database?.query as never)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  if (!InfrastructureError.is(error)) throw new Error('it did not fail', { cause: error });
  return error.details;
}

describe('sqlite › the names of constraints', () => {
  it.for([
    [
      'create table t (a integer constraint pk primary key, b text not null constraint ub unique, c references o (id))',
      [
        { kind: 'unique', name: 'pk', columns: ['a'] },
        { kind: 'unique', name: 'ub', columns: ['b'] },
      ],
    ],
    [
      'CREATE TABLE "t" ("a, (b" int, [c d] int default (1 + (2)), CONSTRAINT "u ""1""" UNIQUE ("a, (b" collate nocase desc, [c d]), constraint f foreign key ([c d]) references o (x))',
      [
        { kind: 'unique', name: 'u "1"', columns: ['a, (b', 'c d'] },
        { kind: 'foreign-key', name: 'f', columns: ['c d'] },
      ],
    ],
    [
      `create table t (a int constraint big check (a > (1)) constraint fa references o (id, x) on delete cascade, -- constraint no unique
        b text default 'constraint x unique (a)' /* constraint y unique */, constraint p primary key (a, b)) without rowid`,
      [
        { kind: 'foreign-key', name: 'fa', columns: ['a'] },
        { kind: 'unique', name: 'p', columns: ['a', 'b'] },
      ],
    ],
    ['create table t as select 1 as a', []],
    ['', []],
    ['create table t (a int constraint', []],
  ] as const)('are read from %s', ([text, expected]) => {
    expect(declaredConstraints(text)).toEqual(expected);
  });

  it('tell a unique constraint and a unique index, named or not', async () => {
    await open(`
      create table t (a int constraint ua unique, b int unique, c int, d int, constraint ucd unique (c, d));
      create table u (a int, d int);
      create unique index uda on u (d, a);
      insert into u values (1, 2);
      insert into t values (1, 2, 3, 4)`);
    expect(await details('insert into t (a) values (1)')).toEqual({
      constraint: 'unique',
      name: 'ua',
      table: 't',
      columns: ['a'],
    });
    expect(await details('insert into t (b) values (2)')).toEqual({
      constraint: 'unique',
      table: 't',
      columns: ['b'],
    });
    expect(await details('insert into u values (1, 2)')).toMatchObject({
      name: 'uda',
      columns: ['d', 'a'],
    });
    expect(await details('insert into t (c, d) values (3, 4)')).toMatchObject({
      name: 'ucd',
      columns: ['c', 'd'],
    });
  });

  it('tell the one foreign key that a statement can have broken, from either side', async () => {
    await open(`
      create table o (id integer primary key);
      create table t (id integer primary key, o_id int constraint t_o references o, note text);
      insert into o values (1), (2);
      insert into t values (1, 1, '')`);
    const key = { constraint: 'foreign-key', name: 't_o', table: 't', columns: ['o_id'] };
    expect(await details('insert into t values (2, 9, null)')).toEqual(key);
    expect(await details('update t set o_id = 9')).toEqual(key);
    expect(await details('delete from o')).toEqual(key);
    expect(await details('update "main"."o" set id = 7 where id = 1')).toEqual(key);
    expect(await details('with x as (select 9 as n) insert into t (o_id) select n from x')).toEqual(
      key,
    );
  });

  it.for([
    [
      'it could be another',
      'create table t (a int references o, b int references o)',
      'insert into t values (1, 9)',
    ],
    [
      'a trigger may have done it',
      `create table t (a int references o); create table u (a int);
       create trigger tr after insert on u begin insert into t values (new.a); end`,
      'insert into u values (9)',
    ],
    [
      'a cascade may have done it',
      `create table t (id integer primary key references o on delete cascade); insert into t values (1);
       create table u (a int references t); insert into u values (1)`,
      'delete from o',
    ],
  ] as const)('tell no foreign key where %s', async ([, tables, statement]) => {
    await open(`create table o (id integer primary key); insert into o values (1); ${tables}`);
    expect(await details(statement)).toEqual({ constraint: 'foreign-key' });
  });

  it('tell them of executeMany, and inside of a transaction', async () => {
    const made = await open('create table t (a int constraint ua unique)');
    const insert = made.prepare<{ a: number }, unknown>((query, parameter) =>
      query.insertInto('t' as never).values({ a: parameter('a') }),
    );
    await expect(insert.executeMany([{ a: 1 }, { a: 1 }])).rejects.toMatchObject({
      details: { name: 'ua' },
    });
    const failing = made.transaction(async () => {
      await sql`insert into t values (1), (1)`.execute(made.query);
    });
    await expect(failing).rejects.toMatchObject({ details: { name: 'ua' } });
  });
});
