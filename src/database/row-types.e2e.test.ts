import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { root, run } from '../../scripts/run.ts';
import { makePostgresDatabase } from '../../test/services/databases.ts';
import { service } from '../../test/services/services.ts';
import { postgresDatabase } from './postgres/index.ts';
import { rowTypes } from './row-types.ts';
import { sqliteDatabase } from './sqlite/index.ts';

const { missing } = await service('postgres');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-types-'));
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'), 'dir');
  await writeFile(path.join(folder, 'package.json'), '{ "type": "module" }');
  const tsconfig = {
    extends: path.join(root, 'tsconfig.json'),
    compilerOptions: { declaration: false, isolatedDeclarations: false },
    include: ['*.ts'],
  };
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Compiles a program beside the generated types, then runs it. */
async function compileAndRun(types: string, program: string): Promise<unknown> {
  await writeFile(path.join(folder, 'schema.ts'), types);
  await writeFile(path.join(folder, 'use.ts'), program);
  const compiled = await run('tsc', ['-p', folder, '--pretty', 'false'], { cwd: folder });
  if (compiled.output !== '') return compiled;
  const ran = await run(process.execPath, ['--conditions=underpin-source', 'use.ts'], {
    cwd: folder,
  });
  return { output: ran.output, code: ran.code };
}

describe('database › row types in a program', () => {
  it('of SQLite compile, take what can be stored, and are what comes back', async () => {
    const file = path.join(folder, 'app.db');
    await using database = sqliteDatabase({ file });
    await sql`create table item (id integer primary key, big bigint, title text not null, flag boolean not null default 0,
      twice integer generated always as (id * 2))`.execute(database.query);
    const types = rowTypes(await database.dialect.describeSchema(database.query));
    const ended = await compileAndRun(
      types,
      `import assert from 'node:assert/strict';
      import { sqliteDatabase } from 'underpin/database/sqlite';
      import type { Schema } from './schema.ts';
      await using database = sqliteDatabase<Schema>({ file: 'app.db' });
      await database.query.insertInto('item').values({ title: 'a', big: 2n ** 60n, flag: true }).execute();
      const row = await database.query.selectFrom('item').selectAll().executeTakeFirstOrThrow();
      const exact: { id: number; big: number | bigint | null; title: string; flag: number; twice: number | null } = row;
      assert.deepEqual(exact, { id: 1, big: 2n ** 60n, title: 'a', flag: 1, twice: 2 });
      export const wrong = (): unknown[] => [
        // @ts-expect-error A title is missing.
        database.query.insertInto('item').values({ big: 1 }),
        // @ts-expect-error It is computed.
        database.query.insertInto('item').values({ title: 'a', twice: 2 }),
        // @ts-expect-error There is no such column.
        database.query.selectFrom('item').select('titel'),
      ];`,
    );
    expect(ended).toEqual({ output: '', code: 0 });
  });

  it.skipIf(missing)(
    'of PostgreSQL compile, take what can be stored, and are what comes back',
    async () => {
      await using made = await makePostgresDatabase();
      await using database = postgresDatabase({ url: made.url });
      await sql`create type mood as enum ('sad', 'ok')`.execute(database.query);
      await sql`create table item (id bigint generated always as identity primary key, mood mood not null, amount numeric not null,
      doc jsonb, at timestamptz not null default now(), tags text[] not null default '{}')`.execute(
        database.query,
      );
      const types = rowTypes(await database.dialect.describeSchema(database.query));
      const ended = await compileAndRun(
        types,
        `import assert from 'node:assert/strict';
      import { postgresDatabase } from 'underpin/database/postgres';
      import type { Schema } from './schema.ts';
      await using database = postgresDatabase<Schema>({ url: ${JSON.stringify(made.url)} });
      const at = new Date('2026-01-02T03:04:05.678Z');
      await database.query.insertInto('item').values({ mood: 'ok', amount: 1.5, doc: '{"a":1}', at, tags: ['x'] }).execute();
      const row = await database.query.selectFrom('item').selectAll().executeTakeFirstOrThrow();
      const exact: { id: number | bigint; mood: 'sad' | 'ok'; amount: string; doc: unknown; at: string; tags: string[] } = row;
      assert.deepEqual(exact, { id: 1, mood: 'ok', amount: '1.5', doc: { a: 1 }, at: at.toISOString(), tags: ['x'] });
      export const wrong = (): unknown[] => [
        // @ts-expect-error It is no mood.
        database.query.insertInto('item').values({ mood: 'glad', amount: 1 }),
        // @ts-expect-error The database gives it.
        database.query.insertInto('item').values({ id: 1, mood: 'ok', amount: 1 }),
        // @ts-expect-error Objects are given as JSON.
        database.query.insertInto('item').values({ mood: 'ok', amount: 1, doc: { a: 1 } }),
      ];`,
      );
      expect(ended).toEqual({ output: '', code: 0 });
    },
  );
});
