import assert from 'node:assert/strict';
import { Readable } from 'node:stream';

import type { FileBody } from '../body.ts';
import {
  bytesOf,
  type Case,
  chunksOf,
  failingAfter,
  keysOf,
  large,
  noise,
  refused,
  sha256Of,
  textOf,
  sameBytes,
} from './support.ts';

const bodies: Readonly<Record<string, () => FileBody>> = {
  text: () => 'content',
  Uint8Array: () => bytesOf('content'),
  'a view into a larger buffer': () => bytesOf('xxcontentxx').subarray(2, 9),
  ArrayBuffer: () => new Uint8Array(bytesOf('content')).buffer,
  Blob: () => new Blob(['con', 'tent']),
  ReadableStream: () => new Blob(['content']).stream(),
  'an async iterable of bytes': () => chunksOf(bytesOf('content'), 2),
  'an async iterable of text': async function* () {
    yield 'con';
    yield 'tent';
  },
};

/** What `put` promises. */
export const putCases: readonly Case[] = [
  {
    id: 'put › what was put is read back to the byte',
    async run(storage) {
      const bytes = noise(100_000);
      await storage.put('a.bin', bytes);
      sameBytes(await (await storage.get('a.bin')).bytes(), bytes);
    },
  },
  {
    id: 'put › every kind of body is stored alike',
    async run(storage) {
      for (const [kind, make] of Object.entries(bodies)) {
        await storage.put('kind', make());
        assert.equal(await textOf(storage, 'kind'), 'content', kind);
      }
    },
  },
  {
    id: 'put › a body of no known kind is refused',
    async run(storage) {
      for (const body of [42, null, {}, [1, 2]])
        await refused('invalid-argument', storage.put('a', body as never), JSON.stringify(body));
      assert.equal(await storage.exists('a'), false);
    },
  },
  {
    id: 'put › an empty body is a file of no bytes',
    async run(storage) {
      for (const body of ['', new Uint8Array(), new Blob([]), chunksOf(new Uint8Array(), 1)]) {
        assert.equal((await storage.put('empty', body)).size, 0);
        assert.equal((await (await storage.get('empty')).bytes()).byteLength, 0);
      }
    },
  },
  {
    id: 'put › a stream of unknown length arrives whole and in order',
    async run(storage) {
      const bytes = noise(3_000_001);
      const info = await storage.put('stream.bin', chunksOf(bytes, 65_537));
      assert.equal(info.size, bytes.byteLength);
      assert.equal(sha256Of(await (await storage.get('stream.bin')).bytes()), sha256Of(bytes));
    },
  },
  {
    id: 'put › replaces content, type and metadata together',
    async run(storage) {
      await storage.put('a', 'old', {
        contentType: 'text/plain',
        metadata: { author: 'ann' },
        cacheControl: 'no-store',
      });
      await storage.put('a', 'new!', { contentType: 'text/css' });
      const info = await storage.head('a');
      assert.equal(await textOf(storage, 'a'), 'new!');
      assert.deepEqual(
        [info.size, info.contentType, info.metadata, info.cacheControl],
        [4, 'text/css', {}, undefined],
      );
    },
  },
  {
    id: 'put › resolves with what head then says',
    async run(storage) {
      const info = await storage.put('a', 'hello', {
        metadata: { author: 'ann' },
        cacheControl: 'max-age=60',
      });
      const head = await storage.head('a');
      assert.deepEqual({ ...info, lastModified: 0 }, { ...head, lastModified: 0 });
      assert.ok(
        Math.abs(info.lastModified.getTime() - head.lastModified.getTime()) <= 2000,
        'lastModified to the second, as HTTP has it, and within the time that the write takes',
      );
    },
  },
  {
    id: 'put › a failed stream leaves no object',
    async run(storage) {
      const error = await refused(
        'aborted',
        storage.put('a', failingAfter(noise(200_000), new Error('source broke'))),
      );
      assert.equal(error.outcome, 'not-applied');
      assert.equal((error.cause as Error).message, 'source broke');
      assert.equal(await storage.exists('a'), false);
      assert.deepEqual(await keysOf(storage), []);
    },
  },
  {
    id: 'put › a failed stream leaves the file that was there',
    async run(storage) {
      await storage.put('a', 'old', { metadata: { version: '1' } });
      await refused(
        'aborted',
        storage.put('a', failingAfter(noise(200_000), new Error('source broke')), {
          metadata: { version: '2' },
        }),
      );
      assert.equal(await textOf(storage, 'a'), 'old');
      assert.deepEqual((await storage.head('a')).metadata, { version: '1' });
    },
  },
  {
    id: 'put › a stream that failed is not retryable, since it is used up',
    async run(storage) {
      const error = await refused(
        'aborted',
        storage.put('a', failingAfter(noise(10), new Error('x'))),
      );
      assert.equal(error.retryable, false);
    },
  },
  {
    id: 'put › the source is released when the put is refused',
    async run(storage) {
      let released = false;
      const body = (async function* () {
        try {
          for (let index = 0; index < 100; index += 1) yield noise(70_000);
        } finally {
          released = true;
        }
      })();
      await refused('invalid-argument', storage.put('a', body, { size: 10 }));
      assert.equal(released, true);
    },
  },
  {
    id: 'put › the source is released when its chunks are neither bytes nor text',
    async run(storage) {
      let released = false;
      const body = (async function* () {
        try {
          yield 5;
        } finally {
          released = true;
        }
      })();
      await refused('invalid-argument', storage.put('a', body as never));
      assert.equal(released, true);
    },
  },
  {
    id: 'put › a body longer or shorter than its declared size is refused and nothing is stored',
    async run(storage) {
      for (const size of [3, 6]) {
        await refused('invalid-argument', storage.put('a', 'hello', { size }), 'text');
        await refused(
          'invalid-argument',
          storage.put('a', chunksOf(bytesOf('hello'), 2), { size }),
          'stream',
        );
      }
      assert.equal(await storage.exists('a'), false);
    },
  },
  {
    id: 'put › a body with another checksum is refused as data-loss and nothing is stored',
    async run(storage) {
      const sha256 = sha256Of('other');
      await storage.put('a', 'kept');
      await refused('data-loss', storage.put('a', 'hello', { sha256 }));
      await refused('data-loss', storage.put('a', chunksOf(bytesOf('hello'), 2), { sha256 }));
      assert.equal(await textOf(storage, 'a'), 'kept');
    },
  },
  {
    id: 'put › a body with the declared size and checksum is stored, in either case of letters',
    async run(storage) {
      const sha256 = sha256Of('hello');
      await storage.put('a', 'hello', { sha256: sha256.toUpperCase(), size: 5 });
      await storage.put('b', chunksOf(bytesOf('hello'), 2), { sha256, size: 5 });
      assert.equal(await textOf(storage, 'b'), 'hello');
    },
  },
  {
    id: 'put › an aborted signal stores nothing',
    async run(storage) {
      const error = await refused(
        'cancelled',
        storage.put('a', 'x', { signal: AbortSignal.abort() }),
      );
      assert.equal(error.outcome, 'not-applied');
      assert.equal(await storage.exists('a'), false);
    },
  },
  {
    id: 'put › an abort in the middle of a stream stores nothing',
    async run(storage) {
      const controller = new AbortController();
      const body = (async function* () {
        for (let index = 0; index < 100; index += 1) {
          if (index === 3) controller.abort();
          yield noise(70_000, index);
        }
      })();
      await refused('cancelled', storage.put('a', body, { signal: controller.signal }));
      assert.equal(await storage.exists('a'), false);
    },
  },
  {
    id: 'put › an abort ends the wait for a stream that gives nothing more, and releases it',
    async run(storage) {
      for (const first of [0, 1, 100_000]) {
        const controller = new AbortController();
        const cancelled = Promise.withResolvers<unknown>();
        const body = new ReadableStream<Uint8Array>(
          {
            start(stream) {
              if (first > 0) stream.enqueue(noise(first));
            },
            pull() {
              // The put waits for what never comes.
              setImmediate(() => {
                controller.abort();
              });
            },
            cancel: cancelled.resolve,
          },
          // Nothing is pulled before it is asked for.
          { highWaterMark: 0 },
        );
        await refused(
          'cancelled',
          storage.put('a', body, { signal: controller.signal }),
          `${first} bytes`,
        );
        await cancelled.promise;
        assert.equal(await storage.exists('a'), false);
      }
    },
  },
  {
    id: 'put › a timeout is deadline-exceeded, not cancelled',
    async run(storage) {
      const signal = AbortSignal.abort(new DOMException('late', 'TimeoutError'));
      await refused('deadline-exceeded', storage.put('a', 'x', { signal }));
    },
  },
  {
    id: "put › the caller's bytes can change afterwards without changing the file",
    async run(storage) {
      const bytes = bytesOf('before');
      await storage.put('a', bytes);
      bytes.fill(0);
      assert.equal(await textOf(storage, 'a'), 'before');
    },
  },
  {
    id: 'put › of many puts of one key at once one stays, whole',
    async run(storage) {
      const contents = Array.from({ length: 12 }, (_, index) => noise(50_000 + index, index + 1));
      const infos = await Promise.all(
        contents.map(
          async (bytes, index) =>
            await storage.put('race', bytes, { metadata: { writer: String(index) } }),
        ),
      );
      const file = await storage.get('race');
      const writer = Number(file.info.metadata['writer']);
      sameBytes(await file.bytes(), contents[writer]);
      assert.equal(file.info.etag, infos[writer]?.etag);
    },
  },
  {
    id: 'put › a Node stream is stored, and one that breaks leaves what was there',
    async run(storage) {
      await storage.put('a', Readable.from(['con', Buffer.from('tent')]));
      assert.equal(await textOf(storage, 'a'), 'content');
      const broken = new Readable({
        read() {
          this.push(noise(70_000));
          this.destroy(new Error('source broke'));
        },
      });
      const error = await refused('aborted', storage.put('a', broken));
      assert.equal((error.cause as Error).message, 'source broke');
      assert.equal(await textOf(storage, 'a'), 'content');
    },
  },
  {
    id: 'put › a web stream that errors on the way leaves nothing, and why is the cause',
    async run(storage) {
      let pieces = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(stream) {
          pieces += 1;
          if (pieces < 4) stream.enqueue(noise(70_000));
          else stream.error(new Error('source broke'));
        },
      });
      const error = await refused('aborted', storage.put('a', body));
      assert.equal((error.cause as Error).message, 'source broke');
      assert.deepEqual(await keysOf(storage), []);
    },
  },
  {
    id: 'put › a stream that another reader holds is refused, and stays with that reader',
    async run(storage) {
      const body = new Blob(['content']).stream();
      const reader = body.getReader();
      await refused('invalid-argument', storage.put('a', body));
      assert.equal(await storage.exists('a'), false);
      assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'content');
    },
  },
  {
    id: 'put › pieces of one byte, and empty ones between them, arrive whole',
    async run(storage) {
      const bytes = noise(5000);
      const body = (async function* () {
        for await (const piece of chunksOf(bytes, 1)) {
          yield new Uint8Array();
          yield piece;
        }
      })();
      assert.equal((await storage.put('a', body)).size, 5000);
      sameBytes(await (await storage.get('a')).bytes(), bytes);
    },
  },
  {
    id: 'put › a piece larger than a part of an upload arrives whole',
    async run(storage) {
      const bytes = noise(2 * large + 1);
      const info = await storage.put('a', chunksOf(bytes, 2 * large));
      assert.equal(info.size, bytes.byteLength);
      sameBytes(await (await storage.get('a')).bytes(), bytes);
    },
  },
  {
    id: 'put › a large stream that breaks at its end leaves what was there',
    async run(storage) {
      await storage.put('a', 'old');
      await refused(
        'aborted',
        storage.put('a', failingAfter(noise(2 * large), new Error('source broke'))),
      );
      assert.equal(await textOf(storage, 'a'), 'old');
      assert.deepEqual(await keysOf(storage), ['a']);
    },
  },
  {
    id: 'put › a large stream with another checksum or size than declared leaves nothing',
    async run(storage) {
      const bytes = noise(large + 1);
      for (const [code, options] of [
        ['data-loss', { sha256: sha256Of('other') }],
        ['data-loss', { crc32: '00000000' }],
        ['invalid-argument', { size: large + 2 }],
        ['invalid-argument', { size: large }],
      ] as const)
        await refused(
          code,
          storage.put('a', chunksOf(bytes, 1_000_000), options),
          JSON.stringify(options),
        );
      assert.deepEqual(await keysOf(storage), []);
      await storage.put('a', chunksOf(bytes, 1_000_000), {
        sha256: sha256Of(bytes),
        size: large + 1,
      });
      sameBytes(await (await storage.get('a')).bytes(), bytes);
    },
  },
  {
    id: 'put › text is stored as UTF-8, and its size is in bytes',
    async run(storage) {
      const text = 'aé€😀\ufeff';
      assert.equal((await storage.put('a', text, { size: 13 })).size, 13);
      sameBytes(await (await storage.get('a')).bytes(), bytesOf(text));
    },
  },
  {
    id: 'put › many keys at once each get their own content and facts',
    async run(storage) {
      const names = Array.from({ length: 40 }, (_, index) => `folder${index % 3}/${index}`);
      await Promise.all(
        names.map(async (name) => {
          await storage.put(name, chunksOf(bytesOf(name), 2), { metadata: { name } });
        }),
      );
      for (const name of names) {
        const file = await storage.get(name);
        assert.deepEqual([await file.text(), file.info.metadata], [name, { name }]);
      }
    },
  },
  {
    id: 'put › a source is released when the signal was aborted before it was read',
    async run(storage) {
      const cancelled = Promise.withResolvers<unknown>();
      const body = new ReadableStream<Uint8Array>({ cancel: cancelled.resolve });
      const signal = AbortSignal.abort();
      await refused('cancelled', storage.put('a', body, { signal }));
      await cancelled.promise;
      const file = Readable.from(['x']);
      await refused('cancelled', storage.put('a', file, { signal }));
      assert.equal(file.destroyed, true);
    },
  },
];
