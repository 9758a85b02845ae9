import { defineEntity, p } from '@mikro-orm/core';
import { asc, eq } from 'drizzle-orm';
import * as mysql from 'drizzle-orm/mysql-core';
import * as pg from 'drizzle-orm/pg-core';
import * as sqlite from 'drizzle-orm/sqlite-core';

import { drizzleOn, type SqliteDrizzle } from '../../src/database/drizzle/index.ts';
import type { Database } from '../../src/database/index.ts';
import { type MikroOrm, mikroOrmOn } from '../../src/database/mikro-orm/index.ts';

/** What the rules ask of an ORM, on the table `note` with a number `id` and a unique `title`. */
export interface OrmSession {
  insert(id: number, title: string): Promise<void>;
  rename(id: number, title: string): Promise<void>;
  /** In the order of their ids. */
  titles(): Promise<string[]>;
  /** Runs `fn` in a transaction of the ORM's own, with what it hands out for that. */
  transaction(fn: (inside: OrmSession) => Promise<void>): Promise<void>;
}

/** An ORM that is held to the rules. */
export interface Orm {
  readonly name: string;
  open(database: Database): OrmSession;
}

const sqliteNote = sqlite.sqliteTable('note', {
  id: sqlite.integer().primaryKey(),
  title: sqlite.text().notNull(),
});
const pgNote = pg.pgTable('note', { id: pg.integer().primaryKey(), title: pg.text().notNull() });
const mysqlNote = mysql.mysqlTable('note', {
  id: mysql.int().primaryKey(),
  title: mysql.varchar({ length: 200 }).notNull(),
});

const drizzleNotes: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['mysql', mysqlNote],
  ['pglite', pgNote],
  ['postgres', pgNote],
  ['sqlite', sqliteNote],
]);

type DrizzleSession = Pick<SqliteDrizzle, 'insert' | 'select' | 'transaction' | 'update'>;

function drizzleSession(db: DrizzleSession, note: typeof sqliteNote): OrmSession {
  return {
    insert: async (id, title) => void (await db.insert(note).values({ id, title })),
    rename: async (id, title) => void (await db.update(note).set({ title }).where(eq(note.id, id))),
    titles: async () => {
      const rows = await db.select().from(note).orderBy(asc(note.id));
      return rows.map(({ title }) => title);
    },
    transaction: async (fn) =>
      await db.transaction(async (tx) => await fn(drizzleSession(tx, note))),
  };
}

const MikroNote = defineEntity({
  name: 'Note',
  tableName: 'note',
  properties: { id: p.integer().primary().autoincrement(false), title: p.string() },
});

type MikroManager = MikroOrm<[typeof MikroNote]>['em'];

function mikroSession(manager: () => MikroManager): OrmSession {
  return {
    insert: async (id, title) => {
      const em = manager();
      em.create(MikroNote, { id, title });
      await em.flush();
    },
    rename: async (id, title) => {
      const em = manager();
      (await em.findOneOrFail(MikroNote, id)).title = title;
      await em.flush();
    },
    titles: async () => {
      const notes = await manager().find(MikroNote, {}, { orderBy: { id: 'asc' } });
      return notes.map(({ title }) => title);
    },
    transaction: async (fn) =>
      await manager().transactional(async (em) => await fn(mikroSession(() => em))),
  };
}

/** The ORMs that are held to the rules. */
export const orms: readonly Orm[] = [
  {
    name: 'drizzle',
    open: (database) =>
      // What is called here is called alike in all dialects.
      drizzleSession(
        drizzleOn(database) as unknown as DrizzleSession,
        drizzleNotes.get(database.adapter) as typeof sqliteNote,
      ),
  },
  {
    name: 'mikro-orm',
    open: (database) => {
      const orm = mikroOrmOn(database, [MikroNote]);
      return mikroSession(() => orm.em.fork() as MikroManager);
    },
  },
];
