import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';

import type { TransactionOptions } from '../transaction-options.ts';
import {
  background,
  createTables,
  type DatabaseCase,
  type DatabaseSubject,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

class Undo extends Error {}

/** Runs it in a transaction that is undone. */
async function undone(database: DatabaseSubject, fn: () => Promise<void>): Promise<void> {
  const transaction = database.transaction(async () => {
    await fn();
    throw new Undo();
  });
  await assert.rejects(transaction, Undo);
}

const requiresNew = { propagation: 'requires-new' } as const;
const notSupported = { propagation: 'not-supported' } as const;

const modes: readonly DatabaseCase[] = [
  withTables('propagation › required is nested inside, and new outside', async (database) => {
    const options = { propagation: 'required' } as const;
    await database.transaction(async () => await insertNote(database, 1), options);
    await undone(
      database,
      async () => await database.transaction(async () => await insertNote(database, 2), options),
    );
    assert.deepEqual(await noteIds(database), [1]);
  }),
  withTables(
    'propagation › mandatory is nested inside, and refused outside before anything runs',
    async (database) => {
      const options = { propagation: 'mandatory' } as const;
      let ran = false;
      await rejectsWith(
        database.transaction(async () => void (ran = true), options),
        'failed-precondition',
      );
      assert.equal(ran, false);
      await undone(
        database,
        async () => await database.transaction(async () => await insertNote(database, 1), options),
      );
      assert.deepEqual(await noteIds(database), []);
    },
  ),
  withTables(
    'propagation › never is refused inside, and outside begins no transaction',
    async (database) => {
      const options = { propagation: 'never' } as const;
      await database.transaction(async () => {
        let ran = false;
        await rejectsWith(
          database.transaction(async () => void (ran = true), options),
          'failed-precondition',
        );
        assert.equal(ran, false);
      });
      await assert.rejects(
        database.transaction(async () => {
          assert.equal(database.inTransaction, false);
          await insertNote(database, 1);
          throw new Undo();
        }, options),
        Undo,
      );
      assert.deepEqual(await noteIds(database), [1]);
    },
  ),
  withTables(
    'propagation › requires-new and not-supported are nothing special outside',
    async (database) => {
      await assert.rejects(
        database.transaction(async () => {
          await insertNote(database, 1);
          throw new Undo();
        }, requiresNew),
        Undo,
      );
      await database.transaction(async () => {
        assert.equal(database.inTransaction, false);
        await insertNote(database, 2);
      }, notSupported);
      assert.deepEqual(await noteIds(database), [2]);
    },
  ),
  {
    id: 'propagation › requires-new stands, whatever becomes of the transaction around it',
    requires: ['independentTransactions'],
    run: async (database) => {
      await createTables(database);
      const seen: string[] = [];
      // Where serializable reads take locks, this one would wait for the transaction around it.
      const reading = { ...requiresNew, isolation: 'read-committed' } as const;
      await undone(database, async () => {
        await insertNote(database, 1);
        await database.transaction(async () => {
          assert.deepEqual(await noteIds(database), []);
          await insertNote(database, 2);
          await database.transaction(async () => await insertNote(database, 3));
          await database.afterCommit(() => void seen.push(`committed ${database.inTransaction}`));
        }, reading);
        assert.deepEqual(seen, ['committed false']);
        await assert.rejects(
          database.transaction(async () => {
            await insertNote(database, 4);
            throw new Undo();
          }, requiresNew),
          Undo,
        );
        // The outer one goes on where it was.
        assert.equal(database.inTransaction, true);
        await insertNote(database, 5);
      });
      assert.deepEqual(await noteIds(database), [2, 3]);
    },
    unsupported: async (database) => {
      await createTables(database);
      await database.transaction(async () => {
        let ran = false;
        const fn = async (): Promise<void> => void (ran = true);
        // At once, and not when the wait for its own caller is over.
        const error = await rejectsWith(database.transaction(fn, requiresNew), 'unimplemented');
        assert.equal(error.outcome, 'not-applied');
        assert.equal(ran, false);
        await insertNote(database, 1);
      });
      assert.deepEqual(await noteIds(database), [1]);
    },
  },
  {
    id: 'propagation › requires-new, however deep, is refused before it waits for its own caller',
    requires: ['independentTransactions'],
    run: async (database) => {
      let depth = 0;
      const deeper = async (): Promise<void> => {
        depth += 1;
        assert.ok(depth < 1000, 'there is no end to the connections');
        await database.transaction(deeper, requiresNew);
      };
      await rejectsWith(deeper(), 'failed-precondition');
    },
    unsupported: async (database) => {
      await rejectsWith(
        database.transaction(
          async () => await database.transaction(async () => undefined, requiresNew),
        ),
        'unimplemented',
      );
    },
  },
  {
    id: 'propagation › not-supported reads and writes beside the transaction around it',
    requires: ['independentTransactions'],
    run: async (database) => {
      await createTables(database);
      await undone(database, async () => {
        await insertNote(database, 1);
        await database.transaction(async () => {
          assert.equal(database.inTransaction, false);
          assert.deepEqual(await noteIds(database), []);
          await insertNote(database, 2);
          await database.transaction(async () => await insertNote(database, 3));
        }, notSupported);
        assert.equal(database.inTransaction, true);
      });
      assert.deepEqual(await noteIds(database), [2, 3]);
    },
    unsupported: async (database) => {
      await createTables(database);
      await database.transaction(async () => {
        await insertNote(database, 1);
        const beside = async (fn: () => Promise<unknown>): Promise<void> =>
          await database.transaction(async () => void (await fn()), notSupported);
        if (database.capabilities.concurrentReads) {
          await beside(async () => assert.deepEqual(await noteIds(database), []));
        }
        for (const write of [
          async () => await insertNote(database, 2),
          async () => await sql`delete from note`.execute(database.query),
          async () => await database.transaction(async () => await insertNote(database, 2)),
        ])
          await rejectsWith(beside(write), 'unimplemented');
        await insertNote(database, 3);
      });
      assert.deepEqual(await noteIds(database), [1, 3]);
    },
  },
  {
    id: 'propagation › what is wrong is refused before anything runs',
    run: async (database) => {
      let ran = false;
      // Types keep these out of code, and nothing out of a configuration.
      const wrong = [
        { propagation: 'nested' },
        { isolation: 'snapshot' },
        { readOnly: 'yes' },
        { retries: -1 },
        { retries: 1.5 },
        { timeout: 'soon' },
        { timeout: 0 },
        { propagation: 'never', isolation: 'serializable' },
        { propagation: 'not-supported', readOnly: true },
      ] as unknown as TransactionOptions[];
      for (const options of wrong)
        await assert.rejects(
          database.transaction(async () => void (ran = true), options),
          { code: 'invalid-argument' },
          JSON.stringify(options),
        );
      assert.equal(ran, false);
    },
  },
];

const readOnly: readonly DatabaseCase[] = [
  withTables('readOnly › reads, and refuses whatever writes', async (database) => {
    await insertNote(database, 1);
    const reading = { readOnly: true } as const;
    assert.deepEqual(await database.transaction(async () => await noteIds(database), reading), [1]);
    const writes: readonly (() => Promise<unknown>)[] = [
      async () => await insertNote(database, 2),
      async () => await sql`delete from note`.execute(database.query),
      async () => await database.query.schema.dropTable('note').execute(),
      async () =>
        await database.query
          .transaction()
          .execute(async (transaction) => await transaction.deleteFrom('note').execute()),
      async () => await database.transaction(async () => await insertNote(database, 2)),
    ];
    for (const write of writes)
      await rejectsWith(database.transaction(write, reading), 'permission-denied');
    // Whoever has the connection next may write.
    for (const id of [3, 4, 5])
      await database.transaction(async () => await insertNote(database, id));
    assert.deepEqual(await noteIds(database), [1, 3, 4, 5]);
  }),
  withTables("readOnly › Kysely's access mode is the same", async (database) => {
    await insertNote(database, 1);
    const reading = database.query.transaction().setAccessMode('read only');
    await rejectsWith(
      reading.execute(async (transaction) => await transaction.deleteFrom('note').execute()),
      'permission-denied',
    );
    assert.deepEqual(
      await reading.execute(
        async (transaction) => await transaction.selectFrom('note').select('id').execute(),
      ),
      [{ id: 1 }],
    );
  }),
  {
    id: 'readOnly › sees one moment, and keeps nobody from writing',
    requires: ['concurrentReads'],
    run: async (database) => {
      await createTables(database);
      await insertNote(database, 1);
      await database.transaction(
        async () => {
          const before = await noteIds(database);
          // By somebody who is not in it.
          await outside(async () => await insertNote(database, 2));
          assert.deepEqual([before, await noteIds(database)], [[1], [1]]);
        },
        { readOnly: true },
      );
      assert.deepEqual(await noteIds(database), [1, 2]);

      async function outside(fn: () => Promise<void>): Promise<void> {
        await database.transaction(fn, notSupported);
      }
    },
    unsupported: async (database) => {
      await createTables(database);
      const { promise: read, resolve: hasRead } = Promise.withResolvers<void>();
      const reading = background(
        database.transaction(
          async () => {
            const before = await noteIds(database);
            hasRead();
            await nextTurn();
            assert.deepEqual([before, await noteIds(database)], [[], []]);
          },
          { readOnly: true },
        ),
      );
      await read;
      await insertNote(database, 1);
      await reading;
      assert.deepEqual(await noteIds(database), [1]);
    },
  },
  withTables(
    'nested › one that asks for other than the outermost has is refused, and harms nothing',
    async (database) => {
      const nested = async (options: TransactionOptions): Promise<void> =>
        await database.transaction(async () => void (await noteIds(database)), options);
      await database.transaction(
        async () => {
          await rejectsWith(nested({ readOnly: false }), 'failed-precondition');
          await nested({ readOnly: true });
        },
        { readOnly: true },
      );
      await database.transaction(
        async () => {
          await rejectsWith(nested({ readOnly: true }), 'failed-precondition');
          await rejectsWith(nested({ isolation: 'serializable' }), 'failed-precondition');
          await rejectsWith(
            database.query
              .transaction()
              .setIsolationLevel('serializable')
              .execute(async () => undefined),
            'failed-precondition',
          );
          await nested({ readOnly: false, isolation: 'read-committed' });
          await nested({ isolation: 'repeatable-read' });
          await insertNote(database, 1);
        },
        { isolation: 'repeatable-read' },
      );
      assert.deepEqual(await noteIds(database), [1]);
    },
  ),
];

const timeouts: readonly DatabaseCase[] = [
  withTables('timeout › undoes what is not done in time', async (database) => {
    const transaction = background(
      database.transaction(
        async () => {
          await insertNote(database, 1);
          await new Promise<void>(() => undefined);
        },
        { timeout: 1 },
      ),
    );
    const { outcome } = await rejectsWith(transaction, 'deadline-exceeded');
    assert.equal(outcome, 'not-applied');
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables('timeout › does nothing to what is done in time', async (database) => {
    await database.transaction(async () => await insertNote(database, 1), { timeout: '1h' });
    assert.deepEqual(await noteIds(database), [1]);
  }),
  withTables('timeout › of a nested transaction undoes that alone', async (database) => {
    await database.transaction(async () => {
      await insertNote(database, 1);
      const nested = background(
        database.transaction(
          async () => {
            await insertNote(database, 2);
            await new Promise<void>(() => undefined);
          },
          { timeout: 1 },
        ),
      );
      await rejectsWith(nested, 'deadline-exceeded');
      await insertNote(database, 3);
    });
    assert.deepEqual(await noteIds(database), [1, 3]);
  }),
];

const late: readonly DatabaseCase[] = [
  withTables('handle › nothing can be registered once it has ended', async (database) => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const seen: string[] = [];
    let later: Promise<unknown>[] = [];
    await database.transaction(async () => {
      later = [
        ended.then(async () => await database.afterCommit(() => void seen.push('commit'))),
        ended.then(async () => database.afterRollback(() => void seen.push('rollback'))),
      ].map(async (each) => await background<unknown>(each));
    });
    end();
    for (const each of later) await rejectsWith(each, 'failed-precondition');
    assert.deepEqual(seen, []);
  }),
  withTables(
    'handle › prepared queries and streams of an ended transaction are refused',
    async (database) => {
      for (const id of [1, 2, 3]) await insertNote(database, id);
      const erase = database.prepare<{ id: number }, unknown>((query, parameter) =>
        query.deleteFrom('note').where('id', '=', parameter('id')),
      );
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      let later: Promise<unknown>[] = [];
      const stream = await database.transaction(async () => {
        later = [
          ended.then(async () => await erase.execute({ id: 1 })),
          ended.then(async () => await erase.executeMany([{ id: 1 }])),
          ended.then(
            async () =>
              await Array.fromAsync(database.query.selectFrom('note').select('id').stream()),
          ),
        ].map(async (each) => await background<unknown>(each));
        const begun = database.query.selectFrom('note').select('id').orderBy('id').stream(1);
        assert.deepEqual((await begun.next()).value, { id: 1 });
        // In an object, or it would be taken for what the function awaits.
        return { begun };
      });
      end();
      for (const each of later) await rejectsWith(each, 'failed-precondition');
      await rejectsWith(Array.fromAsync(stream.begun), 'failed-precondition');
      assert.deepEqual(await noteIds(database), [1, 2, 3]);
    },
  ),
  withTables("handle › Kysely's own transaction is refused once it has ended", async (database) => {
    let kept: { insert: () => Promise<unknown> } | undefined;
    await database.query.transaction().execute(async (transaction) => {
      const insert = transaction.insertInto('author').values({ id: 1, name: 'a' });
      kept = { insert: async () => await insert.execute() };
    });
    await assert.rejects(kept?.insert() ?? Promise.resolve());
    let connection: { insert: () => Promise<unknown> } | undefined;
    await database.query.connection().execute(async (own) => {
      const insert = own.insertInto('author').values({ id: 2, name: 'b' });
      connection = { insert: async () => await insert.execute() };
    });
    await rejectsWith(connection?.insert() ?? Promise.resolve(), 'failed-precondition');
    assert.deepEqual(await database.query.selectFrom('author').selectAll().execute(), []);
  }),
];

/** What a transaction does about the one around it, read-only ones, timeouts, and whoever is late. */
export const propagationCases: readonly DatabaseCase[] = [
  ...modes,
  ...readOnly,
  ...timeouts,
  ...late,
];
