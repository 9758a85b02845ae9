import type { Cache } from 'underpin/cache';

import type { PageCache } from '../../application/newsroom.ts';

/** The {@link PageCache} on any cache. */
export function pageCache(cache: Cache): PageCache {
  return {
    async getOrRender(key, tags, render) {
      // Pages are dropped when what they show changes; the time limit is for the date in their head, and the grace for the
      // time that the database is in trouble.
      return await cache.getOrSet(`page ${key}`, render, { ttl: '10m', grace: '1h', tags });
    },
    async drop(tags) {
      await cache.deleteByTag(tags);
    },
  };
}
