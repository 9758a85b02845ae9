import type { ConnectionOptions } from 'node:tls';

import type { Secret } from '../../core/index.ts';
import type { Database } from '../database.ts';
import type { Isolation } from '../driver.ts';
import type { ReplicatedDriver } from '../replicas.ts';
import { serverDatabase, type ServerDatabaseOptions } from '../server-database.ts';
import { PostgresDriver, type PostgresNative, type PostgresPool } from './postgres-driver.ts';
import { parsePostgresUrl } from './url.ts';

export type { PostgresDriver, PostgresNative, PostgresPool };

/** Options of {@link postgresDatabase}. */
export interface PostgresDatabaseOptions extends ServerDatabaseOptions {
  /**
   * `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `?sslmode=require` (encrypted) or `verify-full` (and the server is who it
   * says it is) for TLS, and `?host=/FOLDER` for a socket.
   */
  readonly url: Secret;
  /** Options of TLS, such as a `ca` of your own, in place of what `sslmode` says. */
  readonly ssl?: boolean | ConnectionOptions;
  /** What the server calls this application in `pg_stat_activity`. Default `underpin`. */
  readonly applicationName?: string;
  /**
   * How far transactions are kept apart, unless they say so themselves. Default `serializable`: as if they ran one after the
   * other, which one that was in another's way achieves by running again.
   */
  readonly isolation?: Isolation;
  /**
   * Whether the server keeps a statement prepared on each connection that it comes again on. Default: true. Set it to false behind
   * a pooler that lends a connection for a transaction, and does not keep track of prepared statements itself.
   */
  readonly preparedStatements?: boolean;
}

/** A Database on PostgreSQL: on one server, or on a primary with replicas. */
export type PostgresDatabase<Schema = unknown> = Database<
  Schema,
  PostgresDriver | ReplicatedDriver<PostgresDriver>
>;

/**
 * A database on a PostgreSQL server, through a pool of connections. Needs the optional peer `pg`.
 *
 * Throws `invalid-argument` for options that make no sense; the server is first reached by `start()`, or the first use.
 *
 * @example
 * const database = postgresDatabase<Schema>({ url: 'postgres://app@db.example.com/shop?sslmode=verify-full', password });
 */
export function postgresDatabase<Schema = unknown>(
  options: PostgresDatabaseOptions,
): PostgresDatabase<Schema> {
  return serverDatabase(options, {
    adapter: 'postgres',
    parseUrl: parsePostgresUrl,
    makeDriver: (url, password, settings) =>
      new PostgresDriver({
        ...settings,
        target: { ...url, ssl: options.ssl ?? url.ssl, password },
        applicationName: options.applicationName ?? 'underpin',
        preparedStatements: options.preparedStatements ?? true,
      }),
  });
}
