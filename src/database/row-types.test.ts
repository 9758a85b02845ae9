import { type Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import { makePostgresDatabase } from '../../test/services/databases.ts';
import { service } from '../../test/services/services.ts';
import type { Database } from './database.ts';
import { postgresDatabase } from './postgres/index.ts';
import { rowTypes } from './row-types.ts';
import { sqliteDatabase } from './sqlite/index.ts';
import type { ColumnDescription } from './table-description.ts';

const { missing } = await service('postgres');

async function run({ query }: Database, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await sql.raw(text).execute(query);
}

/** Whether a value is of the type that the description says, as far as that can be told. */
function isOf(value: unknown, type: string): boolean {
  if (type.endsWith('[]'))
    return (
      Array.isArray(value) &&
      value.every((each) => isOf(each, type.slice(0, -2).replaceAll(/^\(|\)$/g, '')))
    );
  return type.split(' | ').some((one) => {
    if (one === 'unknown') return true;
    if (one === 'Uint8Array') return value instanceof Uint8Array;
    return one.startsWith("'") ? one === `'${String(value)}'` : typeof value === one;
  });
}

/** The columns of a table whose row holds something else than they say, or null though they say never. */
async function wrongColumns(database: Database, table: string): Promise<string[]> {
  const tables = await database.dialect.describeSchema(database.query);
  const columns = tables.find(({ name }) => name === table)?.columns ?? [];
  expect(columns.length).toBeGreaterThan(0);
  const { rows } = await (database.query as Kysely<Record<string, Record<string, unknown>>>)
    .selectFrom(table)
    .selectAll()
    .execute()
    .then((found) => ({ rows: found }));
  expect(rows.length).toBeGreaterThan(0);
  const isWrong = ({ name, given, isNullable }: ColumnDescription): boolean =>
    rows.some((row) => (row[name] === null ? !isNullable : !isOf(row[name], given)));
  return columns.filter(isWrong).map(({ name, given }) => `${name}: ${given}`);
}

describe('database › row types', () => {
  it('of nothing are an empty schema', () => {
    expect(rowTypes([])).toContain('export interface Schema {}\n');
  });

  it('are sorted by table, in the order of columns, with names quoted where they are no words', () => {
    const column = {
      definition: '',
      isNullable: false,
      insert: 'required',
      given: 'string',
    } as const;
    const text = rowTypes([
      {
        name: 'b',
        kind: 'table',
        columns: [
          { ...column, name: "it's" },
          { ...column, name: 'a' },
        ],
        rules: {},
      },
      { name: 'a-b', kind: 'table', columns: [{ ...column, name: 'x' }], rules: {} },
      { name: 'underpin_job', kind: 'table', columns: [], rules: {} },
    ]);
    expect(text.slice(text.indexOf('export'))).toBe(`export interface Schema {
  'a-b': {
    x: string;
  };
  b: {
    'it\\'s': string;
    a: string;
  };
}
`);
  });

  it('of SQLite are those of its affinities and hold of its rows', async () => {
    await using database = sqliteDatabase({ file: ':memory:' });
    await run(
      database,
      `create table item (id integer primary key, big bigint, title varchar(20) not null, note text default 'x' not null,
        flag boolean not null, ratio double precision, raw blob, day date, amount numeric, whatever,
        computed integer generated always as (id * 2))`,
      `insert into item (id, big, title, flag, ratio, raw, day, amount, whatever) values
        (1, 9007199254740993, 'a', 1, 2, x'00', '2026-01-02', 1.5, x'01'), (2, 1, 'b', 0, null, null, null, null, null)`,
      'create table pair (a text, b text, primary key (a, b)) strict, without rowid',
      'create view titles as select id, title from item',
      'create view broken as select * from nowhere',
    );
    expect(await wrongColumns(database, 'item')).toEqual([]);
    const text = rowTypes(await database.dialect.describeSchema(database.query));
    expect(text.slice(text.indexOf('import')))
      .toBe(`import type { ColumnType, Generated } from 'kysely';

export interface Schema {
  broken: {
  };
  item: {
    id: Generated<number>;
    big: number | bigint | null;
    title: string;
    note: Generated<string>;
    flag: ColumnType<number, boolean | number, boolean | number>;
    ratio: number | null;
    raw: Uint8Array | null;
    day: string | number | bigint | null;
    amount: string | number | bigint | null;
    whatever: unknown;
    computed: ColumnType<number | null, never, never>;
  };
  pair: {
    a: string;
    b: string;
  };
  titles: {
    id: ColumnType<number | null, never, never>;
    title: ColumnType<string | null, never, never>;
  };
}
`);
  });

  it.skipIf(missing)(
    'of PostgreSQL are those that its adapter gives and hold of its rows',
    async () => {
      await using made = await makePostgresDatabase();
      await using database = postgresDatabase({ url: made.url });
      await run(
        database,
        `create type mood as enum ('sad', 'it''s ok')`,
        `create domain email as varchar(100) check (value like '%@%')`,
        `create table item (id bigint generated by default as identity primary key, other integer generated always as identity,
        title varchar(20) not null, note text not null default 'x', mail email, flag boolean not null, mood mood not null, moods mood[],
        amount numeric(10, 2), ratio real, raw bytea, doc jsonb not null, at timestamptz not null default now(), day date,
        tags text[] not null default '{}', ids bigint[], spot point, span interval, uid uuid not null default gen_random_uuid(),
        computed integer generated always as (length(title)) stored)`,
        `insert into item (title, mail, flag, mood, moods, amount, ratio, raw, doc, day, tags, ids, spot, span) values
        ('a', 'a@b', true, 'sad', '{sad}', 1.50, 0.5, '\\x00', '{"a": 1}', '2026-01-02', '{a,b}', '{1,9007199254740993}', '(1,2)', '1 day')`,
        'insert into item (title, flag, mood, doc) values ($$b$$, false, $$sad$$, $$1$$)',
        'create view titles as select id, title from item',
        'create table parted (id integer not null, at date not null) partition by range (at)',
        `create table parted_2026 partition of parted for values from ('2026-01-01') to ('2027-01-01')`,
      );
      expect(await wrongColumns(database, 'item')).toEqual([]);
      const text = rowTypes(await database.dialect.describeSchema(database.query));
      expect(text.slice(text.indexOf('import')))
        .toBe(String.raw`import type { ColumnType, Generated } from 'kysely';

export interface Schema {
  item: {
    id: Generated<number | bigint>;
    other: ColumnType<number, never, never>;
    title: string;
    note: Generated<string>;
    mail: string | null;
    flag: boolean;
    mood: 'sad' | 'it\'s ok';
    moods: ColumnType<string | null, ('sad' | 'it\'s ok')[] | null, ('sad' | 'it\'s ok')[] | null>;
    amount: ColumnType<string | null, string | number | bigint | null, string | number | bigint | null>;
    ratio: number | null;
    raw: Uint8Array | null;
    doc: ColumnType<unknown, string, string>;
    at: ColumnType<string, string | Date | undefined, string | Date>;
    day: string | null;
    tags: Generated<string[]>;
    ids: (number | bigint)[] | null;
    spot: unknown;
    span: string | null;
    uid: Generated<string>;
    computed: ColumnType<number | null, never, never>;
  };
  parted: {
    id: number;
    at: string;
  };
  titles: {
    id: ColumnType<number | bigint | null, never, never>;
    title: ColumnType<string | null, never, never>;
  };
}
`);
    },
  );
});
