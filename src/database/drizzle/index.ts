import type { ExtractTablesWithRelations } from 'drizzle-orm';
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch';
import type { MySqlDatabase, PreparedQueryHKTBase } from 'drizzle-orm/mysql-core';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import type { BaseSQLiteDatabase } from 'drizzle-orm/sqlite-core';

import type { Database } from '../database.ts';
import type { DatabaseDriver } from '../driver.ts';
import { engineOf, type engines, OrmConnection } from '../orm-connection.ts';
import { mysqlCore, pgCore, sqliteCore } from './library.ts';
import {
  MySqlDrizzleDatabase,
  type MySqlQueryResult,
  type MySqlResultKind,
  type MySqlWriteResult,
} from './mysql-session.ts';
import {
  PostgresDrizzleDatabase,
  type PostgresQueryResult,
  type PostgresResultKind,
} from './postgres-session.ts';
import { relationsOf, type Tables } from './relations.ts';
import { SqliteDrizzleDatabase, type SqliteRunResult } from './sqlite-session.ts';

export type {
  MySqlQueryResult,
  MySqlResultKind,
  MySqlWriteResult,
  PostgresQueryResult,
  PostgresResultKind,
  SqliteRunResult,
  Tables,
};

/** Options of {@link drizzleOn}. */
export interface DrizzleOptions {
  /** How the names of columns are made from those of properties, for columns without a name of their own. Default: not at all. */
  readonly casing?: 'snake_case' | 'camelCase';
}

/** Drizzle's database on SQLite. */
export type SqliteDrizzle<Schema extends Tables = Record<string, never>> = BaseSQLiteDatabase<
  'async',
  SqliteRunResult,
  Schema,
  ExtractTablesWithRelations<Schema>
> & {
  /** Runs queries one after the other in a transaction: all of them take effect, or none. */
  batch<Item extends BatchItem<'sqlite'>, Items extends readonly [Item, ...Item[]]>(
    queries: Items,
  ): Promise<BatchResponse<Items>>;
};

/** Drizzle's database on PostgreSQL and PGlite. */
export type PostgresDrizzle<Schema extends Tables = Record<string, never>> = PgDatabase<
  PostgresResultKind,
  Schema,
  ExtractTablesWithRelations<Schema>
>;

/** Drizzle's database on MySQL and MariaDB. */
export type MySqlDrizzle<Schema extends Tables = Record<string, never>> = MySqlDatabase<
  MySqlResultKind,
  PreparedQueryHKTBase,
  Schema,
  ExtractTablesWithRelations<Schema>
>;

interface ByEngine<Schema extends Tables> {
  readonly sqlite: SqliteDrizzle<Schema>;
  readonly postgres: PostgresDrizzle<Schema>;
  readonly mysql: MySqlDrizzle<Schema>;
}

/** Drizzle's database on an adapter: that of its SQL, or one of them where types do not tell the adapter. */
export type DrizzleOn<
  Adapter extends string,
  Schema extends Tables = Record<string, never>,
> = string extends Adapter
  ? ByEngine<Schema>[keyof ByEngine<Schema>]
  : Adapter extends keyof typeof engines
    ? ByEngine<Schema>[(typeof engines)[Adapter]]
    : never;

/**
 * Drizzle on a database: its statements run through the database, in the transaction of the caller if there is one, with the same
 * operations, policies and errors as all others; what Drizzle would wrap them in, which holds parameters, is left out. Its own
 * `transaction` is one of the database's, which others join. The database stays its creator's. Needs the optional peer `drizzle-orm`.
 *
 * `schema` has the tables, and the relations for `db.query`. Throws `unimplemented` for an adapter whose SQL Drizzle does not know.
 *
 * @example
 * const db = drizzleOn(database, { article, author });
 * await database.transaction(async () => {
 *   await db.insert(article).values({ title: 'Hello' });
 *   await repository.save(entity);
 * });
 */
export function drizzleOn<
  DatabaseSchema,
  AnyDriver extends DatabaseDriver,
  Schema extends Tables = Record<string, never>,
>(
  database: Database<DatabaseSchema, AnyDriver>,
  schema?: Schema,
  options: DrizzleOptions = {},
): DrizzleOn<AnyDriver['adapter'], Schema> {
  const connection = new OrmConnection(database);
  const relations = relationsOf(schema);
  const made = {
    sqlite: () => {
      const dialect = new sqliteCore.SQLiteAsyncDialect(options);
      return new SqliteDrizzleDatabase({ connection, dialect, relations });
    },
    postgres: () => {
      const dialect = new pgCore.PgDialect(options);
      return new PostgresDrizzleDatabase({ connection, dialect, relations });
    },
    mysql: () => {
      const dialect = new mysqlCore.MySqlDialect(options);
      return new MySqlDrizzleDatabase({ connection, dialect, relations });
    },
  }[engineOf(database.adapter, 'Drizzle')]();
  // The classes know nothing of the tables, whose types are those of what was given.
  return made as unknown as DrizzleOn<AnyDriver['adapter'], Schema>;
}
