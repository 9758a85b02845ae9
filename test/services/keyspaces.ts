import { randomUUID } from 'node:crypto';

import { createClient } from 'redis';

import { redact } from '../../src/core/index.ts';
import { RedisQueueDriver } from '../../src/queue/redis/redis-queue-driver.ts';
import { parseRedisUrl, RedisConnection } from '../../src/redis/index.ts';
import { sharedServer } from './servers.ts';

/** A beginning of keys on the shared Redis that nobody else uses. */
export interface Keyspace {
  /** The server's, with the prefix. */
  readonly url: string;
  readonly prefix: string;
  /** A driver of the queue on these keys. */
  readonly queueDriver: () => RedisQueueDriver;
  /** Removes all its keys. */
  readonly remove: () => Promise<void>;
}

/** Makes a {@link Keyspace}. Call it only when `service('redis')` is not missing. */
export async function makeKeyspace(): Promise<Keyspace> {
  const { url: server } = await sharedServer('redis');
  const prefix = `test-${randomUUID()}`;
  const url = `${server}?prefix=${prefix}`;
  return {
    url,
    prefix,
    queueDriver() {
      const source = { server: parseRedisUrl(redact(url), 'queue') };
      const options = { component: 'queue', source, createClient, texts: 'strings' } as const;
      return new RedisQueueDriver(new RedisConnection(options), prefix);
    },
    remove: async () => {
      const client = createClient({ url: server });
      await client.connect();
      for await (const keys of client.scanIterator({ MATCH: `${prefix}:*`, COUNT: 1000 }))
        if (keys.length > 0) await client.unlink(keys);
      client.destroy();
    },
  };
}
