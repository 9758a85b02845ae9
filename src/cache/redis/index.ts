import type { ConnectionOptions } from 'node:tls';

import {
  definePolicy,
  importPeer,
  invalidArgument,
  type Policy,
  type Secret,
} from '../../core/index.ts';
import { readRedisOptions, type RedisClient, RedisConnection } from '../../redis/index.ts';
import { Cache } from '../cache.ts';
import type { CacheOptions } from '../options.ts';
import { RedisCacheDriver } from './driver.ts';

const { createClient }: typeof import('redis') = await importPeer(
  'underpin/cache/redis',
  'redis',
  () => import('redis'),
);

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
   * A client of your own (`createClient` of the package `redis`) in place of `url`, which you connect and close. Its own
   * reconnecting is then in force.
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
  const { clock, policy = defaultPolicy } = options;
  const { source, prefix = 'cache' } = readRedisOptions(options, 'cache');
  if (!/^[^{}]{1,100}$/.test(prefix))
    throw invalidArgument(
      { component: 'cache', adapter: 'redis' },
      'prefix has 1 to 100 characters, and no braces',
    );
  const connection = new RedisConnection({
    component: 'cache',
    source,
    createClient,
    texts: 'bytes',
  });
  return new Cache(new RedisCacheDriver({ connection, prefix, clock }), { ...options, policy });
}
