import { createClient } from 'redis';
import { redisCache } from 'underpin/cache/redis';

import { startServer } from '../test/services/servers.ts';
import type { Article, BenchedCache } from './cache.ts';
import type { Bench, BenchCase, Variant } from './harness.ts';

/** What `peers/cache-redis/variants.ts` exports: each peer, on a server. */
interface PeerCaches {
  readonly caches: readonly ((url: string) => Promise<RemoteCache>)[];
}

/** A cache in Redis, in the few calls that the cases make. */
export interface RemoteCache extends Omit<BenchedCache, 'clear'> {
  readonly set: (key: string, value: Article) => Promise<unknown>;
  readonly close: () => unknown;
}

const ttl = 300_000;
const article: Article = {
  id: 1,
  title: 'An article about caches',
  tags: Array.from({ length: 20 }, (_, index) => `tag number ${index}`),
};
const load = async (): Promise<Article> => article;

async function underpin(url: string): Promise<RemoteCache> {
  const cache = redisCache({ url, ttl, prefix: 'underpin' });
  await cache.start();
  return {
    id: 'underpin',
    get: async (key) => await cache.get(key),
    set: async (key, value) => await cache.set(key, value),
    getOrSet: async (key, loader) => await cache.getOrSet(key, loader),
    close: async () => await cache.close(),
  };
}

/** What one would write by hand on the same client: no policy, and nothing is fenced or invalidated. */
async function limit(url: string): Promise<RemoteCache> {
  const client = createClient({ url, RESP: 2, commandOptions: { timeout: 0 } });
  await client.connect();
  const get = async (key: string): Promise<unknown> => {
    const text = await client.get(`limit:${key}`);
    return text === null ? undefined : (JSON.parse(text) as unknown);
  };
  const set = async (key: string, value: Article): Promise<unknown> =>
    await client.set(`limit:${key}`, JSON.stringify(value), {
      expiration: { type: 'PX', value: ttl },
    });
  return {
    id: 'limit',
    get,
    set,
    async getOrSet(key, loader) {
      const found = await get(key);
      if (found !== undefined) return found;
      const value = await loader();
      await set(key, value);
      return value;
    },
    close: () => {
      client.destroy();
    },
  };
}

/** A case in which every cache does the same, so many at once. */
function redisCase(
  { id, count, goals }: Pick<BenchCase, 'id' | 'count' | 'goals'>,
  atOnce: number,
  call: (cache: RemoteCache, index: number) => Promise<unknown>,
): BenchCase {
  return {
    id,
    unit: 'ops/s',
    count,
    goals,
    async open(peers) {
      const server = await startServer('redis');
      const others = (await peers('variants.ts')) as PeerCaches | undefined;
      const caches = await Promise.all(
        [underpin, limit, ...(others?.caches ?? [])].map(async (make) => await make(server.url)),
      );
      return {
        variants: caches.map((cache): Variant => ({
          id: cache.id,
          reset: async () => void (await cache.set('warm', article)),
          async run(times) {
            for (let done = 0; done < times; done += atOnce) {
              const some = Math.min(atOnce, times - done);
              await Promise.all(
                Array.from({ length: some }, async (_, index) => await call(cache, done + index)),
              );
            }
          },
        })),
        async close() {
          for (const cache of caches) await cache.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  };
}

const goals: BenchCase['goals'] = [
  { against: 'limit', ratioAtLeast: 0.5 },
  { against: 'bentocache', ratioAtLeast: 1 },
];

let fresh = 0;

const bench: Bench = {
  component: 'cache-redis',
  peerSet: 'cache-redis',
  notes: [
    '`limit` is `GET` and `SET` by node-redis, with JSON: it fences and invalidates nothing. `ioredis` is the same by the other client. The article has 20 words.',
  ],
  cases: [
    redisCase({ id: 'redis-get-hit', count: 2000, goals }, 1, (cache) => cache.get('warm')),
    redisCase({ id: 'redis-get-hit-100-at-once', count: 10_000, goals }, 100, (cache) =>
      cache.get('warm'),
    ),
    redisCase({ id: 'redis-get-or-set-hit-100-at-once', count: 10_000, goals }, 100, (cache) =>
      cache.getOrSet('warm', load),
    ),
    redisCase({ id: 'redis-set-100-at-once', count: 10_000, goals }, 100, (cache, index) =>
      cache.set(`key ${index}`, article),
    ),
    redisCase({ id: 'redis-get-or-set-cold', count: 2000, goals }, 100, (cache) => {
      fresh += 1;
      return cache.getOrSet(`fresh ${fresh}`, load);
    }),
  ],
};

export default bench;
