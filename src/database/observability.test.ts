import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';

import {
  fakeClock,
  type InfrastructureError,
  type OperationEvent,
  runWithContext,
  subscribeToOperations,
  systemClock,
} from '../core/index.ts';
import { createLogger, logOperations } from '../logging/index.ts';
import { CallSite } from './call-site.ts';
import { Database, type DatabaseOptions } from './database.ts';
import type { DatabaseDriver } from './driver.ts';
import { HeldConnections } from './held-connections.ts';
import { sqliteDatabase } from './sqlite/index.ts';
import { SqliteDriver } from './sqlite/sqlite-driver.ts';

interface Schema {
  item: { id: number; name: string };
}

const cleanups: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const each of cleanups.splice(0)) await each();
});

async function open(
  options: DatabaseOptions = {},
  change: (driver: DatabaseDriver) => Partial<DatabaseDriver> = () => ({}),
): Promise<Database<Schema>> {
  const driver: DatabaseDriver = new SqliteDriver({
    file: ':memory:',
    synchronous: 'normal',
    waitTimeout: 50,
    clock: systemClock,
  });
  const database = new Database<Schema>(Object.assign(driver, change(driver)), options);
  cleanups.push(async () => await database.close());
  await sql`create table item (id integer primary key, name text)`.execute(database.query);
  return database;
}

/** What ends from now on, of these operations. */
function recordEvents(...operations: string[]): OperationEvent[] {
  const seen: OperationEvent[] = [];
  cleanups.push(
    subscribeToOperations({
      end: (event) => {
        if (event.component === 'database' && operations.includes(event.operation))
          seen.push(event);
      },
    }),
  );
  return seen;
}

/** A folder of the test's own. */
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-observability-'));
  cleanups.push(async () => await rm(folder, { recursive: true }));
  return folder;
}

describe('call site', () => {
  it("is the application's line, past a package's and Node's own, and past this package's", () => {
    expect(new CallSite().toString()).toMatch(/:\d+$/);
    const { stackTraceLimit } = Error;
    const site = new CallSite();
    // Of everybody else's stacks.
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
    expect(site.toString()).not.toContain('call-site.ts');
  });
});

describe('leaks', () => {
  it('each that is held for too long is told once, of whom it was, and the others are not', async () => {
    const events = recordEvents('leak');
    const clock = fakeClock();
    const due: { readonly fn: () => void; readonly at: number }[] = [];
    const held = new HeldConnections({
      adapter: 'tested',
      leakAfter: 100,
      clock,
      schedule: (fn, milliseconds) => due.push({ fn, at: clock.now() + milliseconds }),
    });
    const advance = async (milliseconds: number): Promise<void> => {
      await clock.advance(milliseconds);
      for (const each of due.splice(0)) {
        if (each.at <= clock.now()) each.fn();
        else due.push(each);
      }
      await nextTurn();
    };
    const site = new CallSite();
    runWithContext({ requestId: 'first' }, () => held.hold('transaction', site));
    await advance(60);
    const release = held.hold('stream', site);
    held.hold('stream', site);
    await advance(39);
    expect(events).toEqual([]);
    await advance(1);
    expect(events).toMatchObject([
      {
        attributes: {
          adapter: 'tested',
          holder: 'transaction',
          heldMs: 100,
          site: site.toString(),
        },
        context: { requestId: 'first' },
      },
    ]);
    release();
    await advance(60);
    expect(events).toMatchObject([{}, { attributes: { holder: 'stream', heldMs: 100 } }]);
    await advance(1000);
    expect([events.length, due.length]).toEqual([2, 0]);
    held.hold('transaction', site);
    await advance(100);
    expect(events).toHaveLength(3);
  });

  it('a transaction, a stream and one of Kysely that do not end are told, and those that end are not', async () => {
    const file = path.join(await temporaryFolder(), 'test.db');
    const database = sqliteDatabase<Schema>({ file, leakAfter: 1 });
    cleanups.unshift(async () => await database.close());
    await sql`create table item (id integer primary key, name text)`.execute(database.query);
    await database.query
      .insertInto('item')
      .values([
        { id: 1, name: 'a' },
        { id: 2, name: 'b' },
      ])
      .execute();
    const events = recordEvents('leak');
    const until = async (count: number): Promise<void> => {
      while (events.length < count) await nextTurn();
    };
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const transaction = database.transaction(async () => await released);
    await until(1);
    release();
    await transaction;
    const stream = database.query.selectFrom('item').selectAll().stream(1);
    await stream.next();
    await until(2);
    await stream.return?.();
    const controlled = await database.query.startTransaction().execute();
    await until(3);
    await controlled.rollback().execute();
    expect(events.map(({ attributes }) => attributes['holder'])).toEqual([
      'transaction',
      'stream',
      'transaction',
    ]);
    for (const { attributes } of events) expect(attributes.warning).toMatch(/:\d+ has held/);
  });

  it('none is told when it is off', async () => {
    const events = recordEvents('leak');
    const database = await open({ leakAfter: 0 });
    await database.transaction(async () => await new Promise((resolve) => setTimeout(resolve, 20)));
    expect(events).toEqual([]);
  });

  it('whoever waits in vain is told who holds the connection, and for how long', async () => {
    const clock = fakeClock();
    const database = await open({ clock });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: held, resolve: hold } = Promise.withResolvers<void>();
    const holder = database.transaction(async () => {
      hold();
      await released;
    });
    await held;
    await clock.advance(1234);
    const waiting = [
      database.transaction(async () => undefined),
      sql`delete from item`.execute(database.query),
    ];
    for (const each of await Promise.allSettled(waiting)) {
      const error = each.status === 'rejected' ? (each.reason as InfrastructureError) : undefined;
      expect(error).toMatchObject({ code: 'resource-exhausted', outcome: 'not-applied' });
      expect(error?.message).toMatch(/held by a transaction of .*:\d+ for 1234 ms$/);
      expect(error?.details).toMatchObject({ waiting: expect.any(Number) as number });
    }
    release();
    await holder;
  });
});

describe('statements', () => {
  it('a slow one has a warning, which is logged at warn, and others have none', async () => {
    const clock = fakeClock();
    const database = await open({ clock, slowAfter: '2s' }, (driver) => {
      const execute = driver.execute.bind(driver);
      return {
        execute: async (query, signal) => {
          if (query.sql.includes('slow')) await clock.sleep(2000);
          return await execute(query, signal);
        },
      };
    });
    const events = recordEvents('query');
    const lines: string[] = [];
    cleanups.push(
      logOperations(
        createLogger({ level: 'warn', destination: { write: (line) => lines.push(line) } }),
      ),
    );
    const slow = sql`select 1 /* slow */`.execute(database.query);
    await clock.advance(2000);
    await slow;
    await sql`select 2`.execute(database.query);
    expect(events.map(({ attributes }) => attributes.warning)).toEqual([
      'the statement took 2000 ms (slowAfter is 2000 ms)',
      undefined,
    ]);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 'warn', msg: 'database.query: the statement took 2000 ms (slowAfter is 2000 ms)' },
    ]);
  });

  it('tells how long it waited for its connection, and only when it did', async () => {
    const database = await open();
    const events = recordEvents('query', 'transaction');
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: held, resolve: hold } = Promise.withResolvers<void>();
    const holder = database.transaction(async () => {
      hold();
      await released;
    });
    await held;
    const waiting = [
      sql`delete from item`.execute(database.query),
      database.transaction(async () => undefined),
    ];
    await nextTurn();
    release();
    await Promise.all([holder, ...waiting]);
    expect(
      events.map(({ operation, attributes }) => [operation, typeof attributes['waitedMs']]),
    ).toEqual([
      ['transaction', 'undefined'],
      ['query', 'number'],
      ['transaction', 'number'],
    ]);
  });

  it('parameters are in no event, nor in an error, unless they are asked for, and then cut', async () => {
    const secret = `secret${'x'.repeat(200)}`;
    const insert = async ({ query }: Database<Schema>): Promise<unknown> =>
      await query
        .insertInto('item')
        .values({ id: 1, name: secret })
        .execute()
        .catch((error: unknown) => error);
    const plain = await open();
    const events = recordEvents('query');
    await insert(plain);
    await insert(plain);
    const shown = JSON.stringify(events);
    expect([events.length, shown.includes('secret')]).toEqual([2, false]);

    const telling = await open({ parametersInEvents: true });
    events.length = 0;
    await insert(telling);
    const error = await insert(telling);
    await sql`select ${Uint8Array.of(1, 2)}, ${7n}`.execute(telling.query);
    expect(events.map(({ attributes }) => attributes['parameters'])).toEqual([
      [1, `secret${'x'.repeat(94)}… (206 characters)`],
      [1, `secret${'x'.repeat(94)}… (206 characters)`],
      ['2 bytes', 7n],
    ]);
    expect(JSON.stringify(error)).not.toContain('secret');
  });
});
