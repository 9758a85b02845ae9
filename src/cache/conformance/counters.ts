import assert from 'node:assert/strict';

import { type CacheCase, HeldLoad, refused } from './support.ts';

const withoutCounters: NonNullable<CacheCase['unsupported']> = async ({ cache }) => {
  await refused('unimplemented', cache.increment('a'));
};
const withoutVersions: NonNullable<CacheCase['unsupported']> = async ({ cache }) => {
  await refused('unimplemented', cache.compareAndSet('a', 1, { version: undefined }));
};

const counting = { requires: ['counters'], unsupported: withoutCounters } as const;
const comparing = { requires: ['compareAndSet'], unsupported: withoutVersions } as const;

/** What is changed by its own value. */
export const counterCases: readonly CacheCase[] = [
  {
    ...counting,
    id: 'increment › starts at nothing and adds',
    async run({ cache }) {
      assert.equal(await cache.increment('a'), 1);
      assert.equal(await cache.increment('a', { by: 5 }), 6);
      assert.equal(await cache.increment('a', { by: -10 }), -4);
      assert.equal(await cache.increment('a', { by: 0 }), -4);
      assert.equal(await cache.get('a'), -4);
      assert.equal(await cache.increment('b', { by: 7 }), 7);
    },
  },
  {
    ...counting,
    id: 'increment › many at once lose nothing',
    async run({ cache }) {
      const sums = await Promise.all(
        Array.from({ length: 100 }, async () => await cache.increment('a')),
      );
      assert.deepEqual(
        sums.toSorted((a, b) => a - b),
        Array.from({ length: 100 }, (_, index) => index + 1),
      );
    },
  },
  {
    ...counting,
    id: 'increment › keeps the ttl of its first, and starts again after it',
    async run({ cache, clock }) {
      await cache.increment('a', { ttl: 100 });
      await clock.advance(60);
      assert.equal(await cache.increment('a', { ttl: 100 }), 2);
      await clock.advance(40);
      assert.equal(await cache.get('a'), undefined);
      assert.equal(await cache.increment('a', { ttl: 100 }), 1);
    },
  },
  {
    ...counting,
    id: 'increment › goes on from a number that was set',
    async run({ cache }) {
      await cache.set('a', 41);
      assert.equal(await cache.increment('a'), 42);
    },
  },
  {
    ...counting,
    id: 'increment › refuses what is no safe integer, and leaves it',
    async run({ cache }) {
      for (const value of ['1', 1.5, null, { count: 1 }, Number.MAX_SAFE_INTEGER]) {
        await cache.set('a', value);
        await refused('failed-precondition', cache.increment('a'));
        assert.deepEqual(await cache.get('a'), value);
      }
      await refused('invalid-argument', cache.increment('b', { by: 0.5 }));
      assert.equal(await cache.get('b'), undefined);
    },
  },
  {
    ...counting,
    id: 'increment › keeps the tags of its first',
    async run({ cache }) {
      await cache.increment('a', { tags: ['x'] });
      await cache.increment('a');
      await cache.deleteByTag('x');
      assert.equal(await cache.increment('a'), 1);
    },
  },
  {
    ...counting,
    id: 'increment › is not overwritten by a load that began before it',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const loading = cache.getOrSet('a', held.load);
      await held.started;
      await cache.increment('a', { by: 5 });
      held.give(100);
      await loading;
      assert.equal(await cache.get('a'), 5);
    },
  },
  {
    ...comparing,
    id: 'compareAndSet › writes over the version that was read',
    async run({ cache }) {
      await cache.set('a', 1);
      const before = await cache.getVersioned('a');
      assert.equal(before?.value, 1);
      assert.equal(await cache.compareAndSet('a', 2, { version: before?.version }), true);
      assert.equal(await cache.get('a'), 2);
    },
  },
  {
    ...comparing,
    id: 'compareAndSet › refuses a version that is no longer there, also when the value is the same again',
    async run({ cache }) {
      await cache.set('a', 1);
      const version = (await cache.getVersioned('a'))?.version;
      await cache.set('a', 1);
      assert.equal(await cache.compareAndSet('a', 2, { version }), false);
      await cache.delete('a');
      assert.equal(await cache.compareAndSet('a', 2, { version }), false);
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    ...comparing,
    id: 'compareAndSet › without a version writes only where nothing is',
    async run({ cache, clock }) {
      assert.equal(
        await cache.compareAndSet('a', 1, { version: undefined, ttl: 10, grace: 100 }),
        true,
      );
      assert.equal(await cache.compareAndSet('a', 2, { version: undefined }), false);
      assert.equal(await cache.get('a'), 1);
      await clock.advance(10);
      assert.equal(await cache.compareAndSet('a', 3, { version: undefined }), true);
      await cache.set('b', 1, { tags: ['x'] });
      await cache.deleteByTag('x');
      assert.equal(await cache.compareAndSet('b', 2, { version: undefined }), true);
    },
  },
  {
    ...comparing,
    id: 'compareAndSet › of many at once exactly one wins',
    async run({ cache }) {
      await cache.set('a', 0);
      const version = (await cache.getVersioned('a'))?.version;
      const won = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) => await cache.compareAndSet('a', index + 1, { version }),
        ),
      );
      assert.equal(won.filter(Boolean).length, 1);
      assert.equal(await cache.get('a'), won.indexOf(true) + 1);
    },
  },
  {
    ...comparing,
    id: 'compareAndSet › refuses what is no data',
    async run({ cache }) {
      await refused(
        'invalid-argument',
        cache.compareAndSet('a', () => 1, { version: undefined }),
      );
      assert.equal(await cache.get('a'), undefined);
    },
  },
];
