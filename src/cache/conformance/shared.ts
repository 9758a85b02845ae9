import assert from 'node:assert/strict';

import type { Cache } from '../cache.ts';
import {
  begun,
  type CacheCase,
  type CacheSubject,
  failure,
  HeldLoad,
  mustNotLoad,
  promptly,
} from './support.ts';

const alone: NonNullable<CacheCase['unsupported']> = async ({ another }) => {
  assert.equal(another, undefined, 'it shares its entries: declare shared');
  return await Promise.resolve();
};

/** A case with two caches on the same entries, as two processes have them. */
function shared(
  id: string,
  run: (caches: { here: Cache; there: Cache }, subject: CacheSubject) => Promise<void>,
): CacheCase {
  return {
    id: `shared › ${id}`,
    requires: ['shared'],
    unsupported: alone,
    async run(subject) {
      assert.ok(subject.another, 'the subject has no other cache, though shared is declared');
      await using there = subject.another();
      await run({ here: subject.cache, there }, subject);
    },
  };
}

const invalidations: readonly (readonly [string, (cache: Cache) => Promise<unknown>])[] = [
  ['set', async (cache) => await cache.set('a', 'theirs')],
  ['delete', async (cache) => await cache.delete('a')],
  ['deleteMany', async (cache) => await cache.deleteMany(['a', 'b'])],
  ['deleteByTag', async (cache) => await cache.deleteByTag('x')],
  ['clear', async (cache) => await cache.clear()],
];

/** What holds between processes that share a cache. */
export const sharedCases: readonly CacheCase[] = [
  shared('what one writes the other reads, until its ttl', async ({ here, there }, { clock }) => {
    const value = { at: new Date(5), bytes: new Uint8Array([1]), list: [null, 1n] };
    await here.set('a', value, { ttl: 100 });
    assert.deepEqual(await there.get('a'), value);
    assert.deepEqual(await there.getOrSet('a', mustNotLoad), value);
    await clock.advance(100);
    assert.equal(await there.get('a'), undefined);
  }),
  shared('what one loads the other need not load', async ({ here, there }) => {
    await here.getOrSet('a', () => 1);
    assert.equal(await there.getOrSet('a', mustNotLoad), 1);
  }),
  ...invalidations.flatMap(([name, invalidate]): CacheCase[] => [
    shared(`what was there before ${name} of the other is gone`, async ({ here, there }) => {
      await here.set('a', 'mine', { tags: ['x'] });
      await invalidate(there);
      assert.notEqual(await here.get('a'), 'mine');
    }),
    shared(`a load that began before ${name} of the other is not cached`, async (caches) => {
      const { here, there } = caches;
      const held = new HeldLoad<string>();
      const loading = begun(here.getOrSet('a', held.load, { tags: ['x'] }));
      await held.started;
      await invalidate(there);
      held.give('old');
      assert.equal(await loading, 'old');
      assert.notEqual(await here.get('a'), 'old');
      assert.notEqual(await there.get('a'), 'old');
    }),
    shared(`who comes after ${name} of the other gets no load from before`, async (caches) => {
      const { here, there } = caches;
      const old = new HeldLoad<string>();
      const before = begun(here.getOrSet('a', old.load, { tags: ['x'] }));
      await old.started;
      await invalidate(there);
      const after = await promptly(here.getOrSet('a', () => 'new', { tags: ['x'] }));
      assert.equal(after, name === 'set' ? 'theirs' : 'new');
      old.give('old');
      assert.equal(await before, 'old');
    }),
    shared(
      `after ${name} of the other, a load that fails gives no value from its grace`,
      async ({ here, there }, { clock }) => {
        await here.set('a', 'old', { ttl: 10, grace: '1h', tags: ['x'] });
        await clock.advance(10);
        const held = new HeldLoad<string>();
        const loading = failure(here.getOrSet('a', held.load, { tags: ['x'] }));
        await held.started;
        await invalidate(there);
        held.fail(new Error('down'));
        assert.ok(await loading);
      },
    ),
    shared(
      `after ${name} of the other, a load that is slow gives no value from its grace`,
      async ({ here, there }, { clock }) => {
        await here.set('a', 'old', { ttl: 10, grace: '1h', tags: ['x'] });
        await clock.advance(10);
        const held = new HeldLoad<string>();
        const call = begun(here.getOrSet('a', held.load, { tags: ['x'], softTimeout: 100 }));
        await held.started;
        await invalidate(there);
        await clock.advance(100);
        await here.get('b');
        held.give('new');
        assert.equal(await call, 'new');
      },
    ),
  ]),
  shared('of two loads at once the first that ends is kept', async ({ here, there }) => {
    const mine = new HeldLoad<string>();
    const theirs = new HeldLoad<string>();
    const calls = [here.getOrSet('a', mine.load), there.getOrSet('a', theirs.load)].map(begun);
    await Promise.all([mine.started, theirs.started]);
    theirs.give('theirs');
    await calls[1];
    mine.give('mine');
    assert.deepEqual(await Promise.all(calls), ['mine', 'theirs']);
    assert.equal(await here.get('a'), 'theirs');
  }),
  shared('increments of both lose nothing', async ({ here, there }) => {
    const sums = await Promise.all(
      Array.from({ length: 40 }, async (_, index) =>
        index % 2 === 0 ? await here.increment('a') : await there.increment('a'),
      ),
    );
    assert.equal(new Set(sums).size, 40);
    assert.equal(await here.get('a'), 40);
  }),
  shared('of both that compare and set exactly one wins', async ({ here, there }) => {
    await here.set('a', 0);
    const version = (await here.getVersioned('a'))?.version;
    const won = await Promise.all(
      [here, there, here, there].map(
        async (cache, index) => await cache.compareAndSet('a', index, { version }),
      ),
    );
    assert.equal(won.filter(Boolean).length, 1);
    assert.equal(await there.get('a'), won.indexOf(true));
  }),
  shared('closing one leaves the other', async ({ here, there }) => {
    await there.set('a', 1);
    await there.close();
    assert.equal(await here.get('a'), 1);
  }),
];
