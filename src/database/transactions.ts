import {
  abortable,
  type CallOptions,
  type Clock,
  currentContext,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  operation,
  type OperationAttributes,
  type RunOptions,
  runWithContext,
  withOutcome,
} from '../core/index.ts';
import type { Ambient } from './ambient.ts';
import { CallSite } from './call-site.ts';
import type { DatabaseDriver } from './driver.ts';
import type { HeldConnections } from './held-connections.ts';
import { withTimeout } from './timeout.ts';
import {
  checkNested,
  checkTransactionOptions,
  type TransactionOptions,
} from './transaction-options.ts';
import { type ScopeOptions, TransactionScope } from './transaction-scope.ts';

/** What transactions and statements need of the Database that they belong to: its parts, and what every component does. */
export interface DatabaseHost {
  readonly driver: DatabaseDriver;
  readonly clock: Clock;
  readonly ambient: Ambient;
  /** Undefined when nobody wants to know. */
  readonly held: HeldConnections | undefined;
  start(options?: CallOptions): Promise<void>;
  guard<Result>(
    name: string,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result>;
  wrap(error: unknown, name: string, signal?: AbortSignal): InfrastructureError;
}

/** What an outermost transaction is run with. */
export interface OutermostOptions extends TransactionOptions, Pick<ScopeOptions, 'isForTest'> {
  readonly lock?: string;
}

type Attempt<Result> =
  | { readonly committed: true; readonly scope: TransactionScope; readonly value: Result }
  | { readonly committed: false; readonly scope: TransactionScope; readonly error: unknown };

/** Runs the transactions of one Database: begins them, runs them again, and sees to what follows them. */
export class Transactions {
  readonly #host: DatabaseHost;
  readonly #random: () => number;

  /** `random` gives the jitter of the waits between attempts, from 0 to 1. */
  constructor(host: DatabaseHost, random: () => number) {
    this.#host = host;
    this.#random = random;
  }

  /** As {@link Database.transaction}. */
  async run<Result>(fn: () => Promise<Result>, options: TransactionOptions): Promise<Result> {
    checkTransactionOptions(options, this.#origin);
    const { propagation = 'required' } = options;
    const { scope } = this.#host.ambient;
    // A test's own transaction stands for there being none.
    const outer = scope?.isTestRoot ? undefined : scope;
    if (propagation === 'mandatory' && outer === undefined)
      throw this.#refusal(
        'there is no transaction here, which is mandatory: call it inside of one',
      );
    if (propagation === 'never' && outer !== undefined)
      throw this.#refusal('this must never run inside of a transaction: call it outside of it');
    return await withTimeout(options, this.#host.clock, async (limited) => {
      if (propagation === 'never' || propagation === 'not-supported')
        return await this.#outside(outer, fn, limited.signal);
      if (propagation === 'requires-new' && outer !== undefined)
        return await this.#suspend(outer, async () => await this.runOutermost(fn, limited));
      if (scope === undefined) return await this.runOutermost(fn, limited);
      return await this.#runNested(scope, fn, limited);
    });
  }

  /** Runs it as often as it takes, in a transaction that is nested in no other. */
  async runOutermost<Result>(
    fn: () => Promise<Result>,
    options: OutermostOptions,
  ): Promise<Result> {
    const site = this.#host.held && new CallSite();
    for (let attempt = 0; ; attempt += 1) {
      const ended = await this.#attemptOutermost(fn, options, { attempt, site });
      if (ended !== undefined) return await this.#conclude(ended);
      await this.#pauseBeforeRetry(attempt, options.signal ?? currentContext().signal);
    }
  }

  /** Begins one that somebody else ends: nested in `parent`, else one of its own. */
  async begin(
    parent: TransactionScope | undefined,
    options: Pick<TransactionOptions, 'isolation' | 'readOnly'>,
  ): Promise<TransactionScope> {
    const site = this.#host.held && new CallSite();
    try {
      if (parent !== undefined) {
        checkNested(parent, options, this.#origin);
        return await parent.nest();
      }
      await this.#host.start();
      return await this.#begin(options, site);
    } catch (error) {
      throw this.#host.wrap(error, 'transaction');
    }
  }

  get #origin(): ErrorOrigin {
    const { adapter } = this.#host.driver;
    return { component: 'database', adapter, operation: 'transaction' };
  }

  async #outside<Result>(
    outer: TransactionScope | undefined,
    fn: () => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const work = async (): Promise<Result> => {
      if (signal === undefined) return await fn();
      try {
        signal.throwIfAborted();
        return await abortable(runWithContext({ signal }, fn), signal);
      } catch (error) {
        throw signal.aborted && error === signal.reason
          ? this.#host.wrap(error, 'transaction', signal)
          : error;
      }
    };
    return outer === undefined ? await work() : await this.#suspend(outer, work);
  }

  async #suspend<Result>(outer: TransactionScope, fn: () => Promise<Result>): Promise<Result> {
    if (outer.isForTest)
      throw new InfrastructureError({
        code: 'unimplemented',
        ...this.#origin,
        message:
          'a test that is rolled back has one transaction for everything, and nothing can be outside of it: test this without withRollback',
      });
    const { ambient, driver } = this.#host;
    return await ambient.beside(outer, async () => {
      // What only reads may be possible, where what writes is not: that shows when it is tried.
      const refusal = ambient.refusal(driver.capabilities.concurrentReads);
      if (refusal !== undefined) throw refusal;
      return await fn();
    });
  }

  async #begin(options: ScopeOptions, site: CallSite | undefined): Promise<TransactionScope> {
    const { driver, ambient, held } = this.#host;
    const refusal = ambient.refusal(options.readOnly ?? false);
    if (refusal !== undefined) throw refusal;
    let release: (() => void) | undefined;
    try {
      const scope = await TransactionScope.begin(driver, {
        ...options,
        suspended: ambient.suspended,
        onReleased: () => release?.(),
      });
      release = site && held?.hold('transaction', site);
      return scope;
    } catch (error) {
      // Nothing has been done that could have been applied, whatever became of the engine.
      throw withOutcome(this.#host.wrap(error, 'transaction', options.signal), 'not-applied');
    }
  }

  /** Gives undefined when the attempt is to be repeated. */
  async #attemptOutermost<Result>(
    fn: () => Promise<Result>,
    { signal, retries = 10, isolation, readOnly, lock, isForTest }: OutermostOptions,
    { attempt, site }: { readonly attempt: number; readonly site: CallSite | undefined },
  ): Promise<Attempt<Result> | undefined> {
    const isRetried = (error: unknown): boolean => attempt < retries && isConflict(error);
    const { adapter } = this.#host.driver;
    const attributes: OperationAttributes = { attempt, adapter };
    let running: Promise<Attempt<Result>> | undefined;
    const call = async (current: AbortSignal | undefined): Promise<Attempt<Result>> => {
      const options = { signal: current, isolation, readOnly, lock, isForTest };
      const scope = await this.#begin(options, site);
      if (scope.waitedMs !== undefined) attributes['waitedMs'] = scope.waitedMs;
      running = this.#attempt(scope, fn, { attributes, signal: current });
      return await running;
    };
    try {
      const ended = await operation('database', 'transaction', attributes, () =>
        this.#host.guard('transaction', { signal }, call),
      );
      if (ended.committed || !isRetried(ended.error)) return ended;
      // This attempt has rolled back, whatever becomes of the next one.
      await this.#runCallbacks(ended.scope);
      return undefined;
    } catch (error) {
      const current = signal ?? currentContext().signal;
      if (current?.aborted) {
        // A policy lets go of the call at once; the attempt itself ends as soon as it has rolled back, and knows the outcome.
        const ended = await running;
        if (ended !== undefined) return ended;
        throw withOutcome(this.#host.wrap(error, 'transaction', current), 'not-applied');
      }
      // A policy that gives up in the midst of the commit leaves it to take effect or not; what follows must happen even so.
      void running?.then(
        async ({ scope }) => await this.#runCallbacks(scope),
        () => undefined,
      );
      if (isRetried(error)) return undefined;
      throw error;
    }
  }

  async #runNested<Result>(
    outer: TransactionScope,
    fn: () => Promise<Result>,
    options: TransactionOptions,
  ): Promise<Result> {
    checkNested(outer, options, this.#origin);
    const { adapter } = this.#host.driver;
    const attributes: OperationAttributes = { adapter, nested: true };
    const ended = await operation('database', 'transaction', attributes, async () => {
      const signal = options.signal ?? currentContext().signal;
      try {
        return await this.#attempt(await outer.nest(signal), fn, { attributes, signal });
      } catch (error) {
        throw this.#host.wrap(error, 'transaction', signal);
      }
    });
    return await this.#conclude(ended);
  }

  // The function's own error is given back as a value, so that nothing on the way wraps it, or repeats a part of the work.
  async #attempt<Result>(
    scope: TransactionScope,
    fn: () => Promise<Result>,
    {
      attributes,
      signal,
    }: { readonly attributes: OperationAttributes; readonly signal: AbortSignal | undefined },
  ): Promise<Attempt<Result>> {
    let value: Result;
    try {
      signal?.throwIfAborted();
      const work = this.#host.ambient.within(scope, async () => await fn());
      value = await (signal === undefined ? work : abortable(work, signal));
    } catch (error) {
      attributes['committed'] = false;
      // Whatever comes of it, the driver leaves nothing open; the function's error is the one to tell.
      await scope.rollback().catch(() => undefined);
      return {
        committed: false,
        scope,
        error: signal?.aborted && error === signal.reason ? this.#aborted(signal) : error,
      };
    }
    try {
      await scope.commit(signal);
    } catch (error) {
      return { committed: false, scope, error: this.#host.wrap(error, 'transaction') };
    }
    attributes['committed'] = true;
    return { committed: true, scope, value };
  }

  async #pauseBeforeRetry(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    // Full jitter: those who collided must not meet again.
    const milliseconds = this.#random() * Math.min(1000, 10 * 2 ** attempt);
    try {
      await this.#host.clock.sleep(milliseconds, signal);
    } catch (error) {
      throw signal?.aborted ? this.#aborted(signal) : error;
    }
  }

  /** Runs what is due when the outermost level has settled; gives what it threw. */
  async #runCallbacks(scope: TransactionScope): Promise<readonly unknown[]> {
    const errors: unknown[] = [];
    for (const callback of scope.dueCallbacks()) {
      try {
        await callback();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  async #conclude<Result>(ended: Attempt<Result>): Promise<Result> {
    const errors = await this.#runCallbacks(ended.scope);
    if (!ended.committed) throw ended.error;
    if (errors.length === 0) return ended.value;
    throw new InfrastructureError({
      code: 'internal',
      ...this.#origin,
      outcome: 'applied',
      message: `the transaction was committed, but ${errors.length} of what was to run after it failed: do not repeat it, see the cause`,
      cause: errors.length === 1 ? errors[0] : new AggregateError(errors),
    });
  }

  #refusal(message: string): InfrastructureError {
    return new InfrastructureError({ code: 'failed-precondition', ...this.#origin, message });
  }

  #aborted(signal: AbortSignal): InfrastructureError {
    const { code, message, cause } = this.#host.wrap(signal.reason, 'transaction', signal);
    return new InfrastructureError({
      code,
      ...this.#origin,
      outcome: 'not-applied',
      message: `${message}; it was rolled back`,
      cause,
    });
  }
}

const byDatabase = new WeakMap<object, Transactions>();

/** Makes them known as those of a Database. */
export function registerTransactions(database: object, transactions: Transactions): void {
  byDatabase.set(database, transactions);
}

/** Those of a Database, for what is done with them in tests only. */
export function transactionsOf(database: object): Transactions {
  const transactions = byDatabase.get(database);
  if (transactions === undefined)
    throw invalidArgument(
      { component: 'database' },
      'this is no Database of this copy of underpin',
    );
  return transactions;
}

/** How far down the causes of an error a conflict is looked for. */
const deepestCause = 8;

/** Whether another transaction was in the way, also when the function has made an error of its own of it. */
function isConflict(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < deepestCause && current instanceof Error; depth += 1) {
    if (
      InfrastructureError.is(current, 'aborted') &&
      current.component === 'database' &&
      current.retryable
    )
      return true;
    current = current.cause;
  }
  return false;
}
