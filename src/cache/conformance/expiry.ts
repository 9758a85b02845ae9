import assert from 'node:assert/strict';

import { type CacheCase, failingLoad, failure, mustNotLoad, refused } from './support.ts';

/** How long things are kept, and how they are removed. */
export const expiryCases: readonly CacheCase[] = [
  {
    id: 'ttl › a value is there until its ttl, and gone from then on',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: '2s' });
      await clock.advance(1999);
      assert.equal(await cache.get('a'), 1);
      await clock.advance(1);
      assert.equal(await cache.get('a'), undefined);
      assert.equal((await cache.getMany(['a'])).size, 0);
      assert.equal(await cache.getVersioned('a'), undefined);
    },
  },
  {
    id: 'ttl › reading does not prolong it',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: 100 });
      await clock.advance(60);
      await cache.get('a');
      await clock.advance(60);
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'ttl › writing again starts it anew',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: 100 });
      await clock.advance(60);
      await cache.set('a', 2, { ttl: 100 });
      await clock.advance(60);
      assert.equal(await cache.get('a'), 2);
    },
  },
  {
    id: 'ttl › is five minutes where none is given',
    async run({ cache, clock }) {
      await cache.set('a', 1);
      await cache.getOrSet('b', () => 1);
      await clock.advance(299_999);
      assert.equal((await cache.getMany(['a', 'b'])).size, 2);
      await clock.advance(1);
      assert.equal((await cache.getMany(['a', 'b'])).size, 0);
    },
  },
  {
    id: 'ttl › forever has no end',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: 'forever' });
      await clock.advance(50 * 365 * 86_400_000);
      assert.equal(await cache.get('a'), 1);
    },
  },
  {
    id: 'ttl › of nothing keeps nothing, but one load still serves everybody who waits',
    async run({ cache }) {
      await cache.set('a', 1, { ttl: 0 });
      assert.equal(await cache.get('a'), undefined);
      let runs = 0;
      const load = async (): Promise<number> => (runs += 1);
      assert.deepEqual(
        await Promise.all([
          cache.getOrSet('b', load, { ttl: 0 }),
          cache.getOrSet('b', load, { ttl: 0 }),
        ]),
        [1, 1],
      );
      assert.equal(await cache.getOrSet('b', load, { ttl: 0 }), 2);
    },
  },
  {
    id: 'ttl › what is no duration is refused',
    async run({ cache }) {
      for (const ttl of [-1, Number.NaN, 'soon', '5 minutes'] as never[]) {
        await refused('invalid-argument', cache.set('a', 1, { ttl }));
        await refused(
          'invalid-argument',
          cache.getOrSet('a', () => 1, { grace: ttl }),
        );
      }
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'delete › removes the value, and tells whether there was one',
    async run({ cache, clock }) {
      await cache.set('a', 1);
      await cache.set('b', 2);
      assert.equal(await cache.delete('a'), true);
      assert.equal(await cache.delete('a'), false);
      assert.equal(await cache.get('a'), undefined);
      assert.equal(await cache.get('b'), 2);
      await cache.set('c', 1, { ttl: 10, grace: 10 });
      await clock.advance(10);
      assert.equal(await cache.delete('c'), false);
    },
  },
  {
    id: 'delete › of many tells how many there were',
    async run({ cache }) {
      await cache.setMany([
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ]);
      assert.equal(await cache.deleteMany(['a', 'b', 'b', 'x']), 2);
      assert.deepEqual([...(await cache.getMany(['a', 'b', 'c'])).keys()], ['c']);
      assert.equal(await cache.deleteMany([]), 0);
    },
  },
  {
    id: 'delete › also removes a value in its grace',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: 10, grace: '1h' });
      await clock.advance(10);
      await cache.delete('a');
      assert.ok(await failure(cache.getOrSet('a', failingLoad)));
    },
  },
  {
    id: 'clear › removes everything, values in their grace included',
    async run({ cache, clock }) {
      await cache.setMany(
        [
          ['a', 1],
          ['b', 2],
        ],
        { tags: ['t'] },
      );
      await cache.set('c', 1, { ttl: 10, grace: '1h' });
      await clock.advance(10);
      await cache.clear();
      assert.equal((await cache.getMany(['a', 'b', 'c'])).size, 0);
      assert.ok(await failure(cache.getOrSet('c', failingLoad)));
      await cache.set('a', 3);
      assert.equal(await cache.get('a'), 3);
    },
  },
  {
    id: 'tags › invalidate what has them, and nothing else',
    async run({ cache }) {
      await cache.set('a', 1, { tags: ['x'] });
      await cache.set('b', 2, { tags: ['x', 'y'] });
      await cache.set('c', 3, { tags: ['y'] });
      await cache.set('d', 4);
      await cache.deleteByTag('x');
      assert.deepEqual([...(await cache.getMany(['a', 'b', 'c', 'd'])).keys()], ['c', 'd']);
      assert.equal(await cache.get('b'), undefined);
      assert.equal(await cache.getVersioned('a'), undefined);
    },
  },
  {
    id: 'tags › several are invalidated at once',
    async run({ cache }) {
      await cache.set('a', 1, { tags: ['x'] });
      await cache.set('b', 2, { tags: ['y'] });
      await cache.set('c', 3, { tags: ['z'] });
      await cache.deleteByTag(['x', 'y', 'unknown']);
      await cache.deleteByTag([]);
      assert.deepEqual([...(await cache.getMany(['a', 'b', 'c'])).keys()], ['c']);
    },
  },
  {
    id: 'tags › what is written after an invalidation lives',
    async run({ cache }) {
      for (let round = 0; round < 3; round += 1) {
        await cache.set('a', round, { tags: ['x'] });
        assert.equal(await cache.get('a'), round);
        await cache.deleteByTag('x');
        assert.equal(await cache.get('a'), undefined);
      }
      assert.equal(await cache.getOrSet('a', () => 9, { tags: ['x'] }), 9);
      assert.equal(await cache.getOrSet('a', mustNotLoad, { tags: ['x'] }), 9);
    },
  },
  {
    id: 'tags › are those of the last write',
    async run({ cache }) {
      await cache.set('a', 1, { tags: ['old'] });
      await cache.set('a', 2, { tags: ['new'] });
      await cache.deleteByTag('old');
      assert.equal(await cache.get('a'), 2);
      await cache.deleteByTag('new');
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'tags › an invalidated value does not stand in for a load that fails',
    async run({ cache, clock }) {
      await cache.set('a', 1, { ttl: 10, grace: '1h', tags: ['x'] });
      await clock.advance(10);
      await cache.deleteByTag('x');
      assert.ok(await failure(cache.getOrSet('a', failingLoad)));
    },
  },
  {
    id: 'tags › given to setMany and getOrSetMany mark every value',
    async run({ cache }) {
      await cache.setMany(
        [
          ['a', 1],
          ['b', 2],
        ],
        { tags: ['x'] },
      );
      await cache.getOrSetMany(['c', 'd'], (keys) => new Map(keys.map((key) => [key, 3])), {
        tags: ['x'],
      });
      await cache.deleteByTag('x');
      assert.equal((await cache.getMany(['a', 'b', 'c', 'd'])).size, 0);
    },
  },
  {
    id: 'tags › and keys of the same name do not meet',
    async run({ cache }) {
      await cache.set('x', 1, { tags: ['y'] });
      await cache.set('y', 2, { tags: ['x'] });
      await cache.deleteByTag('x');
      assert.deepEqual([...(await cache.getMany(['x', 'y'])).keys()], ['x']);
      await cache.delete('y');
      assert.equal(await cache.get('x'), 1);
    },
  },
];
