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
  {
    id: 'list › a prefix that is a key gives it too, before what begins with it',
    async run(storage) {
      for (const key of ['report', 'report.pdf', 'report0', 'repor']) await storage.put(key, 'x');
      assert.deepEqual(await keysOf(storage, 'report'), ['report', 'report.pdf', 'report0']);
    },
  },
  {
    id: 'list › a prefix is no pattern',
    async run(storage) {
      for (const key of ['a%b', 'a_b', 'aXb', 'a[b]', 'a.b', 'a(b']) await storage.put(key, 'x');
      for (const [prefix, key] of [
        ['a%', 'a%b'],
        ['a_', 'a_b'],
        ['a[', 'a[b]'],
        ['a.', 'a.b'],
        ['a(', 'a(b'],
      ] as const)
        assert.deepEqual(await keysOf(storage, prefix), [key]);
    },
  },
  {
    id: 'list › after need not be a key, and may lie before or beyond the prefix',
    async run(storage) {
      for (const key of ['a', 'c/1', 'c/3', 'e']) await storage.put(key, 'x');
      const from = async (after: string, prefix = ''): Promise<string[]> =>
        (await storage.list({ after, prefix })).files.map(({ key }) => key);
      assert.deepEqual(await from('b'), ['c/1', 'c/3', 'e']);
      assert.deepEqual(await from('c/2'), ['c/3', 'e']);
      assert.deepEqual(await from('a', 'c/'), ['c/1', 'c/3']);
      assert.deepEqual(await from('c/1', 'c/'), ['c/3']);
      assert.deepEqual(await from('d', 'c/'), []);
      assert.deepEqual(await from('z'), []);
    },
  },
  {
    id: 'list › with a delimiter, after a folded prefix is after all that lies below it',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'b', 'c/1']) await storage.put(key, 'x');
      const page = await storage.list({ delimiter: '/', after: 'a/' });
      assert.deepEqual([page.files.map(({ key }) => key), page.prefixes], [['b'], ['c/']]);
    },
  },
  {
    id: 'list › a delimiter folds beyond a prefix that ends inside a name',
    async run(storage) {
      for (const key of ['phones.csv', 'phone/1', 'photos/a/2', 'photos/3', 'p/4'])
        await storage.put(key, 'x');
      const page = await storage.list({ delimiter: '/', prefix: 'pho' });
      assert.deepEqual(
        [page.files.map(({ key }) => key), page.prefixes],
        [['phones.csv'], ['phone/', 'photos/']],
      );
      const below = await storage.list({ delimiter: '/', prefix: 'photos' });
      assert.deepEqual([below.files, below.prefixes], [[], ['photos/']]);
    },
  },
  {
    id: 'list › the page that holds the last file has no next',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'b', 'c/1']) await storage.put(key, 'x');
      assert.equal((await storage.list({ limit: 4 })).next, undefined);
      assert.equal((await storage.list({ limit: 2, prefix: 'a/' })).next, undefined);
      assert.equal((await storage.list({ limit: 3, delimiter: '/' })).next, undefined);
      assert.notEqual((await storage.list({ limit: 3 })).next, undefined);
    },
  },
  {
    id: 'list › what stays is given once while other files come and go between the pages',
    async run(storage) {
      const stay = Array.from({ length: 9 }, (_, index) => `k${index}/stay`);
      for (const key of stay) await storage.put(key, 'x');
      const seen: string[] = [];
      for (let after: string | undefined, page = 0; ; page += 1) {
        assert.ok(page < 50, 'the pages come to an end');
        await storage.put(`k${page}/new`, 'x');
        const { files, next } = await storage.list({
          limit: 2,
          ...(after === undefined ? {} : { after }),
        });
        seen.push(...files.map(({ key }) => key));
        if (next === undefined) break;
        // The very file that the next page begins after.
        if (next.endsWith('/new')) await storage.delete(next);
        after = next;
      }
      assert.deepEqual(
        seen.filter((key) => key.endsWith('/stay')),
        stay,
      );
      assert.equal(new Set(seen).size, seen.length);
    },
  },
  {
    id: 'list › a file that was replaced or copied over is listed once, with its new size',
    async run(storage) {
      await storage.put('a', 'x');
      await storage.put('a', 'longer');
      await storage.put('b', 'x');
      await storage.copy('a', 'b');
      const { files } = await storage.list();
      assert.deepEqual(
        files.map(({ key, size }) => [key, size]),
        [
          ['a', 6],
          ['b', 6],
        ],
      );
    },
  },
  {
    id: 'listAll › begins after what it is given, keeps to the prefix, and can be left early',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'a/3', 'b']) await storage.put(key, 'x');
      const rest = await Array.fromAsync(storage.listAll({ prefix: 'a/', after: 'a/1' }));
      assert.deepEqual(
        rest.map(({ key }) => key),
        ['a/2', 'a/3'],
      );
      for await (const { key } of storage.listAll()) {
        await storage.delete(key);
        break;
      }
      assert.deepEqual(await keysOf(storage), ['a/2', 'a/3', 'b']);
    },
  },
];
