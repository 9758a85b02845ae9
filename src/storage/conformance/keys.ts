import assert from 'node:assert/strict';

import { type Case, keysOf, refused, textOf } from './support.ts';

const badKeys: readonly string[] = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  './a',
  '../a',
  'a/..',
  'a/../b',
  'a/./b',
  'a\\b',
  '..\\a',
  'a\0b',
  'a\nb',
  'a\u007f',
  'a:b',
  'a*',
  'a?',
  'a"b',
  'a<b',
  'a>b',
  'a|b',
  'con',
  'a/NUL.txt',
  'COM1',
  'dot.',
  'space ',
  'a/b ./c',
  '\ud800',
  'a\udfffb',
  'e\u0301',
  'a'.repeat(256),
  'a/'.repeat(600) + 'a',
  '.underpin',
  '.underpin/meta/x',
  '.Underpin/meta/x',
  '.under\u200cpin/meta/x',
  'UNDERP~1/meta/x',
];

const oddKeys: readonly string[] = [
  'b',
  'A.TXT',
  'with space.txt',
  'ünïcödé/日本語.txt',
  '😀.png',
  'a.b.c',
  '.hidden',
  'a/.hidden/b',
  'a/.underpin/b',
  '%2e%2e%2f',
  '100%',
  'a+b&c=d',
  "quote's",
  '#hash',
  'a;b,c',
  '~home',
  '(x)[y]{z}',
  'é',
  'n'.repeat(255),
  Array.from({ length: 4 }, () => 'd'.repeat(250)).join('/'),
];

/** Which keys there are. */
export const keysCases: readonly Case[] = [
  {
    id: 'keys › what some storage could not hold exactly is refused everywhere, by every method',
    async run(storage) {
      for (const key of badKeys) {
        const name = JSON.stringify(key.slice(0, 30));
        await refused('invalid-argument', storage.put(key, 'x'), name);
        await refused('invalid-argument', storage.get(key), name);
        await refused('invalid-argument', storage.head(key), name);
        await refused('invalid-argument', storage.exists(key), name);
        await refused('invalid-argument', storage.delete(key), name);
        await refused('invalid-argument', storage.copy('a', key), name);
        await refused('invalid-argument', storage.move(key, 'b'), name);
      }
      await refused('invalid-argument', storage.list({ prefix: '../' }));
      await refused('invalid-argument', storage.list({ prefix: '/etc' }));
      assert.deepEqual(await keysOf(storage), []);
    },
  },
  {
    id: 'keys › odd but sound keys are held exactly',
    async run(storage) {
      for (const key of oddKeys) await storage.put(key, key);
      for (const key of oddKeys) assert.equal(await textOf(storage, key), key, key);
      assert.deepEqual((await keysOf(storage)).toSorted(), oddKeys.toSorted());
      for (const prefix of ['.', '..', 'con', 'b.']) await storage.list({ prefix });
      for (const key of oddKeys) {
        assert.deepEqual((await storage.list({ prefix: key, limit: 1 })).files[0]?.key, key);
        await storage.list({ after: key });
      }
    },
  },
  {
    id: 'keys › a key may be the folder of another',
    requires: ['nestedKeys'],
    async run(storage) {
      await storage.put('a', 'file');
      await storage.put('a/b', 'below');
      assert.deepEqual(
        [await textOf(storage, 'a'), await textOf(storage, 'a/b')],
        ['file', 'below'],
      );
      assert.deepEqual(await keysOf(storage), ['a', 'a/b']);
    },
    async unsupported(storage) {
      await storage.put('a', 'file');
      await refused('unimplemented', storage.put('a/b', 'x'));
      await refused('unimplemented', storage.put('a/b', 'x', { ifNoneMatch: '*' }));
      await storage.put('c/d', 'below');
      await refused('unimplemented', storage.put('c', 'x'));
      await refused('unimplemented', storage.move('a', 'c'));
      assert.deepEqual(
        [await textOf(storage, 'a'), await textOf(storage, 'c/d')],
        ['file', 'below'],
      );
    },
  },
];
