import { describe, expect, it } from 'vitest';

import { type FakeClock, fakeClock, runConformanceCase } from '../core/index.ts';
import { Cache } from './cache.ts';
import { cacheConformance } from './conformance/index.ts';
import type { CacheLease, CacheWrite, CounterStep, StoredEntry } from './driver.ts';
import { MemoryCacheDriver } from './memory.ts';

type Options = { readonly clock: FakeClock };

/** Drivers that each break one rule, as a hurried adapter would. */
const broken: Readonly<Record<string, (options: Options) => MemoryCacheDriver>> = {
  'ignores the version of a conditional write': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map(({ key, entry, condition }) =>
            condition && 'version' in condition ? { key, entry } : { key, entry, condition },
          ),
        );
      }
    })(options),
  'ignores leases': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map(({ key, entry, condition }) =>
            condition && 'lease' in condition ? { key, entry } : { key, entry, condition },
          ),
        );
      }
    })(options),
  'takes the lease only when it writes': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        const renewed = await Promise.all(
          writes.map(async (write): Promise<CacheWrite> => {
            if (!write.condition || !('lease' in write.condition)) return write;
            const [lease] = await this.lease([write.key], write.entry.tags);
            return { ...write, condition: { lease: lease as CacheLease } };
          }),
        );
        return await super.set(renewed);
      }
    })(options),
  'does not fence leases by tag': (options) =>
    new (class extends MemoryCacheDriver {
      override async lease(keys: readonly string[]): Promise<readonly CacheLease[]> {
        return await super.lease(keys, []);
      }
    })(options),
  'forgets tags on a write': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map((write) => ({ ...write, entry: { ...write.entry, tags: [] } })),
        );
      }
    })(options),
  'invalidates only the first tag': (options) =>
    new (class extends MemoryCacheDriver {
      override async deleteByTags(tags: readonly string[]): Promise<void> {
        await super.deleteByTags(tags.slice(0, 1));
      }
    })(options),
  'gives back the entry without its grace': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map((write) => ({
            ...write,
            entry: { ...write.entry, expiresAt: write.entry.freshUntil },
          })),
        );
      }
    })(options),
  'deletes only the first of many': (options) =>
    new (class extends MemoryCacheDriver {
      override async delete(keys: readonly string[]): Promise<number> {
        return await super.delete(keys.slice(0, 1));
      }
    })(options),
  'counts what it did not delete': (options) =>
    new (class extends MemoryCacheDriver {
      override async delete(keys: readonly string[]): Promise<number> {
        await super.delete(keys);
        return keys.length;
      }
    })(options),
  'clears by tag only what it knows': (options) =>
    new (class extends MemoryCacheDriver {
      override async clear(): Promise<void> {
        // Neither entries without a tag nor leases are reached this way.
        await super.deleteByTags(['x', 't']);
      }
    })(options),
  'gives entries in an order of its own': (options) =>
    new (class extends MemoryCacheDriver {
      override async get(keys: readonly string[]): Promise<readonly (StoredEntry | undefined)[]> {
        return (await super.get(keys)).toReversed();
      }
    })(options),
  'folds the case of keys': (options) =>
    new (class extends MemoryCacheDriver {
      override peek(key: string): StoredEntry | undefined {
        return super.peek(key.toLowerCase());
      }
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(writes.map((write) => ({ ...write, key: write.key.toLowerCase() })));
      }
    })(options),
  'increments by reading and writing': (options) =>
    new (class extends MemoryCacheDriver {
      override async increment(
        key: string,
        { by, initial }: CounterStep,
      ): Promise<number | undefined> {
        const [current] = await this.get([key]);
        await Promise.resolve();
        const sum = ((current?.value as number | undefined) ?? 0) + by;
        await this.set([{ key, entry: { ...initial, value: sum } }]);
        return sum;
      }
    })(options),
  'prolongs a counter on each increment': (options) =>
    new (class extends MemoryCacheDriver {
      override async increment(
        key: string,
        { by, initial }: CounterStep,
      ): Promise<number | undefined> {
        const sum = await super.increment(key, { by, initial });
        if (sum !== undefined) await this.set([{ key, entry: { ...initial, value: sum } }]);
        return sum;
      }
    })(options),
  'keeps values as JSON': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map((write) => ({
            ...write,
            entry: { ...write.entry, value: throughJson(write.entry.value) },
          })),
        );
      }
    })(options),
  'forgets that a value is mutable': (options) =>
    new (class extends MemoryCacheDriver {
      override async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
        return await super.set(
          writes.map((write) => ({ ...write, entry: { ...write.entry, isMutable: false } })),
        );
      }
    })(options),
  'answers after it was closed': (options) =>
    new (class extends MemoryCacheDriver {
      override async close(): Promise<void> {
        throw new Error('already closed');
      }
    })(options),
};

function throughJson(value: unknown): unknown {
  return typeof value === 'bigint' ? null : (JSON.parse(JSON.stringify(value)) as unknown);
}

async function failedCases(
  make: (options: Options) => MemoryCacheDriver,
  { isShared = false, ids = /./ }: { readonly isShared?: boolean; readonly ids?: RegExp } = {},
): Promise<string[]> {
  const failed: string[] = [];
  const target = {
    adapter: 'broken',
    capabilities: { counters: true, compareAndSet: true, shared: isShared },
    create: async () => {
      const clock = fakeClock();
      const driver = make({ clock });
      const another = (): Cache => new Cache(driver, { clock });
      return { cache: another(), clock, ...(isShared && { another }) };
    },
    dispose: async ({ cache }: { readonly cache: Cache }) => {
      await cache.close();
    },
  };
  for (const one of cacheConformance.cases) {
    if (!ids.test(one.id)) continue;
    const { id, status } = await runConformanceCase(one, target);
    if (status === 'failed') failed.push(id);
  }
  return failed;
}

describe('cache › the suite catches a driver that', () => {
  it.each(Object.entries(broken))('%s', async (_, make) => {
    expect(await failedCases(make)).not.toEqual([]);
  });

  it('is sound, as sound', async () => {
    expect(await failedCases((options) => new MemoryCacheDriver(options))).toEqual([]);
  });

  it('shares its entries but cannot tell a load what others changed', async () => {
    const failed = await failedCases((options) => new MemoryCacheDriver(options), {
      isShared: true,
      ids: / delete of the other/,
    });
    expect(failed).toContain(
      'shared › who comes after delete of the other gets no load from before',
    );
    expect(failed).toContain(
      'shared › after delete of the other, a load that is slow gives no value from its grace',
    );
  });

  it('shares its entries without declaring it', async () => {
    const { run, unsupported } = cacheConformance.cases.find(({ requires }) =>
      requires?.includes('shared'),
    ) as (typeof cacheConformance.cases)[number];
    const clock = fakeClock();
    const cache = new Cache(new MemoryCacheDriver({ clock }), { clock });
    expect(run).toBeDefined();
    await expect(unsupported?.({ cache, clock, another: () => cache })).rejects.toThrow();
  });

  it('lacks a capability but answers all the same', async () => {
    const failed: string[] = [];
    const target = {
      adapter: 'broken',
      capabilities: { counters: false, compareAndSet: false, shared: false },
      create: async () => ({ cache: new Cache(new MemoryCacheDriver()), clock: fakeClock() }),
      dispose: async ({ cache }: { readonly cache: Cache<MemoryCacheDriver> }) => {
        await cache.close();
      },
    };
    for (const one of cacheConformance.cases.filter(({ requires }) => requires)) {
      if ((await runConformanceCase(one, target)).status === 'failed') failed.push(one.id);
    }
    expect(failed).not.toEqual([]);
  });
});
