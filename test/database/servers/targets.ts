import { type RawBuilder, sql } from 'kysely';

import type { Database, DatabaseDriver } from '../../../src/database/index.ts';
import { mysqlDatabase, type MysqlDatabaseOptions } from '../../../src/database/mysql/index.ts';
import {
  postgresDatabase,
  type PostgresDatabaseOptions,
} from '../../../src/database/postgres/index.ts';
import {
  makeMariadbDatabase,
  makePostgresDatabase,
  type TestDatabase,
} from '../../services/databases.ts';
import type { ServerName } from '../../services/definitions.ts';
import { service } from '../../services/services.ts';

/** What the adapters of all database servers take. */
export type ServerOptions = Omit<PostgresDatabaseOptions, 'ssl' | 'applicationName'> &
  Omit<MysqlDatabaseOptions, 'ssl'> & { readonly ssl?: { readonly ca: string } };

/** A Database with a pool to look at. */
export type ServerDatabase<Schema = unknown> = Database<Schema, PooledDriver>;

/** The driver of a {@link ServerDatabase}. */
export interface PooledDriver extends DatabaseDriver {
  readonly native: { readonly pool: { readonly totalCount: number; readonly idleCount: number } };
}

/** A database server and its adapter, for the rules that hold on each of them. */
export interface ServerTarget {
  /** The adapter's folder in `src/database`. */
  readonly engine: 'mysql' | 'postgres';
  readonly server: ServerName;
  /** Why the server is not there; `undefined` when it is. */
  readonly missing: string | undefined;
  /** Makes an empty database on the shared server. */
  readonly make: () => Promise<TestDatabase>;
  readonly open: <Schema = unknown>(options: ServerOptions) => ServerDatabase<Schema>;
  /** The SQL of an expression that takes so many seconds. */
  readonly sleep: (seconds: number) => string;
  /** The SQL of a source of so many rows with a number each. */
  readonly numbers: (count: number) => string;
  /** The statements with this text that run on other connections to the same database. */
  readonly running: (text: string) => RawBuilder<{ readonly id: number }>;
  /** Ends such a connection. */
  readonly terminate: (id: number) => RawBuilder<unknown>;
  /** The number of the connection that asks, as {@link running} gives it. */
  readonly connection: RawBuilder<{ readonly id: number }>;
}

/** Every {@link ServerTarget}. */
export const targets: readonly ServerTarget[] = [
  {
    engine: 'postgres',
    server: 'postgres',
    missing: (await service('postgres')).missing,
    make: async () => await makePostgresDatabase(),
    open: postgresDatabase,
    sleep: (seconds) => `pg_sleep(${seconds})`,
    numbers: (count) => `generate_series(1, ${count})`,
    running: (text) => sql`select pid as id from pg_stat_activity
      where datname = current_database() and state = 'active' and query like ${`%${text}%`} and pid <> pg_backend_pid()`,
    terminate: (id) => sql`select pg_terminate_backend(${sql.lit(id)})`,
    connection: sql`select pg_backend_pid() as id`,
  },
  {
    engine: 'mysql',
    server: 'mariadb',
    missing: (await service('mariadb')).missing,
    make: async () => await makeMariadbDatabase(),
    open: mysqlDatabase,
    sleep: (seconds) => `sleep(${seconds})`,
    numbers: (count) => `seq_1_to_${count}`,
    running: (text) => sql`select id from information_schema.processlist
      where db = database() and info like ${`%${text}%`} and id <> connection_id()`,
    terminate: (id) => sql`kill ${sql.lit(id)}`,
    connection: sql`select connection_id() as id`,
  },
];
