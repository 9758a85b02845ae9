import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { type RawBuilder, sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { noPolicy } from '../../../src/core/index.ts';
import type { TestDatabase } from '../../services/databases.ts';
import { type ServerDatabase, targets } from './targets.ts';

interface Schema {
  item: { id: number; name: string };
}

for (const target of targets)
  describe.skipIf(target.missing)(`database ${target.engine} › statements on the server`, () => {
    let made: TestDatabase;
    let database: ServerDatabase<Schema>;
    /** Looks on from outside of any transaction. */
    let watcher: ServerDatabase;

    beforeAll(async () => {
      made = await target.make();
      watcher = target.open({ url: made.url, poolSize: 1 });
      // Without a policy, which would let go of a call before its outcome is known.
      database = target.open<Schema>({ url: made.url, policy: noPolicy });
      await sql`create table item (id integer primary key, name varchar(200) not null)`.execute(
        database.query,
      );
    });

    beforeEach(async () => {
      await database.query.deleteFrom('item').execute();
    });

    afterAll(async () => {
      await database?.close();
      await watcher?.close();
      await made?.remove();
    });

    const insert = async (id: number, name = 'a'): Promise<unknown> =>
      await database.query.insertInto('item').values({ id, name }).execute();

    const names = async (): Promise<string[]> => {
      const rows = await database.query.selectFrom('item').select('name').orderBy('id').execute();
      return rows.map(({ name }) => name);
    };

    /** A statement of ten minutes, to be found by its mark. */
    const slow = (mark: string): RawBuilder<unknown> =>
      sql`select ${sql.raw(`${target.sleep(600)} /* ${mark} */`)}`;

    /** Waits until the server runs so many statements with this text. */
    const untilRunning = async (text: string, count: number): Promise<void> => {
      const running = target.running(text);
      while ((await running.execute(watcher.query)).rows.length !== count) await sleep(10);
    };

    const busy = (): number => database.native.pool.totalCount - database.native.pool.idleCount;

    const connectionOf = async ({ query }: ServerDatabase): Promise<number | undefined> =>
      (await target.connection.execute(query)).rows[0]?.id;

    test('an abort ends the statement on the server, and its connection goes on', async () => {
      const controller = new AbortController();
      const sleeping = slow('abort').execute(database.query, { signal: controller.signal });
      const failed = sleeping.catch((error: unknown) => error);
      await untilRunning('/* abort */', 1);
      const before = database.native.pool.totalCount;
      controller.abort();
      expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      await untilRunning('/* abort */', 0);
      expect(database.native.pool.totalCount).toBe(before);
      expect(busy()).toBe(0);
    });

    test('an abort of a transaction ends what it runs, and lets go of its locks', async () => {
      const controller = new AbortController();
      const transaction = database.transaction(
        async () => {
          await insert(1);
          await slow('transaction').execute(database.query);
        },
        { signal: controller.signal },
      );
      const failed = transaction.catch((error: unknown) => error);
      await untilRunning('/* transaction */', 1);
      controller.abort();
      expect(await failed).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      await insert(1, 'b');
      await untilRunning('/* transaction */', 0);
    });

    test('a branch that fails ends the others, and the transaction is rolled back', async () => {
      const transaction = database.transaction(
        async () =>
          await Promise.all([
            slow('branch').execute(database.query),
            untilRunning('/* branch */', 1).then(() => {
              throw new RangeError('mine');
            }),
          ]),
      );
      await expect(transaction).rejects.toThrow(RangeError);
      await untilRunning('/* branch */', 0);
    });

    test('a deadlock is undone and run again', async () => {
      await insert(1);
      await insert(2, 'b');
      const bump = async (...ids: number[]): Promise<void> =>
        await database.transaction(
          async () => {
            for (const id of ids) {
              await sql`update item set name = concat(name, '.') where id = ${id}`.execute(
                database.query,
              );
              await sleep(20);
            }
          },
          { isolation: 'read-committed' },
        );
      await Promise.all([bump(1, 2), bump(2, 1)]);
      expect(await names()).toEqual(['a..', 'b..']);
    });

    test('more parameters than the server takes are refused before they are sent', async () => {
      const parameters = Array.from({ length: 65_536 }, (_, index) => index);
      const among = async (values: readonly number[]): Promise<unknown> =>
        await sql`select 1 from item where -1 in (${sql.join(values)})`.execute(database.query);
      await expect(among(parameters)).rejects.toMatchObject({
        code: 'invalid-argument',
        outcome: 'not-applied',
        message: expect.stringContaining('65535') as string,
      });
      expect(await among(parameters.slice(1))).toMatchObject({ rows: [] });
    });

    test('a migration may take longer than statements may', async () => {
      await using hasty = target.open({ url: made.url, statementTimeout: 300 });
      const up = `select ${target.sleep(1)}`;
      await hasty.migrate([{ name: '1', up }], { set: 'slow' });
      await expect(slow('hasty').execute(hasty.query)).rejects.toMatchObject({
        code: 'deadline-exceeded',
      });
    });

    test('many rows are written at once, and a failure leaves none of its own', async () => {
      const add = database.prepare<Schema['item'], unknown>((query, parameter) =>
        query.insertInto('item').values({ id: parameter('id'), name: parameter('name') }),
      );
      const items = Array.from({ length: 2500 }, (_, id) => ({ id, name: `name ${id}` }));
      expect(await add.executeMany(items)).toBe(2500n);
      const taken = [3000, 7].map((id) => ({ id, name: 'x' }));
      await expect(add.executeMany(taken)).rejects.toMatchObject({ code: 'already-exists' });
      expect(await names()).toHaveLength(2500);
    });

    test('rows that a write returns can be streamed', async () => {
      const stream = database.query
        .insertInto('item')
        .values([1, 2, 3].map((id) => ({ id, name: 'a' })))
        .returning('id')
        .stream(2);
      expect(await Array.fromAsync(stream)).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
      expect(await names()).toHaveLength(3);
    });

    test('nobody gets a connection that the server has ended', async () => {
      await using own = target.open({ url: made.url, policy: noPolicy, poolSize: 1 });
      for (let round = 0; round < 20; round += 1) {
        const id = await connectionOf(own);
        const failed = slow('ended')
          .execute(own.query)
          .catch((error: unknown) => error);
        await untilRunning('/* ended */', 1);
        await target.terminate(id ?? 0).execute(watcher.query);
        expect(await failed).toMatchObject({ code: 'unavailable', outcome: 'unknown' });
        expect((await sql`select 1 as one`.execute(own.query)).rows).toEqual([{ one: 1 }]);
      }
    });

    test('a connection lives no longer than it may', async () => {
      await using own = target.open({ url: made.url, poolSize: 1, maxLifetime: 1 });
      const first = await connectionOf(own);
      let next = first;
      while (next === first) next = await connectionOf(own);
      expect(next).toBeTypeOf('number');
    });

    test('a wait for a connection ends with its signal', async () => {
      await using small = target.open({ url: made.url, poolSize: 1, policy: noPolicy });
      const outside = AsyncLocalStorage.snapshot();
      await small.transaction(async () => {
        const controller = new AbortController();
        const waiting = outside(
          async () => await sql`select 1`.execute(small.query, { signal: controller.signal }),
        );
        controller.abort();
        await expect(waiting).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
      });
    });

    test.each([
      ['a write, a close leaves its outcome unknown', 'unknown', false],
      ['a transaction before its commit, a close applies nothing', 'not-applied', true],
    ] as const)('in the midst of %s', async (_, outcome, inTransaction) => {
      const own = target.open<Schema>({ url: made.url, policy: noPolicy });
      const mark = sql.lit(`closed ${outcome}`);
      const write = async (): Promise<unknown> =>
        await sql`insert into item select 1, concat(${mark}, ${sql.raw(target.sleep(600))})`.execute(
          own.query,
        );
      const failed = (inTransaction ? own.transaction(write) : write()).catch(
        (error: unknown) => error,
      );
      await untilRunning(`closed ${outcome}`, 1);
      await own.close();
      expect(await failed).toMatchObject({ code: 'failed-precondition', outcome });
    });
  });
