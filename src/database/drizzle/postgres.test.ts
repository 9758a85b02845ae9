import { eq, getTableColumns, relations, sql } from 'drizzle-orm';
import * as pg from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { columnClasses } from '../../../test/orms/column-classes.ts';
import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { type PostgresDatabase, postgresDatabase } from '../postgres/index.ts';
import { drizzleOn, type PostgresDrizzle } from './index.ts';

const { missing } = await service('postgres');

const mood = pg.pgEnum('mood', ['sad', 'happy']);
const bytea = pg.customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

const columns = pg.pgTable('columns', {
  id: pg.integer().primaryKey(),
  bigint: pg.bigint({ mode: 'bigint' }),
  bigintNumber: pg.bigint({ mode: 'number' }),
  bigserial: pg.bigserial({ mode: 'bigint' }),
  bigserialNumber: pg.bigserial({ mode: 'number' }),
  bit: pg.bit({ dimensions: 3 }),
  boolean: pg.boolean(),
  char: pg.char({ length: 3 }),
  cidr: pg.cidr(),
  date: pg.date({ mode: 'date' }),
  dateString: pg.date({ mode: 'string' }),
  doublePrecision: pg.doublePrecision(),
  mood: mood(),
  inet: pg.inet(),
  integer: pg.integer(),
  interval: pg.interval(),
  json: pg.json(),
  jsonText: pg.json(),
  jsonb: pg.jsonb(),
  jsonbText: pg.jsonb(),
  line: pg.line({ mode: 'tuple' }),
  lineAbc: pg.line({ mode: 'abc' }),
  macaddr: pg.macaddr(),
  macaddr8: pg.macaddr8(),
  numeric: pg.numeric(),
  numericNumber: pg.numeric({ mode: 'number' }),
  numericBigint: pg.numeric({ mode: 'bigint' }),
  point: pg.point({ mode: 'tuple' }),
  pointXy: pg.point({ mode: 'xy' }),
  real: pg.real(),
  serial: pg.serial(),
  smallint: pg.smallint(),
  smallserial: pg.smallserial(),
  text: pg.text(),
  time: pg.time({ precision: 3 }),
  timestamp: pg.timestamp({ mode: 'date', precision: 3 }),
  timestampZone: pg.timestamp({ mode: 'date', withTimezone: true }),
  timestampString: pg.timestamp({ mode: 'string', precision: 6 }),
  timestampZoneString: pg.timestamp({ mode: 'string', withTimezone: true }),
  uuid: pg.uuid(),
  varchar: pg.varchar({ length: 20 }),
  texts: pg.text().array(),
  numbers: pg.integer().array().array(),
  bigints: pg.bigint({ mode: 'bigint' }).array(),
  times: pg.timestamp({ withTimezone: true }).array(),
  uuids: pg.uuid().array(),
  moods: mood().array(),
  bytes: bytea(),
});

const serials = {
  bigserial: 2n ** 60n,
  bigserialNumber: 2 ** 40,
  serial: 7,
  smallserial: 8,
};

const given: Omit<typeof columns.$inferInsert, 'id'> = {
  ...serials,
  bigint: -(2n ** 63n),
  bigintNumber: Number.MAX_SAFE_INTEGER,
  bit: '101',
  boolean: true,
  char: 'abc',
  cidr: '192.168.0.0/16',
  date: new Date('2026-02-03T00:00:00Z'),
  dateString: '2026-02-03',
  doublePrecision: 0.1,
  mood: 'happy',
  inet: '10.0.0.1',
  integer: -5,
  interval: '1 day 02:03:04',
  json: { a: [1, null, 'x'] },
  jsonText: '5',
  jsonb: ['x', { b: false }],
  jsonbText: 'null',
  line: [1, 2, 3],
  lineAbc: { a: 1, b: 2, c: 3 },
  macaddr: '08:00:2b:01:02:03',
  macaddr8: '08:00:2b:01:02:03:04:05',
  numeric: '12345678901234567890.123456789',
  numericNumber: 12.5,
  numericBigint: 2n ** 80n,
  point: [1.5, -2],
  pointXy: { x: 1.5, y: -2 },
  real: 0.5,
  smallint: 3,
  text: 'naïve 漢字 🦊 "\\\'',
  time: '04:05:06.789',
  timestamp: new Date('2026-02-03T04:05:06.789Z'),
  timestampZone: new Date('2026-02-03T04:05:06.789Z'),
  timestampString: '2026-02-03T04:05:06.789012',
  timestampZoneString: '2026-02-03T04:05:06.789Z',
  uuid: '0193e0c4-0000-7000-8000-000000000001',
  varchar: 'short',
  texts: ['a', 'b,"c"', ''],
  numbers: [
    [1, 2],
    [3, 4],
  ],
  bigints: [1n, 2n ** 62n],
  times: [new Date('2026-02-03T04:05:06.789Z')],
  uuids: ['0193e0c4-0000-7000-8000-000000000001'],
  moods: ['sad', 'happy'],
  bytes: Uint8Array.from([0, 127, 255]),
};

/** Of extensions: PostGIS and pgvector. */
const ofExtensions = [
  'PgGeometry',
  'PgGeometryObject',
  'PgHalfVector',
  'PgSparseVector',
  'PgVector',
];

const author = pg.pgTable('author', {
  id: pg.integer().primaryKey(),
  name: pg.text().notNull(),
  bornAt: pg.timestamp('born_at', { withTimezone: true }),
});
const book = pg.pgTable('book', {
  id: pg.serial().primaryKey(),
  title: pg.text().notNull(),
  authorId: pg.integer('author_id').references(() => author.id),
});
const authorRelations = relations(author, ({ many }) => ({ books: many(book) }));
const bookRelations = relations(book, ({ one }) => ({
  author: one(author, { fields: [book.authorId], references: [author.id] }),
}));
const schema = { columns, author, book, authorRelations, bookRelations };

describe.skipIf(missing !== undefined)('drizzle on postgres', () => {
  let made: TestDatabase;
  let database: PostgresDatabase;
  let db: PostgresDrizzle<typeof schema>;

  beforeAll(async () => {
    made = await makePostgresDatabase();
    database = postgresDatabase({ url: made.url });
    db = drizzleOn(database, schema);
    await db.execute(sql`create type mood as enum ('sad', 'happy')`);
    const types = Object.values(getTableColumns(columns)).map(
      (column) => `"${column.name}" ${column.getSQLType()}`,
    );
    await db.execute(sql.raw(`create table columns (${types.join()})`));
    await db.execute(
      sql`create table author (id integer primary key, name text not null, born_at timestamptz)`,
    );
    await db.execute(
      sql`create table book (id serial primary key, title text not null, author_id integer references author)`,
    );
    await db.insert(author).values([
      { id: 1, name: 'Ada', bornAt: new Date('1815-12-10T00:00:00Z') },
      { id: 2, name: 'Bob' },
    ]);
  });

  afterAll(async () => {
    await database.close();
    await made.remove();
  });

  it('every kind of column is among those that are tried', () => {
    const known = columnClasses(pg, pg.PgColumn);
    expect(known).toContain('PgTimestampString');
    const used = Object.values(getTableColumns(columns)).map(
      ({ columnType }) => columnType as string,
    );
    const others = known.filter((name) => !used.includes(name));
    // The first builds indexes, the second is an enum of another language, and the last calls itself PgLine.
    const special = ['ExtraConfigColumn', 'PgEnumObjectColumn', 'PgLineTuple'];
    expect(others.toSorted()).toEqual([...ofExtensions, ...special].toSorted());
  });

  it.for(Object.keys(given))('%s comes back as it was given', async (name) => {
    await db.delete(columns);
    const row = { id: 1, ...serials, [name]: given[name as keyof typeof given] };
    const [written] = await db.insert(columns).values(row).returning();
    const [found] = await db.select().from(columns);
    expect(found).toMatchObject(row);
    expect(written).toEqual(found);
  });

  it('a moment has all its digits in the mode string, and no more than a Date holds in the mode date', async () => {
    await db.delete(columns);
    await db.execute(
      sql`insert into columns (id, bigserial, "bigserialNumber", serial, smallserial, timestamp, "timestampZoneString")
        values (1, 1, 1, 1, 1, '2026-02-03 04:05:06.789', '2026-02-03 04:05:06.789012+02')`,
    );
    const [found] = await db
      .select({ moment: columns.timestamp, text: columns.timestampZoneString })
      .from(columns);
    expect(found).toEqual({
      moment: new Date('2026-02-03T04:05:06.789Z'),
      text: '2026-02-03T02:05:06.789012Z',
    });
  });

  it('SQL of your own and a write say how many rows there were', async () => {
    expect(await db.execute(sql`select id, name from author order by id`)).toEqual({
      rows: [
        { id: 1, name: 'Ada' },
        { id: 2, name: 'Bob' },
      ],
      rowCount: 2,
    });
    const renamed = await db.update(author).set({ name: 'Bo' }).where(eq(author.id, 2));
    expect(renamed).toEqual({ rows: [], rowCount: 1 });
    expect(await db.$count(author)).toBe(2);
  });

  it('relational queries follow the relations', async () => {
    await db.insert(book).values({ title: 'Notes', authorId: 1 });
    expect(
      await db.query.author
        .findFirst({
          where: eq(author.id, sql.placeholder('id')),
          with: { books: { columns: { title: true } } },
        })
        .prepare('author')
        .execute({ id: 1 }),
    ).toEqual({
      id: 1,
      name: 'Ada',
      bornAt: new Date('1815-12-10T00:00:00Z'),
      books: [{ title: 'Notes' }],
    });
  });

  it('a transaction has the isolation that it asks for', async () => {
    const level = async (): Promise<unknown> =>
      (await db.execute(sql`select current_setting('transaction_isolation') as level`)).rows;
    const isolationLevel = 'repeatable read';
    expect(await db.transaction(level, { isolationLevel, accessMode: 'read write' })).toEqual([
      { level: isolationLevel },
    ]);
    await expect(db.transaction(level, { deferrable: true })).rejects.toMatchObject({
      code: 'unimplemented',
    });
  });
});
