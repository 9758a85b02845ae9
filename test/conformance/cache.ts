import { cacheConformance, type CacheSubject } from '../../src/cache/conformance/index.ts';
import { memoryCache, MemoryCacheDriver } from '../../src/cache/memory.ts';
import { type ConformanceTarget, fakeClock } from '../../src/core/index.ts';
import { port, type RegisteredPort } from './registry.ts';

const memory: ConformanceTarget<CacheSubject, 'counters' | 'compareAndSet'> = {
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
export const cachePort: RegisteredPort = port(cacheConformance, [memory]);
