import type { Query, SQL, TablesRelationalConfig } from 'drizzle-orm';
import type {
  MySqlDialect,
  MySqlPreparedQueryConfig,
  MySqlQueryResultHKT,
  MySqlTransaction,
  MySqlTransactionConfig,
  PreparedQueryHKTBase,
} from 'drizzle-orm/mysql-core';

import { type OrmConnection, unimplemented } from '../orm-connection.ts';
import {
  drizzle,
  type JoinedTables,
  mapResultRow,
  mysqlCore,
  type ResultMapper,
  type SelectedFields,
} from './library.ts';
import type { Relations, Tables } from './relations.ts';
import { optionsOf } from './transaction-options.ts';

/** What a write gives on MySQL. */
export interface MySqlWriteResult {
  readonly affectedRows: number;
  /** The first id that was generated, else 0. */
  readonly insertId: number;
}

/** What a statement gives whose columns Drizzle does not know, as the first of a list: its rows, or what it wrote. */
export type MySqlQueryResult = [MySqlWriteResult];

/** Tells Drizzle's types of {@link MySqlQueryResult}. */
export interface MySqlResultKind extends MySqlQueryResultHKT {
  readonly type: MySqlQueryResult;
}

type Transaction = MySqlTransaction<
  MySqlResultKind,
  PreparedQueryHKTBase,
  Tables,
  TablesRelationalConfig
>;

/** What a {@link MySqlSession} is made of. */
export interface MySqlSessionOptions {
  readonly connection: OrmConnection;
  readonly dialect: MySqlDialect;
  readonly relations: Relations | undefined;
}

/** Drizzle's statements on MySQL and MariaDB. */
class MySqlSession extends mysqlCore.MySqlSession<
  MySqlResultKind,
  PreparedQueryHKTBase,
  Tables,
  TablesRelationalConfig
> {
  readonly #options: MySqlSessionOptions;

  constructor(options: MySqlSessionOptions) {
    super(options.dialect);
    this.#options = options;
  }

  override prepareQuery(
    query: Query,
    fields: SelectedFields | undefined,
    mapper?: ResultMapper,
    generatedIds?: Record<string, unknown>[],
    returningIds?: SelectedFields,
  ): MySqlQuery {
    const options = { fields, mapper, generatedIds, returningIds };
    return new MySqlQuery(this.#options.connection, query, options);
  }

  override async all<Row>(query: SQL): Promise<Row[]> {
    const { sql, params } = this.dialect.sqlToQuery(query);
    return [...(await this.#options.connection.execute(sql, params)).rows] as Row[];
  }

  override async count(query: SQL): Promise<number> {
    const { sql, params } = this.dialect.sqlToQuery(query);
    const { rows } = await this.#options.connection.execute(sql, params, { rowMode: 'array' });
    return Number(rows[0]?.[0]);
  }

  override async transaction<Result>(
    fn: (tx: Transaction) => Promise<Result>,
    config?: MySqlTransactionConfig,
  ): Promise<Result> {
    const { connection } = this.#options;
    return await connection.transaction(
      async (inner) => await fn(new NestableTransaction({ ...this.#options, connection: inner })),
      optionsOf(config ?? {}, connection.adapter),
    );
  }
}

class NestableTransaction extends mysqlCore.MySqlTransaction<
  MySqlResultKind,
  PreparedQueryHKTBase,
  Tables,
  TablesRelationalConfig
> {
  readonly #session: MySqlSession;

  constructor(options: MySqlSessionOptions) {
    const session = new MySqlSession(options);
    // Its type is that of a session without tables.
    const anySession = session as unknown as ConstructorParameters<
      typeof mysqlCore.MySqlTransaction
    >[1];
    super(options.dialect, anySession, options.relations, 0, 'default');
    this.#session = session;
  }

  override async transaction<Result>(fn: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#session.transaction(fn);
  }
}

interface QueryOptions {
  readonly fields: SelectedFields | undefined;
  readonly mapper: ResultMapper | undefined;
  /** The ids that the application made, for each row. */
  readonly generatedIds: Record<string, unknown>[] | undefined;
  /** The columns of `$returningId()`. */
  readonly returningIds: SelectedFields | undefined;
}

class MySqlQuery extends mysqlCore.MySqlPreparedQuery<MySqlPreparedQueryConfig> {
  joinsNotNullableMap: JoinedTables | undefined;
  readonly #connection: OrmConnection;
  readonly #query: Query;
  readonly #options: QueryOptions;

  constructor(connection: OrmConnection, query: Query, options: QueryOptions) {
    super(undefined, undefined);
    this.#connection = connection;
    this.#query = query;
    this.#options = options;
  }

  override async execute(placeholders: Record<string, unknown> = {}): Promise<unknown> {
    const { fields, mapper, returningIds } = this.#options;
    const { sql } = this.#query;
    const parameters = drizzle.fillPlaceholders(this.#query.params, placeholders);
    if (fields === undefined && mapper === undefined) {
      const { rows, numAffectedRows, insertId } = await this.#connection.execute(sql, parameters);
      if (numAffectedRows === undefined) return [[...rows]];
      const written = { affectedRows: Number(numAffectedRows), insertId: Number(insertId ?? 0n) };
      return returningIds === undefined ? [written] : this.#ids(written, returningIds);
    }
    const { rows } = await this.#connection.execute(sql, parameters, { rowMode: 'array' });
    if (mapper !== undefined) return mapper(rows.map((row) => [...row]));
    return rows.map((row) => mapResultRow(fields ?? [], row, this.joinsNotNullableMap));
  }

  // oxlint-disable-next-line require-yield -- what Drizzle asks for is a generator
  override async *iterator(): AsyncGenerator<never> {
    throw unimplemented(
      this.#connection.adapter,
      'Drizzle’s iterator() is not there: page through the rows, or use database.query’s stream()',
    );
  }

  /** MySQL numbers the rows of one statement one after the other, and tells the first number. */
  #ids({ affectedRows, insertId }: MySqlWriteResult, columns: SelectedFields): unknown[] {
    return Array.from({ length: affectedRows }, (_, index) =>
      Object.fromEntries(
        columns.flatMap(({ path, field }) => {
          const [name = ''] = path;
          const generated = this.#options.generatedIds?.[index];
          if (generated !== undefined && name in generated) return [[name, generated[name]]];
          const isNumbered = drizzle.is(field, mysqlCore.MySqlColumnWithAutoIncrement);
          return isNumbered && field.autoIncrement ? [[name, insertId + index]] : [];
        }),
      ),
    );
  }
}

/** Drizzle's database on MySQL and MariaDB, as this package makes it. */
export class MySqlDrizzleDatabase extends mysqlCore.MySqlDatabase<
  MySqlResultKind,
  PreparedQueryHKTBase,
  Tables,
  TablesRelationalConfig
> {
  constructor(options: MySqlSessionOptions) {
    super(options.dialect, new MySqlSession(options), options.relations, 'default');
  }
}
