import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { CompiledQuery, type Generated, sql } from 'kysely';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { pgliteDump } from '../../../test/services/pglite.ts';
import { classifyPglite } from './classify.ts';
import { Engine } from './engine.ts';
import { pgliteDatabase, type PgliteDatabase, type PgliteDatabaseOptions } from './index.ts';
import { statementMessage } from './messages.ts';
import { PgliteDriver } from './pglite-driver.ts';

interface Schema {
  item: { id: Generated<number>; name: string };
}

let dump: Blob;
let folder: string;
let directory: string;
const opened: { close(): Promise<void> }[] = [];

// Each of the databases starts with this.
beforeAll(async () => {
  const database = pgliteDatabase({ directory: ':memory:', dump: await pgliteDump() });
  await database.migrate([
    {
      name: '1',
      up: 'create table item (id int generated always as identity primary key, name text not null)',
    },
  ]);
  dump = await database.native.pglite.dumpDataDir('none');
  await database.close();
}, 300_000);

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-pglite-'));
  directory = path.join(folder, 'made', 'data');
});

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
  await rm(folder, { recursive: true });
});

function open(options: Partial<PgliteDatabaseOptions> = {}): PgliteDatabase<Schema> {
  const database = pgliteDatabase<Schema>({ directory, dump, ...options });
  opened.push(database);
  return database;
}

async function openDriver(): Promise<PgliteDriver> {
  const driver = new PgliteDriver({ directory: undefined, dump, waitTimeout: 10_000 });
  opened.push(driver);
  await driver.start();
  return driver;
}

async function names({ query }: PgliteDatabase<Schema>): Promise<string[]> {
  const rows = await query.selectFrom('item').select('name').orderBy('id').execute();
  return rows.map(({ name }) => name);
}

async function insert({ query }: PgliteDatabase<Schema>, name: string): Promise<void> {
  await query.insertInto('item').values({ name }).execute();
}

/** The names and contents of all files of a folder. */
async function contentsOf(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    found[file] = entry.isFile() ? await readFile(file, 'latin1') : '';
  }
  return found;
}

describe('pglite › options', () => {
  it('that make no sense are refused', () => {
    for (const wrong of ['', 'a\0b', 'idb://app', 'memory://'])
      expect(() => pgliteDatabase({ directory: wrong })).toThrow(':memory:');
  });
});

describe('pglite › folder', () => {
  it('is made with those above it, for this user alone, and keeps what is committed', async () => {
    const database = open();
    await insert(database, 'kept');
    await database.close();
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await names(open())).toEqual(['kept']);
  });

  it('that a database of this process has open is refused to another, and not for longer', async () => {
    const first = open();
    await insert(first, 'first');
    const second = open();
    await expect(second.start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('is in use') as string,
    });
    await insert(first, 'second');
    await first.close();
    expect(await names(second)).toEqual(['first', 'second']);
  });

  it('that holds something else is refused, and left as it is', async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(path.join(directory, 'thesis.txt'), 'mine');
    await expect(open().start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('something else') as string,
    });
    expect(await readdir(directory)).toEqual(['thesis.txt']);
  });

  it('that is a file is refused, and left as it is', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, 'mine');
    await expect(open({ directory: file }).start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('not a folder') as string,
    });
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  it('of another version is refused with what the engine says, and left as it is', async () => {
    await open().start();
    await opened.pop()?.close();
    await writeFile(path.join(directory, 'PG_VERSION'), '17\n');
    const before = await contentsOf(directory);
    await expect(open().start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringMatching(/version 17, which is not compatible/) as string,
    });
    expect(await contentsOf(directory)).toEqual(before);
  });

  it('of a PostgreSQL server is refused, and left as it is', async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(path.join(directory, 'PG_VERSION'), '18\n');
    await writeFile(path.join(directory, 'postmaster.pid'), '4242\n/var/lib/postgresql\n');
    const before = await contentsOf(directory);
    await expect(open().start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('PostgreSQL server') as string,
    });
    expect(await contentsOf(directory)).toEqual(before);
  });

  it('whose database was never finished is begun anew', async () => {
    await mkdir(path.join(directory, 'base'), { recursive: true });
    await writeFile(path.join(directory, 'PG_VERSION'), '18\n');
    await writeFile(path.join(directory, 'underpin.unfinished'), '');
    const database = open();
    await insert(database, 'new');
    expect(await names(database)).toEqual(['new']);
    expect(await readdir(directory)).not.toContain('underpin.unfinished');
  });

  it('keeps its database where there is a dump too', async () => {
    await insert(open(), 'kept');
    await opened.pop()?.close();
    expect(await names(open({ dump }))).toEqual(['kept']);
  });

  it('has its log cut before that has grown long, which nothing else would do', async () => {
    const database = open();
    await sql`create table big (data text)`.execute(database.query);
    await sql`alter table big alter column data set storage external`.execute(database.query);
    await sql`insert into big select repeat(md5(n::text), 32768) from generate_series(1, 70) n`.execute(
      database.query,
    );
    const length = async (): Promise<number> => {
      const { rows } = await sql<{
        length: string;
      }>`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn) as length from pg_control_checkpoint()`.execute(
        database.query,
      );
      return Number(rows[0]?.length);
    };
    expect(await length()).toBeGreaterThan(64 * 1024 * 1024);
    for (let round = 0; round < 200; round += 1) await sql`select 1`.execute(database.query);
    expect(await length()).toBeLessThan(1024 * 1024);
  });
});

describe('pglite › connection', () => {
  it('is waited for so long, and says who waits', async () => {
    const database = open({ directory: ':memory:', waitTimeout: 1 });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const holder = database.transaction(async () => {
      begin();
      await released;
    });
    await begun;
    await expect(names(database)).rejects.toMatchObject({
      code: 'resource-exhausted',
      outcome: 'not-applied',
      details: { waiting: 1 },
    });
    release();
    await holder;
    expect(await names(database)).toEqual([]);
  });

  it('is told to have been waited for, by statements and transactions', async () => {
    const driver = await openDriver();
    const select = CompiledQuery.raw('select 1 as one');
    expect((await driver.execute(select)).waitedMs).toBeUndefined();
    const first = await driver.begin();
    expect(first.waitedMs).toBeUndefined();
    const second = driver.begin();
    const statement = driver.execute(select);
    await first.commit();
    const begun = await second;
    expect(begun.waitedMs).toBeGreaterThanOrEqual(0);
    await begun.rollback();
    expect((await statement).waitedMs).toBeGreaterThanOrEqual(0);
  });

  it('is clean for the next, whatever raw SQL has begun', async () => {
    const database = open({ directory: ':memory:' });
    await expect(sql`begin`.execute(database.query)).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await insert(database, 'alone');
    expect(await names(database)).toEqual(['alone']);
  });

  it('that is read-only refuses writes', async () => {
    const driver = await openDriver();
    const transaction = await driver.begin({ readOnly: true });
    const failed = transaction.execute(CompiledQuery.raw("insert into item (name) values ('x')"));
    const error: unknown = await Promise.resolve(failed).catch((thrown: unknown) => thrown);
    expect(driver.classify(error)).toMatchObject({ code: 'permission-denied' });
    await transaction.rollback();
  });

  it('takes one statement at a time', async () => {
    const { query } = open({ directory: ':memory:' });
    await expect(sql`select 1; select 2`.execute(query)).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });

  it('refuses what would wait for rows that cannot be sent, which would end the engine', async () => {
    const database = open({ directory: ':memory:' });
    const text = 'copy item (name) from stdin';
    await expect(database.execute(text)).rejects.toMatchObject({ code: 'unimplemented' });
    await expect(
      database.migrate([{ name: 'copy', up: `select 1;\n${text};\nx\n\\.\n` }], { set: 'other' }),
    ).rejects.toThrow('executeMany()');
    await insert(database, 'from stdin');
    expect(await names(database)).toEqual(['from stdin']);
  });

  it('that has ended by itself says so, and nothing is sent to it', async () => {
    const options = { directory: undefined, dump, onNotification: () => undefined };
    const engine = await Engine.open(options);
    const fatal = statementMessage('copy item (name) from stdin', []);
    const classify = classifyPglite('memory');
    for (const message of [fatal, statementMessage('select 1', [])]) {
      const error: unknown = await engine.send(message).catch((thrown: unknown) => thrown);
      expect(classify(error)).toMatchObject({ code: 'unavailable', retryable: false });
    }
    await engine.close(new Error('closed'));
  });

  it('cleans up after itself when told, outside of transactions', async () => {
    const database = open({ directory: ':memory:' });
    await insert(database, 'row');
    await sql`vacuum analyze item`.execute(database.query);
    expect(await names(database)).toEqual(['row']);
  });
});

describe('pglite › streams', () => {
  it('of rows that are locked come too', async () => {
    const database = open();
    await insert(database, 'locked');
    const rows = await Array.fromAsync(
      database.query.selectFrom('item').select('name').forUpdate().stream(1),
    );
    expect(rows).toEqual([{ name: 'locked' }]);
  });

  it('leave transactions alone between two chunks', async () => {
    const database = open();
    for (const name of ['a', 'b', 'c']) await insert(database, name);
    const seen: string[] = [];
    for await (const { name } of database.query
      .selectFrom('item')
      .select('name')
      .orderBy('id')
      .stream(1)) {
      seen.push(name);
      await database.transaction(async () => await insert(database, `after ${name}`));
    }
    expect(seen).toEqual(['a', 'b', 'c']);
    const { rows } = await sql`select name from pg_cursors where name <> ''`.execute(
      database.query,
    );
    expect(rows).toEqual([]);
  });
});

describe('pglite › notifications', () => {
  it('are heard by who listened before the start', async () => {
    const database = open({ directory: ':memory:' });
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const stop = database.listen('early', resolve);
    await database.start();
    await sql`select pg_notify('early', 'payload')`.execute(database.query);
    expect(await promise).toBe('payload');
    stop();
  });
});
