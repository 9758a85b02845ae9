import { randomUUID } from 'node:crypto';

import { cacheConformance, type CacheSubject } from '../../src/cache/conformance/index.ts';
import type { Cache } from '../../src/cache/index.ts';
import { memoryCache, MemoryCacheDriver } from '../../src/cache/memory.ts';
import { redisCache } from '../../src/cache/redis/index.ts';
import { type ConformanceTarget, fakeClock } from '../../src/core/index.ts';
import { sharedServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { port, type RegisteredPort } from './registry.ts';

const { missing: redisMissing } = await service('redis');

const memory: ConformanceTarget<CacheSubject, 'counters' | 'compareAndSet' | 'shared'> = {
  adapter: 'memory',
  capabilities: new MemoryCacheDriver().capabilities,
  create: async () => {
    const clock = fakeClock();
    return { cache: memoryCache({ clock }), clock };
  },
  dispose: async ({ cache }) => {
    await cache.close();
  },
};

/** Every cache adapter. */
export const cachePort: RegisteredPort = port(cacheConformance, [
  memory,
  {
    adapter: 'redis',
    capabilities: redisCache({ url: 'redis://unused' }).capabilities,
    skip: redisMissing,
    create: async () => {
      const { url } = await sharedServer('redis');
      const clock = fakeClock();
      const prefix = randomUUID();
      const another = (): Cache => redisCache({ url, prefix, clock });
      return { cache: another(), clock, another };
    },
    dispose: async ({ cache }) => {
      await cache.close();
    },
  },
]);
