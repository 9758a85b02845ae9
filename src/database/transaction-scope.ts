import { InfrastructureError } from '../core/index.ts';
import type { BeginOptions, DatabaseDriver, DriverTransaction, Isolation } from './driver.ts';
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

/** How an outermost transaction is opened. */
export interface ScopeOptions extends BeginOptions {
  /** The caller's other transactions, which wait for this one to end. */
  readonly suspended?: readonly TransactionScope[] | undefined;
  /** Called once the connection has been let go of. */
  readonly onReleased?: (() => void) | undefined;
  /** Whether those nested directly in it count as outermost for what runs after a transaction. For tests, which undo everything. */
  readonly isForTest?: boolean | undefined;
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
  readonly #options: ScopeOptions;
  readonly #outermost: TransactionScope;
  /** How far it is kept apart from others, as was asked for. */
  readonly isolation: Isolation;
  #state: 'active' | 'committed' | 'rolled back' = 'active';
  /** Why this level holds work of a nested one that failed and could not be undone alone. */
  #leftover: unknown;

  private constructor(
    transaction: DriverTransaction,
    isolation: Isolation,
    options: ScopeOptions,
    outer?: { readonly parent: TransactionScope; readonly savepoint: string },
  ) {
    this.#transaction = transaction;
    this.isolation = isolation;
    this.#options = options;
    this.#parent = outer?.parent;
    this.#savepoint = outer?.savepoint;
    this.#outermost = outer === undefined ? this : outer.parent.#outermost;
    this.#callbacks = outer === undefined || this.#callsBackItself ? [] : outer.parent.#callbacks;
  }

  /** Opens an outermost transaction. */
  static async begin(driver: DatabaseDriver, options: ScopeOptions): Promise<TransactionScope> {
    const { signal, isolation, readOnly, lock } = options;
    const transaction = await driver.begin({ signal, isolation, readOnly, lock });
    return new TransactionScope(transaction, isolation ?? driver.isolation, options);
  }

  /** Whether statements in it that write are refused. */
  get isReadOnly(): boolean {
    return this.#options.readOnly ?? false;
  }

  /** How long it waited for its connection, in milliseconds; undefined when it had one at once. */
  get waitedMs(): number | undefined {
    return this.#transaction.waitedMs;
  }

  /** The outermost transactions that wait while what was begun beside this one runs: its own, and those that wait for it already. */
  get suspending(): readonly TransactionScope[] {
    return [...(this.#options.suspended ?? []), this.#outermost];
  }

  /** Whether this is the transaction of a test, which stands for there being none. */
  get isTestRoot(): boolean {
    return this.#parent === undefined && this.isForTest;
  }

  /** Whether this is in the transaction of a test, or is that. */
  get isForTest(): boolean {
    return this.#options.isForTest ?? false;
  }

  /** Whether what runs after a transaction is due when this level has settled. */
  get #callsBackItself(): boolean {
    return this.#parent === undefined || this.#parent.isTestRoot;
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
      return new TransactionScope(this.#transaction, this.isolation, this.#options, {
        parent: this,
        savepoint: name,
      });
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
      // A mistake of the caller's, such as raw SQL that ends the transaction, would only be made again.
      if (InfrastructureError.is(this.#leftover) && !this.#leftover.retryable) throw this.#leftover;
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
      } finally {
        this.#options.onReleased?.();
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
      try {
        await this.#transaction.rollback();
      } finally {
        this.#options.onReleased?.();
      }
      return;
    }
    try {
      await this.#undo();
    } finally {
      this.#parent.#turn.release();
    }
  }

  /**
   * What is to run once this level has settled, if it is the outermost: the commit callbacks of levels that took effect and the rollback
   * callbacks of those that did not, in the order in which they were registered.
   */
  dueCallbacks(): readonly TransactionCallback[] {
    if (!this.#callsBackItself) return [];
    return this.#callbacks
      .filter(({ on, scope }) => (on === 'commit') === scope.#tookEffect())
      .map(({ callback }) => callback);
  }

  #tookEffect(): boolean {
    return (
      this.#state === 'committed' &&
      (this.#parent === undefined || this.#callsBackItself || this.#parent.#tookEffect())
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
