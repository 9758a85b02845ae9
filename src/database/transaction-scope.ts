import { InfrastructureError } from '../core/index.ts';
import type { BeginOptions, DatabaseDriver, DriverTransaction } from './driver.ts';
import { Semaphore } from './semaphore.ts';

/** What runs when a transaction has ended. */
export type TransactionCallback = () => void | Promise<void>;

/** How long a statement or a nested transaction waits for a sibling's nested transaction to end, in milliseconds. */
const turnTimeout = 30_000;

interface RegisteredCallback {
  readonly on: 'commit' | 'rollback';
  readonly scope: TransactionScope;
  readonly callback: TransactionCallback;
}

let savepoints = 0;

/**
 * One level of a transaction: the outermost, or a nested one, which is a savepoint. It owns the way to the connection and
 * closes it for good when it settles, so that whoever holds on to it cannot reach somebody else's transaction.
 *
 * While a nested level is open, its parent's statements wait: on the one connection they would fall inside the savepoint and
 * be undone with it.
 */
export class TransactionScope {
  readonly #parent: TransactionScope | undefined;
  readonly #transaction: DriverTransaction;
  readonly #savepoint: string | undefined;
  readonly #turn = new Semaphore('a transaction whose nested transaction is still open', 1);
  readonly #callbacks: RegisteredCallback[];
  #state: 'active' | 'committed' | 'rolled back' = 'active';
  /** Why this level holds work of a nested one that failed and could not be undone alone. */
  #leftover: unknown;

  private constructor(
    transaction: DriverTransaction,
    parent?: TransactionScope,
    savepoint?: string,
  ) {
    this.#transaction = transaction;
    this.#parent = parent;
    this.#savepoint = savepoint;
    this.#callbacks = parent === undefined ? [] : parent.#callbacks;
  }

  /** Opens an outermost transaction. */
  static async begin(driver: DatabaseDriver, options: BeginOptions): Promise<TransactionScope> {
    return new TransactionScope(await driver.begin(options));
  }

  /** Opens a transaction nested in this one, once no other is. */
  async nest(signal?: AbortSignal): Promise<TransactionScope> {
    this.#assertActive();
    await this.#turn.acquire({ timeout: turnTimeout, signal });
    try {
      this.#assertActive();
      savepoints += 1;
      const name = `underpin_${savepoints}`;
      await this.#transaction.savepoint(name);
      return new TransactionScope(this.#transaction, this, name);
    } catch (error) {
      this.#turn.release();
      throw error;
    }
  }

  /** Gives the connection to `fn`, for one call. Throws `failed-precondition` when this level, or one around it, has settled. */
  use<Result>(
    fn: (transaction: DriverTransaction) => Result | Promise<Result>,
    signal?: AbortSignal,
  ): Result | Promise<Result> {
    this.#assertActive();
    return this.#turn.isIdle ? fn(this.#transaction) : this.#useInTurn(fn, signal);
  }

  afterCommit(callback: TransactionCallback): void {
    this.#assertActive();
    this.#callbacks.push({ on: 'commit', scope: this, callback });
  }

  afterRollback(callback: TransactionCallback): void {
    this.#assertActive();
    this.#callbacks.push({ on: 'rollback', scope: this, callback });
  }

  /** Commits, or releases the savepoint. When it throws, this level has been rolled back. */
  async commit(signal?: AbortSignal): Promise<void> {
    this.#assertActive();
    if (this.#leftover !== undefined) {
      await this.rollback();
      throw new InfrastructureError({
        code: 'aborted',
        component: 'database',
        message:
          'the transaction was rolled back, since one nested in it failed and could not be undone alone',
        cause: this.#leftover,
      });
    }
    if (!this.#turn.isIdle) {
      await this.rollback();
      throw new InfrastructureError({
        code: 'failed-precondition',
        component: 'database',
        message:
          'the transaction was rolled back, since a transaction nested in it was still open when it ended: await every transaction that you start',
      });
    }
    this.#state = 'committed';
    if (this.#parent === undefined) {
      try {
        await this.#transaction.commit(signal);
      } catch (error) {
        this.#state = 'rolled back';
        throw error;
      }
      return;
    }
    try {
      await this.#transaction.releaseSavepoint(this.#savepoint ?? '');
    } catch (error) {
      this.#state = 'rolled back';
      await this.#undo();
      throw error;
    } finally {
      this.#parent.#turn.release();
    }
  }

  /** Rolls back, or back to the savepoint. Does nothing when a level around this one has settled, which undid this one too. */
  async rollback(): Promise<void> {
    if (this.#state !== 'active') return;
    this.#state = 'rolled back';
    if (this.#parent === undefined) {
      await this.#transaction.rollback();
      return;
    }
    try {
      await this.#undo();
    } finally {
      this.#parent.#turn.release();
    }
  }

  /**
   * What is to run once the outermost level has settled: the commit callbacks of levels that took effect and the rollback
   * callbacks of those that did not, in the order in which they were registered.
   */
  dueCallbacks(): readonly TransactionCallback[] {
    return this.#callbacks
      .filter(({ on, scope }) => (on === 'commit') === scope.#tookEffect())
      .map(({ callback }) => callback);
  }

  #tookEffect(): boolean {
    return (
      this.#state === 'committed' && (this.#parent === undefined || this.#parent.#tookEffect())
    );
  }

  async #undo(): Promise<void> {
    const parent = this.#parent;
    if (parent === undefined || this.#savepoint === undefined || !parent.isActive) return;
    try {
      await this.#transaction.rollbackToSavepoint(this.#savepoint);
      await this.#transaction.releaseSavepoint(this.#savepoint);
    } catch (error) {
      parent.#leftover = error;
      throw error;
    }
  }

  async #useInTurn<Result>(
    fn: (transaction: DriverTransaction) => Result | Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    await this.#turn.acquire({ timeout: turnTimeout, signal });
    try {
      this.#assertActive();
      return await fn(this.#transaction);
    } finally {
      this.#turn.release();
    }
  }

  /** Whether this level and all around it are open. */
  get isActive(): boolean {
    return this.#state === 'active' && (this.#parent?.isActive ?? true);
  }

  #assertActive(): void {
    if (this.isActive) return;
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      message: `this transaction has ended (${this.#state === 'active' ? 'with the one around it' : this.#state}): await everything that belongs to it before its function returns`,
    });
  }
}
