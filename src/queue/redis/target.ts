import {
  type InfrastructureError,
  invalidArgument,
  redact,
  type Redacted,
} from '../../core/index.ts';

/** The beginning of all keys, unless told. */
export const defaultPrefix = 'underpin';

/** Where a Redis is, and where in it. */
export interface RedisTarget {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly database: number;
  readonly username: string | undefined;
  readonly password: Redacted | undefined;
  /** The beginning of all keys. */
  readonly prefix: string;
}

/**
 * Reads the URL of a Redis. `prefix` outranks the URL's, which outranks `underpin`. Throws `invalid-argument`, without the text,
 * since it may hold a password.
 */
export function targetOf(text: string, givenPrefix?: string): RedisTarget {
  const url = URL.parse(text);
  const isTls = url?.protocol === 'rediss:';
  const database = url?.pathname.replace(/^\//, '') || '0';
  const parameters = new URLSearchParams(url?.search);
  const prefix = givenPrefix ?? parameters.get('prefix') ?? defaultPrefix;
  parameters.delete('prefix');
  if (
    url === null ||
    (url.protocol !== 'redis:' && !isTls) ||
    url.hostname === '' ||
    !/^\d+$/.test(database) ||
    parameters.size > 0 ||
    url.hash !== ''
  )
    throw refuse(
      'url is not written redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=PREFIX, or rediss:// for TLS, where all but the host may be left out',
    );
  checkedPrefix(prefix);
  try {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || 6379),
      isTls,
      database: Number(database),
      username: url.username === '' ? undefined : decodeURIComponent(url.username),
      password: url.password === '' ? undefined : redact(decodeURIComponent(url.password)),
      prefix,
    };
  } catch {
    throw refuse('the user name or the password of url is not encoded: write % as %25');
  }
}

/** Throws `invalid-argument` for a prefix that BullMQ could not take: it parts its keys by colons. */
export function checkedPrefix(prefix: string): string {
  if (prefix === '' || prefix.includes(':')) throw refuse('prefix is empty or has a colon');
  return prefix;
}

/** An `invalid-argument` error of the factory. */
export function refuse(problem: string): InfrastructureError {
  return invalidArgument({ component: 'queue', adapter: 'redis' }, problem);
}
