import assert from 'node:assert/strict';

import {
  begun,
  type CacheCase,
  failingLoad,
  failure,
  HeldLoad,
  mustNotLoad,
  promptly,
  refused,
} from './support.ts';

/** What happens when a load fails, is slow, or is due before it is needed. */
export const graceCases: readonly CacheCase[] = [
  {
    id: 'grace › a value in its grace stands in for a load that fails',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: 100 });
      await clock.advance(109);
      assert.equal(await cache.getOrSet('a', failingLoad), 'old');
    },
  },
  {
    id: 'grace › ends',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: 100 });
      await clock.advance(110);
      assert.match(String(await failure(cache.getOrSet('a', failingLoad))), /the source is down/);
    },
  },
  {
    id: 'grace › there is none unless it is given',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10 });
      await clock.advance(10);
      assert.ok(await failure(cache.getOrSet('a', failingLoad)));
    },
  },
  {
    id: 'grace › reading gives no value in its grace',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: 100 });
      await clock.advance(10);
      assert.equal(await cache.get('a'), undefined);
      assert.equal((await cache.getMany(['a'])).size, 0);
      assert.equal(await cache.getVersioned('a'), undefined);
    },
  },
  {
    id: 'grace › a load that succeeds replaces the value',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: 100 });
      await clock.advance(10);
      assert.equal(await cache.getOrSet('a', () => 'new'), 'new');
      assert.equal(await cache.get('a'), 'new');
    },
  },
  {
    id: 'grace › after a failed load the source is left in peace for graceBackoff',
    async run({ cache, clock }) {
      const options = { ttl: 10, grace: '1h', graceBackoff: 500 } as const;
      await cache.set('a', 'old', options);
      await clock.advance(10);
      assert.equal(await cache.getOrSet('a', failingLoad, options), 'old');
      await clock.advance(499);
      assert.equal(await cache.getOrSet('a', mustNotLoad, options), 'old');
      await clock.advance(1);
      assert.equal(await cache.getOrSet('a', () => 'new', options), 'new');
    },
  },
  {
    id: 'grace › failed loads do not prolong it',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: 100 });
      await clock.advance(50);
      assert.equal(await cache.getOrSet('a', failingLoad, { graceBackoff: 1000 }), 'old');
      await clock.advance(60);
      assert.ok(await failure(cache.getOrSet('a', failingLoad)));
    },
  },
  {
    id: 'grace › ends when the source says that there is nothing',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: '1h' });
      await clock.advance(10);
      assert.equal(await cache.getOrSet<string | undefined>('a', () => undefined), undefined);
      assert.ok(await failure(cache.getOrSet('a', failingLoad)));
    },
  },
  {
    id: 'softTimeout › a value in its grace is given meanwhile, and the load goes on and is cached',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: '1h' });
      await clock.advance(10);
      const held = new HeldLoad<string>();
      const call = begun(cache.getOrSet('a', held.load, { softTimeout: 100 }));
      await held.started;
      await clock.advance(100);
      assert.equal(await promptly(call), 'old');
      assert.equal(held.signal?.aborted, false);
      held.give('new');
      await cache.drain();
      assert.equal(await cache.get('a'), 'new');
    },
  },
  {
    id: 'softTimeout › a load that is quick enough is waited for',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: '1h' });
      await clock.advance(10);
      const held = new HeldLoad<string>();
      const call = begun(cache.getOrSet('a', held.load, { softTimeout: 100 }));
      await held.started;
      await clock.advance(99);
      held.give('new');
      assert.equal(await call, 'new');
    },
  },
  {
    id: 'softTimeout › without a value in its grace the load is waited for',
    async run({ cache, clock }) {
      const held = new HeldLoad<string>();
      const call = begun(cache.getOrSet('a', held.load, { softTimeout: 100 }));
      await held.started;
      await clock.advance(200);
      held.give('new');
      assert.equal(await call, 'new');
    },
  },
  {
    id: 'softTimeout › a value that was invalidated meanwhile is not given',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: '1h' });
      await clock.advance(10);
      const held = new HeldLoad<string>();
      const call = begun(cache.getOrSet('a', held.load, { softTimeout: 100 }));
      await held.started;
      await cache.delete('a');
      await clock.advance(100);
      held.give('new');
      assert.equal(await call, 'new');
    },
  },
  {
    id: 'hardTimeout › aborts the load and fails as deadline-exceeded',
    async run({ cache, clock }) {
      const held = new HeldLoad<string>();
      const call = refused(
        'deadline-exceeded',
        cache.getOrSet('a', held.load, { hardTimeout: 100 }),
      );
      await held.started;
      await clock.advance(99);
      assert.equal(held.signal?.aborted, false);
      await clock.advance(1);
      await promptly(call);
      assert.equal(held.signal?.aborted, true);
      held.give('late');
      assert.equal(await cache.getOrSet('a', () => 'next'), 'next');
    },
  },
  {
    id: 'hardTimeout › a value in its grace stands in',
    async run({ cache, clock }) {
      await cache.set('a', 'old', { ttl: 10, grace: '1h' });
      await clock.advance(10);
      const held = new HeldLoad<string>();
      const call = begun(cache.getOrSet('a', held.load, { hardTimeout: 100 }));
      await held.started;
      await clock.advance(100);
      assert.equal(await promptly(call), 'old');
    },
  },
  {
    id: 'eagerRefresh › a hit late in the ttl starts one load behind the scenes',
    async run({ cache, clock }) {
      const options = { ttl: 100, eagerRefresh: 0.5 };
      await cache.getOrSet('a', () => 'old', options);
      await clock.advance(49);
      assert.equal(await cache.getOrSet('a', mustNotLoad, options), 'old');
      await clock.advance(1);
      const held = new HeldLoad<string>();
      assert.equal(await cache.getOrSet('a', held.load, options), 'old');
      assert.equal(await cache.getOrSet('a', held.load, options), 'old');
      await held.started;
      held.give('new');
      await cache.drain();
      assert.equal(held.runs, 1);
      assert.equal(await cache.getOrSet('a', mustNotLoad, options), 'new');
      await clock.advance(99);
      assert.equal(await cache.get('a'), 'new');
    },
  },
  {
    id: 'eagerRefresh › one that fails leaves the value until its ttl',
    async run({ cache, clock }) {
      const options = { ttl: 100, eagerRefresh: 0.5 };
      await cache.getOrSet('a', () => 'old', options);
      await clock.advance(50);
      assert.equal(await cache.getOrSet('a', failingLoad, options), 'old');
      await cache.drain();
      await clock.advance(49);
      assert.equal(await cache.get('a'), 'old');
      await clock.advance(1);
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'eagerRefresh › is fenced like any load',
    async run({ cache, clock }) {
      const options = { ttl: 100, eagerRefresh: 0.5 };
      await cache.getOrSet('a', () => 'old', options);
      await clock.advance(50);
      const held = new HeldLoad<string>();
      await cache.getOrSet('a', held.load, options);
      await held.started;
      await cache.delete('a');
      held.give('new');
      await cache.drain();
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'eagerRefresh › whoever comes after the ttl waits for the load that is under way',
    async run({ cache, clock }) {
      const options = { ttl: 100, eagerRefresh: 0.5 };
      await cache.getOrSet('a', () => 'old', options);
      await clock.advance(50);
      const held = new HeldLoad<string>();
      await cache.getOrSet('a', held.load, options);
      await held.started;
      await clock.advance(50);
      const call = begun(cache.getOrSet('a', mustNotLoad, options));
      held.give('new');
      assert.equal(await call, 'new');
    },
  },
  {
    id: 'eagerRefresh › what is no part of the ttl is refused',
    async run({ cache }) {
      for (const eagerRefresh of [0, 1, -0.5, Number.NaN]) {
        await refused(
          'invalid-argument',
          cache.getOrSet('a', () => 1, { eagerRefresh }),
        );
      }
    },
  },
];
