import assert from 'node:assert/strict';

import { type Case, keysOf, refused, textOf } from './support.ts';

/** What `delete` and `deletePrefix` promise. */
export const removeCases: readonly Case[] = [
  {
    id: 'delete › the file is gone from get, exists and list',
    async run(storage) {
      await storage.put('a/b', 'x');
      await storage.delete('a/b');
      assert.equal(await storage.exists('a/b'), false);
      await refused('not-found', storage.get('a/b'));
      assert.deepEqual(await storage.list({ delimiter: '/' }), { files: [], prefixes: [] });
    },
  },
  {
    id: 'delete › deleting what is not there is no error',
    async run(storage) {
      await storage.delete('nope');
      await storage.delete('deep/nope');
    },
  },
  {
    id: 'delete › a later file of the same key has none of the old facts',
    async run(storage) {
      await storage.put('a', 'x', {
        metadata: { old: '1' },
        cacheControl: 'no-store',
        contentType: 'text/css',
      });
      await storage.delete('a');
      const info = await storage.put('a', 'x');
      assert.deepEqual(
        [info.metadata, info.cacheControl, info.contentType],
        [{}, undefined, 'application/octet-stream'],
      );
    },
  },
  {
    id: 'delete › a folder of files is not deleted by its name',
    async run(storage) {
      await storage.put('a/b', 'x');
      await storage.delete('a');
      assert.equal(await textOf(storage, 'a/b'), 'x');
    },
  },
  {
    id: 'deleteMany › deletes what is named, whether it is there or not, and nothing else',
    async run(storage) {
      for (const key of ['a', 'b/c', 'b/d', 'größe & mehr', 'keep']) await storage.put(key, key);
      await storage.deleteMany(['a', 'nope', 'b/c', 'a', 'größe & mehr', 'deep/nope']);
      assert.deepEqual(await keysOf(storage), ['b/d', 'keep']);
      await storage.deleteMany([]);
      await storage.deleteMany(new Set(['keep']));
      assert.deepEqual(await keysOf(storage), ['b/d']);
    },
  },
  {
    id: 'deleteMany › more than a request of the engine holds are all deleted',
    async run(storage) {
      const keys = Array.from({ length: 1105 }, (_, index) => `many/${index}`);
      await Promise.all(keys.map(async (key) => await storage.put(key, 'x')));
      await storage.put('keep', 'x');
      await storage.deleteMany(keys);
      assert.deepEqual(await keysOf(storage), ['keep']);
    },
  },
  {
    id: 'deleteMany › a bad key among them is refused before anything is deleted',
    async run(storage) {
      await storage.put('a', 'x');
      await refused('invalid-argument', storage.deleteMany(['a', '../b']));
      assert.equal(await storage.exists('a'), true);
    },
  },
  {
    id: 'deletePrefix › deletes what starts with it, across pages, and nothing else',
    async run(storage) {
      await Promise.all(
        Array.from({ length: 1105 }, async (_, index) => await storage.put(`logs/${index}`, 'x')),
      );
      await storage.put('logs.txt', 'x');
      await storage.put('other/logs/1', 'x');
      assert.equal(await storage.deletePrefix('logs/'), 1105);
      assert.deepEqual(await keysOf(storage), ['logs.txt', 'other/logs/1']);
      assert.equal(await storage.deletePrefix('logs/'), 0);
    },
  },
  {
    id: 'deletePrefix › an empty prefix is refused, since it means everything',
    async run(storage) {
      await storage.put('a', 'x');
      await refused('invalid-argument', storage.deletePrefix(''));
      assert.equal(await storage.exists('a'), true);
    },
  },
  {
    id: 'delete › many deletes of one file at once all succeed',
    async run(storage) {
      await storage.put('a/b', 'x');
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          await storage.delete('a/b');
        }),
      );
      assert.deepEqual(await keysOf(storage), []);
    },
  },
  {
    id: 'delete › a folder goes with its last file, and a file may take its name',
    async run(storage) {
      await storage.put('a/b/c', 'x');
      await storage.put('a/d', 'x');
      await storage.delete('a/b/c');
      await storage.put('a/b', 'file');
      await storage.deleteMany(['a/b', 'a/d']);
      await storage.put('a', 'file');
      assert.equal(await textOf(storage, 'a'), 'file');
      await storage.delete('a');
      await storage.put('a/b', 'below');
      assert.deepEqual(await keysOf(storage), ['a/b']);
    },
  },
  {
    id: 'delete › an aborted signal deletes nothing, by any method',
    async run(storage) {
      await storage.put('a', 'x');
      const options = { signal: AbortSignal.abort() };
      await refused('cancelled', storage.delete('a', options));
      await refused('cancelled', storage.deleteMany(['a'], options));
      await refused('cancelled', storage.deletePrefix('a', options));
      assert.equal(await textOf(storage, 'a'), 'x');
    },
  },
  {
    id: 'deletePrefix › a prefix that ends inside a name deletes what begins so, and the file of that name',
    async run(storage) {
      for (const key of ['log', 'log.txt', 'logs/1', 'lo', 'a/log']) await storage.put(key, 'x');
      assert.equal(await storage.deletePrefix('log'), 3);
      assert.deepEqual(await keysOf(storage), ['a/log', 'lo']);
    },
  },
];
