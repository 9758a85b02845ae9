import { type Compilable, CompiledQuery, type Kysely } from 'kysely';

import {
  type CallOptions,
  type Clock,
  Component,
  type ComponentOptions,
  currentContext,
  type Duration,
  type InfrastructureError,
  longestTimer,
  operation,
  requireCapability,
  runWithContext,
  systemClock,
  toMilliseconds,
} from '../core/index.ts';
import { Ambient } from './ambient.ts';
import type {
  ArrayResult,
  DatabaseDriver,
  NotificationListener,
  RowMode,
  SqlDialect,
  StatementResult,
} from './driver.ts';
import { HeldConnections } from './held-connections.ts';
import { bridgeKysely } from './kysely-bridge.ts';
import {
  applyMigrations,
  type AppliedMigrations,
  type MigrateOptions,
  type Migration,
} from './migrations.ts';
import { type Parameter, PreparedQuery } from './prepared-query.ts';
import { Statements } from './statements.ts';
import type { TransactionOptions } from './transaction-options.ts';
import type { TransactionCallback } from './transaction-scope.ts';
import { type DatabaseHost, registerTransactions, Transactions } from './transactions.ts';

/** Options of every Database. */
export interface DatabaseOptions extends ComponentOptions {
  /** For the waits between retries of a transaction, its timeout, and how long something took. Default {@link systemClock}. */
  readonly clock?: Clock | undefined;
  /** Gives the jitter of the waits between retries of a transaction, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** From when on the event of a statement has a warning, for it was slow; 0 for never. Default 1 s. */
  readonly slowAfter?: Duration | undefined;
  /**
   * From when on a transaction or a stream is told as a leak, once, by an event with a warning that names the line that began it; 0
   * for never. Default 30 s.
   */
  readonly leakAfter?: Duration | undefined;
  /**
   * Whether the events of statements have their parameters: personal data, passwords and all, which then stand in logs and traces.
   * Errors never have them. Default false.
   */
  readonly parametersInEvents?: boolean | undefined;
}

/** Options of {@link Database.execute}. */
export interface ExecuteOptions extends CallOptions {
  /** How its rows come. Default `object`. */
  readonly rowMode?: RowMode | undefined;
}

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
  readonly #ambient: Ambient;
  readonly #held: HeldConnections | undefined;
  readonly #transactions: Transactions;
  readonly #statements: Statements;

  constructor(driver: AnyDriver, options: DatabaseOptions = {}) {
    super('database', driver, options);
    const { clock = systemClock, random = Math.random, parametersInEvents = false } = options;
    const leakAfter = Math.min(toMilliseconds(options.leakAfter ?? '30s'), longestTimer);
    const slowAfter = toMilliseconds(options.slowAfter ?? '1s');
    this.#ambient = new Ambient(driver);
    this.#held =
      leakAfter > 0
        ? new HeldConnections({ adapter: driver.adapter, leakAfter, clock })
        : undefined;
    const host: DatabaseHost = {
      driver,
      clock,
      ambient: this.#ambient,
      held: this.#held,
      start: async (callOptions) => await this.start(callOptions),
      guard: (name, runOptions, fn) => this.guard(name, runOptions, fn),
      wrap: (error, name, signal) => this.wrap(error, name, signal),
    };
    this.#transactions = new Transactions(host, random);
    this.#statements = new Statements(host, this.#transactions, { slowAfter, parametersInEvents });
    registerTransactions(this, this.#transactions);
    const statements = this.#statements;
    const transactions = this.#transactions;
    this.query = bridgeKysely<Schema>(
      {
        ambient: this.#ambient,
        execute: (query, signal, scope) => statements.execute(query, signal, scope),
        stream: (query, streamOptions, scope) => statements.stream(query, streamOptions, scope),
        begin: async (parent, beginOptions) => await transactions.begin(parent, beginOptions),
      },
      driver.dialect,
    );
  }

  /** How its SQL is written, for code that is to run on several engines. */
  get dialect(): SqlDialect {
    return this.driver.dialect;
  }

  /** Whether the caller is inside a transaction of this database. */
  get inTransaction(): boolean {
    return this.#ambient.scope !== undefined;
  }

  /**
   * Runs `fn` in a transaction: what is executed inside of it, by whatever code, takes effect when `fn` resolves, or not at
   * all when it rejects; its error is thrown unchanged. Inside of another transaction it is nested, as a savepoint: when it
   * fails, only its own work is undone. {@link Propagation} has the other ways.
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
    return await this.#transactions.run(fn, options);
  }

  /**
   * Runs `fn` once the outermost transaction has committed, after those registered before it; never when this transaction,
   * or one around it, rolls back. Outside of a transaction it runs at once, and this resolves when it has.
   *
   * `transaction()` resolves after these. When one throws, the others still run, and `transaction()` rejects with outcome
   * `applied`.
   */
  async afterCommit(fn: TransactionCallback): Promise<void> {
    const { scope } = this.#ambient;
    if (scope === undefined) await fn();
    else scope.afterCommit(fn);
  }

  /**
   * Runs `fn` when this transaction, or one around it, has rolled back, once the outermost has settled. Outside of a
   * transaction there is nothing to roll back and `fn` never runs.
   */
  afterRollback(fn: TransactionCallback): void {
    this.#ambient.scope?.afterRollback(fn);
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
    return new PreparedQuery<Parameters, Output>(this.#statements, (parameter) =>
      build(this.query, parameter),
    );
  }

  /**
   * Runs one statement that was written elsewhere, by an ORM or another query builder, with the engine's own placeholders; it joins
   * the transaction, is told as an operation and throws what `query` does. In the row mode `array` columns that have one name all
   * come back, in order.
   *
   * @example
   * const { rows } = await database.execute('select 1, 2 where 3 = ?', [3], { rowMode: 'array' });
   */
  execute(
    statement: string,
    parameters: readonly unknown[],
    options: ExecuteOptions & { readonly rowMode: 'array' },
  ): Promise<ArrayResult>;
  execute(
    statement: string,
    parameters?: readonly unknown[],
    options?: ExecuteOptions,
  ): Promise<StatementResult>;
  async execute(
    statement: string,
    parameters: readonly unknown[] = [],
    { signal, rowMode }: ExecuteOptions = {},
  ): Promise<ArrayResult | StatementResult> {
    const query = CompiledQuery.raw(statement, [...parameters]);
    return await this.#statements.execute(query, signal, undefined, rowMode);
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
      query: this.query as unknown as Kysely<unknown>,
      transaction: async <Result>(fn: () => Promise<Result>): Promise<Result> =>
        // What others applied while this one waited for the lock must be seen.
        await this.#transactions.runOutermost(fn, {
          signal: options.signal,
          isolation: 'read-committed',
          lock: 'underpin_migration',
        }),
      script: async (text: string): Promise<void> => await this.#statements.script(text),
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

  /** Names who holds the connections, where somebody waited for one in vain. */
  protected override wrap(error: unknown, name: string, signal?: AbortSignal): InfrastructureError {
    const wrapped = super.wrap(error, name, signal);
    return this.#held === undefined ? wrapped : this.#held.explain(wrapped);
  }
}
