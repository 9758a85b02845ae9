import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { sqliteDatabase } from '../sqlite/index.ts';
import { migrationsFrom } from './files.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-migrations-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), content);
}

const create = 'create table a (id integer)';
const moduleText = `export const up = async (query) => {
  await query.schema.createTable('b').addColumn('id', 'integer').execute();
};
export const down = 'drop table b';
`;

describe('database › migrations › files', () => {
  it('SQL and modules are read in the order of their numbers, with what undoes them', async () => {
    await write({
      '10-third.mjs': 'export const up = "create table c (id integer)";',
      '2-second.ts': `const from: string = 'here'; export { from };\n${moduleText}`,
      '1-first.sql': create,
      '1-first.down.sql': 'drop table a',
      '.DS_Store': 'junk',
      '2-second.d.ts': 'export {};',
      '2-second.js.map': '{}',
    });
    const migrations = await migrationsFrom(folder);
    expect(migrations.map(({ name }) => name)).toEqual(['1-first', '2-second', '10-third']);
    expect(migrations[0]).toEqual({ name: '1-first', up: create, down: 'drop table a' });
    await using database = sqliteDatabase({ file: ':memory:' });
    const migrator = database.migrator(migrations);
    await migrator.up();
    await expect(migrator.down()).rejects.toMatchObject({
      message: expect.stringMatching(/10-third.*no down/),
    });
    const { drift } = await migrator.status();
    expect(drift).toEqual([]);
  });

  it('an empty folder has none', async () => {
    expect(await migrationsFrom(folder)).toEqual([]);
  });

  it('a folder that is not there is not-found', async () => {
    await expect(migrationsFrom(path.join(folder, 'nowhere'))).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('nowhere'),
    });
  });

  it.for<[string, Readonly<Record<string, string | Uint8Array>>, RegExp]>([
    ['a number that is taken twice', { '1-a.sql': create, '01-b.sql': create }, /1-b|1-a/],
    ['a file without a number', { 'create.sql': create }, /create\.sql is no migration/],
    ['a file of another kind', { '1-a.txt': create }, /1-a\.txt is no migration/],
    ['a down without its up', { '1-a.down.sql': create }, /1-a\.down\.sql undoes nothing/],
    [
      'a down beside a module',
      { '1-a.mjs': moduleText, '1-a.down.sql': create },
      /export down from 1-a\.mjs/,
    ],
    ['a down that is a module', { '1-a.down.ts': moduleText }, /1-a\.down\.ts is no migration/],
    ['an empty file', { '1-a.sql': ' \n-- later; \n' }, /1-a\.sql is empty/],
    [
      'bytes that are no UTF-8',
      { '1-a.sql': Uint8Array.of(0x2d, 0xff, 0xfe) },
      /1-a\.sql is not UTF-8/,
    ],
    [
      'a byte order mark',
      { '1-a.sql': `\uFEFF${create}` },
      /1-a\.sql begins with a byte order mark/,
    ],
    ['a NUL', { '1-a.sql': `${create}\0` }, /1-a\.sql holds a NUL/],
    ['a module without up', { '1-a.mjs': 'export const down = "x";' }, /1-a\.mjs exports no up/],
    [
      'a module whose down is nothing to run',
      { '1-a.mjs': 'export const up = "x"; export const down = 1;' },
      /1-a\.mjs exports a down/,
    ],
    [
      'a module that cannot be loaded',
      { '1-a.mjs': 'export const up =' },
      /1-a\.mjs cannot be loaded/,
    ],
  ])('%s is refused', async ([, files, message]) => {
    await write(files);
    await expect(migrationsFrom(folder)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message),
    });
  });

  it('a folder in the folder is refused', async () => {
    await mkdir(path.join(folder, '1-a'));
    await expect(migrationsFrom(folder)).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('a file that was edited after it was applied is refused, a module too; line endings and the down are no edit', async () => {
    const second = path.join(folder, '2-second.ts');
    await write({
      '1-first.sql': create,
      '1-first.down.sql': 'drop table a',
      '2-second.ts': moduleText,
    });
    await using database = sqliteDatabase({ file: ':memory:' });
    await database.migrate(await migrationsFrom(folder));
    await write({
      '1-first.sql': `${create}\r\n`,
      '1-first.down.sql': 'drop table if exists a',
      '2-second.ts': moduleText.replaceAll('\n', '\r\n'),
    });
    expect(await database.migrate(await migrationsFrom(folder))).toEqual({ applied: [] });
    await writeFile(second, `${moduleText}// and more`);
    await expect(database.migrate(await migrationsFrom(folder))).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringMatching(/2-second.*edited/),
    });
    // What a build makes of a module has another text, and is the same migration.
    await rm(second);
    await write({ '2-second.js': moduleText.replace('async ', '/* built */ async ') });
    expect(await database.migrate(await migrationsFrom(folder))).toEqual({ applied: [] });
    // Nor is a function in a list compared, which has no file.
    const [first] = await migrationsFrom(folder);
    if (first === undefined) throw new Error('it is gone');
    expect(
      await database.migrate([first, { name: '2-second', up: async () => undefined }]),
    ).toEqual({ applied: [] });
  });
});
