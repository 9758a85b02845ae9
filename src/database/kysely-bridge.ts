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
  readonly ambient: Ambient;
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
      provideConnection: async (consumer) => {
        const connection = new BridgeConnection(runner);
        try {
          return await consumer(connection);
        } finally {
          connection.end();
        }
      },
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

/** What Kysely's own transactions, which hand out a transaction object, hold on to. */
class BridgeConnection implements DatabaseConnection {
  readonly #runner: StatementRunner;
  #hasEnded = false;
  /** The levels opened through this connection: the transaction, and its savepoints by name. */
  readonly #levels: { readonly name: string | undefined; readonly scope: TransactionScope }[] = [];

  constructor(runner: StatementRunner) {
    this.#runner = runner;
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

  /** Inside an ambient transaction, Kysely's transaction is nested in it. */
  async begin(options: Pick<TransactionOptions, 'isolation' | 'readOnly'>): Promise<void> {
    this.#refuseIfEnded();
    this.#levels.push({
      name: undefined,
      scope: await this.#runner.begin(this.#runner.ambient.scope, options),
    });
  }

  /** From now on whoever still has it is refused, for what it runs would be part of no transaction. */
  end(): void {
    this.#hasEnded = true;
  }

  async commit(): Promise<void> {
    while (this.#levels.length > 1) await this.#pop().commit();
    await this.#pop().commit();
  }

  async rollback(): Promise<void> {
    const { scope } = this.#levels[0] ?? this.#missing('transaction');
    this.#levels.length = 0;
    await scope.rollback();
  }

  async savepoint(name: string): Promise<void> {
    this.#levels.push({ name, scope: await this.#runner.begin(this.#current, {}) });
  }

  async releaseSavepoint(name: string): Promise<void> {
    const index = this.#find(name);
    while (this.#levels.length > index) await this.#pop().commit();
  }

  /** As in SQL, the savepoint itself stays: it can be gone back to again. */
  async rollbackToSavepoint(name: string): Promise<void> {
    const index = this.#find(name);
    while (this.#levels.length > index) await this.#pop().rollback();
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

  #pop(): TransactionScope {
    return (this.#levels.pop() ?? this.#missing('transaction')).scope;
  }

  #find(name: string): number {
    const index = this.#levels.findLastIndex((level) => level.name === name);
    return index === -1 ? this.#missing(`savepoint "${name}"`) : index;
  }

  #missing(what: string): never {
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      message: `there is no open ${what}`,
    });
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
