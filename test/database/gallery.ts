import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { type Generated, sql } from 'kysely';

import { sqliteDatabase, type SqliteDatabase } from '../../src/database/sqlite/index.ts';

/** A gallery's tables. */
export interface GallerySchema {
  painter: { id: Generated<number>; name: string; born: number | null; mentor_id: number | null };
  painting: {
    id: Generated<number>;
    title: string;
    painter_id: number | null;
    price: number | null;
    tags: Generated<string>;
  };
  visit: { painting_id: number; visitor: string; minutes: Generated<number> };
}

/** A database in a file of its own, which goes with it. */
export interface Gallery extends AsyncDisposable {
  readonly database: SqliteDatabase<GallerySchema>;
  readonly query: SqliteDatabase<GallerySchema>['query'];
  readonly folder: string;
}

const tables = `
  create table painter (
    id integer primary key autoincrement,
    name text not null constraint painter_name unique,
    born integer,
    mentor_id integer references painter (id)
  );
  create table painting (
    id integer primary key,
    title text not null,
    painter_id integer references painter (id) on delete cascade deferrable initially deferred,
    price real constraint price_positive check (price > 0),
    tags text not null default '[]'
  );
  create table visit (
    painting_id integer not null references painting (id) on delete cascade,
    visitor text not null,
    minutes integer not null default 5,
    primary key (painting_id, visitor)
  )`;

/**
 * Alma (1900) taught Boris (1910) and Cleo (born nobody knows when), Boris taught Dora (1930). Alma painted Dawn and Dusk, Boris
 * painted Fog, and who painted Gate is not known.
 */
export async function openGallery(): Promise<Gallery> {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-gallery-'));
  const database = sqliteDatabase<GallerySchema>({ file: path.join(folder, 'gallery.db') });
  const { query } = database;
  for (const table of tables.split(';')) await sql.raw(table).execute(query);
  await query
    .insertInto('painter')
    .values([
      { id: 1, name: 'Alma', born: 1900, mentor_id: null },
      { id: 2, name: 'Boris', born: 1910, mentor_id: 1 },
      { id: 3, name: 'Cleo', born: null, mentor_id: 1 },
      { id: 4, name: 'Dora', born: 1930, mentor_id: 2 },
    ])
    .execute();
  await query
    .insertInto('painting')
    .values([
      { id: 1, title: 'Dawn', painter_id: 1, price: 100, tags: '["sea","sun"]' },
      { id: 2, title: 'Dusk', painter_id: 1, price: 50, tags: '["sea"]' },
      { id: 3, title: 'Fog', painter_id: 2, price: 75, tags: '[]' },
      { id: 4, title: 'Gate', painter_id: null, price: null, tags: '[]' },
    ])
    .execute();
  return {
    database,
    query,
    folder,
    async [Symbol.asyncDispose]() {
      await database.close();
      await rm(folder, { recursive: true });
    },
  };
}
