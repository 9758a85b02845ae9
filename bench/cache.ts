import { memoryCache } from 'underpin/cache/memory';

import type { Bench, BenchCase, PeerModules, Variant } from './harness.ts';

/** A cache in this process, in the few calls that the cases make. */
export interface BenchedCache {
  readonly id: string;
  readonly get: (key: string) => Promise<unknown>;
  readonly getOrSet: (key: string, load: () => Promise<Article>) => Promise<unknown>;
  readonly clear: () => Promise<unknown>;
}

/** What is cached: an object such as applications have. */
export interface Article {
  readonly id: number;
  readonly title: string;
  readonly tags: readonly string[];
}

/** What `peers/cache/variants.ts` exports: each peer, empty. */
interface PeerCaches {
  readonly caches: readonly (() => BenchedCache)[];
}

const ttl = 300_000;
const article: Article = { id: 1, title: 'An article about caches', tags: ['cache', 'bench'] };
const load = async (): Promise<Article> => article;

function underpin(): BenchedCache {
  const cache = memoryCache({ ttl, maxEntries: 100_000 });
  return {
    id: 'underpin',
    get: async (key) => await cache.get(key),
    getOrSet: async (key, loader) => await cache.getOrSet(key, loader),
    clear: async () => await cache.clear(),
  };
}

/** What one would write by hand: a Map with expiry and the loads under way. It neither bounds nor copies nor fences anything. */
function limit(): BenchedCache {
  const entries = new Map<string, { readonly value: Article; readonly expiresAt: number }>();
  const loads = new Map<string, Promise<Article>>();
  const get = (key: string): Article | undefined => {
    const entry = entries.get(key);
    return entry !== undefined && Date.now() < entry.expiresAt ? entry.value : undefined;
  };
  const fill = async (key: string, loader: () => Promise<Article>): Promise<Article> => {
    try {
      const value = await loader();
      entries.set(key, { value, expiresAt: Date.now() + ttl });
      return value;
    } finally {
      loads.delete(key);
    }
  };
  return {
    id: 'limit',
    get: async (key) => get(key),
    clear: async () => entries.clear(),
    async getOrSet(key, loader) {
      const value = get(key);
      if (value !== undefined) return value;
      let loading = loads.get(key);
      if (loading === undefined) loads.set(key, (loading = fill(key, loader)));
      return await loading;
    },
  };
}

async function openCaches(peers: PeerModules): Promise<readonly BenchedCache[]> {
  const peerCaches = (await peers('variants.ts')) as PeerCaches | undefined;
  return [underpin, limit, ...(peerCaches?.caches ?? [])].map((make) => make());
}

/** A case in which every cache does the same to keys. */
function cacheCase(
  { id, count, goals }: Pick<BenchCase, 'id' | 'count' | 'goals'>,
  run: (cache: BenchedCache, count: number) => Promise<void>,
): BenchCase {
  return {
    id,
    unit: 'ops/s',
    count,
    goals,
    async open(peers) {
      const caches = await openCaches(peers);
      return {
        variants: caches.map((cache): Variant => ({
          id: cache.id,
          async reset() {
            await cache.clear();
            await cache.getOrSet('warm', load);
          },
          run: async (times) => await run(cache, times),
        })),
      };
    },
  };
}

// `lru-cache` is an engine, not a peer: it is what several of these stand on.
const goals: BenchCase['goals'] = [
  { against: 'limit', ratioAtLeast: 0.45 },
  { against: 'bentocache-no-serialize', ratioAtLeast: 4 },
  { against: 'cache-manager', ratioAtLeast: 4 },
];

let fresh = 0;

const bench: Bench = {
  component: 'cache',
  peerSet: 'cache',
  notes: [
    '`limit` is a Map with expiry and single flight, written by hand: it bounds, copies and fences nothing.',
  ],
  cases: [
    cacheCase(
      {
        id: 'memory-get-hit',
        count: 200_000,
        goals,
      },
      async (cache, count) => {
        for (let index = 0; index < count; index += 1) await cache.get('warm');
      },
    ),
    cacheCase(
      {
        id: 'memory-get-or-set-hit',
        count: 200_000,
        goals,
      },
      async (cache, count) => {
        for (let index = 0; index < count; index += 1) await cache.getOrSet('warm', load);
      },
    ),
    cacheCase(
      {
        id: 'memory-get-or-set-cold',
        count: 20_000,
        goals,
      },
      async (cache, count) => {
        for (let index = 0; index < count; index += 1) {
          fresh += 1;
          await cache.getOrSet(`key ${fresh}`, load);
        }
      },
    ),
  ],
};

export default bench;
