import type { ConnectionOptions } from 'node:tls';

import {
  definePolicy,
  importPeer,
  invalidArgument,
  type Policy,
  type Secret,
} from '../../core/index.ts';
import { readRedisOptions, type RedisClient, RedisConnection } from '../../redis/index.ts';
import { JobQueue, type QueueOptions } from '../queue.ts';
import { RedisQueueDriver } from './redis-queue-driver.ts';

const { createClient }: typeof import('redis') = await importPeer(
  'underpin/queue/redis',
  'redis',
  () => import('redis'),
);

export type { RedisClient, RedisQueueDriver };

/** Options of {@link redisQueue}. */
export interface RedisQueueOptions extends QueueOptions {
  /**
   * `redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=PREFIX`, or `rediss://` for TLS, where all but the host may be left out.
   * Default port 6379, default database 0.
   */
  readonly url?: Secret;
  /** Only for `rediss://`: certificates and the like, as Node's `tls.connect` takes them. */
  readonly tls?: ConnectionOptions;
  /**
   * A client of your own (`createClient` of the package `redis`), in place of a URL, which you connect and close. Its own
   * reconnecting is then in force.
   */
  readonly client?: RedisClient;
  /** The beginning of all keys, which is the `prefix` of BullMQ, without a colon. Default: the URL's, else `underpin`. */
  readonly prefix?: string;
}

/** A call is one command, which a Redis that is well answers within milliseconds. A timeout of the whole would cost, and say no more. */
const defaultPolicy: Policy = definePolicy('redis', {
  retry: { attempts: 2 },
  attemptTimeout: '5s',
});

/**
 * A queue in Redis that processes share, of jobs as BullMQ keeps them, so that its tools see them. Needs the optional peer
 * `redis`. What survives a crash of Redis is what its configuration makes it keep: see docs/queue-redis.md.
 *
 * Throws `invalid-argument` for a URL that is none of Redis, for neither a URL nor a client, or for a prefix that is empty or has
 * a colon.
 *
 * @example
 * const queue = redisQueue({ url: 'redis://localhost:6379' });
 */
export function redisQueue(options: RedisQueueOptions): JobQueue<RedisQueueDriver> {
  const { policy = defaultPolicy } = options;
  const { source, prefix = 'underpin' } = readRedisOptions(options, 'queue');
  // BullMQ parts its keys by colons.
  if (prefix === '' || prefix.includes(':'))
    throw invalidArgument(
      { component: 'queue', adapter: 'redis' },
      'prefix is empty or has a colon',
    );
  const connection = new RedisConnection({
    component: 'queue',
    source,
    createClient,
    texts: 'strings',
  });
  return new JobQueue(new RedisQueueDriver(connection, prefix), { ...options, policy });
}
