import { relations } from 'drizzle-orm';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { integer as sqliteInteger, sqliteTable } from 'drizzle-orm/sqlite-core';
import { describe, expectTypeOf, it } from 'vitest';

import type { Database } from '../index.ts';
import type { PostgresDatabase } from '../postgres/index.ts';
import type { SqliteDatabase } from '../sqlite/index.ts';
import {
  drizzleOn,
  type MySqlDrizzle,
  type PostgresDrizzle,
  type SqliteDrizzle,
  type SqliteRunResult,
} from './index.ts';

interface Schema {
  user: { id: number };
}

const user = pgTable('user', { id: integer().primaryKey(), name: text().notNull() });
const post = pgTable('post', { id: integer().primaryKey(), userId: integer() });
const userRelations = relations(user, ({ many }) => ({ posts: many(post) }));
const note = sqliteTable('note', { id: sqliteInteger().primaryKey() });

declare const sqlite: SqliteDatabase<Schema>;
declare const postgres: PostgresDatabase<Schema>;
declare const some: Database;

describe('drizzle › types', () => {
  it('the adapter says which dialect it is', () => {
    expectTypeOf(drizzleOn(sqlite)).toEqualTypeOf<SqliteDrizzle>();
    expectTypeOf(drizzleOn(postgres)).toEqualTypeOf<PostgresDrizzle>();
    expectTypeOf(drizzleOn(some)).toEqualTypeOf<SqliteDrizzle | PostgresDrizzle | MySqlDrizzle>();
  });

  it('a query gives rows of its table', () => {
    const db = drizzleOn(postgres, { user, post, userRelations });
    expectTypeOf(db.select().from(user).execute()).resolves.toEqualTypeOf<
      { id: number; name: string }[]
    >();
    expectTypeOf(db.query.user.findFirst({ with: { posts: true } })).resolves.toEqualTypeOf<
      { id: number; name: string; posts: { id: number; userId: number | null }[] } | undefined
    >();
    // @ts-expect-error There is no such table.
    void db.query.author;
    // @ts-expect-error The table is one of another dialect.
    void db.select().from(note);
  });

  it('a write says what it gives', () => {
    const inserted = drizzleOn(sqlite).insert(note).values({ id: 1 });
    expectTypeOf(inserted.execute()).resolves.toEqualTypeOf<SqliteRunResult>();
    const updated = drizzleOn(postgres).update(user).set({ name: 'x' });
    expectTypeOf(updated.execute()).resolves.toHaveProperty('rowCount').toEqualTypeOf<number>();
  });

  it('a batch gives the results of its queries', () => {
    const db = drizzleOn(sqlite);
    expectTypeOf(
      db.batch([db.insert(note).values({ id: 1 }), db.select().from(note)]),
    ).resolves.toExtend<readonly [SqliteRunResult, { id: number }[]]>();
  });
});
