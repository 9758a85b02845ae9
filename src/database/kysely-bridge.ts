import {
  type CompiledQuery,
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  type Dialect,
  type Driver as KyselyDriver,
  type IsolationLevel,
  Kysely,
  type KyselyPlugin,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';

import { InfrastructureError } from '../core/index.ts';
import type { Ambient } from './ambient.ts';
import type {
  Isolation,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from './driver.ts';
import type { TransactionOptions } from './transaction-options.ts';
import type { TransactionScope } from './transaction-scope.ts';

/** What the bridge needs of a Database: to run statements, in a given transaction or in the ambient one. */
export interface StatementRunner {
  readonly ambient: Pick<Ambient, 'scope'>;
  execute(
    query: CompiledQuery,
    signal: AbortSignal | undefined,
    scope?: TransactionScope,
  ): Promise<StatementResult>;
  stream(query: CompiledQuery, options: StreamOptions, scope?: TransactionScope): StatementStream;
  begin(
    parent: TransactionScope | undefined,
    options: Pick<TransactionOptions, 'isolation' | 'readOnly'>,
  ): Promise<TransactionScope>;
  /** An error of a transaction's end, as the Database throws it. */
  wrap(error: unknown): InfrastructureError;
}

interface SignalOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * A Kysely instance whose statements go straight to a {@link StatementRunner}: past Kysely's own runtime driver, connection
 * provider and logging, which cost a third of a point select and know nothing of ambient transactions.
 */
export function bridgeKysely<Schema>(runner: StatementRunner, parts: SqlDialect): Kysely<Schema> {
  const adapter = parts.createAdapter();
  const driver = new BridgeDriver();
  const dialect: Dialect = {
    createAdapter: () => adapter,
    createDriver: () => driver,
    createIntrospector: (query) => parts.createIntrospector(query),
    createQueryCompiler: () => parts.createQueryCompiler(),
  };
  const executor = new BridgeExecutor(runner, dialect, []);
  return new Kysely<Schema>({ config: { dialect }, dialect, driver, executor });
}

class BridgeExecutor extends DefaultQueryExecutor {
  readonly #runner: StatementRunner;
  readonly #dialect: Dialect;

  constructor(runner: StatementRunner, dialect: Dialect, plugins: readonly KyselyPlugin[]) {
    const connections: ConnectionProvider = {
      provideConnection: async (consumer) => await BridgeConnection.lend(runner, consumer),
    };
    super(dialect.createQueryCompiler(), dialect.createAdapter(), connections, [...plugins]);
    this.#runner = runner;
    this.#dialect = dialect;
  }

  override executeQuery<Row>(
    query: CompiledQuery,
    options?: SignalOptions,
  ): Promise<QueryResult<Row>> {
    // The rows are what the engine says they are; Kysely's own drivers make the same claim.
    const executed = this.#runner.execute(query, options?.signal) as Promise<QueryResult<Row>>;
    return this.plugins.length === 0 ? executed : this.#transformed(query, executed);
  }

  async #transformed<Row>(
    query: CompiledQuery,
    executed: Promise<QueryResult<Row>>,
  ): Promise<QueryResult<Row>> {
    let result = await executed;
    for (const plugin of this.plugins) result = await transform(plugin, query, result);
    return result;
  }

  override async *stream<Row>(
    query: CompiledQuery,
    chunkSize: number,
    options?: SignalOptions,
  ): AsyncIterableIterator<QueryResult<Row>> {
    for await (const chunk of this.#runner.stream(query, { chunkSize, signal: options?.signal })) {
      let result = chunk as QueryResult<Row>;
      for (const plugin of this.plugins) result = await transform(plugin, query, result);
      yield result;
    }
  }

  /**
   * Of Kysely's `transaction()`, or of its `connection()`, whose transactions get connections of their own: a transaction's serves
   * nobody after its end.
   */
  override withConnectionProvider(provider: ConnectionProvider): DefaultQueryExecutor {
    return super.withConnectionProvider({
      provideConnection: async (consumer, options) =>
        await provider.provideConnection(
          async (connection) =>
            bridged(connection).isTransaction
              ? await consumer(connection)
              : await BridgeConnection.lend(this.#runner, consumer),
          options,
        ),
    });
  }

  override withPlugins(plugins: readonly KyselyPlugin[]): BridgeExecutor {
    return new BridgeExecutor(this.#runner, this.#dialect, [...this.plugins, ...plugins]);
  }

  override withPlugin(plugin: KyselyPlugin): BridgeExecutor {
    return this.withPlugins([plugin]);
  }

  override withPluginAtFront(plugin: KyselyPlugin): BridgeExecutor {
    return new BridgeExecutor(this.#runner, this.#dialect, [plugin, ...this.plugins]);
  }

  override withoutPlugins(): BridgeExecutor {
    return new BridgeExecutor(this.#runner, this.#dialect, []);
  }
}

async function transform<Row>(
  plugin: KyselyPlugin,
  query: CompiledQuery,
  result: QueryResult<Row>,
): Promise<QueryResult<Row>> {
  const { rows, ...rest } = await plugin.transformResult({
    queryId: query.queryId,
    result: result as QueryResult<Record<string, unknown>>,
  });
  return { ...rest, rows: rows as Row[] };
}

/** A transaction, or a savepoint of it, which has a name. */
interface Level {
  readonly name: string | undefined;
  readonly scope: TransactionScope;
}

/** What Kysely's own transactions, which hand out a transaction object, hold on to. */
class BridgeConnection implements DatabaseConnection {
  readonly #runner: StatementRunner;
  /** The levels opened through this connection: the transaction, and its savepoints by name. */
  readonly #levels: Level[] = [];
  #hasEnded = false;

  private constructor(runner: StatementRunner) {
    this.#runner = runner;
  }

  /** Lends a new one; whoever uses it afterwards is refused. */
  static async lend<Result>(
    runner: StatementRunner,
    consumer: (connection: DatabaseConnection) => Promise<Result>,
  ): Promise<Result> {
    const connection = new BridgeConnection(runner);
    try {
      return await consumer(connection);
    } finally {
      connection.#hasEnded = true;
    }
  }

  async executeQuery<Row>(
    query: CompiledQuery,
    options?: SignalOptions,
  ): Promise<QueryResult<Row>> {
    this.#refuseIfEnded();
    return (await this.#runner.execute(query, options?.signal, this.#current)) as QueryResult<Row>;
  }

  streamQuery<Row>(
    query: CompiledQuery,
    chunkSize: number,
    options?: SignalOptions,
  ): AsyncIterableIterator<QueryResult<Row>> {
    this.#refuseIfEnded();
    const stream = this.#runner.stream(
      query,
      { chunkSize, signal: options?.signal },
      this.#current,
    );
    return stream as AsyncIterableIterator<QueryResult<Row>>;
  }

  /** Whether this is a transaction's, open or not. Throws when it has been given back. */
  get isTransaction(): boolean {
    this.#refuseIfEnded();
    return this.#levels.length > 0;
  }

  /** Inside an ambient transaction, Kysely's transaction is nested in it. */
  async begin(options: Pick<TransactionOptions, 'isolation' | 'readOnly'>): Promise<void> {
    this.#levels.push({
      name: undefined,
      scope: await this.#runner.begin(this.#runner.ambient.scope, options),
    });
  }

  /** The outermost level stays, settled: whatever is still run on this connection is refused by it, and not run outside. */
  async commit(): Promise<void> {
    await this.#wrapped(async () => {
      while (this.#levels.length > 1) {
        await this.#current?.commit();
        this.#levels.pop();
      }
      await this.#current?.commit();
    });
  }

  /** Kysely also calls it after a commit that failed, which has left nothing to roll back. */
  async rollback(): Promise<void> {
    this.#levels.splice(1);
    // Whatever comes of it, the driver leaves nothing open; what Kysely rolls back for is the error to tell.
    await this.#current?.rollback().catch(() => undefined);
  }

  async savepoint(name: string): Promise<void> {
    this.#levels.push({ name, scope: await this.#runner.begin(this.#current, {}) });
  }

  async releaseSavepoint(name: string): Promise<void> {
    const index = this.#find(name);
    await this.#wrapped(async () => {
      while (this.#levels.length > index) await this.#levels.pop()?.scope.commit();
    });
  }

  /** As in SQL, the savepoint itself stays: it can be gone back to again. */
  async rollbackToSavepoint(name: string): Promise<void> {
    const index = this.#find(name);
    await this.#wrapped(async () => {
      while (this.#levels.length > index) await this.#levels.pop()?.scope.rollback();
    });
    await this.savepoint(name);
  }

  #refuseIfEnded(): void {
    if (this.#hasEnded)
      throw refusal(
        'this transaction, or this connection, has ended: await everything that belongs to it before its function returns',
      );
  }

  get #current(): TransactionScope | undefined {
    return this.#levels.at(-1)?.scope;
  }

  async #wrapped(fn: () => Promise<void>): Promise<void> {
    try {
      await fn();
    } catch (error) {
      throw this.#runner.wrap(error);
    }
  }

  #find(name: string): number {
    const index = this.#levels.findLastIndex((level) => level.name === name);
    if (index === -1) throw refusal(`there is no open savepoint "${name}"`);
    return index;
  }
}

/** The isolation that each level of SQL means. */
export const isolationOf: Readonly<Record<IsolationLevel, Isolation>> = {
  'read uncommitted': 'read-committed',
  'read committed': 'read-committed',
  'repeatable read': 'repeatable-read',
  snapshot: 'repeatable-read',
  serializable: 'serializable',
};

class BridgeDriver implements KyselyDriver {
  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    throw refusal('connections are handed out by the Database itself');
  }

  async releaseConnection(): Promise<void> {}

  async beginTransaction(
    connection: DatabaseConnection,
    settings: TransactionSettings,
  ): Promise<void> {
    const { isolationLevel, accessMode } = settings;
    await bridged(connection).begin({
      isolation: isolationLevel && isolationOf[isolationLevel],
      readOnly: accessMode && accessMode === 'read only',
    });
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await bridged(connection).commit();
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await bridged(connection).rollback();
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await bridged(connection).savepoint(name);
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await bridged(connection).rollbackToSavepoint(name);
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await bridged(connection).releaseSavepoint(name);
  }

  async destroy(): Promise<void> {
    throw refusal('this query builder belongs to a Database: close that instead');
  }
}

function bridged(connection: DatabaseConnection): BridgeConnection {
  if (connection instanceof BridgeConnection) return connection;
  throw refusal('this connection is not one of this Database');
}

function refusal(message: string): InfrastructureError {
  return new InfrastructureError({ code: 'failed-precondition', component: 'database', message });
}
