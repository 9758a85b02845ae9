import { eq, getTableColumns, relations, sql, TransactionRollbackError } from 'drizzle-orm';
import * as sqlite from 'drizzle-orm/sqlite-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { runWithContext, systemClock } from '../../core/index.ts';
import { columnClasses } from '../../../test/orms/column-classes.ts';
import { Database } from '../database.ts';
import { type SqliteDatabase, sqliteDatabase } from '../sqlite/index.ts';
import { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import { drizzleOn, type SqliteDrizzle } from './index.ts';

const author = sqlite.sqliteTable('author', {
  id: sqlite.integer().primaryKey(),
  name: sqlite.text().notNull().unique(),
});
const article = sqlite.sqliteTable('article', {
  id: sqlite.integer().primaryKey({ autoIncrement: true }),
  title: sqlite.text().notNull(),
  authorId: sqlite.integer('author_id').references(() => author.id),
});
const authorRelations = relations(author, ({ many }) => ({ articles: many(article) }));
const articleRelations = relations(article, ({ one }) => ({
  author: one(author, { fields: [article.authorId], references: [author.id] }),
}));
const schema = { author, article, authorRelations, articleRelations };

let database: SqliteDatabase;
let db: SqliteDrizzle<typeof schema>;

beforeEach(async () => {
  database = sqliteDatabase({ file: ':memory:' });
  db = drizzleOn(database, schema);
  await db.run(sql`create table author (id integer primary key, name text not null unique)`);
  await db.run(
    sql`create table article (id integer primary key autoincrement, title text not null, author_id integer references author)`,
  );
});

afterEach(async () => {
  await database.close();
});

describe('drizzle › queries', () => {
  beforeEach(async () => {
    await db.insert(author).values([
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Bob' },
    ]);
    await db.insert(article).values([
      { title: 'One', authorId: 1 },
      { title: 'Two', authorId: 1 },
      { title: 'Three', authorId: null },
    ]);
  });

  it('a join has the columns of both tables, of which two have one name', async () => {
    const rows = await db
      .select()
      .from(article)
      .leftJoin(author, eq(author.id, article.authorId))
      .orderBy(article.id);
    expect(rows).toEqual([
      { article: { id: 1, title: 'One', authorId: 1 }, author: { id: 1, name: 'Ada' } },
      { article: { id: 2, title: 'Two', authorId: 1 }, author: { id: 1, name: 'Ada' } },
      { article: { id: 3, title: 'Three', authorId: null }, author: null },
    ]);
  });

  it('relational queries follow the relations', async () => {
    const found = await db.query.author.findMany({
      with: { articles: { columns: { title: true } } },
      orderBy: author.id,
    });
    expect(found).toEqual([
      { id: 1, name: 'Ada', articles: [{ title: 'One' }, { title: 'Two' }] },
      { id: 2, name: 'Bob', articles: [] },
    ]);
    expect(
      await db.query.article.findFirst({ where: eq(article.id, 3), with: { author: true } }),
    ).toEqual({ id: 3, title: 'Three', authorId: null, author: null });
    expect(await db.query.article.findFirst({ where: eq(article.id, 9) })).toBeUndefined();
  });

  it('a write gives what it changed, or returns', async () => {
    expect(await db.insert(article).values({ title: 'Four' })).toEqual({
      changes: 1,
      lastInsertRowid: 4,
    });
    expect(
      await db.update(article).set({ title: 'x' }).where(eq(article.authorId, 1)),
    ).toMatchObject({ changes: 2 });
    expect(await db.delete(article).where(eq(article.id, 4)).returning()).toEqual([
      { id: 4, title: 'Four', authorId: null },
    ]);
  });

  it('a prepared query takes its parameters at each call', async () => {
    const byId = db
      .select({ title: article.title })
      .from(article)
      .where(eq(article.id, sql.placeholder('id')))
      .prepare();
    expect(await byId.all({ id: 2 })).toEqual([{ title: 'Two' }]);
    expect(await byId.get({ id: 1 })).toEqual({ title: 'One' });
    expect(await byId.get({ id: 9 })).toBeUndefined();
    expect(await byId.values({ id: 1 })).toEqual([['One']]);
  });

  it('SQL of your own gives objects, the first, or arrays', async () => {
    const text = sql`select id, name from author order by id`;
    expect(await db.all(text)).toEqual([
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Bob' },
    ]);
    expect(await db.get(text)).toEqual({ id: 1, name: 'Ada' });
    expect(await db.values(text)).toEqual([
      [1, 'Ada'],
      [2, 'Bob'],
    ]);
  });

  it('counts', async () => {
    expect(await db.$count(article)).toBe(3);
    expect(await db.$count(article, eq(article.authorId, 1))).toBe(2);
    const counted = await db
      .select({ name: author.name, articles: db.$count(article, eq(article.authorId, author.id)) })
      .from(author)
      .orderBy(author.id);
    expect(counted).toEqual([
      { name: 'Ada', articles: 2 },
      { name: 'Bob', articles: 0 },
    ]);
  });

  it('a batch takes effect as a whole, and gives the results in order', async () => {
    const results = await db.batch([
      db.insert(author).values({ id: 3, name: 'Cyd' }),
      db.select({ name: author.name }).from(author).where(eq(author.id, 3)),
      db.query.author.findFirst({ where: eq(author.id, 3) }),
      db.get<{ count: number }>(sql`select count(*) as count from author`),
    ]);
    expect(results).toEqual([
      { changes: 1, lastInsertRowid: 3 },
      [{ name: 'Cyd' }],
      { id: 3, name: 'Cyd' },
      { count: 3 },
    ]);
    await expect(
      db.batch([
        db.insert(author).values({ id: 4, name: 'Dan' }),
        db.insert(author).values({ id: 5, name: 'Ada' }),
      ]),
    ).rejects.toMatchObject({ code: 'already-exists' });
    expect(await db.$count(author)).toBe(3);
  });
});

describe('drizzle › errors', () => {
  it('come as the database throws them, and tell no parameter', async () => {
    await db.insert(author).values({ id: 1, name: 'secret-name' });
    const inserting = db.insert(author).values({ id: 2, name: 'secret-name' });
    await expect(inserting).rejects.toMatchObject({
      name: 'InfrastructureError',
      code: 'already-exists',
      details: { columns: ['name'] },
    });
    await expect(inserting).rejects.not.toThrow(/secret-name/);
    await expect(db.run(sql`selec 1`)).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('an adapter whose SQL Drizzle does not know is refused', () => {
    class OtherDriver extends SqliteDriver {
      override readonly adapter = 'other' as 'sqlite';
    }
    const driver = new OtherDriver({
      file: ':memory:',
      synchronous: 'normal',
      waitTimeout: 1000,
      clock: systemClock,
    });
    expect(() => drizzleOn(new Database(driver))).toThrow(/"other"/);
  });
});

describe('drizzle › transactions', () => {
  const names = async (): Promise<string[]> =>
    (await db.select().from(author).orderBy(author.id)).map(({ name }) => name);

  it('its own is one of the database, which others join', async () => {
    await db.transaction(async (tx) => {
      await tx.insert(author).values({ id: 1, name: 'Ada' });
      expect(database.inTransaction).toBe(true);
      await db.insert(author).values({ id: 2, name: 'Bob' });
      await database.execute("insert into author values (3, 'Cyd')");
    });
    expect(await names()).toEqual(['Ada', 'Bob', 'Cyd']);
    const failing = db.transaction(async (tx) => {
      await db.insert(author).values({ id: 4, name: 'Dan' });
      await tx.insert(author).values({ id: 5, name: 'Eve' });
      tx.rollback();
    });
    await expect(failing).rejects.toThrow(TransactionRollbackError);
    expect(await names()).toEqual(['Ada', 'Bob', 'Cyd']);
  });

  it('a nested one is a savepoint', async () => {
    await db.transaction(async (tx) => {
      await tx.insert(author).values({ id: 1, name: 'Ada' });
      const nested = tx.transaction(async (inner) => {
        await inner.insert(author).values({ id: 2, name: 'Bob' });
        // The outer one's object, inside of the nested transaction, is in it.
        await tx.insert(author).values({ id: 3, name: 'Cyd' });
        throw new RangeError('undo');
      });
      await expect(nested).rejects.toThrow(RangeError);
    });
    expect(await names()).toEqual(['Ada']);
  });

  it('its object leads into it from anywhere, and nowhere once it is over', async () => {
    const kept: { tx?: Pick<typeof db, 'insert'> } = {};
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const running = db.transaction(async (tx) => {
      kept.tx = tx;
      open();
      await ended;
      throw new RangeError('undo');
    });
    await opened;
    await kept.tx?.insert(author).values({ id: 1, name: 'Ada' });
    end();
    await expect(running).rejects.toThrow(RangeError);
    expect(await names()).toEqual([]);
    const late = { code: 'failed-precondition', component: 'database' };
    await expect(kept.tx?.insert(author).values({ id: 2, name: 'Bob' })).rejects.toMatchObject(
      late,
    );
    await database.transaction(async () => {
      await expect(kept.tx?.insert(author).values({ id: 3, name: 'C' })).rejects.toMatchObject(
        late,
      );
    });
    expect(await names()).toEqual([]);
  });

  it('takes the signal of the context', async () => {
    const controller = new AbortController();
    const running = runWithContext({ signal: controller.signal }, async () => {
      await db.transaction(async (tx) => {
        await tx.insert(author).values({ id: 1, name: 'Ada' });
        controller.abort();
        await tx.insert(author).values({ id: 2, name: 'Bob' });
      });
    });
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    expect(await names()).toEqual([]);
  });
});

describe('drizzle › every column of SQLite comes back as it was given', () => {
  const columns = sqlite.sqliteTable('columns', {
    id: sqlite.integer().primaryKey(),
    integer: sqlite.integer(),
    boolean: sqlite.integer({ mode: 'boolean' }),
    timestamp: sqlite.integer({ mode: 'timestamp' }),
    timestampMs: sqlite.integer({ mode: 'timestamp_ms' }),
    real: sqlite.real(),
    text: sqlite.text(),
    textEnum: sqlite.text({ enum: ['a', 'b'] }),
    textJson: sqlite.text({ mode: 'json' }),
    blob: sqlite.blob({ mode: 'buffer' }),
    blobJson: sqlite.blob({ mode: 'json' }),
    blobBigint: sqlite.blob({ mode: 'bigint' }),
    numeric: sqlite.numeric(),
    numericNumber: sqlite.numeric({ mode: 'number' }),
    numericBigint: sqlite.numeric({ mode: 'bigint' }),
    custom: sqlite.customType<{ data: string[]; driverData: string }>({
      dataType: () => 'text',
      toDriver: (words) => words.join(),
      fromDriver: (text) => text.split(','),
    })(),
  });
  const given: Omit<typeof columns.$inferInsert, 'id'> = {
    integer: -(2 ** 40),
    boolean: true,
    timestamp: new Date('2026-02-03T04:05:06Z'),
    timestampMs: new Date('2026-02-03T04:05:06.789Z'),
    real: 0.1,
    text: 'naïve 漢字 🦊 \0',
    textEnum: 'b',
    textJson: { a: [1, null, 'x'] },
    blob: Buffer.from([0, 127, 255]),
    blobJson: ['x', 1],
    blobBigint: 2n ** 80n,
    numeric: '12.5',
    numericNumber: 12.5,
    numericBigint: 2n ** 60n,
    custom: ['a', 'b'],
  };

  beforeEach(async () => {
    await db.run(
      sql.raw(`create table columns (id integer primary key, "integer" integer, "boolean" integer, "timestamp" integer,
        timestampMs integer, "real" real, "text" text, textEnum text, textJson text, blob blob, blobJson blob,
        blobBigint blob, "numeric" numeric, numericNumber numeric, numericBigint numeric, custom text)`),
    );
  });

  it('names all that there are', () => {
    const known = columnClasses(sqlite, sqlite.SQLiteColumn);
    expect(known).toContain('SQLiteTextJson');
    const used = Object.values(getTableColumns(columns)).map(
      ({ columnType }) => columnType as string,
    );
    expect(known.filter((name) => !used.includes(name))).toEqual([]);
  });

  it.for(Object.keys(given))('%s', async (name) => {
    const row = { id: 1, [name]: given[name as keyof typeof given] };
    await db.insert(columns).values(row);
    const [found] = await db.select().from(columns);
    expect(found).toMatchObject(row);
    const others = Object.entries(found ?? {}).filter(([key]) => !(key in row));
    expect(others.every(([, value]) => value === null)).toBe(true);
  });
});
