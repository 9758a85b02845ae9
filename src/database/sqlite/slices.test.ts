import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Clock, runWithContext, systemClock } from '../../core/index.ts';
import type { Parameter } from '../prepared-query.ts';
import { sqliteDatabase, type SqliteDatabase } from './index.ts';

interface Schema {
  item: { id: number; name: string };
}

const count = 1000;

let folder: string;
let database: SqliteDatabase<Schema>;

/** By which each slice is over at the first look at the clock. */
function hastyClock(): Clock {
  let now = 0;
  return { now: () => (now += 1000), sleep: systemClock.sleep };
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-slices-'));
  const file = path.join(folder, 'app.db');
  database = sqliteDatabase<Schema>({ file, clock: hastyClock() });
  await sql`create table item (id integer primary key, name text not null)`.execute(database.query);
  await insert().executeMany(items(1, count));
});

afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

function items(first: number, number: number): Schema['item'][] {
  return Array.from({ length: number }, (_, index) => ({
    id: first + index,
    name: `item ${first + index}`,
  }));
}

function insert() {
  return database.prepare((query, parameter: Parameter<Schema['item']>) =>
    query.insertInto('item').values({ id: parameter('id'), name: parameter('name') }),
  );
}

const all = () => database.query.selectFrom('item').select(['id', 'name']).orderBy('id');

async function counted(): Promise<number> {
  const { n } = await database.query
    .selectFrom('item')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return n;
}

/** A promise whose rejection may come before it is awaited. */
function background<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => undefined);
  return promise;
}

describe('sqlite › a long read under a signal', () => {
  it('lets others have their turn, and gives every row', async () => {
    const { signal } = new AbortController();
    let turns = 0;
    const reading = all().execute({ signal });
    const read = reading.then(() => true);
    while (!(await Promise.race([read, nextTurn(false)]))) turns += 1;
    const rows = await reading;
    expect(rows).toEqual(items(1, count));
    expect(turns).toBeGreaterThan(10);
  });

  it.for(['its own', "the context's"] as const)('ends between two rows by %s', async (whose) => {
    const controller = new AbortController();
    const { signal } = controller;
    const reading = background(
      whose === 'its own'
        ? all().execute({ signal })
        : runWithContext({ signal }, async () => await all().execute()),
    );
    await nextTurn();
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(await counted()).toBe(count);
    await database.drain();
  });

  it('that ends by a deadline says so', async () => {
    const controller = new AbortController();
    const reading = background(all().execute({ signal: controller.signal }));
    await nextTurn();
    controller.abort(new DOMException('late', 'TimeoutError'));
    await expect(reading).rejects.toMatchObject({ code: 'deadline-exceeded' });
  });

  it('sees one moment, while others see what is written meanwhile', async () => {
    const { signal } = new AbortController();
    const reading = all().execute({ signal });
    await nextTurn();
    await insert().execute({ id: count + 1, name: 'later' });
    expect(await counted()).toBe(count + 1);
    // The very same text, at once and in slices.
    expect(await all().execute()).toHaveLength(count + 1);
    expect(await all().execute({ signal })).toHaveLength(count + 1);
    expect(await reading).toHaveLength(count);
  });

  it('many at once all give their rows, also those for which no connection is left', async () => {
    const { signal } = new AbortController();
    const results = await Promise.all(
      Array.from({ length: 20 }, async () => await all().execute({ signal })),
    );
    expect(results.map(({ length }) => length)).toEqual(Array.from({ length: 20 }, () => count));
    await database.drain();
    const stream = all().stream(1);
    expect((await stream.next()).value).toEqual({ id: 1, name: 'item 1' });
    await stream.return?.();
  });

  it('fails when the database is closed meanwhile', async () => {
    const reading = background(all().execute({ signal: new AbortController().signal }));
    await nextTurn();
    await database.close();
    await expect(reading).rejects.toMatchObject({ code: 'failed-precondition' });
  });

  it('whose text hides a write is done once, as any other', async () => {
    const { signal } = new AbortController();
    const written = await runWithContext({ signal }, async () =>
      sql`with source as (select 5000 as id) insert into item select id, 'x' from source`.execute(
        database.query,
      ),
    );
    expect(written.numAffectedRows).toBe(1n);
    expect(await counted()).toBe(count + 1);
  });
});

describe('sqlite › long work of a transaction under a signal', () => {
  it('gives way, and serves the calls of the transaction in their order', async () => {
    const { signal } = new AbortController();
    await database.transaction(async () => {
      const reading = all().execute({ signal });
      const writing = insert().execute({ id: count + 1, name: 'later' });
      const nested = database.transaction(async () => await counted());
      expect(await reading).toHaveLength(count);
      await writing;
      expect(await nested).toBe(count + 1);
    });
    expect(await counted()).toBe(count + 1);
  });

  it('ends between two rows, and the transaction goes on', async () => {
    const controller = new AbortController();
    await database.transaction(async () => {
      const reading = background(all().execute({ signal: controller.signal }));
      await nextTurn();
      controller.abort();
      await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
      await insert().execute({ id: count + 1, name: 'later' });
    });
    expect(await counted()).toBe(count + 1);
  });

  it('ends with the transaction when that is aborted', async () => {
    const controller = new AbortController();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    let reading: Promise<unknown> | undefined;
    const transaction = background(
      database.transaction(
        async () => {
          await insert().execute({ id: count + 1, name: 'undone' });
          reading = background(all().execute({ signal: new AbortController().signal }));
          begin();
          await reading;
        },
        { signal: controller.signal },
      ),
    );
    await begun;
    controller.abort();
    await expect(transaction).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    await expect(reading).rejects.toMatchObject({ code: 'failed-precondition' });
    expect(await counted()).toBe(count);
    await insert().execute({ id: count + 1, name: 'later' });
  });

  it('is finished before a commit that is called meanwhile', async () => {
    const { signal } = new AbortController();
    let reading: Promise<Schema['item'][]> | undefined;
    await database.transaction(async () => {
      reading = all().execute({ signal });
    });
    expect(await reading).toHaveLength(count);
  });

  it('executeMany that is aborted between two rows has written none, and the transaction goes on', async () => {
    const controller = new AbortController();
    await database.transaction(async () => {
      await insert().execute({ id: 5000, name: 'before' });
      const writing = background(
        insert().executeMany(items(6000, count), { signal: controller.signal }),
      );
      await nextTurn();
      controller.abort();
      await expect(writing).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      await insert().execute({ id: 5001, name: 'after' });
    });
    expect(await counted()).toBe(count + 2);
  });

  it('executeMany that fails at a row has written none, though the transaction goes on', async () => {
    await database.transaction(async () => {
      const writing = insert().executeMany([...items(6000, 3), { id: 1, name: 'taken' }]);
      await expect(writing).rejects.toMatchObject({ code: 'already-exists' });
      expect(await counted()).toBe(count);
      expect(await insert().executeMany(items(6000, 3))).toBe(3n);
    });
    expect(await counted()).toBe(count + 3);
  });

  it('executeMany outside of a transaction is undone by an abort', async () => {
    const controller = new AbortController();
    const writing = background(
      insert().executeMany(items(6000, count), { signal: controller.signal }),
    );
    await nextTurn();
    controller.abort();
    await expect(writing).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(await counted()).toBe(count);
  });
});
