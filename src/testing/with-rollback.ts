import { InfrastructureError } from '../core/index.ts';
import type { Database, DatabaseDriver } from '../database/index.ts';
import { transactionsOf } from '../database/transactions.ts';

/** Undoes the transaction, and carries the result out of it. */
class Undo extends Error {
  readonly result: unknown;

  constructor(result: unknown) {
    super('rolled back, as it is meant to be');
    this.result = result;
  }
}

/**
 * Runs `fn` in a transaction that is rolled back whatever happens, and gives what it gives; its error is thrown unchanged, and it is
 * never run again. So a test leaves nothing behind in a database that it shares.
 *
 * Inside, transactions do as they do where there is no test: the outermost are savepoints, with what they registered by
 * `afterCommit` and `afterRollback` run once they are released or undone. What needs a second connection (`requires-new` and
 * `not-supported` inside of a transaction) is `unimplemented`; `readOnly` keeps nobody from writing; `isolation` is `serializable`.
 *
 * @example
 * it('publishes', async () => await withRollback(database, async () => {
 *   await publishArticle(database, 1);
 *   assert.equal((await articles.findById(1))?.isPublished, true);
 * }));
 */
export async function withRollback<Schema, AnyDriver extends DatabaseDriver, Result>(
  database: Database<Schema, AnyDriver>,
  fn: () => Promise<Result>,
): Promise<Result> {
  if (database.inTransaction)
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      message: 'withRollback begins a transaction of its own: call it outside of any',
    });
  const ended = await transactionsOf(database)
    .runOutermost(
      async () => {
        throw new Undo(await fn());
      },
      { isForTest: true, isolation: 'serializable', retries: 0 },
    )
    .catch((error: unknown) => error);
  if (!(ended instanceof Undo)) throw ended;
  // It carries what `fn` gave.
  return ended.result as Result;
}
