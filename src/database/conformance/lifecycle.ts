import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
import {
  background,
  type DatabaseCase,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

const lifecycle: readonly DatabaseCase[] = [
  withTables('close › a second one is fine, and any later use is refused', async (database) => {
    await insertNote(database, 1);
    await database.close();
    await database.close();
    await rejectsWith(insertNote(database, 2), 'failed-precondition');
    await rejectsWith(
      database.transaction(async () => undefined),
      'failed-precondition',
    );
    await rejectsWith(
      database.query.selectFrom('note').selectAll().stream(1).next(),
      'failed-precondition',
    );
    await rejectsWith(database.start(), 'failed-precondition');
  }),
  withTables(
    'close › an open transaction fails, and those who wait are refused',
    async (database) => {
      const { promise: closed, resolve: close } = Promise.withResolvers<void>();
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      const open = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          begin();
          await closed;
          await insertNote(database, 2);
        }),
      );
      await begun;
      // For the same row, so that it waits wherever transactions wait for each other.
      const waiting = background(database.transaction(async () => await insertNote(database, 1)));
      const refused = background(rejectsWith(waiting, 'failed-precondition'));
      await database.close();
      close();
      await rejectsWith(open, 'failed-precondition');
      await refused;
    },
  ),
  withTables('drain › waits for the open transaction', async (database) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const order: string[] = [];
    const open = background(
      database.transaction(async () => {
        begin();
        await released;
        await insertNote(database, 1);
        order.push('transaction');
      }),
    );
    await begun;
    const drained = background(database.drain().then(() => order.push('drained')));
    release();
    await Promise.all([open, drained]);
    assert.deepEqual(order, ['transaction', 'drained']);
    assert.deepEqual(await noteIds(database), [1]);
  }),
  withTables(
    'drain › gives up when its signal is aborted, and the database goes on',
    async (database) => {
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      const open = background(
        database.transaction(async () => {
          begin();
          await released;
        }),
      );
      await begun;
      await assert.rejects(database.drain({ signal: AbortSignal.abort() }));
      release();
      await open;
      await insertNote(database, 1);
      assert.deepEqual(await noteIds(database), [1]);
    },
  ),
  {
    id: 'health › is ok while open and down once closed',
    run: async (database) => {
      assert.equal((await database.checkHealth()).status, 'ok');
      await database.close();
      assert.equal((await database.checkHealth()).status, 'down');
    },
  },
];

const notifications: readonly DatabaseCase[] = [
  {
    id: 'listen › hears what is notified on its channel, until it is stopped',
    requires: ['notifications'],
    run: async (database) => {
      const notify = async (channel: string, payload: string): Promise<unknown> =>
        await sql`select pg_notify(${channel}, ${payload})`.execute(database.query);
      const heard: (string | undefined)[] = [];
      const stop = database.listen('News "of" today', (payload) => heard.push(payload));
      const others: (string | undefined)[] = [];
      const stopOther = database.listen('other', (payload) => others.push(payload));
      // It connects by itself, and hears nothing before it has.
      while (heard.length === 0 || others.length === 0) {
        await notify('News "of" today', 'a');
        await notify('other', 'a');
        await nextTurn();
      }
      await assert.rejects(
        database.transaction(async () => {
          await notify('News "of" today', 'undone');
          throw new Error('undo');
        }),
        /undo/,
      );
      stop();
      await notify('News "of" today', 'b');
      while (!others.includes('c')) {
        await notify('other', 'c');
        await nextTurn();
      }
      stopOther();
      assert.deepEqual([...new Set(heard)], ['a']);
    },
    unsupported: async (database) => {
      assert.throws(
        () => database.listen('channel', () => undefined),
        (error) => InfrastructureError.is(error, 'unimplemented'),
      );
    },
  },
];

/** Closing, draining, health and notifications. */
export const lifecycleCases: readonly DatabaseCase[] = [...lifecycle, ...notifications];
