import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  openAsBlob,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { pgliteDatabase } from '../../src/database/pglite/index.ts';

/**
 * What a new database of PGlite holds, for its option `dump`: to make it takes PGlite seconds of a processor, and so it is made once
 * for each version, in a file that all runs share.
 */
export async function pgliteDump(): Promise<Blob> {
  const file = await pgliteDumpFile();
  return await openAsBlob(file);
}

/** The file that {@link pgliteDump} reads, for a process of its own. */
export async function pgliteDumpFile(): Promise<string> {
  const modules = path.join(import.meta.dirname, '../../node_modules');
  const manifest = readFileSync(path.join(modules, '@electric-sql/pglite/package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const folder = path.join(modules, '.cache/underpin');
  const file = path.join(folder, `pglite-${version}.tar`);
  if (existsSync(file)) return file;
  await using database = pgliteDatabase({ directory: ':memory:' });
  await database.start();
  const dump = await database.native.pglite.dumpDataDir('none');
  mkdirSync(folder, { recursive: true });
  // Whole or not at all, also when several processes make it at once.
  const made = path.join(folder, randomUUID());
  writeFileSync(made, await dump.bytes());
  renameSync(made, file);
  return file;
}
