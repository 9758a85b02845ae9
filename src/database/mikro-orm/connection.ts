import type {
  Configuration,
  ConnectionOptions,
  ConnectionType,
  Dictionary,
  LoggingOptions,
  RawQueryFragment,
} from '@mikro-orm/core';
import type { AbstractSqlConnection, NativeQueryBuilder } from '@mikro-orm/sql';
import { CompiledQuery, type Kysely } from 'kysely';

import {
  OrmConnection,
  type OrmDatabase,
  transactionOptions,
  unimplemented,
} from '../orm-connection.ts';
import { bind, type BoundStatement, type ValuePlatform } from './bind.ts';
import { core, mikroSql } from './library.ts';
import { exact } from './mysql-ids.ts';

/** The part of a Database of any schema that MikroORM runs on. */
export interface MikroDatabase extends OrmDatabase {
  readonly query: Kysely<unknown>;
}

type Transactional = AbstractSqlConnection['transactional'];
type TransactionalOptions = NonNullable<Parameters<Transactional>[1]>;
type Begin = AbstractSqlConnection['begin'];
/** What MikroORM holds on to while it is in a transaction, and gives to those who ask for its Kysely instance. */
type TransactionContext = Awaited<ReturnType<Begin>>;
interface RawResult {
  readonly rows: readonly unknown[];
  readonly insertId?: bigint | undefined;
}
type SqlQuery = string | NativeQueryBuilder | RawQueryFragment;

/** What {@link DatabaseConnection} is made of. */
export interface DatabaseConnectionOptions {
  readonly database: MikroDatabase;
  /** Whether placeholders are numbered. */
  readonly numbered: boolean;
}

/**
 * MikroORM's connection, through a database. A transaction that MikroORM is given a function for is one of the database's, which
 * others join; one that it begins and commits by itself is Kysely's controlled one.
 */
export class DatabaseConnection extends mikroSql.AbstractSqlConnection {
  readonly #database: MikroDatabase;
  readonly #numbered: boolean;
  readonly #root: OrmConnection;
  /** Where the contexts of this connection's own transactions lead. */
  readonly #transactions = new WeakMap<object, OrmConnection>();

  constructor(
    { database, numbered }: DatabaseConnectionOptions,
    ...[config, options, type]: [Configuration, ConnectionOptions?, ConnectionType?]
  ) {
    super(config, options, type);
    this.#database = database;
    this.#numbered = numbered;
    this.#root = new OrmConnection(database);
  }

  /** The database connects by itself, when it is first used. */
  override async connect(options?: { readonly skipOnConnect?: boolean }): Promise<void> {
    this.connected = true;
    if (!options?.skipOnConnect) await this.onConnect();
  }

  override getClient<Schema>(): ReturnType<
    typeof AbstractSqlConnection.prototype.getClient<Schema>
  > {
    // MikroORM has a Kysely of its own: the same in all but its private fields.
    return this.#database.query as unknown as ReturnType<
      typeof AbstractSqlConnection.prototype.getClient<Schema>
    >;
  }

  override createKyselyDialect(): never {
    throw unimplemented(this.#database.adapter, 'the query builder is the one of the database');
  }

  override async transactional<Result>(
    fn: (context: TransactionContext) => Promise<Result>,
    options: TransactionalOptions = {},
  ): Promise<Result> {
    const { ctx, eventBroadcaster: events, sessionContext } = options;
    const outer = ctx === undefined ? this.#root : this.#transactions.get(ctx);
    // Nested in one that MikroORM began by itself.
    if (outer === undefined) return await super.transactional(fn, options);
    this.#refuseSessionContext(sessionContext);
    const propagation = asksForNew(options) ? 'requires-new' : undefined;
    await this.ensureConnection();
    const { EventType } = core;
    await events?.dispatchEvent(EventType.beforeTransactionStart, ctx);
    let context: TransactionContext | undefined;
    let result: Result;
    try {
      result = await outer.transaction(
        async (connection) => {
          context = this.#contextOf(connection);
          try {
            await events?.dispatchEvent(EventType.afterTransactionStart, context);
            const value = await fn(context);
            await events?.dispatchEvent(EventType.beforeTransactionCommit, context);
            return value;
          } catch (error) {
            await events?.dispatchEvent(EventType.beforeTransactionRollback, context);
            throw error;
          }
        },
        // Whoever runs it again needs an entity manager that has not been through it.
        { ...transactionOptions(options), propagation, retries: 0 },
      );
    } catch (error) {
      await events?.dispatchEvent(EventType.afterTransactionRollback, context);
      throw error;
    }
    await events?.dispatchEvent(EventType.afterTransactionCommit, context);
    return result;
  }

  override async begin(options: TransactionalOptions = {}): Promise<TransactionContext> {
    this.#refuseSessionContext(options.sessionContext);
    const outer = options.ctx && this.#transactions.get(options.ctx);
    if (outer === undefined) return await super.begin(options);
    const { ctx: _, ...others } = options;
    return await outer.run(async () => await super.begin(others));
  }

  override async execute<Result>(
    query: SqlQuery,
    params: readonly unknown[] | Dictionary = [],
    method: 'all' | 'get' | 'run' = 'all',
    context?: TransactionContext,
    logging?: LoggingOptions & { readonly signal?: AbortSignal },
  ): Promise<Result> {
    await this.ensureConnection();
    const { text, values, statement } = this.#prepare(query, params);
    const { signal, ...shown } = logging ?? {};
    return await this.executeQuery(
      text,
      async () =>
        this.transformRawResult<Result>(await this.#run(statement, context, signal), method),
      { query: text, params: [...values], ...shown },
    );
  }

  override async *stream<Row>(
    query: SqlQuery,
    params: readonly unknown[] | Dictionary = [],
    context?: TransactionContext,
    logging?: LoggingOptions & { readonly signal?: AbortSignal },
    chunkSize = 100,
  ): AsyncIterableIterator<Row> {
    await this.ensureConnection();
    const { text, values, statement } = this.#prepare(query, params);
    const { signal, ...shown } = logging ?? {};
    const connection = this.#connectionOf(context);
    const builder = connection === undefined ? context : this.#database.query;
    const chunks = (builder ?? this.#database.query)
      .getExecutor()
      .stream<Row>(CompiledQuery.raw(statement.sql, [...statement.parameters]), chunkSize, {
        ...(signal !== undefined && { signal }),
      });
    this.logQuery(text, { query: text, params: [...values], ...shown });
    const next = async (): Promise<{ readonly rows: readonly unknown[] } | undefined> => {
      const result: IteratorResult<{ readonly rows: readonly unknown[] }, unknown> =
        await chunks.next();
      return result.done === true ? undefined : result.value;
    };
    try {
      for (;;) {
        const chunk = await (connection === undefined ? next() : connection.run(next));
        if (chunk === undefined) return;
        yield* this.transformRawResult<Row[]>(chunk, 'all');
      }
    } finally {
      await chunks.return?.();
    }
  }

  /** MikroORM would round an id that no number holds. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as MikroORM declares it
  protected override transformRawResult<Result>(
    result: RawResult | undefined,
    method: 'all' | 'get' | 'run',
  ): Result {
    const transformed = super.transformRawResult<Result>(result, method);
    const insertId = result?.insertId;
    if (method !== 'run' || insertId === undefined) return transformed;
    return { ...transformed, insertId: exact(insertId) };
  }

  async #run(
    { sql, parameters }: BoundStatement,
    context: TransactionContext | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RawResult | undefined> {
    const connection = this.#connectionOf(context);
    if (connection !== undefined) return await connection.execute(sql, parameters, { signal });
    return await context?.executeQuery(
      CompiledQuery.raw(sql, [...parameters]),
      signal === undefined ? {} : { signal },
    );
  }

  /** Gives undefined for the context of a transaction that MikroORM began by itself. */
  #connectionOf(context: TransactionContext | undefined): OrmConnection | undefined {
    return context === undefined ? this.#root : this.#transactions.get(context);
  }

  /** A Kysely instance that is of use in its transaction alone. */
  #contextOf(connection: OrmConnection): TransactionContext {
    const context = this.#database.query.withPlugin({
      transformQuery: ({ node }) => {
        connection.assertInside();
        return node;
      },
      transformResult: async ({ result }) => result,
    }) as unknown as TransactionContext;
    this.#transactions.set(context, connection);
    return context;
  }

  #prepare(
    given: SqlQuery,
    params: readonly unknown[] | Dictionary,
  ): {
    readonly text: string;
    readonly values: readonly unknown[];
    readonly statement: BoundStatement;
  } {
    let query: string | RawQueryFragment =
      typeof given === 'object' && 'toRaw' in given ? given.toRaw() : given;
    if (typeof query === 'string' && !isList(params)) query = core.raw(query, params);
    const [written, values] =
      typeof query === 'string' ? [query, isList(params) ? params : []] : [query.sql, query.params];
    const text = this.config.get('onQuery')(written, values);
    const platform = this.platform as unknown as ValuePlatform;
    return { text, values, statement: bind(text, values, { platform, numbered: this.#numbered }) };
  }

  #refuseSessionContext(sessionContext: unknown): void {
    if (sessionContext !== undefined)
      throw unimplemented(
        this.#database.adapter,
        'a session context cannot be set here: set it by a statement at the beginning of the transaction',
      );
  }
}

/** MikroORM hands on what its user asked for, though its type leaves that out. */
function asksForNew(options: TransactionalOptions): boolean {
  const { REQUIRES_NEW } = core.TransactionPropagation;
  return 'propagation' in options && options.propagation === REQUIRES_NEW;
}

function isList(params: readonly unknown[] | Dictionary): params is readonly unknown[] {
  return Array.isArray(params);
}
