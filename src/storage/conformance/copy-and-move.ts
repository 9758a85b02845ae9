import assert from 'node:assert/strict';

import type { FileInfo } from '../driver.ts';
import {
  type Case,
  chunksOf,
  keysOf,
  large,
  noise,
  refused,
  textOf,
  sameBytes,
} from './support.ts';

/** The facts that a copy has from its source. Some engines give each write an etag of its own. */
function factsOf(info: FileInfo): FileInfo {
  return { ...info, etag: '', lastModified: new Date(0) };
}

/** What `copy` and `move` promise. */
export const transferCases: readonly Case[] = [
  {
    id: 'copy › copies content and facts, and leaves the source',
    async run(storage) {
      const bytes = noise(200_000);
      const source = await storage.put('a', bytes, {
        contentType: 'text/css',
        metadata: { x: '1' },
        cacheControl: 'no-store',
      });
      const copy = await storage.copy('a', 'deep/b');
      assert.deepEqual(factsOf(copy), factsOf({ ...source, key: 'deep/b' }));
      assert.equal((await storage.head('deep/b')).etag, copy.etag);
      sameBytes(await (await storage.get('deep/b')).bytes(), bytes);
      sameBytes(await (await storage.get('a')).bytes(), bytes);
    },
  },
  {
    id: 'copy › replaces the target with its facts',
    async run(storage) {
      await storage.put('a', 'new');
      await storage.put('b', 'old', { metadata: { old: '1' } });
      await storage.copy('a', 'b');
      const file = await storage.get('b');
      assert.deepEqual([await file.text(), file.info.metadata], ['new', {}]);
    },
  },
  {
    id: 'copy › a source that is not there leaves the target as it was',
    async run(storage) {
      await storage.put('b', 'old');
      await refused('not-found', storage.copy('a', 'b'));
      await refused('not-found', storage.move('a', 'b'));
      assert.equal(await textOf(storage, 'b'), 'old');
    },
  },
  {
    id: 'move › the file is at the target with its facts, and no longer at the source',
    async run(storage) {
      const source = await storage.put('a/b', 'hello', {
        contentType: 'text/css',
        metadata: { x: '1' },
      });
      const moved = await storage.move('a/b', 'c/d');
      assert.deepEqual(factsOf(moved), factsOf({ ...source, key: 'c/d' }));
      assert.equal((await storage.head('c/d')).etag, moved.etag);
      assert.equal(await textOf(storage, 'c/d'), 'hello');
      assert.deepEqual((await storage.head('c/d')).metadata, { x: '1' });
      assert.deepEqual(await keysOf(storage), ['c/d']);
    },
  },
  {
    id: 'move › there and back, over what was there',
    async run(storage) {
      await storage.put('a', 'one', { metadata: { x: '1' } });
      await storage.put('b', 'two', { metadata: { x: '2' } });
      await storage.move('a', 'b');
      await storage.move('b', 'a');
      const file = await storage.get('a');
      assert.deepEqual([await file.text(), file.info.metadata], ['one', { x: '1' }]);
      assert.deepEqual(await keysOf(storage), ['a']);
    },
  },
  {
    id: 'copy › onto itself is refused',
    async run(storage) {
      await storage.put('a', 'x');
      await refused('invalid-argument', storage.copy('a', 'a'));
      await refused('invalid-argument', storage.move('a', 'a'));
      assert.equal(await textOf(storage, 'a'), 'x');
    },
  },
  {
    id: 'move › of many moves of one file one wins, and the file is there once',
    requires: ['atomicMove'],
    async run(storage) {
      await storage.put('a', 'hello');
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, async (_, index) => await storage.move('a', `to/${index}`)),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal((await keysOf(storage)).length, 1);
    },
    async unsupported(storage) {
      await storage.put('a', 'hello');
      await storage.move('a', 'b');
      assert.deepEqual(await keysOf(storage), ['b'], 'not in one step, but moved all the same');
    },
  },
  {
    id: 'copy and move › with ifSourceMatch take only the version it names',
    async run(storage) {
      const { etag: old } = await storage.put('a', 'old');
      const { etag } = await storage.put('a', 'new');
      await storage.put('b', 'there');
      await refused('failed-precondition', storage.copy('a', 'b', { ifSourceMatch: old }));
      await refused('failed-precondition', storage.move('a', 'b', { ifSourceMatch: old }));
      assert.deepEqual([await textOf(storage, 'a'), await textOf(storage, 'b')], ['new', 'there']);
      await storage.copy('a', 'b', { ifSourceMatch: `"${etag}"` });
      await storage.move('a', 'c', { ifSourceMatch: etag });
      assert.deepEqual([await textOf(storage, 'b'), await textOf(storage, 'c')], ['new', 'new']);
      await refused('not-found', storage.move('a', 'd', { ifSourceMatch: etag }));
    },
  },
  {
    id: 'copy › what becomes of the source does not reach the copy',
    async run(storage) {
      await storage.put('a', 'first', { metadata: { x: '1' } });
      await storage.copy('a', 'b');
      await storage.put('a', 'second', { metadata: { x: '2' } });
      await storage.copy('a', 'c');
      await storage.delete('a');
      for (const [key, text, x] of [
        ['b', 'first', '1'],
        ['c', 'second', '2'],
      ] as const) {
        const file = await storage.get(key);
        assert.deepEqual([await file.text(), file.info.metadata], [text, { x }]);
      }
    },
  },
  {
    id: 'copy and move › a large streamed file is whole, with its size and type',
    async run(storage) {
      const bytes = noise(large + 4321);
      await storage.put('a', chunksOf(bytes, 1_000_000), { contentType: 'video/mp4' });
      await storage.copy('a', 'b');
      await storage.move('b', 'c');
      const file = await storage.get('c');
      assert.deepEqual([file.info.size, file.info.contentType], [bytes.byteLength, 'video/mp4']);
      sameBytes(await file.bytes(), bytes);
    },
  },
  {
    id: 'copy and move › an empty file stays one',
    async run(storage) {
      await storage.put('a', '');
      assert.equal((await storage.copy('a', 'b')).size, 0);
      assert.equal((await storage.move('b', 'c')).size, 0);
      assert.equal(await textOf(storage, 'c'), '');
    },
  },
  {
    id: 'copy and move › keys that a URL would have to encode are taken as they are',
    async run(storage) {
      const keys = ['a b+c%20d', 'größe/猫 🐈', "it's&x=1#y", '100%'];
      for (const [index, key] of keys.entries()) {
        await storage.put(key, key);
        await storage.copy(key, `copy ${key}`);
        await storage.move(`copy ${key}`, `${index}+${key}`);
        assert.equal(await textOf(storage, `${index}+${key}`), key);
        assert.equal(await storage.exists(`copy ${key}`), false);
      }
    },
  },
  {
    id: 'move › the key it leaves takes a new file with none of the old facts',
    async run(storage) {
      await storage.put('a', 'old', { metadata: { x: '1' }, cacheControl: 'no-store' });
      await storage.move('a', 'b');
      await storage.put('a', 'new');
      const { metadata, cacheControl } = await storage.head('a');
      assert.deepEqual([metadata, cacheControl], [{}, undefined]);
      assert.deepEqual([await textOf(storage, 'a'), await textOf(storage, 'b')], ['new', 'old']);
    },
  },
  {
    id: 'copy and move › an aborted signal leaves both files as they were',
    async run(storage) {
      await storage.put('a', 'new');
      await storage.put('b', 'old');
      const options = { signal: AbortSignal.abort() };
      await refused('cancelled', storage.copy('a', 'b', options));
      await refused('cancelled', storage.move('a', 'b', options));
      assert.deepEqual([await textOf(storage, 'a'), await textOf(storage, 'b')], ['new', 'old']);
    },
  },
  {
    id: 'copy › of many copies to one key at once one stays, whole and with its facts',
    async run(storage) {
      const contents = Array.from({ length: 6 }, (_, index) => noise(50_000 + index, index + 1));
      for (const [index, bytes] of contents.entries())
        await storage.put(`from/${index}`, bytes, { metadata: { index: String(index) } });
      await Promise.all(
        contents.map(async (_, index) => await storage.copy(`from/${index}`, 'to')),
      );
      const file = await storage.get('to');
      sameBytes(await file.bytes(), contents[Number(file.info.metadata['index'])]);
    },
  },
];
