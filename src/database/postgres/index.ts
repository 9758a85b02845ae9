import type { ConnectionOptions } from 'node:tls';

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
import { PostgresDriver, type PostgresNative, type PostgresPool } from './postgres-driver.ts';
import { parsePostgresUrl } from './url.ts';

export type { PostgresDriver, PostgresNative, PostgresPool };

/** Options of {@link postgresDatabase}. */
export interface PostgresDatabaseOptions extends DatabaseOptions {
  /**
   * `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `?sslmode=require` (encrypted) or `verify-full` (and the server is who it
   * says it is) for TLS, and `?host=/FOLDER` for a socket.
   */
  readonly url: Secret;
  /**
   * Servers that replicate the one of `url`, which is then the primary. They serve reads outside of transactions, and read-only
   * transactions, of a context that has not written yet. All other options hold for each of them, the password too.
   */
  readonly replicas?: readonly Secret[];
  /** In place of the URLs'. */
  readonly password?: Secret;
  /** Options of TLS, such as a `ca` of your own, in place of what `sslmode` says. */
  readonly ssl?: boolean | ConnectionOptions;
  /** Connections at once, at most. A transaction or a stream holds one. Default 10. */
  readonly poolSize?: number;
  /** How long to wait for one of them to be free. Default 10 s. */
  readonly waitTimeout?: Duration;
  /** How long the server may take to accept a connection. Default 5 s. */
  readonly connectTimeout?: Duration;
  /** How long a connection may be idle before it is closed. Default 30 s. */
  readonly idleTimeout?: Duration;
  /** How long a connection may live before another takes its place, once nobody has it; 0 for no limit. Default 30 min. */
  readonly maxLifetime?: Duration;
  /** How long a statement may take; those of migrations may take as long as they need. 0 for no limit. Default 60 s. */
  readonly statementTimeout?: Duration;
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

/** Further attempts of what is safe to repeat, such as what could not be sent. */
const defaultPolicy: Policy = definePolicy('postgres', {
  retry: { attempts: 3, maxDelay: '1s' },
});

const origin = { component: 'database', adapter: 'postgres' } as const;

const isolations: readonly string[] = ['read-committed', 'repeatable-read', 'serializable'];

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
  options: PostgresDatabaseOptions,
): { readonly name: string; readonly driver: PostgresDriver } {
  const { poolSize = 10 } = options;
  const { password: urlPassword, ...target } = parsePostgresUrl(redact(url).reveal());
  const password = redact(options.password ?? urlPassword ?? '');
  if (!Number.isInteger(poolSize) || poolSize < 1)
    throw invalidArgument(origin, 'poolSize must be a whole number of at least 1');
  // The value goes into a statement, and types hold nobody who reads it from the environment.
  if (!isolations.includes(isolation))
    throw invalidArgument(origin, `isolation is none of ${isolations.join(', ')}`);
  const bounded = (duration: Duration): number =>
    Math.min(Math.ceil(toMilliseconds(duration)), longestTimer);
  const driver = new PostgresDriver({
    target: {
      ...target,
      ssl: options.ssl ?? target.ssl,
      password: () => password.reveal(),
    },
    poolSize,
    waitTimeout: bounded(options.waitTimeout ?? '10s'),
    connectTimeout: bounded(options.connectTimeout ?? '5s'),
    idleTimeout: bounded(options.idleTimeout ?? '30s'),
    maxLifetime: bounded(options.maxLifetime ?? '30m'),
    statementTimeout: bounded(options.statementTimeout ?? '60s'),
    applicationName: options.applicationName ?? 'underpin',
    isolation,
    preparedStatements: options.preparedStatements ?? true,
  });
  return { name: `${target.host}:${target.port}/${target.database}`, driver };
}
