import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import type { TableDescription } from '../table-description.ts';
import { checksIn } from './checks.ts';
import { sqliteDatabase } from './index.ts';

async function describeAfter(...texts: readonly string[]): Promise<readonly TableDescription[]> {
  await using database = sqliteDatabase({ file: ':memory:' });
  for (const text of texts) await sql.raw(text).execute(database.query);
  return await database.dialect.describeSchema(database.query);
}

describe('sqlite › the description of a schema', () => {
  it('has keys, checks, indexes and triggers, in one form however they were written', async () => {
    const [item] = await describeAfter(
      'create table other (id integer primary key)',
      `create table item (a integer not null default 7, b text unique, c integer references other on delete cascade,
        check (a   > 0), constraint named check (b <> ')' and length(b) < 9), primary key (a, b)) without rowid`,
      'create unique index item_by_c on item (c desc)\n  where c > 3',
      'create trigger kept after delete on item begin select raise(abort, 1); end',
    );
    expect(item?.columns.map(({ name, definition }) => `${name} ${definition}`)).toEqual([
      'a integer not null default 7',
      'b text not null',
      'c integer',
    ]);
    expect(item?.rules).toEqual({
      'primary key': 'a, b',
      options: 'without rowid',
      'check (a > 0)': 'holds',
      "check (b <> ')' and length(b) < 9)": 'holds',
      'unique (b)': 'holds',
      'index item_by_c': 'item_by_c on item (c desc) where c > 3',
      'foreign key (c)': 'references other on delete cascade',
      'trigger kept': 'CREATE TRIGGER kept after delete on item begin select raise(abort, 1); end',
    });
  });

  it('has a virtual table without the tables behind it, and a view that is broken', async () => {
    const tables = await describeAfter(
      'create virtual table search using fts5(body)',
      'create view broken as select * from nowhere',
      'create view fine as select body from search',
    );
    expect(tables.map(({ name, kind, columns }) => [name, kind, columns.length])).toEqual([
      ['broken', 'view', 0],
      ['fine', 'view', 1],
      ['search', 'table', 1],
    ]);
  });

  it.for<[string, readonly string[]]>([
    ['create table t (a int)', []],
    ['create table t (a int check(a > 0))', ['a > 0']],
    [
      "create table t (a text default 'check (x)', \"check (y)\" int, check ((a) in (')')))",
      ["(a) in (')')"],
    ],
    [
      'create table t (a int /* check (1) */, -- check (2)\n check (a\n = 3), CHECK (a < (4)))',
      ['a = 3', 'a < (4)'],
    ],
  ])('the checks of %s', ([text, checks]) => {
    expect(checksIn(text)).toEqual(checks);
  });
});
