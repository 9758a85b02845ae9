import assert from 'node:assert/strict';

import { sql } from 'kysely';

import { type ErrorCode, InfrastructureError } from '../../core/index.ts';
import type { ConformanceCase } from '../../core/index.ts';
import type { Database } from '../database.ts';
import type { DatabaseCapabilities } from '../driver.ts';

/** The tables that the suite makes. */
export interface ConformanceSchema {
  author: { id: number; name: string };
  note: {
    id: number | bigint;
    title: string;
    body: string | null;
    attachment: Uint8Array | null;
    score: number | null;
    author_id: number | null;
  };
}

/** A database with nothing in it. */
export type DatabaseSubject = Database<ConformanceSchema>;

/** A case of the suite. */
export type DatabaseCase = ConformanceCase<DatabaseSubject, keyof DatabaseCapabilities>;

/** Makes the tables, in a way that every engine understands. */
export async function createTables({ query, adapter }: DatabaseSubject): Promise<void> {
  const bytes = adapter === 'postgres' || adapter === 'pglite' ? 'bytea' : 'blob';
  await query.schema
    .createTable('author')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('name', 'varchar(200)', (column) => column.notNull())
    .addUniqueConstraint('author_name', ['name'])
    .execute();
  await query.schema
    .createTable('note')
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('title', 'varchar(200)', (column) => column.notNull())
    .addColumn('body', 'text')
    .addColumn('attachment', bytes)
    .addColumn('score', 'double precision')
    .addColumn('author_id', 'integer')
    .addCheckConstraint('note_score_not_negative', sql`score >= 0`)
    .addForeignKeyConstraint('note_author', ['author_id'], 'author', ['id'])
    .execute();
}

/** Inserts a note of which only the id and the title matter. */
export async function insertNote(
  { query }: DatabaseSubject,
  id: number,
  title: string = `note ${id}`,
): Promise<void> {
  await query
    .insertInto('note')
    .values({ id, title, body: null, attachment: null, score: null, author_id: null })
    .execute();
}

/** The ids of all notes, in order. */
export async function noteIds({ query }: DatabaseSubject): Promise<(number | bigint)[]> {
  const rows = await query.selectFrom('note').select('id').orderBy('id').execute();
  return rows.map(({ id }) => id);
}

/** Asserts that it rejects with this code, and gives the error. */
export async function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<InfrastructureError> {
  try {
    await promise;
  } catch (error) {
    if (!InfrastructureError.is(error)) throw error;
    assert.equal(error.code, code, error.message);
    assert.equal(error.component, 'database');
    return error;
  }
  return assert.fail(`it was to reject with ${code}`);
}

/** A promise that is awaited later: when the case fails before that, its rejection is nobody's. */
export function background<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => undefined);
  return promise;
}

/** Reads a stream to its end. */
export async function collect<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** A case with its tables made. */
export function withTables(
  id: string,
  run: (database: DatabaseSubject) => Promise<void>,
): DatabaseCase {
  return {
    id,
    run: async (database) => {
      await createTables(database);
      await run(database);
    },
  };
}
