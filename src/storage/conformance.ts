import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { type ConformanceCase, type ConformanceSuite, type ErrorCode, InfrastructureError } from '../core/index.ts';
import type { FileBody } from './body.ts';
import type { StorageCapabilities } from './driver.ts';
import type { FileStorage, PutOptions } from './storage.ts';

type Case = ConformanceCase<FileStorage, keyof StorageCapabilities & string>;

const encoder = new TextEncoder();

async function refused(code: ErrorCode, promise: Promise<unknown>, message = ''): Promise<InfrastructureError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(InfrastructureError.is(error), `${message} not an InfrastructureError: ${String(error)}`);
    assert.equal(error.code, code, `${message} ${error.message}`);
    return error;
  }
  assert.fail(`${message} expected ${code}, but it succeeded`);
}

async function textOf(storage: FileStorage, key: string): Promise<string> {
  return await (await storage.get(key)).text();
}

async function keysOf(storage: FileStorage, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(storage.listAll({ prefix }))).map(({ key }) => key);
}

/** Bytes that differ at every position and between seeds, so that a swapped or repeated chunk shows. */
function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let index = 0, state = seed; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

async function* failingAfter(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array, void> {
  yield bytes;
  throw error;
}

function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const badKeys: readonly string[] = [
  '', '/', '/a', 'a/', 'a//b', '.', '..', './a', '../a', 'a/..', 'a/../b', 'a/./b', 'a\\b', '..\\a', 'a\0b', 'a\nb', 'a\u007f',
  'a:b', 'a*', 'a?', 'a"b', 'a<b', 'a>b', 'a|b', 'con', 'a/NUL.txt', 'COM1', 'dot.', 'space ', 'a/b ./c', '\ud800', 'a\udfffb',
  'e\u0301', `${'a'.repeat(256)}`, 'a/'.repeat(600) + 'a', '.underpin', '.underpin/meta/x',
];

const oddKeys: readonly string[] = [
  'a', 'A.TXT', 'with space.txt', 'ünïcödé/日本語.txt', '😀.png', 'a.b.c', '.hidden', 'a/.hidden/b', '%2e%2e%2f', '100%', 'a+b&c=d', "quote's", '#hash', 'a;b,c', '~home', '(x)[y]{z}', 'é', `${'n'.repeat(255)}`,
  Array.from({ length: 4 }, () => 'd'.repeat(250)).join('/'),
];

const bodies: Readonly<Record<string, () => FileBody>> = {
  text: () => 'content',
  'Uint8Array': () => encoder.encode('content'),
  'a view into a larger buffer': () => encoder.encode('xxcontentxx').subarray(2, 9),
  ArrayBuffer: () => new Uint8Array(encoder.encode('content')).buffer,
  Blob: () => new Blob(['con', 'tent']),
  ReadableStream: () => new Blob(['content']).stream(),
  'an async iterable of bytes': () => chunksOf(encoder.encode('content'), 2),
  'an async iterable of text': async function* () {
    yield 'con';
    yield 'tent';
  } as unknown as () => FileBody,
};

const put: readonly Case[] = [
  {
    id: 'put › what was put is read back to the byte',
    async run(storage) {
      const bytes = noise(100_000);
      await storage.put('a.bin', bytes);
      assert.deepEqual(await (await storage.get('a.bin')).bytes(), bytes);
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
      for (const body of [42, null, {}, [1, 2]]) await refused('invalid-argument', storage.put('a', body as never), JSON.stringify(body));
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
      await storage.put('a', 'old', { contentType: 'text/plain', metadata: { author: 'ann' }, cacheControl: 'no-store' });
      await storage.put('a', 'new!', { contentType: 'text/css' });
      const info = await storage.head('a');
      assert.equal(await textOf(storage, 'a'), 'new!');
      assert.deepEqual([info.size, info.contentType, info.metadata, info.cacheControl], [4, 'text/css', {}, undefined]);
    },
  },
  {
    id: 'put › resolves with what head then says',
    async run(storage) {
      const info = await storage.put('a', 'hello', { metadata: { author: 'ann' }, cacheControl: 'max-age=60' });
      const head = await storage.head('a');
      assert.deepEqual({ ...info, lastModified: 0 }, { ...head, lastModified: 0 });
      assert.ok(Math.abs(info.lastModified.getTime() - head.lastModified.getTime()) < 1000, 'lastModified to the second, as HTTP has it');
    },
  },
  {
    id: 'put › a failed stream leaves no object',
    async run(storage) {
      const error = await refused('aborted', storage.put('a', failingAfter(noise(200_000), new Error('source broke'))));
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
      await refused('aborted', storage.put('a', failingAfter(noise(200_000), new Error('source broke')), { metadata: { version: '2' } }));
      assert.equal(await textOf(storage, 'a'), 'old');
      assert.deepEqual((await storage.head('a')).metadata, { version: '1' });
    },
  },
  {
    id: 'put › a stream that failed is not retryable, since it is used up',
    async run(storage) {
      const error = await refused('aborted', storage.put('a', failingAfter(noise(10), new Error('x'))));
      assert.equal(error.retryable, false);
    },
  },
  {
    id: 'put › the source is released when the put is refused',
    async run(storage) {
      let released = false;
      const body = (async function* () {
        try {
          for (;;) yield noise(70_000);
        } finally {
          released = true;
        }
      })();
      await refused('invalid-argument', storage.put('a', body, { size: 10 }));
      assert.equal(released, true);
    },
  },
  {
    id: 'put › a body longer or shorter than its declared size is refused and nothing is stored',
    async run(storage) {
      for (const size of [3, 6]) {
        await refused('invalid-argument', storage.put('a', 'hello', { size }), 'text');
        await refused('invalid-argument', storage.put('a', chunksOf(encoder.encode('hello'), 2), { size }), 'stream');
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
      await refused('data-loss', storage.put('a', chunksOf(encoder.encode('hello'), 2), { sha256 }));
      assert.equal(await textOf(storage, 'a'), 'kept');
    },
  },
  {
    id: 'put › a body with the declared size and checksum is stored, in either case of letters',
    async run(storage) {
      const sha256 = sha256Of('hello');
      await storage.put('a', 'hello', { sha256: sha256.toUpperCase(), size: 5 });
      await storage.put('b', chunksOf(encoder.encode('hello'), 2), { sha256, size: 5 });
      assert.equal(await textOf(storage, 'b'), 'hello');
    },
  },
  {
    id: 'put › an aborted signal stores nothing',
    async run(storage) {
      const error = await refused('cancelled', storage.put('a', 'x', { signal: AbortSignal.abort() }));
      assert.equal(error.outcome, 'not-applied');
      assert.equal(await storage.exists('a'), false);
    },
  },
  {
    id: 'put › an abort in the middle of a stream stores nothing',
    async run(storage) {
      const controller = new AbortController();
      const body = (async function* () {
        for (let index = 0; ; index += 1) {
          if (index === 3) controller.abort();
          yield noise(70_000, index);
        }
      })();
      await refused('cancelled', storage.put('a', body, { signal: controller.signal }));
      assert.equal(await storage.exists('a'), false);
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
      const bytes = encoder.encode('before');
      await storage.put('a', bytes);
      bytes.fill(0);
      assert.equal(await textOf(storage, 'a'), 'before');
    },
  },
  {
    id: 'put › of many puts of one key at once one stays, whole',
    async run(storage) {
      const contents = Array.from({ length: 12 }, (_, index) => noise(50_000 + index, index + 1));
      const infos = await Promise.all(contents.map(async (bytes, index) => await storage.put('race', bytes, { metadata: { writer: String(index) } })));
      const file = await storage.get('race');
      const writer = Number(file.info.metadata['writer']);
      assert.deepEqual(await file.bytes(), contents[writer]);
      assert.equal(file.info.etag, infos[writer]?.etag);
    },
  },
];

const types: readonly Case[] = [
  {
    id: 'content type › is told by the first bytes, whatever the key says',
    async run(storage) {
      const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1]);
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
      assert.equal((await storage.head('a.json')).contentType, 'application/ld+json; charset=utf-8');
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
      for (const metadata of [{ Upper: 'x' }, { 'a b': 'x' }, { '': 'x' }, { a: 'ü' }, { a: 'x\r\ny: z' }, { a: 'x'.repeat(2048) }]) {
        await refused('invalid-argument', storage.put('a', 'x', { metadata } as PutOptions), JSON.stringify(metadata).slice(0, 50));
      }
      await refused('invalid-argument', storage.put('a', 'x', { cacheControl: 'no-store\r\nx: y' }));
    },
  },
];

const get: readonly Case[] = [
  {
    id: 'get › a file that is not there is not-found',
    async run(storage) {
      await refused('not-found', storage.get('nope'));
      await refused('not-found', storage.get('deep/er/nope'));
      await refused('not-found', storage.head('nope'));
    },
  },
  {
    id: 'get › a folder of files is no file',
    async run(storage) {
      await storage.put('folder/file', 'x');
      await refused('not-found', storage.get('folder'));
      await refused('not-found', storage.head('folder'));
      assert.equal(await storage.exists('folder'), false);
    },
  },
  {
    id: 'get › a key below a file is not-found',
    async run(storage) {
      await storage.put('file', 'x');
      await refused('not-found', storage.get('file/below'));
      assert.equal(await storage.exists('file/below'), false);
      await storage.delete('file/below');
    },
  },
  {
    id: 'get › a large file comes as a stream of its bytes in order',
    async run(storage) {
      const bytes = noise(2_500_000);
      await storage.put('large', bytes);
      const digest = createHash('sha256');
      let chunks = 0;
      for await (const chunk of (await storage.get('large')).stream()) {
        digest.update(chunk);
        chunks += 1;
      }
      assert.equal(digest.digest('hex'), sha256Of(bytes));
      assert.ok(chunks > 1, 'more than one piece');
    },
  },
  {
    id: 'get › a reader goes on reading the version it began with',
    async run(storage) {
      const before = noise(1_000_000, 1);
      await storage.put('a', before);
      const file = await storage.get('a');
      await storage.put('a', noise(1_000_000, 2));
      assert.deepEqual(await file.bytes(), before);
    },
  },
  {
    id: 'get › ranges give exactly their bytes, and say which',
    async run(storage) {
      const bytes = noise(300_000);
      await storage.put('a', bytes);
      const cases = [
        { range: { start: 0, end: 0 }, from: 0, to: 1 },
        { range: { start: 10, end: 19 }, from: 10, to: 20 },
        { range: { start: 100_000, end: 250_000 }, from: 100_000, to: 250_001 },
        { range: { start: 299_999 }, from: 299_999, to: 300_000 },
        { range: { start: 5 }, from: 5, to: 300_000 },
        { range: { suffix: 7 }, from: 299_993, to: 300_000 },
        { range: { suffix: 999_999 }, from: 0, to: 300_000 },
        { range: { start: 299_990, end: 999_999 }, from: 299_990, to: 300_000 },
      ] as const;
      for (const { range, from, to } of cases) {
        const file = await storage.get('a', { range });
        assert.deepEqual(file.range, { start: from, end: to - 1 }, JSON.stringify(range));
        assert.equal(file.info.size, 300_000);
        assert.deepEqual(await file.bytes(), bytes.slice(from, to), JSON.stringify(range));
      }
    },
  },
  {
    id: 'get › a range that starts past the end is refused',
    async run(storage) {
      await storage.put('a', 'hello');
      await refused('invalid-argument', storage.get('a', { range: { start: 5 } }));
      await storage.put('empty', '');
      await refused('invalid-argument', storage.get('empty', { range: { start: 0 } }));
      await refused('invalid-argument', storage.get('empty', { range: { suffix: 1 } }));
    },
  },
  {
    id: 'get › what is no range is refused',
    async run(storage) {
      await storage.put('a', 'hello');
      for (const range of [{}, { start: -1 }, { start: 2, end: 1 }, { start: 0.5 }, { suffix: 0 }, { suffix: -1 }, { start: 0, suffix: 1 }, { end: 3 }]) {
        await refused('invalid-argument', storage.get('a', { range: range as never }), JSON.stringify(range));
      }
    },
  },
  {
    id: 'get › ifMatch and ifNoneMatch are held against the etag',
    async run(storage) {
      const { etag } = await storage.put('a', 'hello');
      assert.equal(await (await storage.get('a', { ifMatch: etag })).text(), 'hello');
      assert.equal(await (await storage.get('a', { ifMatch: `"${etag}"` })).text(), 'hello');
      assert.equal(await (await storage.get('a', { ifNoneMatch: 'other' })).text(), 'hello');
      await refused('failed-precondition', storage.get('a', { ifMatch: 'other' }));
      const error = await refused('failed-precondition', storage.get('a', { ifNoneMatch: etag }));
      assert.equal(error.details['notModified'], true);
    },
  },
  {
    id: 'get › the content can be taken once',
    async run(storage) {
      await storage.put('a', 'hello');
      const file = await storage.get('a');
      await file.text();
      await refused('failed-precondition', file.bytes());
    },
  },
  {
    id: 'get › cancelling what was not taken releases it',
    async run(storage) {
      await storage.put('a', noise(1_000_000));
      const file = await storage.get('a');
      await file.cancel();
      await file.cancel();
      await refused('failed-precondition', file.bytes());
      const reader = (await storage.get('a')).stream().getReader();
      await reader.read();
      await reader.cancel();
      await storage.delete('a');
    },
  },
  {
    id: 'get › bytes that are no UTF-8, or no JSON, are refused as such',
    async run(storage) {
      await storage.put('bad', Uint8Array.from([0xff, 0xfe, 0x41]));
      await refused('data-loss', (await storage.get('bad')).text());
      await storage.put('json', '{"a": [1, 2]}');
      assert.deepEqual(await (await storage.get('json')).json(), { a: [1, 2] });
      await storage.put('json', '{"secret": ');
      const error = await refused('data-loss', (await storage.get('json')).json());
      assert.ok(!error.message.includes('secret'));
    },
  },
  {
    id: 'get › what a reader changes in its bytes does not reach the file',
    async run(storage) {
      await storage.put('a', 'hello');
      (await (await storage.get('a')).bytes()).fill(0);
      assert.equal(await textOf(storage, 'a'), 'hello');
    },
  },
  {
    id: 'get › an abort in the middle of a stream ends it as cancelled',
    async run(storage) {
      await storage.put('a', noise(3_000_000));
      const controller = new AbortController();
      const reader = (await storage.get('a', { signal: controller.signal })).stream().getReader();
      await reader.read();
      controller.abort();
      await refused('cancelled', (async () => { while (!(await reader.read()).done); })());
    },
  },
  {
    id: 'head › the etag changes with the content, and only with it when it is read again',
    async run(storage) {
      const first = await storage.put('a', 'one');
      assert.equal((await storage.head('a')).etag, first.etag);
      const second = await storage.put('a', 'two');
      assert.notEqual(first.etag, second.etag);
      assert.match(second.etag, /^[\w+/=-]+$/, 'no quotes, spaces or commas');
    },
  },
];

const remove: readonly Case[] = [
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
      await storage.put('a', 'x', { metadata: { old: '1' }, cacheControl: 'no-store', contentType: 'text/css' });
      await storage.delete('a');
      const info = await storage.put('a', 'x');
      assert.deepEqual([info.metadata, info.cacheControl, info.contentType], [{}, undefined, 'application/octet-stream']);
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
    id: 'deletePrefix › deletes what starts with it, across pages, and nothing else',
    async run(storage) {
      await Promise.all(Array.from({ length: 1105 }, async (_, index) => await storage.put(`logs/${index}`, 'x')));
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
];

const transfer: readonly Case[] = [
  {
    id: 'copy › copies content and facts, and leaves the source',
    async run(storage) {
      const bytes = noise(200_000);
      const source = await storage.put('a', bytes, { contentType: 'text/css', metadata: { x: '1' }, cacheControl: 'no-store' });
      const copy = await storage.copy('a', 'deep/b');
      assert.deepEqual({ ...copy, lastModified: 0 }, { ...source, key: 'deep/b', lastModified: 0 });
      assert.deepEqual(await (await storage.get('deep/b')).bytes(), bytes);
      assert.deepEqual(await (await storage.get('a')).bytes(), bytes);
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
      const source = await storage.put('a/b', 'hello', { contentType: 'text/css', metadata: { x: '1' } });
      const moved = await storage.move('a/b', 'c/d');
      assert.deepEqual({ ...moved, lastModified: 0 }, { ...source, key: 'c/d', lastModified: 0 });
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
      const results = await Promise.allSettled(Array.from({ length: 8 }, async (_, index) => await storage.move('a', `to/${index}`)));
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal((await keysOf(storage)).length, 1);
    },
    async unsupported(storage) {
      await storage.put('a', 'hello');
      await storage.move('a', 'b');
      assert.deepEqual(await keysOf(storage), ['b'], 'not in one step, but moved all the same');
    },
  },
];

const conditionRefused = async (storage: FileStorage): Promise<void> => {
  await refused('unimplemented', storage.put('a', 'x', { ifNoneMatch: '*' }));
  await refused('unimplemented', storage.put('a', 'x', { ifMatch: 'x' }));
  await refused('unimplemented', storage.delete('a', { ifMatch: 'x' }));
  await refused('unimplemented', storage.copy('a', 'b', { ifNoneMatch: '*' }));
  await refused('unimplemented', storage.move('a', 'b', { ifNoneMatch: '*' }));
};

const conditions: readonly Case[] = [
  {
    id: "conditions › ifNoneMatch '*' writes only where nothing is",
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('a', 'first', { ifNoneMatch: '*' });
      const error = await refused('already-exists', storage.put('a', 'second', { ifNoneMatch: '*' }));
      assert.equal(error.outcome, 'not-applied');
      assert.equal(await textOf(storage, 'a'), 'first');
      await storage.delete('a');
      await storage.put('a', 'third', { ifNoneMatch: '*' });
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › ifMatch writes only over the version it names',
    requires: ['conditionalWrites'],
    async run(storage) {
      const first = await storage.put('a', 'first');
      const second = await storage.put('a', 'second', { ifMatch: first.etag });
      await refused('failed-precondition', storage.put('a', 'third', { ifMatch: first.etag }));
      assert.equal(await textOf(storage, 'a'), 'second');
      await storage.put('a', 'third', { ifMatch: `"${second.etag}"` });
      await refused('failed-precondition', storage.put('nope', 'x', { ifMatch: second.etag }));
      assert.equal(await storage.exists('nope'), false);
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › ifMatch deletes only the version it names',
    requires: ['conditionalWrites'],
    async run(storage) {
      const { etag } = await storage.put('a', 'first');
      await refused('failed-precondition', storage.delete('a', { ifMatch: 'other' }));
      await storage.delete('a', { ifMatch: etag });
      await refused('failed-precondition', storage.delete('a', { ifMatch: etag }));
    },
    unsupported: conditionRefused,
  },
  {
    id: "conditions › copy and move with ifNoneMatch '*' leave a target that is there, and the source",
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('a', 'new', { metadata: { x: '1' } });
      await storage.put('b', 'old');
      await refused('already-exists', storage.copy('a', 'b', { ifNoneMatch: '*' }));
      await refused('already-exists', storage.move('a', 'b', { ifNoneMatch: '*' }));
      assert.equal(await textOf(storage, 'b'), 'old');
      assert.deepEqual((await storage.head('a')).metadata, { x: '1' });
      await storage.move('a', 'c', { ifNoneMatch: '*' });
      assert.deepEqual(await keysOf(storage), ['b', 'c']);
      assert.deepEqual((await storage.head('c')).metadata, { x: '1' });
    },
    unsupported: conditionRefused,
  },
  {
    id: "conditions › of many writers with ifNoneMatch '*' one wins",
    requires: ['conditionalWrites'],
    async run(storage) {
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, async (_, index) => await storage.put('a', chunksOf(noise(5000, index + 1), 999), { ifNoneMatch: '*' })),
      );
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
      assert.equal(winners.length, 1);
      assert.deepEqual(await (await storage.get('a')).bytes(), noise(5000, winners[0]! + 1));
      for (const result of results) if (result.status === 'rejected') assert.equal((result.reason as InfrastructureError).code, 'already-exists');
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › of many writers with one ifMatch one wins',
    requires: ['conditionalWrites'],
    async run(storage) {
      const { etag } = await storage.put('a', 'start');
      const results = await Promise.allSettled(Array.from({ length: 16 }, async (_, index) => await storage.put('a', `writer ${index}`, { ifMatch: etag })));
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
      assert.equal(winners.length, 1);
      assert.equal(await textOf(storage, 'a'), `writer ${winners[0]}`);
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › a counter that is kept by ifMatch loses no step',
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('n', '0');
      const step = async (): Promise<void> => {
        for (;;) {
          const file = await storage.get('n');
          const next = String(Number(await file.text()) + 1);
          try {
            await storage.put('n', next, { ifMatch: file.info.etag });
            return;
          } catch (error) {
            if (!InfrastructureError.is(error, 'failed-precondition')) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: 4 }, async () => { for (let index = 0; index < 5; index += 1) await step(); }));
      assert.equal(await textOf(storage, 'n'), '20');
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › both at once are refused',
    requires: ['conditionalWrites'],
    async run(storage) {
      await refused('invalid-argument', storage.put('a', 'x', { ifMatch: 'x', ifNoneMatch: '*' }));
    },
    unsupported: conditionRefused,
  },
];

const list: readonly Case[] = [
  {
    id: 'list › gives keys in the order of their UTF-8 bytes',
    async run(storage) {
      const keys = ['a', 'a-b', 'a.b', 'a0', 'b/1', 'b/10', 'b/2', 'b0', 'B', 'é', 'z', '\uff5e', '😀'];
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
      const keys = Array.from({ length: 23 }, (_, index) => (index % 3 === 0 ? `d${index % 2}/k${index}` : `k${index}`));
      await Promise.all(keys.map(async (key) => await storage.put(key, 'x')));
      const expected = keys.toSorted();
      for (const limit of [1, 2, 7, 22, 23, 24]) {
        const seen: string[] = [];
        for (let after: string | undefined; ; ) {
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
      assert.deepEqual([below.files.map(({ key }) => key), below.prefixes], [['a/1', 'a/2'], ['a/b/']]);
    },
  },
  {
    id: 'list › pages with a delimiter neither skip nor repeat',
    async run(storage) {
      for (const key of ['a/1', 'a/2', 'b', 'c/1', 'c/2', 'd', 'e/1']) await storage.put(key, 'x');
      for (const limit of [1, 2, 3]) {
        const seen: string[] = [];
        for (let after: string | undefined; ; ) {
          const page = await storage.list({ delimiter: '/', limit, ...(after === undefined ? {} : { after }) });
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
      for (const limit of [0, -1, 1001, 1.5, Number.NaN]) await refused('invalid-argument', storage.list({ limit }), String(limit));
    },
  },
];

const keys: readonly Case[] = [
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
      assert.deepEqual((await keysOf(storage)).toSorted(), [...oddKeys].toSorted());
    },
  },
  {
    id: 'keys › a key may be the folder of another',
    requires: ['nestedKeys'],
    async run(storage) {
      await storage.put('a', 'file');
      await storage.put('a/b', 'below');
      assert.deepEqual([await textOf(storage, 'a'), await textOf(storage, 'a/b')], ['file', 'below']);
      assert.deepEqual(await keysOf(storage), ['a', 'a/b']);
    },
    async unsupported(storage) {
      await storage.put('a', 'file');
      await refused('unimplemented', storage.put('a/b', 'x'));
      await refused('unimplemented', storage.put('a/b', 'x', { ifNoneMatch: '*' }));
      await storage.put('c/d', 'below');
      await refused('unimplemented', storage.put('c', 'x'));
      await refused('unimplemented', storage.move('a', 'c'));
      assert.deepEqual([await textOf(storage, 'a'), await textOf(storage, 'c/d')], ['file', 'below']);
    },
  },
];

const life: readonly Case[] = [
  {
    id: 'close › twice is once, and later calls are refused',
    async run(storage) {
      await storage.put('a', 'x');
      await storage.close();
      await storage.close();
      await refused('failed-precondition', storage.get('a'));
      await refused('failed-precondition', storage.put('b', 'x'));
      assert.equal((await storage.checkHealth()).status, 'down');
    },
  },
  {
    id: 'start › twice is once, and health is ok after it',
    async run(storage) {
      await storage.start();
      await storage.start();
      assert.deepEqual(await storage.checkHealth(), { status: 'ok' });
    },
  },
  {
    id: 'errors › say component, adapter, operation and key',
    async run(storage) {
      const error = await refused('not-found', storage.get('some/key'));
      assert.deepEqual([error.component, error.adapter, error.operation], ['storage', storage.adapter, 'get']);
      assert.ok(error.message.includes('some/key'), error.message);
      assert.deepEqual([error.retryable, error.outcome], [false, 'not-applied']);
    },
  },
];

/** The rules of the storage port. Each adapter is held to all of them. */
export const storageConformance: ConformanceSuite<FileStorage, keyof StorageCapabilities & string> = {
  port: 'storage',
  cases: [...put, ...types, ...get, ...remove, ...transfer, ...conditions, ...list, ...keys, ...life],
};
