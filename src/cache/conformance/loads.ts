import assert from 'node:assert/strict';

import { runWithContext } from '../../core/index.ts';
import { type CacheCase, failingLoad, failure, HeldLoad, mustNotLoad, refused } from './support.ts';

/** How values are loaded, once, and fenced against what changes meanwhile. */
export const loadCases: readonly CacheCase[] = [
  {
    id: 'getOrSet › loads on a miss, and not on a hit',
    async run({ cache }) {
      assert.deepEqual(await cache.getOrSet('a', async () => ({ b: 1 })), { b: 1 });
      assert.deepEqual(await cache.getOrSet('a', mustNotLoad), { b: 1 });
      assert.deepEqual(await cache.get('a'), { b: 1 });
      assert.equal(await cache.getOrSet('c', () => 'not a promise'), 'not a promise');
    },
  },
  {
    id: 'getOrSet › loads again once the ttl has passed',
    async run({ cache, clock }) {
      assert.equal(await cache.getOrSet('a', () => 1, { ttl: 10 }), 1);
      await clock.advance(10);
      assert.equal(await cache.getOrSet('a', () => 2, { ttl: 10 }), 2);
    },
  },
  {
    id: 'getOrSet › many at once load once',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const calls = Array.from({ length: 50 }, async () => await cache.getOrSet('a', held.load));
      await held.started;
      const late = cache.getOrSet('a', held.load);
      held.give(7);
      assert.deepEqual(new Set(await Promise.all([...calls, late])), new Set([7]));
      assert.equal(held.runs, 1);
    },
  },
  {
    id: 'getOrSet › keys do not wait for each other',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const slow = cache.getOrSet('slow', held.load);
      await held.started;
      assert.equal(await cache.getOrSet('fast', () => 1), 1);
      held.give(2);
      assert.equal(await slow, 2);
    },
  },
  {
    id: 'getOrSet › what the loader throws is thrown unchanged to everybody, and nothing is cached',
    async run({ cache }) {
      const error = new RangeError('mine');
      const held = new HeldLoad<number>();
      const calls = [cache.getOrSet('a', held.load), cache.getOrSet('a', held.load)];
      const failures = Promise.all(calls.map(async (call) => await failure(call)));
      held.fail(error);
      assert.deepEqual(
        (await failures).map((each) => each === error),
        [true, true],
      );
      assert.equal(await cache.getOrSet('a', () => 1), 1);
      const thrown = new TypeError('at once');
      assert.equal(
        await failure(
          cache.getOrSet('b', () => {
            throw thrown;
          }),
        ),
        thrown,
      );
    },
  },
  {
    id: 'getOrSet › null is cached, undefined is not',
    async run({ cache }) {
      assert.equal(await cache.getOrSet('a', async () => null), null);
      assert.equal(await cache.getOrSet('a', mustNotLoad), null);
      assert.equal(await cache.getOrSet<number | undefined>('b', async () => undefined), undefined);
      assert.equal(await cache.getOrSet<number | undefined>('b', async () => 1), 1);
    },
  },
  {
    id: 'getOrSet › null can have a ttl of its own',
    async run({ cache, clock }) {
      const options = { ttl: 100, negativeTtl: 10 };
      await cache.getOrSet('none', () => null, options);
      await cache.getOrSet('some', () => 1, options);
      await clock.advance(10);
      assert.deepEqual([await cache.get('none'), await cache.get('some')], [undefined, 1]);
    },
  },
  {
    id: 'getOrSet › a loaded value that is no data is refused, and nothing is cached',
    async run({ cache }) {
      await refused(
        'invalid-argument',
        cache.getOrSet('a', () => ({ fn: (): void => undefined })),
      );
      assert.equal(await cache.getOrSet('a', () => 1), 1);
    },
  },
  {
    id: 'getOrSet › the one who loads and the one who hits get the same frozen copy',
    async run({ cache }) {
      const own = { list: [1] };
      const loaded = await cache.getOrSet('a', () => own);
      assert.ok(Object.isFrozen(loaded.list) && !Object.isFrozen(own.list));
      own.list.push(2);
      assert.deepEqual(await cache.getOrSet('a', mustNotLoad), { list: [1] });
    },
  },
  {
    id: 'getOrSet › those who share a load cannot change what the others got',
    async run({ cache }) {
      const held = new HeldLoad<Date>();
      const calls = [cache.getOrSet('a', held.load), cache.getOrSet('a', held.load)] as const;
      held.give(new Date(5));
      const [mine, theirs] = await Promise.all(calls);
      mine.setTime(9);
      assert.deepEqual([theirs.getTime(), (await cache.get<Date>('a'))?.getTime()], [5, 5]);
    },
  },
  ...(
    [
      ['delete', async ({ cache }) => await cache.delete('a')],
      ['deleteMany', async ({ cache }) => await cache.deleteMany(['a', 'b'])],
      ['deleteByTag', async ({ cache }) => await cache.deleteByTag('x')],
      ['clear', async ({ cache }) => await cache.clear()],
    ] satisfies [
      string,
      CacheCase['run'] | ((subject: Parameters<CacheCase['run']>[0]) => Promise<unknown>),
    ][]
  ).flatMap(([name, invalidate]): CacheCase[] => [
    {
      id: `fences › a load that began before ${name} is not cached`,
      async run(subject) {
        const { cache } = subject;
        const held = new HeldLoad<string>();
        const loading = cache.getOrSet('a', held.load, { tags: ['x'] });
        await held.started;
        await invalidate(subject);
        held.give('old');
        assert.equal(await loading, 'old');
        assert.equal(await cache.get('a'), undefined);
      },
    },
    {
      id: `fences › who comes after ${name} does not get a load that began before`,
      async run(subject) {
        const { cache } = subject;
        const old = new HeldLoad<string>();
        const before = cache.getOrSet('a', old.load, { tags: ['x'] });
        await old.started;
        await invalidate(subject);
        const fresh = new HeldLoad<string>();
        const after = cache.getOrSet('a', fresh.load, { tags: ['x'] });
        await fresh.started;
        fresh.give('new');
        assert.equal(await after, 'new');
        old.give('old');
        assert.equal(await before, 'old');
        assert.equal(await cache.get('a'), 'new');
      },
    },
    {
      id: `fences › after ${name}, a load that fails gives no value from its grace`,
      async run(subject) {
        const { cache, clock } = subject;
        await cache.set('a', 'old', { ttl: 10, grace: '1h', tags: ['x'] });
        await clock.advance(10);
        const held = new HeldLoad<string>();
        const loading = failure(cache.getOrSet('a', held.load, { tags: ['x'] }));
        await held.started;
        await invalidate(subject);
        held.fail(new Error('down'));
        assert.ok(await loading);
        assert.ok(await failure(cache.getOrSet('a', failingLoad)));
      },
    },
  ]),
  {
    id: 'fences › a value that was set during a load is not overwritten by it',
    async run({ cache }) {
      for (const write of [
        async () => await cache.set('a', 'new'),
        async () => await cache.setMany([['a', 'new']]),
      ]) {
        await cache.clear();
        const held = new HeldLoad<string>();
        const loading = cache.getOrSet('a', held.load);
        await held.started;
        await write();
        held.give('old');
        await loading;
        assert.equal(await cache.get('a'), 'new');
      }
    },
  },
  {
    id: 'fences › invalidating another key or tag lets a load be cached',
    async run({ cache }) {
      const held = new HeldLoad<string>();
      const loading = cache.getOrSet('a', held.load, { tags: ['x'] });
      await held.started;
      await cache.delete('b');
      await cache.deleteByTag('y');
      held.give('value');
      await loading;
      assert.equal(await cache.get('a'), 'value');
    },
  },
  {
    id: 'fences › of many keys, only those that changed are not cached',
    async run({ cache }) {
      const started = Promise.withResolvers<void>();
      const result = Promise.withResolvers<Map<string, number>>();
      const loading = cache.getOrSetMany(['a', 'b', 'c'], async () => {
        started.resolve();
        return await result.promise;
      });
      await started.promise;
      await cache.delete('b');
      result.resolve(
        new Map([
          ['a', 1],
          ['b', 2],
          ['c', 3],
        ]),
      );
      assert.equal((await loading).size, 3);
      assert.deepEqual([...(await cache.getMany(['a', 'b', 'c'])).keys()], ['a', 'c']);
    },
  },
  {
    id: 'abort › a caller that goes away leaves the load to the others',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const controller = new AbortController();
      const gone = cache.getOrSet('a', held.load, { signal: controller.signal });
      const stays = cache.getOrSet('a', held.load);
      await held.started;
      controller.abort();
      await refused('cancelled', gone);
      assert.equal(held.signal?.aborted, false);
      held.give(1);
      assert.equal(await stays, 1);
    },
  },
  {
    id: 'abort › a load that nobody waits for is aborted, and the next caller starts a new one',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const controller = new AbortController();
      const gone = cache.getOrSet('a', held.load, { signal: controller.signal });
      await held.started;
      controller.abort(new DOMException('too late', 'TimeoutError'));
      await refused('deadline-exceeded', gone);
      assert.equal(held.signal?.aborted, true);
      assert.equal(await cache.getOrSet('a', () => 2), 2);
      held.fail(new Error('aborted'));
      assert.equal(await cache.get('a'), 2);
    },
  },
  {
    id: 'abort › the signal of the first caller’s context does not end the load of the others',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const controller = new AbortController();
      const gone = runWithContext(
        { signal: controller.signal },
        async () => await cache.getOrSet('a', held.load),
      );
      const stays = cache.getOrSet('a', held.load);
      await held.started;
      controller.abort();
      await refused('cancelled', gone);
      held.give(1);
      assert.equal(await stays, 1);
      assert.equal(await cache.get('a'), 1);
    },
  },
  {
    id: 'abort › closing the cache aborts its loads',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const loading = failure(cache.getOrSet('a', held.load));
      await held.started;
      await cache.close();
      assert.equal(held.signal?.aborted, true);
      held.fail(held.signal?.reason);
      assert.ok(await loading);
    },
  },
  {
    id: 'abort › drain waits for the loads under way',
    async run({ cache }) {
      const held = new HeldLoad<number>();
      const loading = cache.getOrSet('a', held.load);
      await held.started;
      let isDrained = false;
      const draining = cache.drain().then(() => (isDrained = true));
      await cache.get('b');
      assert.equal(isDrained, false);
      held.give(1);
      await Promise.all([loading, draining]);
    },
  },
  {
    id: 'getOrSetMany › loads what is missing in one call, and gives all in the order of the keys',
    async run({ cache }) {
      await cache.set('b', 2);
      const asked: (readonly string[])[] = [];
      const load = async (keys: readonly string[]): Promise<Map<string, number>> => {
        asked.push(keys);
        return new Map([
          ['d', 4],
          ['a', 1],
        ]);
      };
      assert.deepEqual(
        [...(await cache.getOrSetMany(['a', 'b', 'c', 'd', 'a'], load))],
        [
          ['a', 1],
          ['b', 2],
          ['d', 4],
        ],
      );
      assert.deepEqual(asked, [['a', 'c', 'd']]);
      assert.deepEqual([...(await cache.getMany(['a', 'c', 'd'])).keys()], ['a', 'd']);
    },
  },
  {
    id: 'getOrSetMany › loads nothing when everything is there, or nothing is asked for',
    async run({ cache }) {
      await cache.set('a', null);
      assert.deepEqual([...(await cache.getOrSetMany(['a'], mustNotLoad))], [['a', null]]);
      assert.equal((await cache.getOrSetMany([], mustNotLoad)).size, 0);
    },
  },
  {
    id: 'getOrSetMany › shares the loads of each key with whoever else wants it',
    async run({ cache }) {
      const held = new HeldLoad<string>();
      const one = cache.getOrSet('a', held.load);
      await held.started;
      const asked: string[] = [];
      const started = Promise.withResolvers<void>();
      const result = Promise.withResolvers<void>();
      const both = cache.getOrSetMany(['a', 'b'], async (keys) => {
        asked.push(...keys);
        started.resolve();
        await result.promise;
        return new Map(keys.map((key) => [key, 'many']));
      });
      await started.promise;
      const other = cache.getOrSet('b', mustNotLoad);
      held.give('one');
      result.resolve();
      assert.deepEqual(
        [await one, [...(await both).values()], await other],
        ['one', ['one', 'many'], 'many'],
      );
      assert.deepEqual(asked, ['b']);
    },
  },
  {
    id: 'getOrSetMany › fails as its loader does, unless every value can stand in',
    async run({ cache, clock }) {
      await cache.setMany(
        [
          ['a', 1],
          ['b', 2],
        ],
        { ttl: 10, grace: '1h' },
      );
      await clock.advance(10);
      assert.deepEqual([...(await cache.getOrSetMany(['a', 'b'], failingLoad)).values()], [1, 2]);
      assert.match(
        String(await failure(cache.getOrSetMany(['a', 'b', 'c'], failingLoad))),
        /the source is down/,
      );
    },
  },
  {
    id: 'getOrSetMany › a loader that gives no Map is refused',
    async run({ cache }) {
      await refused('invalid-argument', cache.getOrSetMany(['a'], (() => ({ a: 1 })) as never));
    },
  },
];
