import type { ConnectionOptions } from 'node:tls';

import {
  definePolicy,
  invalidArgument,
  type Policy,
  redact,
  type Secret,
} from '../../core/index.ts';
import { Cache } from '../cache.ts';
import type { CacheOptions } from '../options.ts';
import { parseRedisUrl, type RedisClient, RedisConnection } from './connection.ts';
import { RedisCacheDriver } from './driver.ts';

export { RedisCacheDriver };
export type { RedisClient };

/** Options of {@link redisCache}. */
export interface RedisCacheOptions extends CacheOptions {
  /** `redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=PREFIX`, or `rediss:` for TLS. All but the host may be left out. */
  readonly url?: Secret;
  /** Only for `rediss:`, such as a certificate authority of one's own. */
  readonly tls?: ConnectionOptions;
  /** What all keys begin with, in braces. Caches with the same prefix on one database are the same cache. Default that of the URL, or `cache`. */
  readonly prefix?: string;
  /**
   * A client of your own in place of `url`, made by `createClient` of node-redis, which you connect and close. It should have
   * `disableOfflineQueue: true`, else calls wait while there is no connection.
   */
  readonly client?: RedisClient;
}

/** A cache that waits longer than the source takes is of no use: little patience, and a broken Redis is left alone for a second. */
const defaultPolicy: Policy = definePolicy('redis', {
  retry: { attempts: 1, initialDelay: '20ms' },
  circuitBreaker: { failures: 5, halfOpenAfter: '1s' },
  attemptTimeout: '1s',
});

/**
 * A cache in Redis (or Valkey), which every process shares. Needs the optional peer `redis`.
 *
 * Throws `invalid-argument` for a URL or a prefix that is none. Times are those of the server, unless `clock` is given.
 *
 * @example
 * const cache = redisCache({ url: 'redis://localhost:6379', ttl: '5m' });
 */
export function redisCache(options: RedisCacheOptions): Cache<RedisCacheDriver> {
  const { tls, client, clock, policy = defaultPolicy } = options;
  const server = options.url === undefined ? undefined : parseRedisUrl(redact(options.url));
  if (tls !== undefined && server?.isSecure !== true) {
    throw invalidArgument(
      { component: 'cache', adapter: 'redis' },
      'tls is given, and the url does not ask for it: write rediss: in place of redis:',
    );
  }
  const { prefix = server?.prefix ?? 'cache' } = options;
  if (!/^[^{}]{1,100}$/.test(prefix)) {
    throw invalidArgument(
      { component: 'cache', adapter: 'redis' },
      'prefix has 1 to 100 characters, and no braces',
    );
  }
  const connection = new RedisConnection({ server: server && { ...server, tls }, client });
  return new Cache(new RedisCacheDriver({ connection, prefix, clock }), { ...options, policy });
}
