import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
import type { Migration } from '../migrations/migration.ts';
import {
  background,
  type DatabaseCase,
  type DatabaseSubject,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

const first: Migration = { name: '0001-first', up: 'create table first_table (id integer)' };
const second: Migration = {
  name: '0002-second',
  up: async (query) =>
    await query.schema.createTable('second_table').addColumn('id', 'integer').execute(),
};
const broken: Migration = {
  name: '0003-broken',
  up: 'create table third_table (id integer); insert into nowhere (id) values (1)',
};

async function tables({ query }: DatabaseSubject): Promise<string[]> {
  const found = await query.introspection.getTables();
  return found
    .map(({ name }) => name)
    .filter((name) => name.endsWith('_table'))
    .toSorted();
}

const migrations: readonly DatabaseCase[] = [
  {
    id: 'migrate › applies each once, in order, text or function',
    run: async (database) => {
      assert.deepEqual(await database.migrate([first]), { applied: ['0001-first'] });
      assert.deepEqual(await database.migrate([first, second]), { applied: ['0002-second'] });
      assert.deepEqual(await database.migrate([first, second]), { applied: [] });
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › several at the same time apply each once',
    run: async (database) => {
      const results = await Promise.all(
        [1, 2, 3, 4].map(async () => await database.migrate([first, second])),
      );
      assert.deepEqual(results.flatMap(({ applied }) => applied).toSorted(), [
        '0001-first',
        '0002-second',
      ]);
    },
  },
  {
    id: 'migrate › one that was edited, removed or moved is refused',
    run: async (database) => {
      await database.migrate([first, second]);
      const edited = { ...first, up: 'create table first_table (id integer, extra integer)' };
      assert.match(
        (await rejectsWith(database.migrate([edited, second]), 'failed-precondition')).message,
        /0001-first.*edited/,
      );
      assert.match(
        (
          await rejectsWith(
            database.migrate([{ ...first, name: '0001-other' }, second]),
            'failed-precondition',
          )
        ).message,
        /0001-first.*missing/,
      );
      assert.match(
        (await rejectsWith(database.migrate([second, first]), 'failed-precondition')).message,
        /0001-first.*number 1 and now is number 2/,
      );
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › a database that is ahead of the list is accepted',
    run: async (database) => {
      await database.migrate([first, second]);
      assert.deepEqual(await database.migrate([first]), { applied: [] });
    },
  },
  {
    id: 'migrate › line endings do not count as an edit',
    run: async (database) => {
      await database.migrate([{ name: '1', up: 'create table first_table\n(id integer)' }]);
      assert.deepEqual(
        await database.migrate([{ name: '1', up: 'create table first_table\r\n(id integer)\r\n' }]),
        { applied: [] },
      );
    },
  },
  {
    id: 'migrate › each set has a history of its own',
    run: async (database) => {
      await database.migrate([first]);
      assert.deepEqual(
        await database.migrate([{ ...second, name: '0001-first' }], { set: 'other' }),
        { applied: ['0001-first'] },
      );
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › one that fails leaves the schema as it was, and those before it applied',
    requires: ['transactionalDdl'],
    run: async (database) => {
      const error = await rejectsWith(database.migrate([first, broken]), 'invalid-argument');
      assert.match(error.message, /0003-broken/);
      assert.deepEqual(await tables(database), ['first_table']);
      assert.deepEqual(await database.migrate([first, second]), { applied: ['0002-second'] });
    },
    unsupported: async (database) => {
      await rejectsWith(database.migrate([first, broken]), 'invalid-argument');
      assert.deepEqual(await database.migrate([first]), { applied: [] });
    },
  },
  {
    id: 'migrate › two of one name, and a call inside of a transaction, are refused',
    run: async (database) => {
      await rejectsWith(database.migrate([first, first]), 'invalid-argument');
      await rejectsWith(
        database.transaction(async () => await database.migrate([first])),
        'failed-precondition',
      );
      assert.deepEqual(await tables(database), []);
    },
  },
];

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

/** Migrations, closing, draining, health and notifications. */
export const lifecycleCases: readonly DatabaseCase[] = [
  ...migrations,
  ...lifecycle,
  ...notifications,
];
