import type { Query, TablesRelationalConfig } from 'drizzle-orm';
import type {
  PreparedQueryConfig,
  SQLiteAsyncDialect,
  SQLitePreparedQuery,
  SQLiteTransaction,
} from 'drizzle-orm/sqlite-core';

import type { StatementResult } from '../driver.ts';
import type { OrmConnection } from '../orm-connection.ts';
import {
  drizzle,
  type JoinedTables,
  mapResultRow,
  type ResultMapper,
  type SelectedFields,
  sqliteCore,
} from './library.ts';
import type { Relations, Tables } from './relations.ts';

/** What a statement of Drizzle's on SQLite gives when it returns no rows. */
export interface SqliteRunResult {
  /** How many rows it changed. */
  readonly changes: number;
  /** The id of the row that an `insert` has made, else 0. */
  readonly lastInsertRowid: number | bigint;
}

type Transaction = SQLiteTransaction<'async', SqliteRunResult, Tables, TablesRelationalConfig>;
type Prepared = PreparedQueryConfig & { type: 'async' };

/** What a {@link SqliteSession} is made of. */
export interface SqliteSessionOptions {
  readonly connection: OrmConnection;
  readonly dialect: SQLiteAsyncDialect;
  readonly relations: Relations | undefined;
}

/** Drizzle's statements on SQLite. */
export class SqliteSession extends sqliteCore.SQLiteSession<
  'async',
  SqliteRunResult,
  Tables,
  TablesRelationalConfig
> {
  readonly #options: SqliteSessionOptions;

  constructor(options: SqliteSessionOptions) {
    super(options.dialect);
    this.#options = options;
  }

  override prepareQuery(
    query: Query,
    fields: SelectedFields | undefined,
    executeMethod: 'run' | 'all' | 'get',
    _isResponseInArrayMode: boolean,
    mapper?: ResultMapper,
  ): SQLitePreparedQuery<Prepared> {
    return new SqliteQuery(this.#options.connection, query, { executeMethod, fields, mapper });
  }

  /** Takes the write lock at its beginning, whatever the behaviour: no other loses as little or needs less care. */
  override async transaction<Result>(fn: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#options.connection.transaction(
      async (connection) => await fn(new NestableTransaction({ ...this.#options, connection })),
    );
  }

  /** Runs queries one after the other, all or none. */
  async batch(queries: readonly unknown[]): Promise<unknown[]> {
    return await this.#options.connection.transaction(async () => {
      const results: unknown[] = [];
      // Each is a query that runs when it is awaited, in the transaction that it is awaited in.
      for (const query of queries) results.push(await query);
      return results;
    });
  }
}

class NestableTransaction extends sqliteCore.SQLiteTransaction<
  'async',
  SqliteRunResult,
  Tables,
  TablesRelationalConfig
> {
  readonly #session: SqliteSession;

  constructor(options: SqliteSessionOptions) {
    const session = new SqliteSession(options);
    super('async', options.dialect, session, options.relations);
    this.#session = session;
  }

  override async transaction<Result>(fn: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#session.transaction(fn);
  }
}

interface QueryOptions {
  readonly executeMethod: 'run' | 'all' | 'get';
  readonly fields: SelectedFields | undefined;
  readonly mapper: ResultMapper | undefined;
}

class SqliteQuery extends sqliteCore.SQLitePreparedQuery<Prepared> {
  joinsNotNullableMap: JoinedTables | undefined;
  readonly #connection: OrmConnection;
  readonly #options: QueryOptions;

  constructor(connection: OrmConnection, query: Query, options: QueryOptions) {
    super('async', options.executeMethod, query);
    this.#connection = connection;
    this.#options = options;
  }

  override async run(placeholders?: Record<string, unknown>): Promise<SqliteRunResult> {
    const { numAffectedRows = 0n, insertId = 0n } = await this.#execute(placeholders);
    const id = Number(insertId);
    return {
      changes: Number(numAffectedRows),
      lastInsertRowid: Number.isSafeInteger(id) ? id : insertId,
    };
  }

  override async all(placeholders?: Record<string, unknown>): Promise<unknown> {
    const { fields, mapper } = this.#options;
    if (fields === undefined && mapper === undefined)
      return (await this.#execute(placeholders)).rows;
    const rows = await this.values(placeholders);
    if (mapper !== undefined) return mapper(rows);
    return rows.map((row) => mapResultRow(fields ?? [], row, this.joinsNotNullableMap));
  }

  override async get(placeholders?: Record<string, unknown>): Promise<unknown> {
    const { fields, mapper } = this.#options;
    if (fields === undefined && mapper === undefined)
      return (await this.#execute(placeholders)).rows[0];
    const [row] = await this.values(placeholders);
    if (row === undefined) return undefined;
    if (mapper !== undefined) return mapper([row]);
    return mapResultRow(fields ?? [], row, this.joinsNotNullableMap);
  }

  override async values(placeholders: Record<string, unknown> = {}): Promise<unknown[][]> {
    const parameters = drizzle.fillPlaceholders(this.query.params, placeholders);
    const { rows } = await this.#connection.execute(this.query.sql, parameters, {
      rowMode: 'array',
    });
    return rows.map((row) => [...row]);
  }

  async #execute(placeholders: Record<string, unknown> = {}): Promise<StatementResult> {
    const parameters = drizzle.fillPlaceholders(this.query.params, placeholders);
    return await this.#connection.execute(this.query.sql, parameters);
  }
}

/** Drizzle's database on SQLite, as this package makes it. */
export class SqliteDrizzleDatabase extends sqliteCore.BaseSQLiteDatabase<
  'async',
  SqliteRunResult,
  Tables,
  TablesRelationalConfig
> {
  readonly #session: SqliteSession;

  constructor(options: SqliteSessionOptions) {
    const session = new SqliteSession(options);
    super('async', options.dialect, session, options.relations);
    this.#session = session;
  }

  /** Runs queries one after the other, all or none. */
  async batch(queries: readonly unknown[]): Promise<unknown[]> {
    return await this.#session.batch(queries);
  }
}
