import { describe, expectTypeOf, it } from 'vitest';

import type { Cache } from './cache.ts';
import type { CacheDriver } from './driver.ts';
import { memoryCache } from './memory.ts';

interface PlainDriver extends CacheDriver {
  readonly capabilities: {
    readonly counters: false;
    readonly compareAndSet: false;
    readonly shared: false;
  };
}

describe('cache › types', () => {
  it('getOrSet gives what the loader gives', () => {
    const cache = memoryCache();
    expectTypeOf(
      cache.getOrSet('a', async ({ signal }) => ({ count: signal.aborted ? 1 : 2 })),
    ).resolves.toEqualTypeOf<{ count: number }>();
    expectTypeOf(cache.getOrSetMany(['a'], () => new Map([['a', 1]]))).resolves.toEqualTypeOf<
      Map<string, number>
    >();
  });

  it('get without a type is unknown', () => {
    expectTypeOf(memoryCache().get('a')).resolves.toBeUnknown();
    expectTypeOf(memoryCache().get<number>('a')).resolves.toEqualTypeOf<number | undefined>();
  });

  it('undefined is no value', () => {
    const maybe = undefined as number | undefined;
    // @ts-expect-error undefined means a miss
    void memoryCache().set('a', maybe);
    void memoryCache().set('a', null);
  });

  it('a memory cache is a Cache', () => {
    expectTypeOf(memoryCache()).toExtend<Cache>();
  });

  it('what a driver cannot do does not compile', () => {
    const cache = {} as Cache<PlainDriver>;
    // @ts-expect-error counters is false
    void cache.increment('a');
    // @ts-expect-error compareAndSet is false
    void cache.compareAndSet('a', 1, { version: undefined });
    void memoryCache().increment('a');
  });

  it('a bad duration does not compile', () => {
    // @ts-expect-error there is no such unit
    void memoryCache().set('a', 1, { ttl: '5 minutes' });
  });
});
