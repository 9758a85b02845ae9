import type { SslOptions } from 'mysql2';

import type { Duration, Secret } from '../../core/index.ts';
import type { Database } from '../database.ts';
import type { Isolation } from '../driver.ts';
import type { ReplicatedDriver } from '../replicas.ts';
import { serverDatabase, type ServerDatabaseOptions } from '../server-database.ts';
import { MysqlDriver, type MysqlNative } from './mysql-driver.ts';
import { assertVerifiable, parseMysqlUrl } from './url.ts';

export type { MysqlDriver, MysqlNative };

/** Options of {@link mysqlDatabase}. */
export interface MysqlDatabaseOptions extends ServerDatabaseOptions {
  /**
   * `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, with `?ssl-mode=REQUIRED` (encrypted) or `VERIFY_IDENTITY` (and the server is who it
   * says it is) for TLS, and `?socket=/PATH` for a socket. `mariadb:` says the same.
   */
  readonly url: Secret;
  /** Options of TLS, such as a `ca` of your own, in place of what `ssl-mode` says. The server's identity is checked unless they say otherwise. */
  readonly ssl?: boolean | SslOptions;
  /** How long a connection is used before another takes its place, less up to a fifth. 0 for as long as it lasts. Default 30 min. */
  readonly maxLifetime?: Duration;
  /** How long a statement may take, or a stream's next rows; those of migrations may take as long as they need. 0 for no limit. Default 60 s. */
  readonly statementTimeout?: Duration;
  /**
   * How far transactions are kept apart, unless they say so themselves. Default `serializable`: as if they ran one after the
   * other, which locks on all that they read achieve, and one that was in another's way by running again.
   */
  readonly isolation?: Isolation;
}

/** A Database on MySQL or MariaDB. */
export type MysqlDatabase<Schema = unknown> = Database<
  Schema,
  MysqlDriver | ReplicatedDriver<MysqlDriver>
>;

/**
 * A database on a MySQL or MariaDB server, through a pool of connections. Needs the optional peer `mysql2`.
 *
 * Throws `invalid-argument` for options that make no sense; the server is first reached by `start()`, or the first use.
 *
 * @example
 * const database = mysqlDatabase<Schema>({ url: 'mysql://app@db.example.com/shop?ssl-mode=VERIFY_IDENTITY', password });
 */
export function mysqlDatabase<Schema = unknown>(
  options: MysqlDatabaseOptions,
): MysqlDatabase<Schema> {
  return serverDatabase(options, {
    adapter: 'mysql',
    parseUrl: parseMysqlUrl,
    makeDriver: (url, password, settings) => {
      const ssl = options.ssl === undefined ? url.ssl : sslOptions(options.ssl);
      const target = { ...url, ssl, password };
      assertVerifiable(target);
      return new MysqlDriver({ ...settings, target });
    },
  });
}

/** `mysql2` checks the identity of a server only when it is told to. */
function sslOptions(ssl: boolean | SslOptions): object | undefined {
  if (ssl === false) return undefined;
  return { verifyIdentity: true, ...(ssl === true ? {} : ssl) };
}
