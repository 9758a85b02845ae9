import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { makePostgresDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import type { Database } from '../database.ts';
import { postgresDatabase } from '../postgres/index.ts';
import { sqliteDatabase } from '../sqlite/index.ts';
import { migrationsFrom } from './files.ts';

interface Engine {
  /** Its `DATABASE_URL`. */
  readonly url: string;
  readonly open: () => Database;
  readonly remove: () => Promise<void>;
}

const { missing } = await service('postgres');

const engines: Readonly<Record<string, () => Promise<Engine>>> = {
  sqlite: async () => {
    const file = path.join(folder, 'data/app.db');
    return {
      url: `sqlite:${file}`,
      open: () => sqliteDatabase({ file }),
      remove: async () => undefined,
    };
  },
  postgres: async () => {
    const { url, remove } = await makePostgresDatabase();
    return { url, open: () => postgresDatabase({ url }), remove };
  },
};

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-migrate-'));
  await mkdir(path.join(folder, 'migrations'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function write(name: string, text: string): Promise<void> {
  await writeFile(path.join(folder, 'migrations', name), text);
}

/** Starts `underpin migrate` on the folder. */
function migrate({ url }: Engine, ...args: readonly string[]): ChildProcess {
  const main = path.join(import.meta.dirname, '../../cli/main.ts');
  return spawn(
    process.execPath,
    [
      '--conditions=underpin-source',
      main,
      'migrate',
      '--folder',
      path.join(folder, 'migrations'),
      ...args,
    ],
    { env: { PATH: process.env['PATH'], DATABASE_URL: url }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
}

/** What it prints; throws unless it ends as it should. */
async function lines(child: ChildProcess): Promise<string[]> {
  const exited = once(child, 'exit');
  const all: string[] = [];
  for await (const line of createInterface({ input: child.stdout ?? process.stdin }))
    all.push(line);
  expect(await exited).toEqual([0, null]);
  return all;
}

const available = Object.entries(engines).map(([name, make]) => ({
  name,
  make,
  skipped: name === 'postgres' ? missing : undefined,
}));

describe.for(available)('database › migrations › processes on $name', ({ make, skipped }) => {
  let engine: Engine;

  beforeEach(async ({ skip }) => {
    skip(skipped !== undefined, skipped);
    engine = await make();
  });

  afterEach(async () => {
    if (skipped === undefined) await engine.remove();
  });

  it('that start at once apply each migration exactly once', async () => {
    for (let number = 1; number <= 5; number += 1)
      await write(`${number}-t.sql`, `create table t${number} (id integer)`);
    await write(
      '6-count.mjs',
      `export const up = async (query) => {
        await query.schema.createTable('counter').addColumn('n', 'integer').execute();
        await query.insertInto('counter').values({ n: 1 }).execute();
      };`,
    );
    const printed = await Promise.all(
      Array.from({ length: 4 }, async () => await lines(migrate(engine))),
    );
    const applied = printed.flat().filter((line) => line.startsWith('applied'));
    expect(applied.toSorted()).toEqual([
      'applied 1-t',
      'applied 2-t',
      'applied 3-t',
      'applied 4-t',
      'applied 5-t',
      'applied 6-count',
    ]);
    await using database = engine.open();
    const { migrations, drift } = await database
      .migrator(await migrationsFrom(path.join(folder, 'migrations')))
      .status();
    expect(migrations.every(({ state }) => state === 'applied')).toBe(true);
    expect(drift).toEqual([]);
    expect((await sql`select n from counter`.execute(database.query)).rows).toEqual([{ n: 1 }]);
  });

  it('one that is killed in the midst of a migration leaves neither a part of it nor the lock', async () => {
    await write('1-whole.sql', 'create table whole (id integer)');
    // It stops where a file says so, when it has done a part of its work.
    await write(
      '2-half.mjs',
      `import { existsSync, rmSync } from 'node:fs';
      export const up = async (query) => {
        await query.schema.createTable('half').addColumn('id', 'integer').execute();
        if (!existsSync(${JSON.stringify(path.join(folder, '.stop'))})) return;
        rmSync(${JSON.stringify(path.join(folder, '.stop'))});
        process.stdout.write('half\\n');
        await new Promise((resolve) => setInterval(resolve, 1_000_000));
      };`,
    );
    await writeFile(path.join(folder, '.stop'), '');
    const child = migrate(engine);
    const exited = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout ?? process.stdin }))
      if (line === 'half') break;
    // This one waits for the lock.
    const waiting = lines(migrate(engine));
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    expect(await waiting).toEqual(['applied 2-half', '1 migration applied']);
    await using database = engine.open();
    const { migrations } = await database
      .migrator(await migrationsFrom(path.join(folder, 'migrations')))
      .status();
    expect(migrations.map(({ name, state }) => `${name} ${state}`)).toEqual([
      '1-whole applied',
      '2-half applied',
    ]);
  });

  it('an interrupt undoes the migration under way, and ends it with 1', async () => {
    await write(
      '1-half.mjs',
      `export const up = async (query) => {
        await query.schema.createTable('half').addColumn('id', 'integer').execute();
        process.stdout.write('half\\n');
        await new Promise((resolve) => setTimeout(resolve, 1_000_000));
      };`,
    );
    const child = migrate(engine);
    const exited = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout ?? process.stdin }))
      if (line === 'half') break;
    child.kill('SIGINT');
    expect(await exited).toEqual([1, null]);
    await using database = engine.open();
    const tables = await database.query.introspection.getTables();
    expect(tables.map((table) => table.name)).not.toContain('half');
  });
});
