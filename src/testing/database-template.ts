import { createHash, randomBytes } from 'node:crypto';

import { invalidArgument, redact, type Secret } from '../core/index.ts';
import type { AnyDatabase, Copies } from '../database/copies.ts';
import { PostgresCopies } from '../database/postgres/copies.ts';
import { SqliteCopies } from '../database/sqlite/copies.ts';

/** Options of {@link databaseTemplate}. */
export interface DatabaseTemplateOptions<Opened extends AnyDatabase> {
  /** Opens the database that it is given: a file of SQLite by its path; with {@link url} a database of PostgreSQL by its URL. */
  readonly open: (target: string) => Opened;
  /** Makes in an empty database what each copy is to have, such as the tables and what is always in them. */
  readonly prepare: (database: Opened) => Promise<unknown>;
  /**
   * What {@link prepare} makes it of, such as the list of migrations and the data: when it changes, the template is made anew. Functions
   * count by their text, as `prepare` itself does.
   */
  readonly key: unknown;
  /** A database of the PostgreSQL server on which copies are made, as a user who may create databases. Default: files of SQLite. */
  readonly url?: Secret;
}

/** What {@link databaseTemplate} gives. */
export interface DatabaseTemplate<Opened extends AnyDatabase> {
  /** Makes a copy, which is started, and gone when it is closed. */
  copy(): Promise<Opened>;
}

const dayMs = 24 * 60 * 60 * 1000;

/**
 * A database that is prepared once, and of which each test, or each file of tests, gets a copy of its own: a copy of the file on SQLite,
 * which takes milliseconds, and `create database … template` on PostgreSQL. Processes that start at once prepare it once, and later ones of the
 * same day find it. What a killed one left behind is removed after a day.
 *
 * `copy()` throws what `prepare` throws, and then leaves nothing behind.
 *
 * @example
 * const template = databaseTemplate({
 *   open: (file) => sqliteDatabase<Schema>({ file }),
 *   key: migrations,
 *   prepare: async (database) => await database.migrate(migrations),
 * });
 * await using database = await template.copy();
 */
export function databaseTemplate<Opened extends AnyDatabase>(
  options: DatabaseTemplateOptions<Opened>,
): DatabaseTemplate<Opened> {
  const { open, prepare, key, url } = options;
  if (key === undefined)
    throw invalidArgument(
      { component: 'database' },
      'key is missing: give what the template is made of, such as the list of migrations',
    );
  const copies: Copies =
    url === undefined ? new SqliteCopies() : new PostgresCopies(redact(url), open);
  // With the day, so that a name tells when its time is over.
  const id = `${dayOf(Date.now())}_${hashOf([key, prepare]).slice(0, 16)}`;
  const template = `underpin_template_${id}`;
  let made: Promise<void> | undefined;
  const fill = async (target: string): Promise<void> => {
    await using database = open(target);
    await prepare(database);
  };
  const make = async (): Promise<void> => {
    await removeStale(copies);
    await copies.makeTemplate(template, fill);
  };
  return {
    async copy() {
      made ??= make().catch((error: unknown) => {
        // The next one tries again.
        made = undefined;
        throw error;
      });
      await made;
      const name = `underpin_copy_${id}_${randomBytes(6).toString('hex')}`;
      let database: Opened;
      try {
        database = open(await copies.copy(template, name));
      } catch (error) {
        await copies.remove(name);
        throw error;
      }
      removeOnClose(database, async () => await copies.remove(name));
      try {
        await database.start();
      } catch (error) {
        await database.close();
        throw error;
      }
      return database;
    },
  };
}

/** `await using` closes, as whoever gets it as a component does. */
function removeOnClose(database: AnyDatabase, remove: () => Promise<void>): void {
  const close = database.close.bind(database);
  let closing: Promise<void> | undefined;
  const closeAndRemove = async (): Promise<void> => {
    try {
      await close();
    } finally {
      await remove();
    }
  };
  database.close = async () => {
    closing ??= closeAndRemove();
    await closing;
  };
}

/** Removes what is neither of today nor of yesterday. */
async function removeStale(copies: Copies): Promise<void> {
  const kept = [dayOf(Date.now()), dayOf(Date.now() - dayMs)];
  for (const name of await copies.names()) {
    const day = /^underpin_(?:template|copy)_(\d{8})_/.exec(name)?.[1];
    // Another process may be about to do the same, or still use it.
    if (day !== undefined && !kept.includes(day)) await copies.remove(name).catch(() => undefined);
  }
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10).replaceAll('-', '');
}

function hashOf(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'function' || typeof part === 'bigint' ? String(part) : part,
  );
  return createHash('sha256').update(text).digest('hex');
}
