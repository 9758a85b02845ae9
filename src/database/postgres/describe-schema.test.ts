import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';

import { makePostgresDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { postgresDatabase } from './index.ts';

const { missing } = await service('postgres');

describe.skipIf(missing)('database postgres › the description of a schema', () => {
  test('has what statements find by a name alone, with rules in the words of the server', async () => {
    await using made = await makePostgresDatabase();
    await using database = postgresDatabase({ url: made.url });
    for (const text of [
      'create table other (id integer primary key)',
      `create table item (id integer primary key, title varchar(20) not null default 'x', other_id integer,
        constraint item_title unique (title), constraint item_positive check (id > 0),
        constraint item_other foreign key (other_id) references other (id) on delete cascade)`,
      'create index item_recent on item (title desc) where id > 3',
      'create materialized view titles as select title from item',
      'create schema hidden',
      'create table hidden.secret (id integer)',
      'create temporary table passing (id integer)',
    ])
      await sql.raw(text).execute(database.query);
    const tables = await database.dialect.describeSchema(database.query);
    expect(tables.map(({ name, kind }) => [name, kind])).toEqual([
      ['item', 'table'],
      ['other', 'table'],
      ['titles', 'view'],
    ]);
    expect(tables[0]?.columns.map(({ name, definition }) => `${name} ${definition}`)).toEqual([
      'id integer not null',
      "title character varying(20) not null default 'x'::character varying",
      'other_id integer',
    ]);
    expect(tables[0]?.rules).toEqual({
      'constraint item_other': 'FOREIGN KEY (other_id) REFERENCES other(id) ON DELETE CASCADE',
      'constraint item_pkey': 'PRIMARY KEY (id)',
      'constraint item_positive': 'CHECK ((id > 0))',
      'constraint item_title': 'UNIQUE (title)',
      'index item_recent':
        'CREATE INDEX item_recent ON public.item USING btree (title DESC) WHERE (id > 3)',
    });
    expect(await database.dialect.describeSchema(database.query)).toEqual(tables);
  });
});
