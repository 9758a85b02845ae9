import assert from 'node:assert/strict';

import { type CacheCase, failure, refused } from './support.ts';

class Author {
  readonly name = 'ann';
}

const kinds: Readonly<Record<string, () => object | string | number | bigint | boolean | null>> = {
  null: () => null,
  false: () => false,
  zero: () => 0,
  'minus zero': () => -0,
  NaN: () => Number.NaN,
  infinity: () => Number.NEGATIVE_INFINITY,
  bigint: () => 2n ** 80n,
  'an empty string': () => '',
  text: () => 'ünïcödé 日本語 😀 \0',
  'an empty object': () => ({}),
  'an empty array': () => [],
  nested: () => ({ a: [1, { b: [null, undefined, 'x'] }], c: undefined }),
  Date: () => new Date(1_234_567_890_123),
  'an invalid Date': () => new Date(Number.NaN),
  Map: () =>
    new Map<unknown, unknown>([
      ['a', { b: 1 }],
      [1, new Date(5)],
    ]),
  Set: () => new Set([1, 'a', null]),
  bytes: () => new Uint8Array([0, 127, 255]),
  'bytes in an object': () => ({ at: new Date(0), bytes: new Uint8Array([1]) }),
};

const odd = [
  'a',
  'A',
  ' a',
  'a ',
  'a:b',
  'a/b',
  '../a',
  '*',
  '?',
  '[a]',
  '{a}',
  '%61',
  'é',
  'e\u0301',
  '😀',
  '\0',
  '__proto__',
  'constructor',
  'x'.repeat(1024),
];

const noData: Readonly<Record<string, unknown>> = {
  'a function': () => 1,
  'a symbol': Symbol('s'),
  'an instance of a class': new Author(),
  'an Error': new Error('e'),
  'a promise': Promise.resolve(1),
  'a URL': new URL('https://example.com'),
};

/** What goes in and what comes out. */
export const valueCases: readonly CacheCase[] = [
  {
    id: 'values › every kind of data comes out as it went in',
    async run({ cache }) {
      for (const [kind, make] of Object.entries(kinds)) {
        await cache.set(kind, make());
        assert.deepEqual(await cache.get(kind), make(), kind);
      }
    },
  },
  {
    id: 'values › a key that is not there is undefined',
    async run({ cache }) {
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'values › null is a value, and undefined is none',
    async run({ cache }) {
      await cache.set('a', null);
      assert.equal(await cache.get('a'), null);
      await refused('invalid-argument', cache.set('b', undefined as never));
      assert.equal(await cache.get('b'), undefined);
    },
  },
  {
    id: 'values › what is no data is refused at any depth, with the path to it',
    async run({ cache }) {
      for (const [kind, value] of Object.entries(noData)) {
        await refused('invalid-argument', cache.set('a', value as object));
        const error = await refused(
          'invalid-argument',
          cache.set('a', { list: [1, { deep: value }] }),
        );
        assert.match(error.message, /\.list\[1\]\.deep/, kind);
      }
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'values › a value that contains itself is refused',
    async run({ cache }) {
      const circle: Record<string, unknown> = { name: 'c' };
      circle['self'] = [circle];
      await refused('invalid-argument', cache.set('a', circle));
    },
  },
  {
    id: 'values › one object in two places is no circle',
    async run({ cache }) {
      const shared = { a: 1 };
      await cache.set('a', { left: shared, right: [shared] });
      assert.deepEqual(await cache.get('a'), { left: { a: 1 }, right: [{ a: 1 }] });
    },
  },
  {
    id: 'values › a refused value leaves the one before',
    async run({ cache }) {
      await cache.set('a', 1);
      await refused('invalid-argument', cache.set('a', { fn: (): void => undefined }));
      assert.equal(await cache.get('a'), 1);
    },
  },
  {
    id: 'values › changes to what was put in do not reach the cache',
    async run({ cache }) {
      const value = {
        list: [1],
        at: new Date(0),
        map: new Map([['a', 1]]),
        set: new Set([1]),
        bytes: new Uint8Array([1]),
      };
      await cache.set('a', value);
      value.list.push(2);
      value.at.setTime(9);
      value.map.set('b', 2);
      value.set.add(2);
      value.bytes[0] = 9;
      assert.deepEqual(await cache.get('a'), {
        list: [1],
        at: new Date(0),
        map: new Map([['a', 1]]),
        set: new Set([1]),
        bytes: new Uint8Array([1]),
      });
    },
  },
  {
    id: 'values › what was put in is not frozen',
    async run({ cache }) {
      const value = { list: [1] };
      await cache.set('a', value);
      assert.equal(Object.isFrozen(value) || Object.isFrozen(value.list), false);
    },
  },
  {
    id: 'values › what comes out is frozen at any depth',
    async run({ cache }) {
      await cache.set('a', { list: [{ b: 1 }] });
      const value = await cache.get<{ list: { b: number }[] }>('a');
      assert.ok(
        value &&
          Object.isFrozen(value) &&
          Object.isFrozen(value.list) &&
          Object.isFrozen(value.list[0]),
      );
      assert.throws(() => value.list.push({ b: 2 }), TypeError);
    },
  },
  {
    id: 'values › changes to a date, a map, a set or bytes that came out reach nobody else',
    async run({ cache }) {
      const make = (): {
        at: Date;
        map: Map<string, number>;
        set: Set<number>;
        bytes: Uint8Array;
      } => ({ at: new Date(0), map: new Map(), set: new Set(), bytes: new Uint8Array(1) });
      await cache.set('a', make());
      const mine = await cache.get<ReturnType<typeof make>>('a');
      mine?.at.setTime(9);
      mine?.map.set('b', 1);
      mine?.set.add(1);
      mine?.bytes.fill(9);
      assert.deepEqual(await cache.get('a'), make());
      assert.deepEqual((await cache.getMany(['a'])).get('a'), make());
    },
  },
  {
    id: 'values › a Buffer comes out as plain bytes, without the memory around it',
    async run({ cache }) {
      await cache.set('a', Buffer.from('xxabcxx').subarray(2, 5));
      const bytes = await cache.get<Uint8Array>('a');
      assert.deepEqual(bytes, new Uint8Array([97, 98, 99]));
      assert.equal(bytes?.buffer.byteLength, 3);
    },
  },
  {
    id: 'values › a field called __proto__ is data',
    async run({ cache }) {
      await cache.set('a', JSON.parse('{"__proto__":{"isAdmin":true},"b":1}') as object);
      const value = await cache.get<Record<string, unknown>>('a');
      assert.equal(value?.['isAdmin'], undefined);
      assert.deepEqual(Object.keys(value ?? {}), ['__proto__', 'b']);
    },
  },
  {
    id: 'values › an object without a prototype is plain',
    async run({ cache }) {
      await cache.set('a', Object.assign(Object.create(null) as object, { b: 1 }));
      assert.deepEqual(await cache.get('a'), { b: 1 });
    },
  },
  {
    id: 'values › a value that is large comes out whole',
    async run({ cache }) {
      const value = Array.from({ length: 20_000 }, (_, index) => ({
        index,
        text: `item ${index}`,
      }));
      await cache.set('a', value);
      assert.deepEqual(await cache.get('a'), value);
    },
  },
  {
    id: 'keys › any well-formed text of 1 to 1024 characters is a key of its own',
    async run({ cache }) {
      for (const key of odd) await cache.set(key, key);
      for (const key of odd) assert.equal(await cache.get(key), key);
    },
  },
  {
    id: 'keys › what is no key is refused by every method',
    async run({ cache }) {
      for (const key of ['', 'x'.repeat(1025), '\ud800', 1 as never, undefined as never]) {
        await refused('invalid-argument', cache.get(key));
        await refused('invalid-argument', cache.getMany(['a', key]));
        await refused('invalid-argument', cache.getVersioned(key));
        await refused('invalid-argument', cache.set(key, 1));
        await refused('invalid-argument', cache.setMany([[key, 1]]));
        await refused(
          'invalid-argument',
          cache.getOrSet(key, () => 1),
        );
        await refused(
          'invalid-argument',
          cache.getOrSetMany([key], () => new Map([[key, 1]])),
        );
        await refused('invalid-argument', cache.delete(key));
        await refused('invalid-argument', cache.deleteMany([key]));
        await refused('invalid-argument', cache.deleteByTag([key]));
        await refused('invalid-argument', cache.set('a', 1, { tags: [key] }));
      }
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'many › getMany gives what is there, in the order of the keys',
    async run({ cache }) {
      await cache.set('c', 3);
      await cache.set('a', null);
      assert.deepEqual(
        [...(await cache.getMany(['a', 'b', 'c']))],
        [
          ['a', null],
          ['c', 3],
        ],
      );
      assert.equal((await cache.getMany([])).size, 0);
    },
  },
  {
    id: 'many › setMany writes every value with the same options',
    async run({ cache, clock }) {
      await cache.setMany(
        new Map([
          ['a', 1],
          ['b', 2],
        ]),
        { ttl: 100, tags: ['t'] },
      );
      assert.deepEqual([...(await cache.getMany(['a', 'b'])).values()], [1, 2]);
      await clock.advance(100);
      assert.equal((await cache.getMany(['a', 'b'])).size, 0);
      await cache.setMany([]);
    },
  },
  {
    id: 'many › setMany writes nothing when one value is refused',
    async run({ cache }) {
      await refused(
        'invalid-argument',
        cache.setMany([
          ['a', 1],
          ['b', { bad: (): void => undefined }],
        ]),
      );
      assert.equal(await cache.get('a'), undefined);
    },
  },
  {
    id: 'lifecycle › after close every call fails',
    async run({ cache }) {
      await cache.set('a', 1);
      await cache.close();
      await cache.close();
      for (const call of [
        cache.get('a'),
        cache.set('a', 1),
        cache.getOrSet('a', () => 1),
        cache.delete('a'),
        cache.clear(),
      ]) {
        await refused('failed-precondition', call);
      }
    },
  },
  {
    id: 'lifecycle › an open cache is healthy and a closed one is down',
    async run({ cache }) {
      assert.equal((await cache.checkHealth()).status, 'ok');
      await cache.close();
      assert.equal((await cache.checkHealth()).status, 'down');
    },
  },
  {
    id: 'lifecycle › a signal that was aborted before refuses the call, and changes nothing',
    async run({ cache }) {
      await cache.set('a', 1);
      const signal = AbortSignal.abort();
      for (const call of [
        cache.get('a', { signal }),
        cache.set('a', 2, { signal }),
        cache.delete('a', { signal }),
        cache.clear({ signal }),
        cache.getOrSet('a', () => 2, { signal }),
      ]) {
        assert.equal(((await failure(call)) as { code?: string }).code, 'cancelled');
      }
      assert.equal(await cache.get('a'), 1);
    },
  },
];
