import { AsyncLocalStorage } from 'node:async_hooks';

import { type Compilable, type CompiledQuery, type Kysely, SelectQueryNode } from 'kysely';

import {
  abortable,
  type CallOptions,
  type Clock,
  Component,
  type ComponentOptions,
  currentContext,
  InfrastructureError,
  operation,
  type OperationAttributes,
  requireCapability,
  runWithContext,
  systemClock,
  withOutcome,
} from '../core/index.ts';
import { abortedBefore } from './aborted.ts';
import type {
  BeginOptions,
  DatabaseDriver,
  DriverTransaction,
  Isolation,
  NotificationListener,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from './driver.ts';
import { bridgeKysely, type StatementRunner } from './kysely-bridge.ts';
import {
  applyMigrations,
  type AppliedMigrations,
  type MigrateOptions,
  type Migration,
} from './migrations.ts';
import { type Parameter, PreparedQuery } from './prepared-query.ts';
import { type TransactionCallback, TransactionScope } from './transaction-scope.ts';

/** Options of every Database. */
export interface DatabaseOptions extends ComponentOptions {
  /** For the waits between retries of a transaction. Default {@link systemClock}. */
  readonly clock?: Clock | undefined;
}

/** Options of {@link Database.transaction}. */
export interface TransactionOptions extends CallOptions {
  /**
   * How often an outermost transaction is run again after a serialization failure or a deadlock (`aborted`). Default 10. Its
   * function runs anew each time.
   */
  readonly retries?: number;
  /**
   * How far it is kept apart from others, at least. Default: the database's own, which is `serializable` unless its adapter has an
   * option for it. A nested transaction has that of the outermost.
   */
  readonly isolation?: Isolation | undefined;
}

interface OutermostOptions extends TransactionOptions {
  readonly lock?: string;
}

interface ScopedCall {
  readonly name: string;
  readonly attributes: OperationAttributes;
  readonly signal?: AbortSignal | undefined;
}

type Attempt<Result> =
  | { readonly committed: true; readonly scope: TransactionScope; readonly value: Result }
  | { readonly committed: false; readonly scope: TransactionScope; readonly error: unknown };

/**
 * A relational database. `query` is a typed Kysely instance (https://kysely.dev); `Schema` has a property for each table, as
 * Kysely wants it. Every statement that is executed inside of a {@link Database.transaction} joins it.
 *
 * Errors, beside those of every component: `already-exists` (unique), `failed-precondition` (foreign key, or a transaction
 * used after it ended), `invalid-argument` (not null, check, a value that cannot be stored, wrong SQL), `permission-denied`
 * (read-only), `resource-exhausted` (disk full, or nobody let go of the connection in time), `data-loss` (corrupt). `details`
 * names `constraint`, `table` and `columns` where the engine does.
 *
 * @example
 * interface Schema { user: { id: Generated<number>; name: string } }
 * const database = sqliteDatabase<Schema>({ file: 'data/app.db' });
 * await database.query.insertInto('user').values({ name: 'Ada' }).execute();
 */
export class Database<
  Schema = unknown,
  AnyDriver extends DatabaseDriver = DatabaseDriver,
> extends Component<AnyDriver> {
  /** Builds and executes queries; raw SQL through Kysely's `sql` tag. */
  readonly query: Kysely<Schema>;
  readonly #ambient = new AsyncLocalStorage<TransactionScope | undefined>();
  readonly #clock: Clock;

  constructor(driver: AnyDriver, options: DatabaseOptions = {}) {
    super('database', driver, options);
    this.#clock = options.clock ?? systemClock;
    // A getter in an object literal has a `this` of its own.
    const ambient = this.#ambient;
    const runner: StatementRunner = {
      get ambientScope() {
        return ambient.getStore();
      },
      execute: (query, signal, scope) => this.#execute(query, signal, scope ?? ambient.getStore()),
      stream: (query, streamOptions, scope) =>
        this.#stream(query, streamOptions, scope ?? ambient.getStore()),
      begin: async (parent, isolation) => await this.#begin(parent, isolation),
    };
    this.query = bridgeKysely<Schema>(runner, driver.dialect);
  }

  /** How its SQL is written, for code that is to run on several engines. */
  get dialect(): SqlDialect {
    return this.driver.dialect;
  }

  /** Whether the caller is inside a transaction of this database. */
  get inTransaction(): boolean {
    return this.#ambient.getStore() !== undefined;
  }

  /**
   * Runs `fn` in a transaction: what is executed inside of it, by whatever code, takes effect when `fn` resolves, or not at
   * all when it rejects; its error is thrown unchanged. Inside of another transaction it is nested, as a savepoint: when it
   * fails, only its own work is undone.
   *
   * Whatever still uses the transaction after its end gets `failed-precondition`. An abort rolls back at once, and throws
   * `cancelled` or `deadline-exceeded`.
   *
   * @example
   * await database.transaction(async () => {
   *   await database.query.insertInto('user').values({ name: 'Ada' }).execute();
   *   await queue.enqueue(welcome, { name: 'Ada' });
   * });
   */
  async transaction<Result>(
    fn: () => Promise<Result>,
    options: TransactionOptions = {},
  ): Promise<Result> {
    const outer = this.#ambient.getStore();
    if (outer !== undefined) return await this.#nestedTransaction(outer, fn, options);
    return await this.#retriedTransaction(fn, options);
  }

  async #retriedTransaction<Result>(
    fn: () => Promise<Result>,
    options: OutermostOptions,
  ): Promise<Result> {
    for (let attempt = 0; ; attempt += 1) {
      const ended = await this.#outermostTransaction(fn, options, attempt);
      if (ended !== undefined) return await this.#conclude(ended);
      await this.#pauseBeforeRetry(attempt, options.signal ?? currentContext().signal);
    }
  }

  /**
   * Runs `fn` once the outermost transaction has committed, after those registered before it; never when this transaction,
   * or one around it, rolls back. Outside of a transaction it runs at once, and this resolves when it has.
   *
   * `transaction()` resolves after these. When one throws, the others still run, and `transaction()` rejects with outcome
   * `applied`.
   */
  async afterCommit(fn: TransactionCallback): Promise<void> {
    const scope = this.#ambient.getStore();
    if (scope === undefined) await fn();
    else scope.afterCommit(fn);
  }

  /**
   * Runs `fn` when this transaction, or one around it, has rolled back, once the outermost has settled. Outside of a
   * transaction there is nothing to roll back and `fn` never runs.
   */
  afterRollback(fn: TransactionCallback): void {
    this.#ambient.getStore()?.afterRollback(fn);
  }

  /**
   * Builds and compiles a query once, to be executed many times; twice as fast as building it each time.
   *
   * @example
   * const userById = database.prepare((query, parameter: Parameter<{ id: number }>) =>
   *   query.selectFrom('user').select(['id', 'name']).where('id', '=', parameter('id')));
   * const ada = await userById.executeTakeFirst({ id: 1 });
   */
  prepare<Parameters extends object, Output>(
    build: (query: Kysely<Schema>, parameter: Parameter<Parameters>) => Compilable<Output>,
  ): PreparedQuery<Parameters, Output> {
    return new PreparedQuery<Parameters, Output>(
      {
        execute: (query, signal) => this.#execute(query, signal, this.#ambient.getStore()),
        executeMany: async (query, parameterRows, signal) =>
          await this.#executeMany(query, parameterRows, signal),
      },
      (parameter) => build(this.query, parameter),
    );
  }

  /**
   * Applies the migrations that have not been applied, in their order, each exactly once also when several processes start
   * at the same time. Throws `failed-precondition` when one that was applied has since been edited, removed or moved; a
   * migration that fails is undone where the engine can, and those after it are not tried. A database that is ahead of the
   * list, as in a rolling deploy, is accepted.
   */
  async migrate(
    migrations: readonly Migration[],
    options: MigrateOptions = {},
  ): Promise<AppliedMigrations> {
    const host = {
      inTransaction: this.inTransaction,
      transactionalDdl: this.capabilities.transactionalDdl,
      query: this.query as unknown as Kysely<unknown>,
      transaction: async <Result>(fn: () => Promise<Result>): Promise<Result> =>
        // What others applied while this one waited for the lock must be seen.
        await this.#retriedTransaction(fn, {
          signal: options.signal,
          isolation: 'read-committed',
          lock: 'underpin_migration',
        }),
      script: async (text: string): Promise<void> => await this.#script(text),
    };
    return await operation('database', 'migrate', { adapter: this.adapter }, async () => {
      try {
        const { signal = currentContext().signal } = options;
        // For its queries too, whose builders take none.
        return await runWithContext(
          signal === undefined ? {} : { signal },
          async () => await applyMigrations(host, migrations, options),
        );
      } catch (error) {
        throw this.wrap(error, 'migrate', options.signal);
      }
    });
  }

  /**
   * Calls `listener` for each notification on the channel, from whatever process, until the returned function is called. A hint
   * and no message: what is notified while the connection is lost is missed, and the listener is called without a payload when
   * it is back. Throws `unimplemented` on an adapter without the capability `notifications`.
   *
   * @example
   * const stop = database.listen('news', () => void refresh());
   * await sql`select pg_notify('news', '')`.execute(database.query);
   */
  listen(channel: string, listener: NotificationListener): () => void {
    const origin = { component: 'database', adapter: this.adapter, operation: 'listen' };
    requireCapability(this.capabilities, 'notifications', origin);
    return this.driver.listen?.(channel, listener) ?? (() => undefined);
  }

  #execute(
    query: CompiledQuery,
    signal: AbortSignal | undefined,
    scope: TransactionScope | undefined,
  ): Promise<StatementResult> {
    const attributes: OperationAttributes = { statement: query.sql };
    if (scope !== undefined) {
      return this.#inScope(scope, { name: 'query', attributes, signal }, (transaction, current) =>
        transaction.execute(query, current),
      );
    }
    return this.run('query', attributes, { signal, repeatable: isRead(query) }, async (current) =>
      counted(attributes, await this.driver.execute(query, current)),
    );
  }

  async #executeMany(
    query: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal: AbortSignal | undefined,
  ): Promise<bigint> {
    const scope = this.#ambient.getStore();
    if (scope === undefined)
      return await this.transaction(
        async () => await this.#executeMany(query, parameterRows, signal),
        { signal },
      );
    const attributes: OperationAttributes = {
      statement: query.sql,
      repetitions: parameterRows.length,
    };
    const { numAffectedRows = 0n } = await this.#inScope(
      scope,
      { name: 'query', attributes, signal },
      (transaction, current) => transaction.executeMany(query, parameterRows, current),
    );
    return numAffectedRows;
  }

  async #script(text: string): Promise<void> {
    const scope = this.#ambient.getStore();
    if (scope === undefined) await this.transaction(async () => await this.#script(text));
    else
      await this.#inScope(
        scope,
        { name: 'script', attributes: { statement: text } },
        async (transaction) => await transaction.script(text),
      );
  }

  #inScope<Result extends StatementResult | void>(
    scope: TransactionScope,
    call: ScopedCall,
    fn: (
      transaction: DriverTransaction,
      signal: AbortSignal | undefined,
    ) => Result | Promise<Result>,
  ): Promise<Result> {
    call.attributes['adapter'] = this.driver.adapter;
    return operation('database', call.name, call.attributes, () =>
      this.#guardedInScope(scope, call, fn),
    );
  }

  async #guardedInScope<Result extends StatementResult | void>(
    scope: TransactionScope,
    { name, attributes, signal = currentContext().signal }: ScopedCall,
    fn: (
      transaction: DriverTransaction,
      signal: AbortSignal | undefined,
    ) => Result | Promise<Result>,
  ): Promise<Result> {
    try {
      if (signal?.aborted) throw abortedBefore(signal);
      const result: Result = await scope.use((transaction) => fn(transaction, signal), signal);
      if (result !== undefined) counted(attributes, result);
      return result;
    } catch (error) {
      throw this.wrap(error, name, signal);
    }
  }

  async *#stream(
    query: CompiledQuery,
    options: StreamOptions,
    scope: TransactionScope | undefined,
  ): StatementStream {
    const signal = options.signal ?? currentContext().signal;
    const attributes = { adapter: this.adapter, statement: query.sql, rows: 0 };
    // One event from the first row to the last, though this generator runs by fits and starts.
    const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<void>();
    operation('database', 'stream', attributes, async () => await ended).catch(() => undefined);
    try {
      // The start goes on for whoever else waits for it, also when this stream is cancelled.
      if (scope === undefined) await (signal ? abortable(this.start(), signal) : this.start());
      const streaming = { ...options, signal };
      const stream =
        scope === undefined
          ? this.driver.stream(query, streaming)
          : await scope.use((transaction) => transaction.stream(query, streaming), signal);
      for await (const chunk of stream) {
        signal?.throwIfAborted();
        attributes.rows += chunk.rows.length;
        yield chunk;
      }
    } catch (error) {
      const wrapped = this.wrap(error, 'stream', signal);
      fail(wrapped);
      throw wrapped;
    } finally {
      end();
    }
  }

  async #begin(
    parent: TransactionScope | undefined,
    isolation: Isolation | undefined,
  ): Promise<TransactionScope> {
    try {
      if (parent !== undefined) return await parent.nest();
      await this.start();
      return await this.#beginOutermost({ isolation });
    } catch (error) {
      throw this.wrap(error, 'transaction');
    }
  }

  async #beginOutermost(options: BeginOptions): Promise<TransactionScope> {
    try {
      return await TransactionScope.begin(this.driver, options);
    } catch (error) {
      // Nothing has been done that could have been applied, whatever became of the engine.
      throw withOutcome(this.wrap(error, 'transaction', options.signal), 'not-applied');
    }
  }

  /** Gives undefined when the attempt is to be repeated. */
  async #outermostTransaction<Result>(
    fn: () => Promise<Result>,
    { signal, retries = 10, isolation, lock }: OutermostOptions,
    attempt: number,
  ): Promise<Attempt<Result> | undefined> {
    const isRetried = (error: unknown): boolean =>
      attempt < retries &&
      InfrastructureError.is(error, 'aborted') &&
      error.component === 'database' &&
      error.retryable;
    const attributes: OperationAttributes = { attempt };
    let running: Promise<Attempt<Result>> | undefined;
    try {
      const ended = await this.run('transaction', attributes, { signal }, async (current) => {
        const scope = await this.#beginOutermost({ signal: current, isolation, lock });
        running = this.#attempt(scope, fn, { attributes, signal: current });
        return await running;
      });
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
        throw withOutcome(this.wrap(error, 'transaction', current), 'not-applied');
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

  async #nestedTransaction<Result>(
    outer: TransactionScope,
    fn: () => Promise<Result>,
    { signal }: TransactionOptions,
  ): Promise<Result> {
    const attributes: OperationAttributes = { adapter: this.adapter, nested: true };
    const ended = await operation('database', 'transaction', attributes, async () => {
      const current = signal ?? currentContext().signal;
      try {
        return await this.#attempt(await outer.nest(current), fn, { attributes, signal: current });
      } catch (error) {
        throw this.wrap(error, 'transaction', current);
      }
    });
    if (!ended.committed) throw ended.error;
    return ended.value;
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
      const work = this.#ambient.run(scope, async () => await fn());
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
      return { committed: false, scope, error: this.wrap(error, 'transaction') };
    }
    attributes['committed'] = true;
    return { committed: true, scope, value };
  }

  async #pauseBeforeRetry(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    // Full jitter: those who collided must not meet again.
    const milliseconds = Math.random() * Math.min(1000, 10 * 2 ** attempt);
    try {
      await this.#clock.sleep(milliseconds, signal);
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
      component: 'database',
      adapter: this.adapter,
      operation: 'transaction',
      outcome: 'applied',
      message: `the transaction was committed, but ${errors.length} of what was to run after it failed: do not repeat it, see the cause`,
      cause: errors.length === 1 ? errors[0] : new AggregateError(errors),
    });
  }

  #aborted(signal: AbortSignal): InfrastructureError {
    const { code, message, cause } = this.wrap(signal.reason, 'transaction', signal);
    const origin = { component: 'database', adapter: this.adapter, operation: 'transaction' };
    return new InfrastructureError({
      code,
      ...origin,
      outcome: 'not-applied',
      message: `${message}; it was rolled back`,
      cause,
    });
  }
}

/** Whether a statement reads and does nothing else, as far as the builder that made it knows. */
function isRead({ query }: CompiledQuery): boolean {
  return (
    SelectQueryNode.is(query) &&
    (query.with?.expressions ?? []).every(({ expression }) => SelectQueryNode.is(expression))
  );
}

function counted(attributes: OperationAttributes, result: StatementResult): StatementResult {
  attributes['rows'] =
    result.numAffectedRows === undefined ? result.rows.length : Number(result.numAffectedRows);
  return result;
}
