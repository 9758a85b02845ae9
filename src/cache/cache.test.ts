import { setTimeout as delay } from 'node:timers/promises';

import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';

import {
  definePolicy,
  fakeClock,
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import { Cache } from './cache.ts';
import type { CacheDriver, CacheLease, StoredEntry } from './driver.ts';
import { memoryCache, MemoryCacheDriver } from './memory.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function record(): OperationEvent[] {
  const events: OperationEvent[] = [];
  cleanups.push(
    subscribeToOperations({
      end: (event) => void (event.component === 'cache' && events.push(event)),
    }),
  );
  return events;
}

/** A driver behind a wire: no hot path, every answer a turn later, and one that can be cut. */
class RemoteDriver extends MemoryCacheDriver {
  error: Error | undefined;
  hangs = false;

  override peek(key: string): StoredEntry | undefined {
    return super.peek(key);
  }
}

function remote(driver = new RemoteDriver()): { driver: RemoteDriver; wire: CacheDriver } {
  const wire = new Proxy<CacheDriver>(driver, {
    get(target, property) {
      if (property === 'peek') return undefined;
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function' || property === 'close' || property === 'classify')
        return member;
      return async (...args: unknown[]) => {
        await Promise.resolve();
        if (driver.hangs) await new Promise(() => undefined);
        if (driver.error) throw driver.error;
        return (await Reflect.apply(member, target, args)) as unknown;
      };
    },
  });
  return { driver, wire };
}

function refusedConnection(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

describe('cache › a cache that is down', () => {
  it('a change whose answer was lost is not answered with a load that began before it', async () => {
    const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    const changes: readonly ((cache: Cache) => Promise<unknown>)[] = [
      (cache) => cache.set('a', 5),
      (cache) => cache.delete('a'),
      (cache) => cache.increment('a'),
      (cache) => cache.compareAndSet('a', 5, { version: undefined }),
    ];
    for (const change of changes) {
      const { driver, wire } = remote();
      const cache = new Cache(wire);
      const old = Promise.withResolvers<number>();
      const began = Promise.withResolvers<void>();
      const before = cache.getOrSet('a', async () => {
        began.resolve();
        return await old.promise;
      });
      await began.promise;
      driver.error = lost;
      await expect(change(cache)).rejects.toMatchObject({ code: 'unavailable' });
      driver.error = undefined;
      expect(await cache.getOrSet('a', () => 2)).toBe(2);
      old.resolve(1);
      await before;
    }
  });

  it('costs getOrSet nothing but the load', async () => {
    const { driver, wire } = remote();
    const cache = new Cache(wire);
    driver.error = refusedConnection();
    expect(await cache.getOrSet('a', () => 1)).toBe(1);
    expect([
      ...(
        await cache.getOrSetMany(['a', 'b'], (keys) => new Map(keys.map((key) => [key, 2])))
      ).values(),
    ]).toEqual([2, 2]);
    driver.error = undefined;
    expect(await cache.get('a')).toBeUndefined();
  });

  it('fails reads and invalidations as unavailable', async () => {
    const { driver, wire } = remote();
    const cache = new Cache(wire);
    driver.error = refusedConnection();
    for (const call of [
      cache.get('a'),
      cache.set('a', 1),
      cache.delete('a'),
      cache.deleteByTag('x'),
      cache.clear(),
      cache.increment('a'),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'unavailable', component: 'cache' });
    }
  });

  it('does not hang a caller whose policy has a timeout', async () => {
    const { driver, wire } = remote();
    const cache = new Cache(wire, { policy: definePolicy('quick', { attemptTimeout: 20 }) });
    driver.hangs = true;
    expect(await cache.getOrSet('a', () => 1)).toBe(1);
    await expect(cache.get('a')).rejects.toMatchObject({ code: 'deadline-exceeded' });
  });

  it('still loads once for many', async () => {
    const { driver, wire } = remote();
    const cache = new Cache(wire);
    driver.error = refusedConnection();
    let runs = 0;
    const load = async (): Promise<number> => {
      await delay(1);
      return (runs += 1);
    };
    expect(
      await Promise.all(Array.from({ length: 10 }, async () => await cache.getOrSet('a', load))),
    ).toEqual(Array(10).fill(1));
  });

  it('serves a value whose write failed', async () => {
    const { driver, wire } = remote();
    const cache = new Cache(wire);
    const value = await cache.getOrSet('a', () => {
      driver.error = refusedConnection();
      return 1;
    });
    expect(value).toBe(1);
  });
});

describe('cache › a driver without a hot path', () => {
  it('does not load again what another caller loaded while it was reading', async () => {
    const { wire } = remote();
    const cache = new Cache(wire);
    let runs = 0;
    const load = async (): Promise<number> => (runs += 1);
    await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        for (let turn = 0; turn < index; turn += 1) await Promise.resolve();
        return await cache.getOrSet('a', load);
      }),
    );
    expect(runs).toBe(1);
  });
});

describe('cache › events', () => {
  it('say whether it was a hit, and hold neither values nor bodies', async () => {
    const events = record();
    const cache = memoryCache();
    await cache.getOrSet('a', () => 'secret body');
    await cache.getOrSet('a', () => 'secret body');
    await cache.get('a');
    await cache.get('b');
    await cache.getMany(['a', 'b']);
    expect(events.map(({ operation, attributes }) => [operation, attributes])).toEqual([
      ['load', { adapter: 'memory', key: 'a' }],
      ['getOrSet', { adapter: 'memory', key: 'a', source: 'load' }],
      ['getOrSet', { adapter: 'memory', key: 'a', source: 'hit' }],
      ['get', { adapter: 'memory', key: 'a', hit: true }],
      ['get', { adapter: 'memory', key: 'b', hit: false }],
      ['getMany', { adapter: 'memory', count: 2, hits: 1 }],
    ]);
    expect(JSON.stringify(events)).not.toContain('secret body');
  });

  it('show a refresh that failed behind the scenes', async () => {
    const clock = fakeClock();
    const cache = memoryCache({ clock, ttl: 100, eagerRefresh: 0.5 });
    await cache.getOrSet('a', () => 1);
    await clock.advance(50);
    const events = record();
    const error = new Error('down');
    expect(
      await cache.getOrSet('a', () => {
        throw error;
      }),
    ).toBe(1);
    await cache.drain();
    expect(events.find(({ operation }) => operation === 'load')?.error).toBe(error);
  });

  it('change nothing of what a caller gets', async () => {
    const run = async (): Promise<unknown[]> => {
      const cache = memoryCache();
      const seen: unknown[] = [
        await cache.getOrSet('a', () => ({ b: 1 })),
        await cache.getOrSet('a', () => 2),
        await cache.get('a'),
      ];
      seen.push(
        await cache
          .get('a', { signal: AbortSignal.abort() })
          .catch((error: unknown) => (error as InfrastructureError).code),
      );
      return seen;
    };
    const unobserved = await run();
    record();
    expect(await run()).toEqual(unobserved);
  });
});

describe('cache › options', () => {
  it('of the cache apply to calls that leave them out', async () => {
    const clock = fakeClock();
    const cache = memoryCache({ clock, ttl: 10, grace: 100 });
    await cache.set('a', 1);
    await clock.advance(10);
    expect(await cache.get('a')).toBeUndefined();
    expect(await cache.getOrSet('a', () => Promise.reject(new Error('down')))).toBe(1);
    await cache.set('b', 1, { ttl: 50 });
    await clock.advance(49);
    expect(await cache.get('b')).toBe(1);
  });

  it('jitter shortens the ttl by up to its part', async () => {
    for (const [random, ends] of [
      [0, 100],
      [0.5, 75],
      [1, 50],
    ] as const) {
      const clock = fakeClock();
      const cache = memoryCache({ clock, ttl: 100, jitter: 0.5, random: () => random });
      await cache.set('a', 1);
      await clock.advance(ends - 1);
      expect(await cache.get('a')).toBe(1);
      await clock.advance(1);
      expect(await cache.get('a')).toBeUndefined();
    }
  });

  it('that are wrong are refused when the cache is made', () => {
    for (const options of [
      { jitter: 2 },
      { jitter: Number.NaN },
      { ttl: 'soon' as never },
      { maxEntries: 0 },
      { maxEntries: 1.5 },
      { maxSize: 0 },
      { eagerRefresh: 1 },
    ]) {
      expect(() => memoryCache(options)).toThrow(InfrastructureError);
    }
  });
});

describe('cache › mistakes', () => {
  it('a loaded value that is no data is refused, also while one in its grace could stand in', async () => {
    const clock = fakeClock();
    const cache = memoryCache({ clock, ttl: 10, grace: '1h' });
    await cache.set('a', 'old');
    await clock.advance(10);
    const load = (): unknown => ({ fn: () => 1 });
    await expect(cache.getOrSet('a', load)).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('cache › memory › limits', () => {
  it('the least recently used entry goes first', async () => {
    const cache = memoryCache({ maxEntries: 2 });
    await cache.set('a', 1);
    await cache.set('b', 2);
    await cache.get('a');
    await cache.set('c', 3);
    expect([...(await cache.getMany(['a', 'b', 'c'])).keys()]).toEqual(['a', 'c']);
  });

  it('bytes are bounded, and a value larger than all of it is not kept', async () => {
    const driver = new MemoryCacheDriver({ maxSize: '10KiB' });
    const cache = new Cache(driver);
    for (let index = 0; index < 100; index += 1) await cache.set(`key${index}`, 'x'.repeat(500));
    expect(driver.byteSize).toBeLessThanOrEqual(10 * 1024);
    expect(driver.entryCount).toBe(10);
    await cache.set('key99', 'x'.repeat(6000), { tags: ['x'] });
    expect(await cache.get('key99')).toBeUndefined();
    expect(driver.entryCount).toBe(9);
    expect(driver.trackedCount).toBe(0);
    expect(await cache.getOrSet('huge', () => 'x'.repeat(6000))).toHaveLength(6000);
  });

  it('tags and fences leave nothing behind', async () => {
    const driver = new MemoryCacheDriver({ maxEntries: 5 });
    const cache = new Cache(driver);
    for (let index = 0; index < 50; index += 1) {
      await cache.set(`k${index}`, index, { tags: [`t${index}`, 'all'] });
      await cache.getOrSet(`l${index}`, () => index, { tags: [`u${index}`] });
      await cache.deleteByTag([`t${index}`, `never-used${index}`]);
      await cache
        .getOrSet(`f${index}`, () => Promise.reject(new Error('down')))
        .catch(() => undefined);
    }
    expect(driver.trackedCount).toBeLessThanOrEqual(11);
    await cache.clear();
    expect(driver.trackedCount).toBe(0);
  });
});

describe('cache › on entries that another process changes', () => {
  it('who joins a load does not get what its lease had found, once that was voided before', async () => {
    const reply = Promise.withResolvers<void>();
    const leased = Promise.withResolvers<void>();
    /** Its first lease finds what another process has just written, and is answered late. */
    class SlowDriver extends RemoteDriver {
      isFirst = true;

      override async lease(
        keys: readonly string[],
        tags: readonly string[],
      ): Promise<readonly CacheLease[]> {
        if (!this.isFirst) return await super.lease(keys, tags);
        this.isFirst = false;
        await there.set('a', 'old');
        const leases = await super.lease(keys, tags);
        leased.resolve();
        await reply.promise;
        return leases;
      }

      async holds(leases: readonly CacheLease[]): Promise<readonly boolean[]> {
        return await Promise.resolve(leases.map(() => true));
      }
    }
    const { driver, wire } = remote(new SlowDriver());
    const there = new Cache(driver);
    const here = new Cache(wire);
    const first = here.getOrSet('a', () => 'loaded');
    await leased.promise;
    await there.delete('a');
    const second = here.getOrSet('a', () => 'new');
    await here.get('b');
    reply.resolve();
    expect(await first).toBe('old');
    expect(await second).toBe('new');
  });
});

describe('cache › any order of calls', () => {
  type Step =
    | { readonly do: 'set' | 'load' | 'delete' | 'get'; readonly key: string; readonly tag: string }
    | { readonly do: 'deleteByTag'; readonly tag: string }
    | { readonly do: 'clear' }
    | { readonly do: 'wait'; readonly ms: number };
  const key = fc.constantFrom('a', 'b', 'c');
  const tag = fc.constantFrom('x', 'y');
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      do: fc.constantFrom('set' as const, 'load' as const, 'delete' as const, 'get' as const),
      key,
      tag,
    }),
    fc.record({ do: fc.constant('deleteByTag' as const), tag }),
    fc.record({ do: fc.constant('clear' as const) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 150 }) }),
  );

  it('gives what a plain map with expiry gives', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = fakeClock();
        const cache = memoryCache({ clock, ttl: 100 });
        const model = new Map<string, { value: number; tag: string; until: number }>();
        const expected = (name: string): number | undefined => {
          const entry = model.get(name);
          return entry && clock.now() < entry.until ? entry.value : undefined;
        };
        const given: unknown[] = [];
        const wanted: unknown[] = [];
        for (const [index, each] of steps.entries()) {
          switch (each.do) {
            case 'set':
              await cache.set(each.key, index, { tags: [each.tag] });
              model.set(each.key, { value: index, tag: each.tag, until: clock.now() + 100 });
              break;
            case 'load': {
              const before = expected(each.key);
              given.push(await cache.getOrSet(each.key, () => index, { tags: [each.tag] }));
              wanted.push(before ?? index);
              if (before === undefined)
                model.set(each.key, { value: index, tag: each.tag, until: clock.now() + 100 });
              break;
            }
            case 'get':
              given.push(await cache.get(each.key));
              wanted.push(expected(each.key));
              break;
            case 'delete':
              given.push(await cache.delete(each.key));
              wanted.push(expected(each.key) !== undefined);
              model.delete(each.key);
              break;
            case 'deleteByTag':
              await cache.deleteByTag(each.tag);
              for (const [name, entry] of model) if (entry.tag === each.tag) model.delete(name);
              break;
            case 'clear':
              await cache.clear();
              model.clear();
              break;
            case 'wait':
              await clock.advance(each.ms);
          }
        }
        expect(given).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });

  it('never serves what was loaded before an invalidation that has been answered', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.constantFrom('read' as const, 'change' as const), {
          minLength: 4,
          maxLength: 16,
        }),
        fc.boolean(),
        async (scheduler, plan, isRemote) => {
          const cache = isRemote ? new Cache(remote().wire) : memoryCache();
          let source = 0;
          const reads: Promise<boolean>[] = [];
          for (const [index, each] of plan.entries()) {
            if (each === 'change') {
              source += 1;
              await (index % 3 === 0
                ? cache.delete('a')
                : index % 3 === 1
                  ? cache.deleteByTag('x')
                  : cache.clear());
            } else {
              const atLeast = source;
              const load = async (): Promise<number> => {
                const seen = source;
                return await scheduler.schedule(Promise.resolve(seen));
              };
              reads.push(
                cache.getOrSet('a', load, { tags: ['x'] }).then((value) => value >= atLeast),
              );
              await scheduler.waitFor(Promise.resolve());
            }
          }
          expect(await scheduler.waitFor(Promise.all(reads))).not.toContain(false);
        },
      ),
      { numRuns: 100 },
    );
  });
});
