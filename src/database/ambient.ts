import { AsyncLocalStorage } from 'node:async_hooks';

import { InfrastructureError } from '../core/index.ts';
import type { DatabaseDriver } from './driver.ts';
import { TransactionScope } from './transaction-scope.ts';

/** What is ambient where transactions wait for work that is no part of them. */
class Suspension {
  readonly #scopes: readonly TransactionScope[];

  constructor(scopes: readonly TransactionScope[]) {
    this.#scopes = scopes;
  }

  /** Those that have not ended meanwhile. */
  get open(): readonly TransactionScope[] {
    return this.#scopes.filter(({ isActive }) => isActive);
  }
}

const none: readonly TransactionScope[] = Object.freeze([]);

/** Which transaction of one Database the caller is in, or has left for the time being. */
export class Ambient {
  readonly #driver: DatabaseDriver;
  readonly #storage = new AsyncLocalStorage<TransactionScope | Suspension>();

  constructor(driver: DatabaseDriver) {
    this.#driver = driver;
  }

  /** The transaction that the caller is in, also when it has ended. */
  get scope(): TransactionScope | undefined {
    const current = this.#storage.getStore();
    return current instanceof TransactionScope ? current : undefined;
  }

  /** The caller's outermost transactions that wait for what it does now. */
  get suspended(): readonly TransactionScope[] {
    const current = this.#storage.getStore();
    return current instanceof Suspension ? current.open : none;
  }

  /** Runs it in a transaction. */
  within<Result>(scope: TransactionScope, fn: () => Result): Result {
    return this.#storage.run(scope, fn);
  }

  /** Runs it in none, while this one waits. */
  beside<Result>(scope: TransactionScope, fn: () => Result): Result {
    return this.#storage.run(new Suspension(scope.suspending), fn);
  }

  /**
   * Why a transaction, or a statement outside of any, cannot go on while others of the caller wait for it; undefined when it can.
   * It would itself wait for them, until its time is up.
   */
  refusal(readOnly: boolean): InfrastructureError | undefined {
    const open = this.suspended;
    if (open.length === 0) return undefined;
    const { adapter, capabilities, maxTransactions } = this.#driver;
    const origin = { component: 'database', adapter, operation: 'transaction' };
    const areApart =
      capabilities.concurrentReads && (readOnly || open.every(({ isReadOnly }) => isReadOnly));
    if (!capabilities.independentTransactions && !areApart)
      return new InfrastructureError({
        code: 'unimplemented',
        ...origin,
        message: `the ${adapter} adapter has one connection that writes, and the transaction around this holds it: do this before that one or after it, such as in afterCommit`,
        details: { capability: 'independentTransactions' },
      });
    if (maxTransactions !== undefined && open.length >= maxTransactions)
      return new InfrastructureError({
        code: 'failed-precondition',
        ...origin,
        message: `the transactions around this hold all of the connections, which are ${maxTransactions}: do this before them or after them, or make the pool larger`,
      });
    return undefined;
  }
}
