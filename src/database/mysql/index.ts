import type { SslOptions } from 'mysql2';

import {
  definePolicy,
  type Duration,
  invalidArgument,
  longestTimer,
  type Policy,
  redact,
  type Secret,
  systemClock,
  toMilliseconds,
} from '../../core/index.ts';
import { Database, type DatabaseOptions } from '../database.ts';
import type { Isolation } from '../driver.ts';
import { ReplicatedDriver } from '../replicas.ts';
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
  /**
   * Servers that replicate the one of `url`, which is then the primary. They serve reads outside of transactions, and read-only
   * transactions, of a context that has not written yet. All other options hold for each of them, the password too.
   */
  readonly replicas?: readonly Secret[];
  /** In place of the URLs'. */
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
export type MysqlDatabase<Schema = unknown> = Database<
  Schema,
  MysqlDriver | ReplicatedDriver<MysqlDriver>
>;

/** Further attempts of what is safe to repeat, such as what could not be sent. */
const defaultPolicy: Policy = definePolicy('mysql', {
  retry: { attempts: 3, maxDelay: '1s' },
});

const origin = { component: 'database', adapter: 'mysql' } as const;

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
  const { isolation = 'serializable', policy = defaultPolicy, clock = systemClock } = options;
  const primary = driverFor(options.url, isolation, options);
  // A replica cannot tell what is under way on the primary: a transaction that must be serializable is never sent there.
  const level = isolation === 'serializable' ? 'repeatable-read' : isolation;
  const replicas = (options.replicas ?? []).map((url) => driverFor(url, level, options));
  const driver =
    replicas.length === 0 ? primary.driver : new ReplicatedDriver(primary.driver, replicas, clock);
  return new Database<Schema, typeof driver>(driver, { ...options, policy });
}

function driverFor(
  url: Secret,
  isolation: Isolation,
  options: MysqlDatabaseOptions,
): { readonly name: string; readonly driver: MysqlDriver } {
  const { poolSize = 10 } = options;
  const { password: urlPassword, ...parsed } = parseMysqlUrl(redact(url).reveal());
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
  const { host, port, database } = target;
  return { name: `${host}:${port}/${database}`, driver };
}

/** `mysql2` checks the identity of a server only when it is told to. */
function sslOptions(ssl: boolean | SslOptions): object | undefined {
  if (ssl === false) return undefined;
  return { verifyIdentity: true, ...(ssl === true ? {} : ssl) };
}
