import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { type PrivateServer, startServer } from '../../test/services/servers.ts';
import { service } from '../../test/services/services.ts';
import type { Database } from '../database/index.ts';
import { postgresDatabase } from '../database/postgres/index.ts';
import { sqliteDatabase } from '../database/sqlite/index.ts';
import { databaseTemplate, type DatabaseTemplate } from './index.ts';

interface Schema {
  item: { id: number };
}

const postgres = await service('postgres');

/** What is the same on both engines, said in their ways. */
interface Engine {
  readonly name: string;
  readonly missing?: string | undefined;
  readonly setUp: () => Promise<void>;
  readonly tearDown: () => Promise<void>;
  readonly open: (target: string) => Database<Schema>;
  readonly url: () => string | undefined;
  /** The part of a program that imports what makes `open`, and makes it. */
  readonly program: string;
  readonly names: () => Promise<string[]>;
  readonly make: (name: string) => Promise<void>;
}

let folder: string;
let server: PrivateServer;

async function onServer(text: string): Promise<readonly { readonly name: string }[]> {
  await using database = postgresDatabase({ url: server.url });
  return (await sql.raw<{ name: string }>(text).execute(database.query)).rows;
}

const engines: readonly Engine[] = [
  {
    name: 'SQLite',
    setUp: async () => undefined,
    tearDown: async () => undefined,
    open: (file) => sqliteDatabase<Schema>({ file }),
    url: () => undefined,
    program: `
      import { sqliteDatabase } from 'underpin/database/sqlite';
      const open = (file) => sqliteDatabase({ file });`,
    async names() {
      const [own] = await readdir(folder);
      const files = own === undefined ? [] : await readdir(path.join(folder, own));
      // Without those that stand beside an open one.
      return files.filter((file) => !/^lock\.db|-(?:wal|shm)$/.test(file));
    },
    async make(name) {
      const [own = ''] = await readdir(folder);
      await writeFile(path.join(folder, own, `${name}.db`), '');
    },
  },
  {
    name: 'PostgreSQL',
    missing: postgres.missing,
    setUp: async () => {
      server = await startServer('postgres');
    },
    tearDown: async () => await server?.[Symbol.asyncDispose](),
    open: (url) => postgresDatabase<Schema>({ url }),
    url: () => server.url,
    program: `
      import { postgresDatabase } from 'underpin/database/postgres';
      const open = (url) => postgresDatabase({ url });`,
    async names() {
      const query = `select datname as name from pg_database where datname like 'underpin%'`;
      return (await onServer(query)).map(({ name }) => name);
    },
    async make(name) {
      await onServer(`create database ${name}`);
    },
  },
];

for (const { name: engine, missing, setUp, tearDown, ...rest } of engines) {
  const { open, url, program, names, make } = rest;
  describe.skipIf(missing)(`databaseTemplate › ${engine}`, () => {
    let keys = 0;
    let key: string;

    beforeAll(setUp);
    afterAll(tearDown);

    beforeEach(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'underpin-template-test-'));
      vi.stubEnv('TMPDIR', folder);
      keys += 1;
      key = `test ${keys}`;
    });

    afterEach(async () => {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    });

    function templateOf(
      prepare: (database: Database<Schema>) => Promise<unknown>,
      given: unknown = key,
    ): DatabaseTemplate<Database<Schema>> {
      const at = url();
      return databaseTemplate({ open, prepare, key: given, ...(at !== undefined && { url: at }) });
    }

    let prepared = 0;
    const prepare = async ({ query }: Database<Schema>): Promise<void> => {
      prepared += 1;
      await sql`create table item (id integer)`.execute(query);
      await query.insertInto('item').values({ id: 1 }).execute();
    };
    const ids = async ({ query }: Database<Schema>): Promise<number[]> =>
      (await query.selectFrom('item').select('id').orderBy('id').execute()).map(({ id }) => id);
    const insert = async ({ query }: Database<Schema>, id: number): Promise<void> => {
      await query.insertInto('item').values({ id }).execute();
    };

    it('is prepared once, each copy is its own, and gone when it is closed', async () => {
      prepared = 0;
      const template = templateOf(prepare);
      const [first, second] = await Promise.all([template.copy(), template.copy()]);
      await insert(first, 2);
      await insert(second, 3);
      expect(await ids(first)).toEqual([1, 2]);
      expect(await ids(second)).toEqual([1, 3]);
      await first.close();
      await first.close();
      await second[Symbol.asyncDispose]();
      await using again = await templateOf(prepare).copy();
      expect(await ids(again)).toEqual([1]);
      await again.close();
      expect(prepared).toBe(1);
      expect((await names()).filter((name) => name.includes('copy'))).toEqual([]);
    });

    it('is prepared anew when its key is another, also in what a function does', async () => {
      prepared = 0;
      const given = [{ up: () => 1 }, { up: () => 2 }];
      for (const each of [...given, ...given])
        await (await templateOf(prepare, [key, each]).copy()).close();
      expect(prepared).toBe(given.length);
    });

    it('what preparing it throws is thrown, leaves nothing, and is tried again', async () => {
      let fails = true;
      const before = await names();
      const template = templateOf(async (database) => {
        await prepare(database);
        if (fails) throw new TypeError('mine');
      });
      await expect(template.copy()).rejects.toThrow(TypeError);
      expect(await names()).toEqual(before);
      fails = false;
      await using copy = await template.copy();
      expect(await ids(copy)).toEqual([1]);
    });

    it('a copy that cannot be started is removed', async () => {
      const at = url();
      let broken = false;
      const template = databaseTemplate({
        key,
        prepare,
        open: (target) => {
          const database = open(target);
          if (broken && target.includes('_copy_'))
            database.start = async () => await Promise.reject(new Error('not today'));
          return database;
        },
        ...(at !== undefined && { url: at }),
      });
      await using copy = await template.copy();
      broken = true;
      await expect(template.copy()).rejects.toThrow('not today');
      expect((await names()).filter((name) => name.includes('copy'))).toHaveLength(1);
      expect(await ids(copy)).toEqual([1]);
    });

    it('what is older than a day is removed, and nothing else is', async () => {
      await using copy = await templateOf(prepare).copy();
      const day = (ago: number): string =>
        new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
      const kept = ['underpin_other', `underpin_copy_${day(1)}_a`, `underpin_template_${day(0)}_a`];
      const stale = [
        `underpin_copy_${day(2)}_a_b`,
        `underpin_template_${day(9)}_a`,
        `underpin_template_${day(3)}_a_filling`,
      ];
      for (const name of [...kept, ...stale]) await make(name);
      await using another = await templateOf(prepare, [key]).copy();
      const left = (await names()).map((name) => name.replace(/\..*/, ''));
      expect(left).toEqual(expect.arrayContaining(kept));
      for (const name of stale) expect(left).not.toContain(name);
      expect([await ids(copy), await ids(another)]).toEqual([[1], [1]]);
    });

    /** Runs a program with a `template` in another process. */
    function start(text: string): ChildProcess {
      const source = `
        import { sql } from 'kysely';
        import { databaseTemplate } from 'underpin/testing';
        ${program}
        const say = (text) => process.stdout.write(text + '\\n');
        const [url, key] = ${JSON.stringify([url() ?? null, key])};
        const template = databaseTemplate({
          open, key, ...(url !== null && { url }),
          async prepare({ query }) {
            await sql\`create table item (id integer)\`.execute(query);
            say('preparing');
            if (process.env.HANGS) await new Promise((resolve) => setInterval(resolve, 1000000));
            await sql\`insert into item values (1)\`.execute(query);
          },
        });
        ${text}`;
      return spawn(
        process.execPath,
        ['--conditions=underpin-source', '--input-type=module', '--eval', source],
        { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] },
      );
    }

    const use = `
      await using copy = await template.copy();
      await sql\`insert into item values (2)\`.execute(copy.query);
      const { rows } = await sql\`select id from item\`.execute(copy.query);
      say('found ' + rows.length);`;

    async function lines(child: ChildProcess): Promise<string[]> {
      const all: string[] = [];
      const exited = once(child, 'exit');
      for await (const line of createInterface({ input: child.stdout ?? process.stdin }))
        all.push(line);
      expect(await exited).toEqual([0, null]);
      return all;
    }

    it('processes that start at once prepare it once', async () => {
      const told = await Promise.all([lines(start(use)), lines(start(use))]);
      expect(told.flat().toSorted()).toEqual(['found 2', 'found 2', 'preparing']);
    });

    it('one that is killed over preparing it leaves no half of it, nor its lock', async () => {
      vi.stubEnv('HANGS', '1');
      const child = start(use);
      await once(createInterface({ input: child.stdout ?? process.stdin }), 'line');
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      vi.stubEnv('HANGS', '');
      expect(await lines(start(use))).toEqual(['preparing', 'found 2']);
    });
  });
}

describe('databaseTemplate › refuses', () => {
  const prepare = async (): Promise<void> => undefined;

  it('no key, a url that is none, and a url with another engine than its own', async () => {
    const open = (file: string): Database => sqliteDatabase({ file: `${file}.db` });
    expect(() => databaseTemplate({ open, prepare, key: undefined })).toThrow('key is missing');
    expect(() => databaseTemplate({ open, prepare, key: 1, url: 'hunter2' })).toThrow(
      'url is no URL: write postgres://HOST:PORT/DATABASE',
    );
    const memory = (): Database => sqliteDatabase({ file: ':memory:' });
    const wrong = databaseTemplate({ open: memory, prepare, key: 1, url: 'postgres://x' });
    await expect(wrong.copy()).rejects.toThrow('let open give a postgresDatabase');
  });
});
