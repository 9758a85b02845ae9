import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { InfrastructureError, invalidArgument, systemErrorCode } from '../../core/index.ts';
import { type Migration, type MigrationStep, moduleChecksum } from './migration.ts';

const origin = { component: 'database', operation: 'migrationsFrom' } as const;

/** How a migration's file is called: its number, `-` or `_`, and what it does. */
const fileName = /^(?<number>\d+)[-_][\w.-]+?(?<down>\.down)?\.(?<kind>sql|m?ts|m?js)$/;

/** What a build leaves beside its modules, and files that are hidden. */
const ignored = /^\.|\.d\.m?ts$|\.map$/;

/** A file in a folder of migrations. */
export interface MigrationFile {
  readonly file: string;
  /** Without `.down` and the extension. */
  readonly name: string;
  readonly number: bigint;
  /** Of the number, leading zeros included. */
  readonly digits: number;
  readonly isDown: boolean;
  readonly kind: 'sql' | 'ts' | 'js';
}

/**
 * Reads the migrations in a folder, in the order of their numbers: `0001-create-articles.sql`, with what undoes it beside it in
 * `0001-create-articles.down.sql`; or a module (`.ts`, `.mts`, `.js`, `.mjs`) that exports `up` and `down`, each SQL or a function.
 * The checksum of each file is recorded, also of a module's; only that of a `.down.sql` is not.
 *
 * Throws `not-found` when there is no such folder, and `invalid-argument` for a file in it that is no migration, a number that is
 * taken twice, an empty text and one that is not UTF-8.
 *
 * @example
 * await database.migrate(await migrationsFrom('migrations'));
 */
export async function migrationsFrom(folder: string): Promise<readonly Migration[]> {
  const files = await migrationFilesIn(folder);
  const migrations: Migration[] = [];
  for (const file of files.filter(({ isDown }) => !isDown)) {
    const down = files.find(({ isDown, name }) => isDown && name === file.name);
    if (down !== undefined && file.kind !== 'sql')
      throw wrong(down.file, `cannot stand beside a module: export down from ${file.file}`);
    migrations.push(await readMigration(folder, file, down));
  }
  const stray = files.find(
    ({ isDown, name }) => isDown && !migrations.some((m) => m.name === name),
  );
  if (stray !== undefined)
    throw wrong(stray.file, `undoes nothing: ${stray.name}.sql is not there`);
  return migrations;
}

/** The files of migrations in a folder, by number, those that undo after those that do. */
export async function migrationFilesIn(folder: string): Promise<readonly MigrationFile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    throw new InfrastructureError({
      code: 'not-found',
      ...origin,
      message: `there is no folder of migrations at ${path.resolve(folder)}: make one, or name it`,
      cause: error,
    });
  });
  const files = entries
    .filter(({ name }) => !ignored.test(name))
    .map((entry) => parseName(entry.name, entry.isDirectory()))
    .toSorted((a, b) =>
      a.number === b.number ? Number(a.isDown) - Number(b.isDown) : a.number < b.number ? -1 : 1,
    );
  const ups = files.filter(({ isDown }) => !isDown);
  for (const [index, { file, number }] of ups.entries()) {
    const next = ups[index + 1];
    if (next?.number === number)
      throw wrong(file, `has the number of ${next.file}: give each its own`);
  }
  return files;
}

function parseName(file: string, isFolder: boolean): MigrationFile {
  const match = fileName.exec(file);
  const number = match?.groups?.['number'];
  const extension = match?.groups?.['kind'] ?? '';
  const isDown = match?.groups?.['down'] !== undefined;
  if (isFolder || number === undefined || (isDown && extension !== 'sql')) {
    throw wrong(
      file,
      'is no migration: call it by a number and what it does, as 0001-create-articles.sql, 0001-create-articles.down.sql or 0001-create-articles.ts, or move it out of the folder',
    );
  }
  return {
    file,
    name: file.slice(0, -(extension.length + 1 + (isDown ? '.down'.length : 0))),
    number: BigInt(number),
    digits: number.length,
    isDown,
    kind: extension === 'sql' ? 'sql' : extension.endsWith('ts') ? 'ts' : 'js',
  };
}

async function readMigration(
  folder: string,
  { file, name, kind }: MigrationFile,
  down: MigrationFile | undefined,
): Promise<Migration> {
  const text = await readText(folder, file);
  if (kind !== 'sql')
    return { name, ...(await load(folder, file)), checksum: moduleChecksum(kind, text) };
  return { name, up: text, ...(down && { down: await readText(folder, down.file) }) };
}

/** Throws for a text that an engine would misread, with an error that only it understands. */
async function readText(folder: string, file: string): Promise<string> {
  const bytes = await readFile(path.join(folder, file));
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw wrong(file, 'is not UTF-8: save it as UTF-8');
  }
  if (text.startsWith('\uFEFF'))
    throw wrong(file, 'begins with a byte order mark: save it as UTF-8 without one');
  if (text.includes('\0')) throw wrong(file, 'holds a NUL: save it as UTF-8 text');
  if (text.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\/|[\s;]/g, '') === '')
    throw wrong(file, 'is empty: write what it does, or delete it');
  return text;
}

async function load(folder: string, file: string): Promise<Pick<Migration, 'up' | 'down'>> {
  let module: { readonly up?: unknown; readonly down?: unknown };
  try {
    module = (await import(pathToFileURL(path.resolve(folder, file)).href)) as typeof module;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw wrong(file, `cannot be loaded: ${reason}`, error);
  }
  const { up, down } = module;
  if (!isStep(up)) throw wrong(file, 'exports no up: export SQL or a function of that name');
  if (down === undefined) return { up };
  if (!isStep(down)) throw wrong(file, 'exports a down that is neither SQL nor a function');
  return { up, down };
}

function isStep(value: unknown): value is MigrationStep {
  return (typeof value === 'string' && value.trim() !== '') || typeof value === 'function';
}

function wrong(file: string, problem: string, cause?: unknown): InfrastructureError {
  if (cause === undefined) return invalidArgument(origin, `${file} ${problem}`, { file });
  return new InfrastructureError({
    code: 'invalid-argument',
    ...origin,
    message: `${file} ${problem}`,
    details: { file },
    cause,
  });
}
