import assert from 'node:assert/strict';

import { type Case, keysOf, refused } from './support.ts';

/** What `list` and `listAll` promise. */
export const listCases: readonly Case[] = [
  {
    id: 'list › gives keys in the order of their UTF-8 bytes',
    async run(storage) {
      const keys = [
        'a',
        'a-b',
        'a.b',
        'a0',
        'b/1',
        'b/10',
        'b/2',
        'b0',
        'B',
        'é',
        'z',
        '\uff5e',
        '😀',
      ];
      for (const key of keys.toReversed()) await storage.put(key, 'x');
      const expected = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await keysOf(storage), expected);
    },
  },
  {
    id: 'list › a folder stands where its keys belong, between a- and a0',
    async run(storage) {
      for (const key of ['a/x', 'a-', 'a0']) await storage.put(key, 'x');
      assert.deepEqual(await keysOf(storage), ['a-', 'a/x', 'a0']);
    },
  },
  {
    id: 'list › pages neither skip nor repeat, at any size of page',
    async run(storage) {
      const keys = Array.from({ length: 23 }, (_, index) =>
        index % 3 === 0 ? `d${index % 2}/k${index}` : `k${index}`,
      );
      await Promise.all(keys.map(async (key) => await storage.put(key, 'x')));
      const expected = keys.toSorted();
      for (const limit of [1, 2, 7, 22, 23, 24]) {
        const seen: string[] = [];
        for (let after: string | undefined, pages = 0; ; pages += 1) {
          assert.ok(pages < 50, 'the pages come to an end');
          const page = await storage.list({ limit, ...(after === undefined ? {} : { after }) });
          assert.ok(page.files.length <= limit);
          seen.push(...page.files.map(({ key }) => key));
          if (page.next === undefined) break;
          after = page.next;
        }
        assert.deepEqual(seen, expected, `limit ${limit}`);
      }
    },
  },
  {
    id: 'list › gives size and time of each file',
    async run(storage) {
      await storage.put('a', 'hello');
      const [file] = (await storage.list()).files;
      const head = await storage.head('a');
      assert.deepEqual({ ...file, lastModified: 0 }, { key: 'a', size: 5, lastModified: 0 });
      assert.ok(Math.abs((file?.lastModified.getTime() ?? 0) - head.lastModified.getTime()) < 1000);
    },
  },
  {
    id: 'list › a prefix may end inside a name',
    async run(storage) {
      for (const key of ['app/a1', 'app/a2', 'app/b', 'apple', 'b']) await storage.put(key, 'x');
      assert.deepEqual(await keysOf(storage, 'app/a'), ['app/a1', 'app/a2']);
      assert.deepEqual(await keysOf(storage, 'app'), ['app/a1', 'app/a2', 'app/b', 'apple']);
      assert.deepEqual(await keysOf(storage, 'app/'), ['app/a1', 'app/a2', 'app/b']);
      assert.deepEqual(await keysOf(storage, 'nope/deep/'), []);
    },
  },
  {
    id: 'list › a delimiter folds what lies below into prefixes, each once',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'a/b/3', 'c', 'd/e/f']) await storage.put(key, 'x');
      const top = await storage.list({ delimiter: '/' });
      assert.deepEqual([top.files.map(({ key }) => key), top.prefixes], [['c'], ['a/', 'd/']]);
      const below = await storage.list({ delimiter: '/', prefix: 'a/' });
      assert.deepEqual(
        [below.files.map(({ key }) => key), below.prefixes],
        [['a/1', 'a/2'], ['a/b/']],
      );
    },
  },
  {
    id: 'list › pages with a delimiter neither skip nor repeat',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'b', 'c/1', 'c/2', 'd', 'e/1']) await storage.put(key, 'x');
      for (const limit of [1, 2, 3]) {
        const seen: string[] = [];
        for (let after: string | undefined, pages = 0; ; pages += 1) {
          assert.ok(pages < 50, 'the pages come to an end');
          const page = await storage.list({
            delimiter: '/',
            limit,
            ...(after === undefined ? {} : { after }),
          });
          assert.ok(page.files.length + page.prefixes.length <= limit);
          seen.push(...page.files.map(({ key }) => key), ...page.prefixes);
          if (page.next === undefined) break;
          after = page.next;
        }
        assert.deepEqual(seen.toSorted(), ['a/', 'b', 'c/', 'd', 'e/'], `limit ${limit}`);
      }
    },
  },
  {
    id: 'list › an empty storage is an empty page',
    async run(storage) {
      assert.deepEqual(await storage.list(), { files: [], prefixes: [] });
    },
  },
  {
    id: 'list › a file that was just put or deleted shows at once',
    async run(storage) {
      for (let index = 0; index < 20; index += 1) {
        await storage.put(`k${index}`, 'x');
        assert.ok((await keysOf(storage)).includes(`k${index}`));
        await storage.delete(`k${index}`);
        assert.ok(!(await keysOf(storage)).includes(`k${index}`));
      }
    },
  },
  {
    id: 'list › limits out of bounds are refused',
    async run(storage) {
      for (const limit of [0, -1, 1001, 1.5, Number.NaN])
        await refused('invalid-argument', storage.list({ limit }), String(limit));
    },
  },
];
