// Written after each peer's own documentation: as it comes, and where it has one, in its fastest setup.

import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache } from 'cache-manager';
import { Cacheable } from 'cacheable';
import { Keyv } from 'keyv';
import { LRUCache } from 'lru-cache';

const ttl = 300_000;

function lruCache() {
  // Its fetch() is its single flight; the loader is given per call by `context`.
  const cache = new LRUCache({
    max: 100_000,
    ttl,
    fetchMethod: (key, stale, { context }) => context(),
  });
  return {
    id: 'lru-cache',
    get: async (key) => cache.get(key),
    clear: async () => cache.clear(),
    getOrSet: async (key, load) => await cache.fetch(key, { context: load }),
  };
}

function bento(id, serialize) {
  const cache = new BentoCache({
    default: 'memory',
    ttl,
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 100_000, serialize })) },
  });
  return {
    id,
    get: async (key) => await cache.get({ key }),
    getOrSet: async (key, load) => await cache.getOrSet({ key, factory: load }),
    clear: async () => await cache.clear(),
  };
}

function cacheManager() {
  const cache = createCache({ ttl });
  return {
    id: 'cache-manager',
    get: async (key) => await cache.get(key),
    getOrSet: async (key, load) => await cache.wrap(key, load),
    clear: async () => await cache.clear(),
  };
}

function cacheable() {
  const cache = new Cacheable({ ttl });
  return {
    id: 'cacheable',
    get: async (key) => await cache.get(key),
    getOrSet: async (key, load) => await cache.getOrSet(key, load),
    clear: async () => await cache.clear(),
  };
}

function keyv() {
  // It has no getOrSet: this is what its users write, without single flight.
  const cache = new Keyv({ ttl });
  return {
    id: 'keyv',
    get: async (key) => await cache.get(key),
    clear: async () => await cache.clear(),
    async getOrSet(key, load) {
      const found = await cache.get(key);
      if (found !== undefined) return found;
      const value = await load();
      await cache.set(key, value);
      return value;
    },
  };
}

export const caches = [
  lruCache,
  () => bento('bentocache', true),
  () => bento('bentocache-no-serialize', false),
  cacheManager,
  cacheable,
  keyv,
];
