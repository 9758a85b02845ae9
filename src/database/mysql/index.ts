import type { SslOptions } from 'mysql2';

import {
  definePolicy,
  type Duration,
  invalidArgument,
  longestTimer,
  type Policy,
  redact,
  type Secret,
  toMilliseconds,
} from '../../core/index.ts';
import { Database, type DatabaseOptions } from '../database.ts';
import type { Isolation } from '../driver.ts';
import { MysqlDriver, type MysqlNative, type MysqlTarget } from './mysql-driver.ts';
import { assertVerifiable, parseMysqlUrl } from './url.ts';

export type { MysqlDriver, MysqlNative };

/** Options of {@link mysqlDatabase}. */
export interface MysqlDatabaseOptions extends DatabaseOptions {
  /**
   * `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, with `?ssl-mode=REQUIRED` (encrypted) or `VERIFY_IDENTITY` (and the server is who it
   * says it is) for TLS, and `?socket=/PATH` for a socket. `mariadb:` says the same.
   */
  readonly url: Secret;
  /** In place of the URL's. */
  readonly password?: Secret;
  /** Options of TLS, such as a `ca` of your own, in place of what `ssl-mode` says. The server's identity is checked unless they say otherwise. */
  readonly ssl?: boolean | SslOptions;
  /** Connections at once, at most. A transaction or a stream holds one. Default 10. */
  readonly poolSize?: number;
  /** How long to wait for one of them to be free. Default 10 s. */
  readonly waitTimeout?: Duration;
  /** How long the server may take to accept a connection. Default 5 s. */
  readonly connectTimeout?: Duration;
  /** How long a connection may be idle before it is closed. Default 30 s. */
  readonly idleTimeout?: Duration;
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
export type MysqlDatabase<Schema = unknown> = Database<Schema, MysqlDriver>;

/** Further attempts of what is safe to repeat, such as what could not be sent. */
const defaultPolicy: Policy = definePolicy('mysql', {
  retry: { attempts: 3, maxDelay: '1s' },
});

const isolations: readonly string[] = ['read-committed', 'repeatable-read', 'serializable'];

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
  const { poolSize = 10, isolation = 'serializable', policy = defaultPolicy } = options;
  const origin = { component: 'database', adapter: 'mysql' } as const;
  const { password: urlPassword, ...parsed } = parseMysqlUrl(redact(options.url).reveal());
  const password = redact(options.password ?? urlPassword ?? '');
  if (!Number.isInteger(poolSize) || poolSize < 1)
    throw invalidArgument(origin, 'poolSize must be a whole number of at least 1');
  // The value goes into a statement, and types hold nobody who reads it from the environment.
  if (!isolations.includes(isolation))
    throw invalidArgument(origin, `isolation is none of ${isolations.join(', ')}`);
  const target: MysqlTarget = {
    ...parsed,
    ssl: options.ssl === undefined ? parsed.ssl : sslOptions(options.ssl),
    password: () => password.reveal(),
  };
  assertVerifiable(target);
  const bounded = (duration: Duration): number =>
    Math.min(Math.ceil(toMilliseconds(duration)), longestTimer);
  const driver = new MysqlDriver({
    target,
    poolSize,
    waitTimeout: bounded(options.waitTimeout ?? '10s'),
    connectTimeout: bounded(options.connectTimeout ?? '5s'),
    idleTimeout: bounded(options.idleTimeout ?? '30s'),
    maxLifetime: bounded(options.maxLifetime ?? '30m'),
    statementTimeout: bounded(options.statementTimeout ?? '60s'),
    isolation,
  });
  return new Database<Schema, MysqlDriver>(driver, { ...options, policy });
}

/** `mysql2` checks the identity of a server only when it is told to. */
function sslOptions(ssl: boolean | SslOptions): object | undefined {
  if (ssl === false) return undefined;
  return { verifyIdentity: true, ...(ssl === true ? {} : ssl) };
}
