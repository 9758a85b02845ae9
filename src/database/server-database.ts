import {
  definePolicy,
  type Duration,
  invalidArgument,
  longestTimer,
  redact,
  type Secret,
  systemClock,
  toMilliseconds,
} from '../core/index.ts';
import { Database, type DatabaseOptions } from './database.ts';
import type { DatabaseDriver, Isolation } from './driver.ts';
import { type Replica, ReplicatedDriver } from './replicas.ts';
import { type ServerAddress, serverName } from './server-name.ts';

/** Options of a database on a server, through a pool of connections. */
export interface ServerDatabaseOptions extends DatabaseOptions {
  /** Where the server is, as its adapter writes it. */
  readonly url: Secret;
  /**
   * Servers that replicate the one of `url`, which is then the primary. They serve reads outside of transactions, and read-only
   * transactions, of a context that has not written yet. All other options hold for each of them, the password too.
   */
  readonly replicas?: readonly Secret[];
  /** In place of the URLs'. */
  readonly password?: Secret;
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
  /** How far transactions are kept apart, unless they say so themselves. Default `serializable`. */
  readonly isolation?: Isolation;
}

/** What each driver of a server is made with, every default filled in; times in milliseconds. */
export interface ServerDriverOptions {
  readonly poolSize: number;
  readonly waitTimeout: number;
  readonly connectTimeout: number;
  readonly idleTimeout: number;
  /** 0 for none. */
  readonly maxLifetime: number;
  /** 0 for none. */
  readonly statementTimeout: number;
  readonly isolation: Isolation;
}

/** What an adapter has of its own. */
export interface ServerAdapter<Url extends ServerAddress, Driver extends DatabaseDriver> {
  readonly adapter: string;
  readonly parseUrl: (text: string) => Url & { readonly password: string | undefined };
  readonly makeDriver: (url: Url, password: () => string, options: ServerDriverOptions) => Driver;
}

const isolations: readonly string[] = ['read-committed', 'repeatable-read', 'serializable'];

/**
 * A database on the server of `url`, or on that and its replicas. Throws `invalid-argument` for options that make no sense, and
 * reaches no server.
 */
export function serverDatabase<Schema, Url extends ServerAddress, Driver extends DatabaseDriver>(
  options: ServerDatabaseOptions,
  { adapter, parseUrl, makeDriver }: ServerAdapter<Url, Driver>,
): Database<Schema, Driver | ReplicatedDriver<Driver>> {
  const { isolation = 'serializable', clock = systemClock } = options;
  const settings = driverOptions(options, adapter);
  const open = (secret: Secret, level: Isolation): Replica & { readonly driver: Driver } => {
    const url = parseUrl(redact(secret).reveal());
    const password = redact(options.password ?? url.password ?? '');
    const driver = makeDriver(url, () => password.reveal(), { ...settings, isolation: level });
    return { name: serverName(url), driver };
  };
  const { driver: primary } = open(options.url, isolation);
  // A replica cannot tell what is under way on the primary: a transaction that must be serializable is never sent there.
  const level = isolation === 'serializable' ? 'repeatable-read' : isolation;
  const replicas = (options.replicas ?? []).map((url) => open(url, level));
  const driver = replicas.length === 0 ? primary : new ReplicatedDriver(primary, replicas, clock);
  // Further attempts of what is safe to repeat, such as what could not be sent.
  const policy =
    options.policy ?? definePolicy(adapter, { retry: { attempts: 3, maxDelay: '1s' } });
  return new Database<Schema, typeof driver>(driver, { ...options, policy });
}

function driverOptions(options: ServerDatabaseOptions, adapter: string): ServerDriverOptions {
  const { poolSize = 10, isolation = 'serializable' } = options;
  const origin = { component: 'database', adapter };
  if (!Number.isInteger(poolSize) || poolSize < 1)
    throw invalidArgument(origin, 'poolSize must be a whole number of at least 1');
  // The value goes into a statement, and types hold nobody who reads it from the environment.
  if (!isolations.includes(isolation))
    throw invalidArgument(origin, `isolation is none of ${isolations.join(', ')}`);
  return {
    poolSize,
    waitTimeout: bounded(options.waitTimeout ?? '10s'),
    connectTimeout: bounded(options.connectTimeout ?? '5s'),
    idleTimeout: bounded(options.idleTimeout ?? '30s'),
    maxLifetime: bounded(options.maxLifetime ?? '30m'),
    statementTimeout: bounded(options.statementTimeout ?? '60s'),
    isolation,
  };
}

function bounded(duration: Duration): number {
  return Math.min(Math.ceil(toMilliseconds(duration)), longestTimer);
}
