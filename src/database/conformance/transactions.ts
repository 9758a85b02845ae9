import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';

import {
  background,
  type DatabaseCase,
  createTables,
  type DatabaseSubject,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

class Undo extends Error {}

/** Runs it in a transaction that is undone, and swallows the error that undoes it. */
async function undone(database: DatabaseSubject, fn: () => Promise<void>): Promise<void> {
  const transaction = background(
    database.transaction(async () => {
      await fn();
      throw new Undo();
    }),
  );
  await assert.rejects(transaction, Undo);
}

const basics: readonly DatabaseCase[] = [
  withTables('transaction › takes effect as a whole, and gives the value', async (database) => {
    const value = await database.transaction(async () => {
      await insertNote(database, 1);
      await insertNote(database, 2);
      return 'value';
    });
    assert.equal(value, 'value');
    assert.deepEqual(await noteIds(database), [1, 2]);
  }),
  withTables(
    'transaction › an error undoes all of it, and is thrown unchanged',
    async (database) => {
      const error = new TypeError('mine');
      const transaction = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          await insertNote(database, 2);
          throw error;
        }),
      );
      await assert.rejects(transaction, (thrown) => thrown === error);
      assert.deepEqual(await noteIds(database), []);
    },
  ),
  withTables(
    'transaction › whatever runs inside joins, across awaits and timers',
    async (database) => {
      await undone(database, async () => {
        await nextTurn();
        await Promise.all(
          [1, 2, 3].map(async (id) => {
            await nextTurn();
            await insertNote(database, id);
          }),
        );
        assert.equal(database.inTransaction, true);
      });
      assert.equal(database.inTransaction, false);
      assert.deepEqual(await noteIds(database), []);
    },
  ),
  withTables('transaction › sees its own writes', async (database) => {
    await undone(database, async () => {
      await insertNote(database, 1);
      assert.deepEqual(await noteIds(database), [1]);
    });
  }),
  {
    id: 'transaction › nobody outside sees what is not committed, and nobody outside waits',
    requires: ['concurrentReads'],
    run: async (database) => {
      await createTables(database);
      const { promise: looked, resolve: look } = Promise.withResolvers<void>();
      const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
      const transaction = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          wrote();
          await looked;
        }),
      );
      await written;
      assert.deepEqual(await noteIds(database), []);
      look();
      await transaction;
      assert.deepEqual(await noteIds(database), [1]);
    },
    unsupported: async (database) => {
      await createTables(database);
      const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
      const transaction = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          wrote();
          await nextTurn();
          await insertNote(database, 2);
        }),
      );
      await written;
      // It waits for the end, and never sees the half.
      assert.deepEqual(await noteIds(database), [1, 2]);
      await transaction;
    },
  },
  withTables('transaction › none loses an update of another', async (database) => {
    await database.query
      .insertInto('note')
      .values({ id: 1, title: 't', body: null, attachment: null, score: 0, author_id: null })
      .execute();
    await Promise.all(
      Array.from(
        { length: 20 },
        async () =>
          await database.transaction(async () => {
            const { score } = await database.query
              .selectFrom('note')
              .select('score')
              .where('id', '=', 1)
              .executeTakeFirstOrThrow();
            await nextTurn();
            await database.query
              .updateTable('note')
              .set({ score: (score ?? 0) + 1 })
              .where('id', '=', 1)
              .execute();
          }),
      ),
    );
    assert.deepEqual(await database.query.selectFrom('note').select('score').execute(), [
      { score: 20 },
    ]);
  }),
  withTables('transaction › none relies on what another changes meanwhile', async (database) => {
    const total = async (): Promise<number> => (await noteIds(database)).length;
    // Each may write only where nothing is: apart, one of them finds the other's.
    const add = async (id: number): Promise<void> =>
      await database.transaction(async () => {
        const found = await total();
        await nextTurn();
        if (found === 0) await insertNote(database, id);
      });
    await Promise.all([add(1), add(2)]);
    assert.equal(await total(), 1);
  }),
  {
    id: 'transaction › a statement that fails undoes itself alone',
    requires: ['statementRollback'],
    run: async (database) => {
      await createTables(database);
      await database.transaction(async () => {
        await insertNote(database, 1);
        await rejectsWith(insertNote(database, 1), 'already-exists');
        await insertNote(database, 2);
      });
      assert.deepEqual(await noteIds(database), [1, 2]);
    },
    unsupported: async (database) => {
      await createTables(database);
      let later: Promise<unknown> | undefined;
      const transaction = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          await rejectsWith(insertNote(database, 1), 'already-exists');
          later = background(rejectsWith(insertNote(database, 2), 'failed-precondition'));
          await later;
        }),
      );
      // To commit would be to keep nothing without a word.
      await rejectsWith(transaction, 'failed-precondition');
      assert.ok(later, 'the statement after the failed one was not tried');
      await later;
      assert.deepEqual(await noteIds(database), []);
    },
  },
  withTables(
    'transaction › a write outside waits for its end and is not part of it',
    async (database) => {
      const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
      const transaction = background(
        undone(database, async () => {
          await insertNote(database, 1);
          wrote();
          await nextTurn();
        }),
      );
      await written;
      await insertNote(database, 2);
      await transaction;
      assert.deepEqual(await noteIds(database), [2]);
    },
  ),
];

const nested: readonly DatabaseCase[] = [
  withTables('nested › takes effect with the outer one', async (database) => {
    await database.transaction(async () => {
      await insertNote(database, 1);
      await database.transaction(async () => await insertNote(database, 2));
    });
    assert.deepEqual(await noteIds(database), [1, 2]);
  }),
  withTables(
    'nested › raw SQL in it that ends the transaction fails the outer one, which is not run again',
    async (database) => {
      let runs = 0;
      const transaction = database.transaction(async () => {
        runs += 1;
        await insertNote(database, 1);
        const ended = database.transaction(async () => await sql`commit`.execute(database.query));
        await rejectsWith(ended, 'failed-precondition');
      });
      await rejectsWith(transaction, 'failed-precondition');
      assert.equal(runs, 1);
      assert.deepEqual(await noteIds(database), []);
    },
  ),
  withTables('nested › undoes only its own work', async (database) => {
    await database.transaction(async () => {
      await insertNote(database, 1);
      await undone(database, async () => await insertNote(database, 2));
      await insertNote(database, 3);
    });
    assert.deepEqual(await noteIds(database), [1, 3]);
  }),
  withTables('nested › is undone with the outer one', async (database) => {
    await undone(
      database,
      async () => await database.transaction(async () => await insertNote(database, 1)),
    );
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables(
    'nested › a statement that fails inside leaves the outer one usable',
    async (database) => {
      await insertNote(database, 1);
      await database.transaction(async () => {
        await rejectsWith(
          database.transaction(async () => await insertNote(database, 1)),
          'already-exists',
        );
        await insertNote(database, 2);
      });
      assert.deepEqual(await noteIds(database), [1, 2]);
    },
  ),
  withTables('nested › at three levels, each undoes what is within it', async (database) => {
    await database.transaction(async () => {
      await insertNote(database, 1);
      await undone(database, async () => {
        await insertNote(database, 2);
        await database.transaction(async () => await insertNote(database, 3));
      });
      await database.transaction(async () => await insertNote(database, 4));
    });
    assert.deepEqual(await noteIds(database), [1, 4]);
  }),
  withTables('nested › parallel ones do not mix', async (database) => {
    await database.transaction(async () => {
      await Promise.all(
        [1, 2, 3, 4].map(async (id) => {
          const branch = async (): Promise<void> => {
            await insertNote(database, id);
            await nextTurn();
            await insertNote(database, id + 10);
          };
          await (id % 2 === 0 ? undone(database, branch) : database.transaction(branch));
        }),
      );
    });
    assert.deepEqual(await noteIds(database), [1, 3, 11, 13]);
  }),
  withTables(
    'nested › a statement of the outer one beside it is not undone with it',
    async (database) => {
      await database.transaction(async () => {
        const inner = background(
          undone(database, async () => {
            await insertNote(database, 1);
            await nextTurn();
          }),
        );
        await insertNote(database, 2);
        await inner;
      });
      assert.deepEqual(await noteIds(database), [2]);
    },
  ),
  withTables(
    'nested › one that is still open when the outer one ends undoes everything',
    async (database) => {
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      let inner: Promise<void> | undefined;
      const outer = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          inner = background(
            database.transaction(async () => {
              await insertNote(database, 2);
              await ended;
            }),
          );
          await nextTurn();
        }),
      );
      await rejectsWith(outer, 'failed-precondition');
      end();
      await rejectsWith(inner ?? Promise.resolve(), 'failed-precondition');
      assert.deepEqual(await noteIds(database), []);
    },
  ),
];

const handles: readonly DatabaseCase[] = [
  withTables('handle › whoever outlives the commit is refused', async (database) => {
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
    let late: Promise<void> | undefined;
    await database.transaction(async () => {
      await insertNote(database, 1);
      late = background(committed.then(async () => await insertNote(database, 2)));
    });
    commit();
    await rejectsWith(late ?? Promise.resolve(), 'failed-precondition');
    assert.deepEqual(await noteIds(database), [1]);
  }),
  withTables('handle › a parallel branch is refused once another has failed', async (database) => {
    const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
    let branch: Promise<void> | undefined;
    await undone(database, async () => {
      branch = background(failed.then(async () => await insertNote(database, 2)));
      await insertNote(database, 1);
    });
    fail();
    await rejectsWith(branch ?? Promise.resolve(), 'failed-precondition');
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables('handle › a late branch never reaches the next transaction', async (database) => {
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
    let late: Promise<void> | undefined;
    await database.transaction(async () => {
      late = background(committed.then(async () => await insertNote(database, 1)));
    });
    await undone(database, async () => {
      commit();
      await rejectsWith(late ?? Promise.resolve(), 'failed-precondition');
      await insertNote(database, 2);
    });
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables('handle › whoever outlives a nested transaction is refused', async (database) => {
    await database.transaction(async () => {
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      let late: Promise<void> | undefined;
      await database.transaction(async () => {
        late = background(released.then(async () => await insertNote(database, 1)));
      });
      release();
      await rejectsWith(late ?? Promise.resolve(), 'failed-precondition');
      await insertNote(database, 2);
    });
    assert.deepEqual(await noteIds(database), [2]);
  }),
  withTables('handle › no transaction can be nested in one that ended', async (database) => {
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
    let late: Promise<void> | undefined;
    await database.transaction(async () => {
      late = background(
        committed.then(
          async () => await database.transaction(async () => await insertNote(database, 1)),
        ),
      );
    });
    commit();
    await rejectsWith(late ?? Promise.resolve(), 'failed-precondition');
    assert.deepEqual(await noteIds(database), []);
  }),
];

const callbacks: readonly DatabaseCase[] = [
  withTables(
    'afterCommit › runs after the commit, in order, outside of the transaction',
    async (database) => {
      const seen: unknown[] = [];
      await database.transaction(async () => {
        await database.afterCommit(async () => {
          seen.push('first', database.inTransaction, await noteIds(database));
        });
        await insertNote(database, 1);
        await database.transaction(
          async () => await database.afterCommit(() => void seen.push('nested')),
        );
        await database.afterCommit(() => void seen.push('last'));
        assert.deepEqual(seen, []);
      });
      assert.deepEqual(seen, ['first', false, [1], 'nested', 'last']);
    },
  ),
  withTables(
    'afterCommit › never runs after a rollback, and afterRollback does',
    async (database) => {
      const seen: string[] = [];
      await undone(database, async () => {
        await database.afterCommit(() => void seen.push('commit'));
        database.afterRollback(() => void seen.push('rollback'));
      });
      await database.transaction(async () =>
        database.afterRollback(() => void seen.push('no rollback')),
      );
      assert.deepEqual(seen, ['rollback']);
    },
  ),
  withTables('afterCommit › that of an undone nested transaction is dropped', async (database) => {
    const seen: string[] = [];
    await database.transaction(async () => {
      await undone(database, async () => {
        await database.transaction(
          async () => await database.afterCommit(() => void seen.push('innermost')),
        );
        await database.afterCommit(() => void seen.push('nested'));
        database.afterRollback(() => void seen.push('undone'));
      });
      await database.afterCommit(() => void seen.push('outer'));
      assert.deepEqual(seen, []);
    });
    assert.deepEqual(seen, ['undone', 'outer']);
  }),
  withTables(
    'afterCommit › one that fails stops no other, and says that the commit took effect',
    async (database) => {
      const seen: string[] = [];
      const transaction = background(
        database.transaction(async () => {
          await insertNote(database, 1);
          await database.afterCommit(() => {
            throw new Undo();
          });
          await database.afterCommit(() => void seen.push('second'));
        }),
      );
      const { outcome, retryable } = await rejectsWith(transaction, 'internal');
      assert.deepEqual({ outcome, retryable }, { outcome: 'applied', retryable: false });
      assert.deepEqual(seen, ['second']);
      assert.deepEqual(await noteIds(database), [1]);
    },
  ),
  {
    id: 'afterCommit › outside of a transaction it runs at once',
    run: async (database) => {
      const seen: string[] = [];
      await database.afterCommit(async () => {
        await nextTurn();
        seen.push('ran');
      });
      assert.deepEqual(seen, ['ran']);
    },
  },
];

const aborts: readonly DatabaseCase[] = [
  withTables('abort › before the start nothing runs', async (database) => {
    let ran = false;
    const transaction = database.transaction(async () => void (ran = true), {
      signal: AbortSignal.abort(),
    });
    const { outcome } = await rejectsWith(transaction, 'cancelled');
    assert.deepEqual({ ran, outcome }, { ran: false, outcome: 'not-applied' });
  }),
  withTables(
    'abort › a transaction is undone at once, and whoever goes on is refused',
    async (database) => {
      const controller = new AbortController();
      const { promise: aborted, resolve: abort } = Promise.withResolvers<void>();
      let late: Promise<void> | undefined;
      const transaction = background(
        database.transaction(
          async () => {
            await insertNote(database, 1);
            late = aborted.then(async () => await insertNote(database, 2));
            controller.abort();
            await late;
          },
          { signal: controller.signal },
        ),
      );
      const { outcome } = await rejectsWith(transaction, 'cancelled');
      assert.equal(outcome, 'not-applied');
      await insertNote(database, 3);
      abort();
      await rejectsWith(late ?? Promise.resolve(), 'failed-precondition');
      assert.deepEqual(await noteIds(database), [3]);
    },
  ),
  withTables('abort › a deadline says so', async (database) => {
    const signal = AbortSignal.timeout(1);
    const transaction = background(
      database.transaction(async () => await new Promise<void>(() => undefined), {
        signal,
      }),
    );
    await rejectsWith(transaction, 'deadline-exceeded');
  }),
  withTables(
    'abort › whoever waits for the writer stops waiting, and those behind go on',
    async (database) => {
      const controller = new AbortController();
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const { promise: holding, resolve: hold } = Promise.withResolvers<void>();
      const holder = background(
        database.transaction(async () => {
          hold();
          await released;
        }),
      );
      await holding;
      const waiting = background(
        database.transaction(async () => await insertNote(database, 1), {
          signal: controller.signal,
        }),
      );
      const behind = background(database.transaction(async () => await insertNote(database, 2)));
      controller.abort();
      await rejectsWith(waiting, 'cancelled');
      release();
      await Promise.all([holder, behind]);
      assert.deepEqual(await noteIds(database), [2]);
    },
  ),
  withTables('abort › a statement with an aborted signal does nothing', async (database) => {
    const insert = database.query.insertInto('author').values({ id: 1, name: 'Ada' });
    await rejectsWith(insert.execute({ signal: AbortSignal.abort() }), 'cancelled');
    await database.transaction(async () => {
      await rejectsWith(insert.execute({ signal: AbortSignal.abort() }), 'cancelled');
    });
    assert.deepEqual(await database.query.selectFrom('author').selectAll().execute(), []);
  }),
];

/** Transactions, their nesting, handles, callbacks and aborts. */
export const transactionCases: readonly DatabaseCase[] = [
  ...basics,
  ...nested,
  ...handles,
  ...callbacks,
  ...aborts,
];
