import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';

import type { Database } from '../../src/database/index.ts';
import { pgliteDatabase } from '../../src/database/pglite/index.ts';
import { pgliteDump } from '../services/pglite.ts';

/** Where a PGlite keeps its database. */
export type PgliteKind = 'folder' | 'memory';

// To open one takes longer than most cases, so that each is used again once it is emptied.
const idle: Record<PgliteKind, Database[]> = { folder: [], memory: [] };
const kinds = new WeakMap<object, PgliteKind>();

/** An empty database on PGlite, whose tables may be any. */
export async function takePglite<Schema>(kind: PgliteKind): Promise<Database<Schema>> {
  // It is empty, and has whatever tables its user makes.
  return (idle[kind].pop() ?? (await open(kind))) as unknown as Database<Schema>;
}

/** Empties it for its next user, unless it was closed. */
export async function givePgliteBack<Schema>(database: Database<Schema>): Promise<void> {
  const { status } = await database.checkHealth();
  if (status !== 'ok') return await database.close();
  await sql`drop schema public cascade`.execute(database.query);
  await sql`create schema public`.execute(database.query);
  const kind = kinds.get(database);
  if (kind !== undefined) idle[kind].push(database as unknown as Database);
}

async function open(kind: PgliteKind): Promise<Database> {
  const directory = kind === 'memory' ? ':memory:' : await makeFolder();
  const database = pgliteDatabase({ directory, dump: await pgliteDump() });
  await database.start();
  kinds.set(database, kind);
  return database;
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-pglite-'));
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return path.join(folder, 'data');
}
