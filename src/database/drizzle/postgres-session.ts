import type { Query, SQL, TablesRelationalConfig } from 'drizzle-orm';
import type {
  PgDialect,
  PgPreparedQuery,
  PgQueryResultHKT,
  PgTransaction,
  PgTransactionConfig,
  PreparedQueryConfig,
} from 'drizzle-orm/pg-core';

import type { OrmConnection } from '../orm-connection.ts';
import {
  drizzle,
  type JoinedTables,
  mapResultRow,
  pgCore,
  type ResultMapper,
  type SelectedField,
  type SelectedFields,
} from './library.ts';
import type { Relations, Tables } from './relations.ts';
import { optionsOf } from './transaction-options.ts';

/** What a statement gives whose columns Drizzle does not know: SQL of your own, or a write without `returning`. */
export interface PostgresQueryResult<Row = Record<string, unknown>> {
  readonly rows: Row[];
  /** How many rows it changed, or gave. */
  readonly rowCount: number;
}

/** Tells Drizzle's types of {@link PostgresQueryResult}. */
export interface PostgresResultKind extends PgQueryResultHKT {
  readonly type: PostgresQueryResult<this['row']>;
}

type Transaction = PgTransaction<PostgresResultKind, Tables, TablesRelationalConfig>;

/** What a {@link PostgresSession} is made of. */
export interface PostgresSessionOptions {
  readonly connection: OrmConnection;
  readonly dialect: PgDialect;
  readonly relations: Relations | undefined;
}

/** Drizzle's statements on PostgreSQL and PGlite. */
class PostgresSession extends pgCore.PgSession<PostgresResultKind, Tables, TablesRelationalConfig> {
  readonly #options: PostgresSessionOptions;

  constructor(options: PostgresSessionOptions) {
    super(options.dialect);
    this.#options = options;
  }

  override prepareQuery<Config extends PreparedQueryConfig>(
    query: Query,
    fields: SelectedFields | undefined,
    _name: string | undefined,
    _isResponseInArrayMode: boolean,
    mapper?: ResultMapper,
  ): PgPreparedQuery<Config> {
    return new PostgresQuery(this.#options.connection, query, { fields, mapper });
  }

  override async transaction<Result>(
    fn: (tx: Transaction) => Promise<Result>,
    config: PgTransactionConfig = {},
  ): Promise<Result> {
    const { connection } = this.#options;
    return await connection.transaction(
      async (inner) => await fn(new NestableTransaction({ ...this.#options, connection: inner })),
      optionsOf(config, connection.adapter),
    );
  }

  override async count(query: SQL): Promise<number> {
    const { sql, params } = this.dialect.sqlToQuery(query);
    const { rows } = await this.#options.connection.execute(sql, params, { rowMode: 'array' });
    return Number(rows[0]?.[0]);
  }
}

class NestableTransaction extends pgCore.PgTransaction<
  PostgresResultKind,
  Tables,
  TablesRelationalConfig
> {
  readonly #session: PostgresSession;

  constructor(options: PostgresSessionOptions) {
    const session = new PostgresSession(options);
    super(options.dialect, session, options.relations);
    this.#session = session;
  }

  override async transaction<Result>(
    fn: (tx: Transaction) => Promise<Result>,
    config?: PgTransactionConfig,
  ): Promise<Result> {
    return await this.#session.transaction(fn, config);
  }
}

interface QueryOptions {
  readonly fields: SelectedFields | undefined;
  readonly mapper: ResultMapper | undefined;
}

class PostgresQuery<Config extends PreparedQueryConfig> extends pgCore.PgPreparedQuery<Config> {
  joinsNotNullableMap: JoinedTables | undefined;
  readonly #connection: OrmConnection;
  readonly #options: QueryOptions;

  constructor(connection: OrmConnection, query: Query, options: QueryOptions) {
    super(query, undefined, undefined);
    this.#connection = connection;
    this.#options = options;
  }

  override async execute(placeholders: Record<string, unknown> = {}): Promise<Config['execute']> {
    const { fields, mapper } = this.#options;
    const { sql } = this.query;
    const parameters = drizzle.fillPlaceholders(this.query.params, placeholders);
    if (fields === undefined && mapper === undefined) {
      const { rows, numAffectedRows } = await this.#connection.execute(sql, parameters);
      return { rows: [...rows], rowCount: Number(numAffectedRows ?? rows.length) };
    }
    const { rows } = await this.#connection.execute(sql, parameters, { rowMode: 'array' });
    if (mapper !== undefined) return mapper(rows.map((row) => [...row]));
    const known = fields ?? [];
    const holdsJson = known.map(({ field }) => isJson(field));
    return rows.map((row) =>
      mapResultRow(
        known,
        // Drizzle parses what is a text, and this one is what the parsed JSON was.
        row.map((value, index) =>
          typeof value === 'string' && holdsJson[index] ? JSON.stringify(value) : value,
        ),
        this.joinsNotNullableMap,
      ),
    );
  }

  /** Called by Drizzle itself, for SQL of the user's. */
  async all(): Promise<unknown> {
    return (await this.#connection.execute(this.query.sql, this.query.params)).rows;
  }
}

function isJson(field: SelectedField): boolean {
  return drizzle.is(field, pgCore.PgJson) || drizzle.is(field, pgCore.PgJsonb);
}

/** Drizzle's database on PostgreSQL and PGlite, as this package makes it. */
export class PostgresDrizzleDatabase extends pgCore.PgDatabase<
  PostgresResultKind,
  Tables,
  TablesRelationalConfig
> {
  constructor(options: PostgresSessionOptions) {
    super(options.dialect, new PostgresSession(options), options.relations);
  }
}
