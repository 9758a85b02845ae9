import { Kysely, MysqlDialect, sql } from 'kysely';
import { createPool } from 'mysql2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { rowTypes } from '../row-types.ts';
import { describeMysqlSchema } from './describe-schema.ts';

const { missing } = await service('mariadb');

describe.skipIf(missing)('database mysql › the description of a schema', () => {
  const name = `describe_${process.pid}`;
  let query: Kysely<unknown>;

  beforeAll(async () => {
    const { url } = await sharedServer('mariadb');
    const connect = (database: string): Kysely<unknown> => {
      const own = new URL(url);
      own.pathname = database;
      return new Kysely({ dialect: new MysqlDialect({ pool: createPool(own.href) }) });
    };
    const admin = connect(new URL(url).pathname.slice(1));
    await sql`create database ${sql.id(name)}`.execute(admin);
    await admin.destroy();
    query = connect(name);
    for (const text of [
      'create table other (id int primary key)',
      `create table item (id bigint auto_increment primary key, title varchar(100) not null default 'x', mood enum('ok', 'it''s') not null,
        flag boolean, amount decimal(10, 2), at datetime(6) not null default current_timestamp(6), doc json,
        twice int as (id * 2), raw blob, other_id int, score double check (score >= 0),
        constraint item_other foreign key (other_id) references other (id) on delete cascade)`,
      'create unique index item_by_title on item (title(10), score desc)',
      'create view titles as select id, title from item',
    ])
      await sql.raw(text).execute(query);
  });

  afterAll(async () => {
    await sql`drop database ${sql.id(name)}`.execute(query);
    await query.destroy();
  });

  test('has its indexes, keys and checks', async () => {
    const tables = await describeMysqlSchema(query);
    expect(tables.map((table) => [table.name, table.kind])).toEqual([
      ['item', 'table'],
      ['other', 'table'],
      ['titles', 'view'],
    ]);
    expect(tables[0]?.rules).toMatchObject({
      'primary key': 'id',
      'index item_by_title': 'unique (title(10), score desc)',
      'foreign key item_other': '(other_id) references other (id) on delete cascade',
      'check score': '`score` >= 0',
    });
    const { definition } = tables[0]?.columns[1] ?? {};
    expect(definition).toMatch(/^varchar\(100\) collate \S+ not null default 'x'$/);
    expect(await describeMysqlSchema(query)).toEqual(tables);
  });

  test('has the types that the adapter gives and takes', async () => {
    const text = rowTypes(await describeMysqlSchema(query));
    expect(text.slice(text.indexOf('  item'), text.indexOf('  other:'))).toBe(`  item: {
    id: Generated<number | bigint>;
    title: Generated<string>;
    mood: 'ok' | 'it\\'s';
    flag: ColumnType<number | null, boolean | number | null, boolean | number | null>;
    amount: ColumnType<string | null, string | number | bigint | null, string | number | bigint | null>;
    at: ColumnType<string, string | Date | undefined, string | Date>;
    doc: ColumnType<unknown, string | null, string | null>;
    twice: ColumnType<number | null, never, never>;
    raw: Uint8Array | null;
    other_id: number | null;
    score: number | null;
  };
`);
  });
});
