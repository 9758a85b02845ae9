import assert from 'node:assert/strict';

import { type Case, chunksOf, refused } from './support.ts';

/** What is kept beside the content. */
export const typesCases: readonly Case[] = [
  {
    id: 'content type › is told by the first bytes, whatever the key says',
    async run(storage) {
      const png = Uint8Array.from([
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0,
        0, 1,
      ]);
      assert.equal((await storage.put('picture.txt', png)).contentType, 'image/png');
      assert.equal((await storage.put('picture', chunksOf(png, 3))).contentType, 'image/png');
    },
  },
  {
    id: "content type › is told by the key's extension where the bytes say nothing",
    async run(storage) {
      assert.equal((await storage.put('a.css', 'b{}')).contentType, 'text/css; charset=utf-8');
      assert.equal((await storage.put('a.json', '{}')).contentType, 'application/json');
      assert.equal((await storage.put('nothing', '{}')).contentType, 'application/octet-stream');
    },
  },
  {
    id: 'content type › the one that is given is kept',
    async run(storage) {
      await storage.put('a.json', '{}', { contentType: 'application/ld+json; charset=utf-8' });
      assert.equal(
        (await storage.head('a.json')).contentType,
        'application/ld+json; charset=utf-8',
      );
    },
  },
  {
    id: 'content type › one that could break a header is refused',
    async run(storage) {
      for (const contentType of ['', 'text', 'text/plain\r\nx: y', 'text/plain; a', 'ü/x']) {
        await refused('invalid-argument', storage.put('a', 'x', { contentType }), contentType);
      }
    },
  },
  {
    id: 'metadata › is given back by put, head and get',
    async run(storage) {
      const metadata = { author: 'Ann Other', 'x-1': '~!@#$%^&*()', empty: '' };
      assert.deepEqual((await storage.put('a', 'x', { metadata })).metadata, metadata);
      assert.deepEqual((await storage.head('a')).metadata, metadata);
      assert.deepEqual((await storage.get('a')).info.metadata, metadata);
    },
  },
  {
    id: 'metadata › names and values that some storage would change are refused',
    async run(storage) {
      for (const metadata of [
        { Upper: 'x' },
        { 'a b': 'x' },
        { '': 'x' },
        { a: 'ü' },
        { a: 'x\r\ny: z' },
        { a: ' x' },
        { a: 'x ' },
        { a: 'x'.repeat(2048) },
      ]) {
        await refused(
          'invalid-argument',
          storage.put('a', 'x', { metadata }),
          JSON.stringify(metadata).slice(0, 50),
        );
      }
      await refused(
        'invalid-argument',
        storage.put('a', 'x', { cacheControl: 'no-store\r\nx: y' }),
      );
    },
  },
];
