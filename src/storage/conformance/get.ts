import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

import {
  bytesOf,
  type Case,
  chunksOf,
  large,
  noise,
  refused,
  sha256Of,
  textOf,
  sameBytes,
} from './support.ts';

/** What `get`, `head` and `exists` promise. */
export const getCases: readonly Case[] = [
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
      sameBytes(await file.bytes(), before);
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
        sameBytes(await file.bytes(), bytes.slice(from, to), JSON.stringify(range));
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
      for (const range of [
        {},
        { start: -1 },
        { start: 2, end: 1 },
        { start: 0.5 },
        { suffix: 0 },
        { suffix: -1 },
        { start: 0, suffix: 1 },
        { end: 3 },
      ]) {
        await refused(
          'invalid-argument',
          storage.get('a', { range: range as never }),
          JSON.stringify(range),
        );
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
      await (await storage.get('a')).stream().cancel();
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
      await refused(
        'cancelled',
        (async () => {
          while (!(await reader.read()).done);
        })(),
      );
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
  {
    id: 'get › ifNoneMatch gives what has replaced the version it names, and ifMatch no longer does',
    async run(storage) {
      const first = await storage.put('a', 'first');
      const second = await storage.put('a', 'second');
      await refused('failed-precondition', storage.get('a', { ifMatch: first.etag }));
      await refused('failed-precondition', storage.get('a', { ifNoneMatch: `"${second.etag}"` }));
      const file = await storage.get('a', { ifNoneMatch: `"${first.etag}"` });
      assert.deepEqual([await file.text(), file.info.etag], ['second', second.etag]);
    },
  },
  {
    id: 'get › a range under ifMatch is of the version it names, or of none',
    async run(storage) {
      const { etag } = await storage.put('a', 'hello world');
      const options = { ifMatch: etag, range: { start: 6, end: 8 } };
      assert.equal(await (await storage.get('a', options)).text(), 'wor');
      await storage.put('a', 'other words');
      await refused('failed-precondition', storage.get('a', options));
    },
  },
  {
    id: 'get › ranges one after another make a large streamed file again',
    async run(storage) {
      const bytes = noise(2 * large + 12_345);
      await storage.put('a', chunksOf(bytes, 1_000_003));
      // None of these sizes divides that of a part of an upload.
      const step = 3_333_337;
      for (let start = 0; start < bytes.byteLength; start += step) {
        const file = await storage.get('a', { range: { start, end: start + step - 1 } });
        sameBytes(await file.bytes(), bytes.subarray(start, start + step), `from ${start}`);
      }
    },
  },
  {
    id: 'get › a range comes by stream as it comes by bytes',
    async run(storage) {
      const bytes = noise(1_000_000);
      await storage.put('a', bytes);
      const file = await storage.get('a', { range: { start: 123_456, end: 900_000 } });
      sameBytes(
        Buffer.concat(await Array.fromAsync(file.stream())),
        bytes.subarray(123_456, 900_001),
      );
    },
  },
  {
    id: 'get › more streams left half read than there are connections leave the storage at work',
    async run(storage) {
      const bytes = noise(1_000_000);
      await storage.put('a', bytes);
      for (let index = 0; index < 70; index += 1) {
        const reader = (await storage.get('a')).stream().getReader();
        await reader.read();
        await reader.cancel();
      }
      sameBytes(await (await storage.get('a')).bytes(), bytes);
      await storage.put('a', 'still');
      assert.equal(await textOf(storage, 'a'), 'still');
    },
  },
  {
    id: 'get › streams of one file that are read in turns do not disturb each other',
    async run(storage) {
      const bytes = noise(700_000);
      await storage.put('a', bytes);
      const streams = await Promise.all(
        Array.from({ length: 4 }, async () => (await storage.get('a')).stream().getReader()),
      );
      const contents: Uint8Array[][] = streams.map(() => []);
      for (let open = streams.length; open > 0;) {
        open = 0;
        for (const [index, reader] of streams.entries()) {
          const { done, value } = await reader.read();
          if (done) continue;
          open += 1;
          contents[index]?.push(value);
        }
      }
      for (const chunks of contents) sameBytes(Buffer.concat(chunks), bytes);
    },
  },
  {
    id: 'get › while a file is replaced each read is of one version whole, with its facts',
    async run(storage) {
      const versions = [noise(150_000, 1), noise(90_000, 2)];
      const put = async (version: number): Promise<void> => {
        await storage.put('a', versions[version] ?? '', {
          metadata: { version: String(version) },
        });
      };
      await put(0);
      const writing = (async () => {
        for (let index = 1; index <= 12; index += 1) await put(index % 2);
      })();
      const reading = Array.from({ length: 3 }, async () => {
        for (let index = 0; index < 12; index += 1) {
          const file = await storage.get('a');
          const bytes = await file.bytes();
          sameBytes(bytes, versions[Number(file.info.metadata['version'])]);
          assert.equal(file.info.size, bytes.byteLength);
        }
      });
      await Promise.all([writing, ...reading]);
    },
  },
  {
    id: 'get › an aborted signal reads nothing, by any method',
    async run(storage) {
      await storage.put('a', 'x');
      const options = { signal: AbortSignal.abort() };
      await refused('cancelled', storage.get('a', options), 'get');
      await refused('cancelled', storage.head('a', options), 'head');
      await refused('cancelled', storage.exists('a', options), 'exists');
      await refused('cancelled', storage.list(options), 'list');
      await refused('cancelled', Array.fromAsync(storage.listAll(options)), 'listAll');
    },
  },
  {
    id: 'get › gzip, line ends, NULs and a byte order mark are given back as they are',
    async run(storage) {
      const contents = {
        'packed.gz': gzipSync('hello'),
        'page.html': gzipSync('<p>hello</p>'),
        'lines.txt': bytesOf('a\r\nb\rc\n\n'),
        'zeros.txt': Uint8Array.from([0, 65, 0, 26, 0]),
        'mark.txt': Uint8Array.from([0xef, 0xbb, 0xbf, 65]),
        every: Uint8Array.from({ length: 256 }, (_, index) => index),
      };
      for (const [key, bytes] of Object.entries(contents)) {
        assert.equal((await storage.put(key, bytes)).size, bytes.byteLength, key);
        sameBytes(await (await storage.get(key)).bytes(), bytes, key);
      }
    },
  },
  {
    id: 'get › an empty file is an empty stream and an empty text, and no JSON',
    async run(storage) {
      await storage.put('a', '');
      assert.deepEqual(await Array.fromAsync((await storage.get('a')).stream()), []);
      assert.equal(await textOf(storage, 'a'), '');
      await refused('data-loss', (await storage.get('a')).json());
    },
  },
  {
    id: 'head › says the same of a file as get, whole or by a range',
    async run(storage) {
      await storage.put('a', chunksOf(noise(100_000), 9999), {
        contentType: 'text/css',
        cacheControl: 'no-store',
        metadata: { x: '1' },
      });
      const head = await storage.head('a');
      for (const options of [{}, { range: { start: 5, end: 9 } }]) {
        const file = await storage.get('a', options);
        await file.cancel();
        assert.deepEqual(file.info, head);
      }
    },
  },
  {
    id: 'head › the time of a change does not go back when the file is replaced or copied over',
    async run(storage) {
      let last = 0;
      await storage.put('old', 'x');
      for (const change of [
        async () => await storage.put('a', 'one'),
        async () => await storage.put('a', 'two'),
        async () => await storage.copy('old', 'a'),
      ]) {
        await change();
        const time = (await storage.head('a')).lastModified.getTime();
        assert.ok(time >= last, `${time} after ${last}`);
        last = time;
      }
    },
  },
];
