import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { CompiledQuery, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  type ConformanceTarget,
  type FakeClock,
  fakeClock,
  type OperationEvent,
  registerConformance,
  runWithContext,
  subscribeToOperations,
  systemClock,
} from '../core/index.ts';
import { databaseConformance, type DatabaseSubject } from './conformance.ts';
import { Database } from './database.ts';
import type { DatabaseCapabilities, DatabaseDriver } from './driver.ts';
import { ReplicatedDriver } from './replicas.ts';
import { sqliteDatabase } from './sqlite/index.ts';
import { SqliteDriver } from './sqlite/sqlite-driver.ts';

interface Schema {
  server: { name: string };
  item: { id: number };
}

/** Databases that are no copies of each other: each has its own name in it, so that a read tells where it was answered. */
interface Scene {
  readonly database: Database<Schema>;
  readonly layer: DatabaseDriver;
  readonly primary: SqliteDriver;
  readonly replicas: readonly SqliteDriver[];
  readonly clock: FakeClock;
}

let folder: string;
const folders = new WeakMap<DatabaseSubject, string>();
const opened: Database<Schema>[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-replicas-'));
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await rm(folder, { recursive: true });
});

async function makeServer(name: string): Promise<SqliteDriver> {
  const file = path.join(folder, `${name}.db`);
  await using database = sqliteDatabase<Schema>({ file });
  await sql`create table server (name text)`.execute(database.query);
  await sql`create table item (id integer)`.execute(database.query);
  await database.query.insertInto('server').values({ name }).execute();
  return new SqliteDriver({ file, synchronous: 'normal', waitTimeout: 1000, clock: systemClock });
}

async function replicated(count = 2): Promise<Scene> {
  const primary = await makeServer('primary');
  const names = Array.from({ length: count }, (_, index) => `replica ${index + 1}`);
  const replicas = await Promise.all(names.map(makeServer));
  const clock = fakeClock();
  const standing = replicas.map((driver, index) => ({ name: names[index] ?? '', driver }));
  const layer: DatabaseDriver = new ReplicatedDriver(primary, standing, clock);
  const database = new Database<Schema>(layer);
  opened.push(database);
  return { database, layer, primary, replicas, clock };
}

async function answeredBy({ query }: Database<Schema>): Promise<string> {
  return (await query.selectFrom('server').select('name').executeTakeFirstOrThrow()).name;
}

async function streamedFrom({ query }: Database<Schema>): Promise<string | undefined> {
  const [row] = await Array.fromAsync(query.selectFrom('server').select('name').stream());
  return row?.name;
}

async function inContext<Result>(fn: () => Promise<Result>): Promise<Result> {
  return await runWithContext({}, fn);
}

async function write({ query }: Database<Schema>): Promise<void> {
  await query.insertInto('item').values({ id: 1 }).execute();
}

/** Makes the calls of a driver fail in this way, until the returned function is called. */
function broken(driver: DatabaseDriver, error: unknown): () => void {
  const fail = async (): Promise<never> => await Promise.reject(error);
  const stream: DatabaseDriver['stream'] = async function* () {
    yield await fail();
  };
  const own = { execute: fail, begin: fail, checkHealth: fail, start: fail, stream };
  Object.assign(driver, own);
  return () => {
    for (const name of Object.keys(own)) Reflect.deleteProperty(driver, name);
  };
}

const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

describe('replicas › reads', () => {
  it('are spread, and those of one context are answered by one', async () => {
    const { database } = await replicated();
    const seen = await Promise.all(
      [1, 2, 3, 4].map(
        async () =>
          await inContext(async () => [await answeredBy(database), await streamedFrom(database)]),
      ),
    );
    expect(seen).toEqual([
      ['replica 2', 'replica 2'],
      ['replica 1', 'replica 1'],
      ['replica 2', 'replica 2'],
      ['replica 1', 'replica 1'],
    ]);
  });

  it('of a context that has written are answered by the primary, wherever in it', async () => {
    const { database } = await replicated();
    await inContext(async () => {
      await inContext(async () => await write(database));
      expect(await answeredBy(database)).toBe('primary');
      expect(await streamedFrom(database)).toBe('primary');
      expect(await inContext(async () => await answeredBy(database))).toBe('primary');
    });
    expect(await inContext(async () => await answeredBy(database))).toMatch('replica');
  });

  it('outside of any context are those of one', async () => {
    const { database } = await replicated();
    expect([await answeredBy(database), await answeredBy(database)].toSorted()).toEqual([
      'replica 1',
      'replica 2',
    ]);
    await write(database);
    expect(await answeredBy(database)).toBe('primary');
    expect(await inContext(async () => await answeredBy(database))).toMatch('replica');
  });

  const writes: readonly [string, (scene: Scene) => Promise<unknown>][] = [
    ['raw SQL', async ({ database }) => await sql`select 1`.execute(database.query)],
    [
      'a stream of raw SQL',
      async ({ layer }) =>
        await Array.fromAsync(layer.stream(CompiledQuery.raw('select 1'), { chunkSize: 1 })),
    ],
    [
      'a read of what it changes itself',
      async ({ database: { query } }) =>
        await query
          .with('gone', (part) => part.deleteFrom('item').returning('id'))
          .selectFrom('gone')
          .selectAll()
          .execute()
          // Not in SQLite.
          .catch(() => undefined),
    ],
    [
      'a transaction',
      async ({ database }) => {
        await database.transaction(async () => expect(await answeredBy(database)).toBe('primary'));
      },
    ],
    [
      'a write whose answer was lost',
      async ({ database, primary }) => {
        const restore = broken(primary, new Error('lost'));
        await expect(write(database)).rejects.toMatchObject({ outcome: 'unknown' });
        restore();
      },
    ],
  ];
  it.each(writes)('after %s are answered by the primary', async (_, act) => {
    const scene = await replicated();
    await scene.database.start();
    await inContext(async () => {
      await act(scene);
      expect(await answeredBy(scene.database)).toBe('primary');
    });
  });

  it('that take locks are those of the primary', async () => {
    const { database, replicas } = await replicated();
    for (const driver of replicas) broken(driver, new Error('not here'));
    const locking = inContext(
      async () => await database.query.selectFrom('item').selectAll().forUpdate().execute(),
    );
    // SQLite has none.
    await expect(locking).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('say which replica answered', async () => {
    const { database } = await replicated(1);
    const events: OperationEvent[] = [];
    const stop = subscribeToOperations({ end: (event) => events.push(event) });
    await answeredBy(database);
    await streamedFrom(database);
    await write(database);
    await answeredBy(database);
    stop();
    expect(events.map(({ attributes }) => attributes['replica'])).toEqual([
      'replica 1',
      'replica 1',
      undefined,
      undefined,
    ]);
  });
});

describe('replicas › read-only transactions', () => {
  const name = CompiledQuery.raw('select name from server');

  it('run on a replica, unless they are to be serializable or the context has written', async () => {
    const { database, layer } = await replicated(1);
    await database.start();
    const at = async (options: Parameters<DatabaseDriver['begin']>[0]): Promise<unknown> => {
      const transaction = await layer.begin(options);
      const { rows } = await transaction.execute(name);
      await transaction.commit();
      return rows[0]?.['name'];
    };
    await inContext(async () => {
      expect(await at({ readOnly: true })).toBe('replica 1');
      expect(await at({ readOnly: true, isolation: 'repeatable-read' })).toBe('replica 1');
      expect(await at({ readOnly: true, isolation: 'serializable' })).toBe('primary');
      expect(await answeredBy(database)).toBe('replica 1');
      await write(database);
      expect(await at({ readOnly: true })).toBe('primary');
    });
  });

  it('run on the primary when the replica cannot begin one', async () => {
    const { database, layer, replicas } = await replicated(1);
    await database.start();
    for (const driver of replicas) broken(driver, refused);
    const transaction = await inContext(async () => await layer.begin({ readOnly: true }));
    expect(await transaction.execute(name)).toEqual({ rows: [{ name: 'primary' }] });
    await transaction.rollback();
  });
});

describe('replicas › a replica that fails', () => {
  it('is passed over, makes the health degraded, and serves again when it is back', async () => {
    const { database, replicas, clock } = await replicated();
    await database.start();
    const [first, second] = replicas;
    if (!first || !second) throw new Error('there are two');
    const restore = broken(second, refused);
    await inContext(async () => {
      expect(await answeredBy(database)).toBe('primary');
      expect(await answeredBy(database)).toBe('replica 1');
    });
    for (const _ of [1, 2, 3])
      expect(await inContext(async () => await streamedFrom(database))).toBe('replica 1');
    expect(await database.checkHealth()).toEqual({
      status: 'degraded',
      message: 'the replica replica 2 serves no reads: refused',
    });
    restore();
    // It is left alone for a while.
    await inContext(async () => await answeredBy(database));
    expect((await database.checkHealth()).status).toBe('degraded');
    await clock.advance(1000);
    while ((await database.checkHealth()).status !== 'ok') await nextTurn();
    const seen = [1, 2].map(async () => await inContext(async () => await answeredBy(database)));
    expect((await Promise.all(seen)).toSorted()).toEqual(['replica 1', 'replica 2']);
  });

  it('while no other serves, leaves the reads to the primary', async () => {
    const { database, replicas } = await replicated();
    for (const driver of replicas) broken(driver, refused);
    expect(await answeredBy(database)).toBe('primary');
    expect(await streamedFrom(database)).toBe('primary');
    expect((await database.checkHealth()).status).toBe('degraded');
  });

  it('at the start keeps nothing from starting, and serves once it is there', async () => {
    const { database, replicas, clock } = await replicated(1);
    const restores = replicas.map((driver) => broken(driver, refused));
    await database.start();
    expect(await answeredBy(database)).toBe('primary');
    for (const restore of restores) restore();
    await clock.advance(1000);
    // Nobody waits for the trial.
    while ((await answeredBy(database)) !== 'replica 1') await nextTurn();
    expect(await database.checkHealth()).toEqual({ status: 'ok' });
  });

  it('between two rows of a stream fails it, for the primary’s rows are of another moment', async () => {
    const { database, replicas } = await replicated(1);
    await database.start();
    for (const driver of replicas) {
      const { stream } = driver;
      driver.stream = async function* (query, options) {
        yield* stream.call(driver, query, options);
        throw refused;
      };
    }
    await expect(streamedFrom(database)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await streamedFrom(database)).toBe('primary');
  });

  it('while the primary is down serves reads, and the health is down', async () => {
    const { database, primary } = await replicated(1);
    await database.start();
    broken(primary, refused);
    expect(await answeredBy(database)).toBe('replica 1');
    expect((await database.checkHealth()).status).toBe('down');
  });

  it('by not answering in time is left until it has answered', async () => {
    const { database, replicas } = await replicated(1);
    await database.start();
    const restores = replicas.map((driver) =>
      broken(driver, new DOMException('late', 'TimeoutError')),
    );
    await expect(answeredBy(database)).rejects.toMatchObject({ code: 'deadline-exceeded' });
    expect(await answeredBy(database)).toBe('primary');
    for (const restore of restores) restore();
    expect((await database.checkHealth()).status).toBe('degraded');
  });
});

describe('replicas › what a replica cannot answer', () => {
  it('such as a table that it has not got yet, the primary does', async () => {
    const { database } = await replicated(1);
    await database.start();
    await inContext(
      async () => await sql`alter table item add column extra text`.execute(database.query),
    );
    const later = database.query.selectFrom('item').select(sql`extra`.as('extra'));
    await inContext(async () => {
      expect(await later.execute()).toEqual([]);
      // It says nothing of the replica.
      expect(await answeredBy(database)).toBe('replica 1');
    });
    expect(await database.checkHealth()).toEqual({ status: 'ok' });
  });

  it('and the primary neither, fails as it does there', async () => {
    const { database } = await replicated(1);
    const wrong = database.query.selectFrom('item').select(sql`nothing`.as('nothing'));
    await expect(wrong.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('since it writes after all, is a write', async () => {
    const { database, replicas } = await replicated(1);
    await database.start();
    const restores = replicas.map((driver) =>
      broken(driver, Object.assign(new Error('read-only'), { code: 'EROFS' })),
    );
    await inContext(async () => {
      expect(await answeredBy(database)).toBe('primary');
      for (const restore of restores) restore();
      expect(await answeredBy(database)).toBe('primary');
    });
  });

  it('since its caller has gone, nobody is asked', async () => {
    const { database, primary, replicas } = await replicated(1);
    await database.start();
    const controller = new AbortController();
    for (const driver of replicas)
      driver.execute = async () => {
        controller.abort();
        return await Promise.reject(controller.signal.reason as Error);
      };
    broken(primary, new Error('it was asked'));
    const query = database.query.selectFrom('server').select('name');
    await expect(query.execute({ signal: controller.signal })).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});

/** One file, on which both the primary and the replica are. */
const target: ConformanceTarget<DatabaseSubject, keyof DatabaseCapabilities> = {
  adapter: 'sqlite with a replica',
  capabilities: sqliteDatabase({ file: 'unused.db' }).capabilities,
  async create() {
    const file = path.join(await mkdtemp(path.join(tmpdir(), 'underpin-replicas-')), 'app.db');
    const open = (): SqliteDriver =>
      new SqliteDriver({ file, synchronous: 'normal', waitTimeout: 1000, clock: systemClock });
    const replicas = [{ name: 'replica', driver: open() }];
    const layer: DatabaseDriver = new ReplicatedDriver(open(), replicas, systemClock);
    const subject: DatabaseSubject = new Database(layer);
    folders.set(subject, path.dirname(file));
    return subject;
  },
  async dispose(subject) {
    await subject.close();
    await rm(folders.get(subject) ?? '', { recursive: true });
  },
};

registerConformance(databaseConformance, target, { describe, it });

describe('replicas › close', () => {
  it('closes every server, also when one cannot be closed', async () => {
    const { database, primary, replicas } = await replicated();
    await database.start();
    const closed: number[] = [];
    for (const [index, driver] of [primary, ...replicas].entries()) {
      const close = driver.close.bind(driver);
      driver.close = async () => {
        closed.push(index);
        await close();
        if (driver === primary) throw new Error('stuck');
      };
    }
    opened.length = 0;
    await expect(database.close()).rejects.toThrow('stuck');
    expect(new Set(closed)).toEqual(new Set([0, 1, 2]));
  });
});
