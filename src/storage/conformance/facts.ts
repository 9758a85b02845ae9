import assert from 'node:assert/strict';

import {
  bytesOf,
  type Case,
  chunksOf,
  crc32Of,
  large,
  noise,
  refused,
  sha256Of,
} from './support.ts';

const png = Uint8Array.from([
  0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1,
]);

/** What is kept beside the content. */
export const typesCases: readonly Case[] = [
  {
    id: 'content type › is told by the first bytes, whatever the key says',
    async run(storage) {
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
    id: 'content type › one that the bytes contradict is refused where that is asked',
    async run(storage) {
      const verified = { verifyContentType: true };
      const page = '<!doctype html><script>alert(1)</script>';
      await storage.put('a', png, { contentType: 'image/png', ...verified });
      await storage.put('b', 'a,b\n', { contentType: 'text/csv; charset=utf-8', ...verified });
      await storage.put('c', '{}', { contentType: 'application/json', ...verified });
      for (const [contentType, body] of [
        ['image/png', page],
        ['image/jpeg', png],
        ['text/plain', png],
        ['application/pdf', new Uint8Array()],
      ] as const) {
        for (const content of [body, chunksOf(typeof body === 'string' ? bytesOf(body) : body, 7)])
          await refused(
            'invalid-argument',
            storage.put('d', content, { contentType, ...verified }),
            contentType,
          );
      }
      assert.equal(await storage.exists('d'), false);
      await storage.put('d', page, { contentType: 'image/png' });
    },
  },
  {
    id: 'checksums › of what is at hand are held, whatever form it is in',
    async run(storage) {
      const held = { sha256: sha256Of('hello'), crc32: '3610a686' };
      for (const body of ['hello', bytesOf('hello'), chunksOf(bytesOf('hello'), 2)]) {
        const { sha256, crc32 } = await storage.put('a', body);
        assert.deepEqual({ sha256, crc32 }, held);
        const head = await storage.head('a');
        assert.deepEqual({ sha256: head.sha256, crc32: head.crc32 }, held);
      }
      await storage.copy('a', 'b');
      assert.equal((await storage.head('b')).crc32, held.crc32);
    },
  },
  {
    id: 'checksums › a body with another CRC-32 is data-loss, and nothing is stored',
    async run(storage) {
      await storage.put('a', 'hello', { crc32: '3610A686' });
      for (const body of ['hellp', chunksOf(bytesOf('hellp'), 2)]) {
        const error = await refused('data-loss', storage.put('b', body, { crc32: '3610a686' }));
        assert.equal(error.outcome, 'not-applied');
      }
      assert.equal(await storage.exists('b'), false);
      await refused('invalid-argument', storage.put('b', 'x', { crc32: 'abc' }));
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
  {
    id: 'metadata › of the largest size is kept, and one byte more is refused',
    async run(storage) {
      const metadata = { a: 'x'.repeat(1000), b: 'y'.repeat(854) };
      await storage.put('a', 'x', { metadata, cacheControl: 'max-age=60' });
      assert.deepEqual((await storage.head('a')).metadata, metadata);
      await refused(
        'invalid-argument',
        storage.put('a', 'x', { metadata: { ...metadata, b: 'y'.repeat(855) } }),
      );
    },
  },
  {
    id: 'metadata › a name of 64 characters is kept, and one of 65 refused',
    async run(storage) {
      const metadata = { ['n'.repeat(64)]: 'x' };
      await storage.put('a', 'x', { metadata });
      assert.deepEqual((await storage.head('a')).metadata, metadata);
      await refused(
        'invalid-argument',
        storage.put('a', 'x', { metadata: { ['n'.repeat(65)]: 'x' } }),
      );
    },
  },
  {
    id: 'metadata › names alike but for a dash are kept apart',
    async run(storage) {
      const metadata = { ab: '2', 'a-b': '3', 'a--b': '4', '0': '5' };
      await storage.put('a', 'x', { metadata });
      assert.deepEqual((await storage.head('a')).metadata, metadata);
    },
  },
  {
    id: "metadata › the caller's object can change afterwards without changing the file",
    async run(storage) {
      const metadata: Record<string, string> = { x: 'before' };
      await storage.put('a', 'x', { metadata });
      metadata['x'] = 'after';
      metadata['y'] = 'more';
      assert.deepEqual((await storage.head('a')).metadata, { x: 'before' });
    },
  },
  {
    id: 'content type › its parameters are kept, quoted ones too',
    async run(storage) {
      const contentType = 'text/plain; charset=utf-8; title="a, b"';
      await storage.put('a', 'x', { contentType });
      assert.equal((await storage.head('a')).contentType, contentType);
    },
  },
  {
    id: 'cache control › goes with the file in a copy and a move',
    async run(storage) {
      const cacheControl = 'public, max-age=31536000, immutable';
      await storage.put('a', 'x', { cacheControl });
      await storage.copy('a', 'b');
      await storage.move('a', 'c');
      for (const key of ['b', 'c']) {
        assert.equal((await storage.head(key)).cacheControl, cacheControl, key);
      }
    },
  },
  {
    id: 'checksums › of a large stream are, where they are held, those of its content',
    async run(storage) {
      const bytes = noise(large + 1);
      await storage.put('a', chunksOf(bytes, 1_000_000));
      const { sha256 = sha256Of(bytes), crc32 = crc32Of(bytes) } = await storage.head('a');
      assert.deepEqual([sha256, crc32], [sha256Of(bytes), crc32Of(bytes)]);
    },
  },
];
