import type { ConnectionOptions } from 'node:tls';

import { invalidArgument, redact, type Redacted, type Secret } from '../core/index.ts';
import type { ClientSource, RedisClient } from './connection.ts';

/** How to reach a server. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly database: number;
  readonly username: string;
  readonly password: Redacted | undefined;
}

/** The options that every adapter on Redis has. */
export interface RedisOptions {
  readonly url?: Secret;
  readonly tls?: ConnectionOptions;
  readonly client?: RedisClient;
  readonly prefix?: string;
}

/** What the options of an adapter say. Throws `invalid-argument` for those that contradict each other, or say nothing. */
export function readRedisOptions(
  { url, tls, client, prefix }: RedisOptions,
  component: string,
): { readonly source: ClientSource; readonly prefix: string | undefined } {
  const server = url === undefined ? undefined : parseRedisUrl(redact(url), component);
  const refuse = (problem: string): Error =>
    invalidArgument({ component, adapter: 'redis' }, problem);
  if (tls !== undefined && server?.isTls !== true)
    throw refuse('tls is given, and the url does not ask for it: write rediss: in place of redis:');
  const source = client ? { client } : server && { server, tls };
  if (!source) throw refuse('give the url of a Redis, or a client');
  return { source, prefix: prefix ?? server?.prefix };
}

/**
 * What a URL says, for the adapter of a room. Throws `invalid-argument`, without the text, which may hold a password, for a URL that
 * is none of Redis.
 */
export function parseRedisUrl(
  text: Redacted,
  component: string,
): RedisServer & { readonly prefix: string | undefined } {
  const origin = { component, adapter: 'redis' };
  const url = URL.parse(text.reveal());
  const parameters = new URLSearchParams(url?.search);
  const prefix = parameters.get('prefix') ?? undefined;
  if (
    url === null ||
    !/^rediss?:$/.test(url.protocol) ||
    url.hostname === '' ||
    !/^\/?\d*$/.test(url.pathname) ||
    parameters.size !== (prefix === undefined ? 0 : 1) ||
    url.hash !== ''
  ) {
    throw invalidArgument(
      origin,
      'url is not redis://HOST:PORT/DATABASE?prefix=PREFIX, or rediss:// for TLS, with USER:PASSWORD@ before the host, where all but the host may be left out',
    );
  }
  const decoded = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw invalidArgument(origin, 'url has a % that encodes nothing: write % as %25');
    }
  };
  const username = decoded(url.username);
  const password = decoded(url.password);
  if (username !== '' && password === '')
    throw invalidArgument(origin, 'url has a user and no password: give both, a password, or none');
  return {
    // Brackets are a URL's way to write an IPv6 address.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port || 6379),
    isTls: url.protocol === 'rediss:',
    database: Number(url.pathname.slice(1)),
    username: username || 'default',
    password: password === '' ? undefined : redact(password),
    prefix,
  };
}
