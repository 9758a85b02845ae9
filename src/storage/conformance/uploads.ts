import assert from 'node:assert/strict';

import type { FileStorage } from '../storage.ts';
import {
  bytesOf,
  type Case,
  chunksOf,
  failingAfter,
  keysOf,
  noise,
  refused,
  requiring,
  sameBytes,
  sha256Of,
  textOf,
} from './support.ts';

// The least that every storage takes for a part that is not the last.
const partSize = 5 * 2 ** 20;
// One for all cases: making it takes longer than most of them.
const full = noise(partSize);

const uploadRefused = async (storage: FileStorage): Promise<void> => {
  if (!storage.capabilities.resumableUploads) {
    await refused('unimplemented', storage.createUpload('a'));
    assert.throws(() => storage.resumeUpload('x'), { code: 'unimplemented' });
  } else await refused('unimplemented', storage.createUpload('a', { ifNoneMatch: '*' }));
};

/** What `createUpload`, `resumeUpload` and the upload itself promise. */
export const uploadsCases: readonly Case[] = requiring('resumableUploads', uploadRefused, [
  {
    id: 'uploads › parts that arrive in any order make the file, with its facts',
    async run(storage) {
      const upload = await storage.createUpload('films/cat.mp4', {
        partSize,
        metadata: { owner: 'ann' },
        cacheControl: 'no-store',
      });
      await upload.putPart(2, 'the end');
      await upload.putPart(1, full);
      const info = await upload.complete();
      assert.deepEqual([info.key, info.size], ['films/cat.mp4', partSize + 7]);
      const file = await storage.get('films/cat.mp4');
      assert.deepEqual(
        [file.info.contentType, file.info.metadata, file.info.cacheControl, file.info.etag],
        ['video/mp4', { owner: 'ann' }, 'no-store', info.etag],
      );
      sameBytes(await file.bytes(), Buffer.concat([full, bytesOf('the end')]));
    },
  },
  {
    id: 'uploads › nothing is at the key before the end, and then it is replaced at once',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, 'new');
      assert.equal(await storage.exists('a'), false);
      assert.deepEqual(await keysOf(storage), []);
      await storage.put('a', 'old', { metadata: { old: '1' } });
      assert.equal(await textOf(storage, 'a'), 'old');
      await upload.complete();
      assert.equal(await textOf(storage, 'a'), 'new');
      assert.deepEqual((await storage.head('a')).metadata, {});
    },
  },
  {
    id: 'uploads › whoever has the token goes on with it',
    async run(storage) {
      const { token } = await storage.createUpload('a', { partSize, contentType: 'text/css' });
      const first = storage.resumeUpload(token);
      assert.deepEqual([first.key, first.partSize, first.token], ['a', partSize, token]);
      await first.putPart(1, full);
      const second = storage.resumeUpload(token);
      assert.deepEqual(await second.parts(), [{ number: 1, size: partSize }]);
      await second.putPart(2, 'b');
      await storage.resumeUpload(token).complete();
      assert.equal((await storage.head('a')).contentType, 'text/css');
      assert.equal((await storage.head('a')).size, partSize + 1);
    },
  },
  {
    id: 'uploads › parts tells what has arrived, in the order of the numbers',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      assert.deepEqual(await upload.parts(), []);
      assert.deepEqual(await upload.putPart(3, 'ccc'), { number: 3, size: 3 });
      await upload.putPart(1, full);
      assert.deepEqual(await upload.parts(), [
        { number: 1, size: partSize },
        { number: 3, size: 3 },
      ]);
      await upload.abort();
    },
  },
  {
    id: 'uploads › a part that is put again is replaced',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, 'first');
      await upload.putPart(1, 'second');
      assert.deepEqual(await upload.parts(), [{ number: 1, size: 6 }]);
      await upload.complete();
      assert.equal(await textOf(storage, 'a'), 'second');
    },
  },
  {
    id: 'uploads › two of one key do not mix',
    async run(storage) {
      const [one, two] = [
        await storage.createUpload('a', { partSize }),
        await storage.createUpload('a', { partSize }),
      ];
      await one.putPart(1, 'one');
      await two.putPart(1, 'two');
      await two.complete();
      assert.equal(await textOf(storage, 'a'), 'two');
      await one.complete();
      assert.equal(await textOf(storage, 'a'), 'one');
    },
  },
  {
    id: 'uploads › a gap or a short part is refused, and the upload goes on',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      const none = await refused('failed-precondition', upload.complete());
      assert.equal(none.outcome, 'not-applied');
      await upload.putPart(2, 'end');
      const gap = await refused('failed-precondition', upload.complete());
      assert.match(gap.message, /part 1 is missing/);
      await upload.putPart(1, 'short');
      const short = await refused('failed-precondition', upload.complete());
      assert.match(short.message, /part 1 has 5 of/);
      assert.equal(await storage.exists('a'), false);
      await upload.putPart(1, full);
      assert.equal((await upload.complete()).size, partSize + 3);
    },
  },
  {
    id: 'uploads › a part that is too long, or of no such number, is refused',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      const tooLong = Buffer.concat([full, bytesOf('x')]);
      await refused('invalid-argument', upload.putPart(1, tooLong));
      for (const number of [0, -1, 1.5, 10_001, Number.NaN])
        await refused('invalid-argument', upload.putPart(number, 'x'), String(number));
      assert.deepEqual(await upload.parts(), []);
      await upload.abort();
    },
  },
  {
    id: 'uploads › a part with another checksum, or whose stream fails, is not kept',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      await refused('data-loss', upload.putPart(1, 'hello', { sha256: sha256Of('other') }));
      await refused('aborted', upload.putPart(1, failingAfter(bytesOf('x'), new Error('broken'))));
      assert.deepEqual(await upload.parts(), []);
      await upload.putPart(1, 'hello', { sha256: sha256Of('hello').toUpperCase() });
      await upload.complete();
      assert.equal(await textOf(storage, 'a'), 'hello');
    },
  },
  {
    id: 'uploads › content with another checksum than was declared for the whole is never read as sound',
    async run(storage) {
      const good = await storage.createUpload('good', { partSize, sha256: sha256Of('hello') });
      await good.putPart(1, 'hello');
      assert.equal((await good.complete()).sha256, sha256Of('hello'));
      assert.equal(await textOf(storage, 'good'), 'hello');
      const bad = await storage.createUpload('bad', { partSize, sha256: sha256Of('other') });
      await bad.putPart(1, 'hello');
      await refused(
        'data-loss',
        bad.complete().then(async () => await textOf(storage, 'bad')),
      );
    },
  },
  {
    id: 'uploads › an empty part alone makes an empty file',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, '');
      assert.equal((await upload.complete()).size, 0);
      assert.equal(await textOf(storage, 'a'), '');
    },
  },
  {
    id: 'uploads › what was aborted is gone, and aborting again is no error',
    async run(storage) {
      await storage.put('a', 'old');
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, 'new');
      await upload.abort();
      await upload.abort();
      await refused('not-found', upload.putPart(1, 'new'));
      await refused('not-found', upload.parts());
      await refused('not-found', upload.complete());
      assert.equal(await textOf(storage, 'a'), 'old');
    },
  },
  {
    id: 'uploads › what was completed is over',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, 'x');
      await upload.complete();
      await refused('not-found', upload.complete());
      await upload.abort();
      assert.equal(await textOf(storage, 'a'), 'x');
    },
  },
  {
    id: "uploads › ifNoneMatch '*' is checked at the end, and of racing uploads one wins",
    requires: ['conditionalWrites'],
    async run(storage) {
      const uploads = await Promise.all(
        ['one', 'two', 'three'].map(async (text) => {
          const upload = await storage.createUpload('a', { partSize, ifNoneMatch: '*' });
          await upload.putPart(1, text);
          return { upload, text };
        }),
      );
      const ends = await Promise.allSettled(
        uploads.map(async ({ upload, text }) => {
          await upload.complete();
          return text;
        }),
      );
      const winners = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
      assert.equal(winners.length, 1);
      assert.equal(await textOf(storage, 'a'), winners[0]);
      for (const end of ends)
        if (end.status === 'rejected')
          assert.equal((end.reason as { code: unknown }).code, 'already-exists');
    },
  },
  {
    id: 'uploads › ifMatch completes only over the version it names, parts and all',
    requires: ['conditionalWrites'],
    async run(storage) {
      const { etag } = await storage.put('a', 'first');
      const [late, good] = [
        await storage.createUpload('a', { partSize, ifMatch: etag }),
        await storage.createUpload('a', { partSize, ifMatch: `"${etag}"` }),
      ];
      for (const upload of [late, good]) {
        await upload.putPart(1, full);
        await upload.putPart(2, 'x');
      }
      assert.equal((await good.complete()).size, partSize + 1);
      await refused('failed-precondition', late.complete());
      assert.equal((await storage.head('a')).size, partSize + 1);
    },
  },
  {
    id: 'uploads › options that some storage could not hold are refused at the start',
    async run(storage) {
      const bad: readonly Parameters<FileStorage['createUpload']>[1][] = [
        { partSize: 5 * 2 ** 20 - 1 },
        { partSize: '6GiB' },
        { contentType: 'text' },
        { metadata: { Upper: 'x' } },
        { cacheControl: 'a\r\nb: c' },
        { sha256: 'abc' },
      ];
      for (const options of bad)
        await refused(
          'invalid-argument',
          storage.createUpload('a', options),
          JSON.stringify(options),
        );
      await refused('invalid-argument', storage.createUpload('../a'));
    },
  },
  {
    id: 'uploads › a token that was not given here is refused',
    async run(storage) {
      const { token } = await storage.createUpload('a', { partSize });
      const facts = JSON.parse(Buffer.from(token, 'base64url').toString()) as object;
      const changed = (change: object): string =>
        Buffer.from(JSON.stringify({ ...facts, ...change })).toString('base64url');
      for (const bad of [
        '',
        'x',
        token.slice(0, -5),
        changed({ adapter: 'other' }),
        changed({ version: 2 }),
        changed({ key: '../a' }),
        changed({ partSize: 1 }),
        changed({ state: null }),
      ])
        assert.throws(() => storage.resumeUpload(bad), { code: 'invalid-argument' }, bad);
      await refused('invalid-argument', storage.resumeUpload(changed({ state: {} })).parts());
      await refused('not-found', storage.resumeUpload(changed({ key: 'b' })).parts());
      await storage.resumeUpload(token).abort();
    },
  },
  {
    id: 'uploads › parts that arrive at the same time make the file in their order',
    async run(storage) {
      const other = noise(partSize, 2);
      const upload = await storage.createUpload('a', { partSize });
      await Promise.all([
        upload.putPart(3, 'the end'),
        upload.putPart(1, full),
        storage.resumeUpload(upload.token).putPart(2, other),
      ]);
      await upload.complete();
      sameBytes(
        await (await storage.get('a')).bytes(),
        Buffer.concat([full, other, bytesOf('the end')]),
      );
    },
  },
  {
    id: 'uploads › of one part that is put many times at once one stays, whole',
    async run(storage) {
      const contents = Array.from({ length: 5 }, (_, index) => noise(50_000 + index, index + 1));
      const upload = await storage.createUpload('a', { partSize });
      await Promise.all(contents.map(async (bytes) => await upload.putPart(1, bytes)));
      assert.equal((await upload.parts()).length, 1);
      const { size } = await upload.complete();
      sameBytes(await (await storage.get('a')).bytes(), contents[size - 50_000]);
    },
  },
  {
    id: 'uploads › complete, head, get and list say the same of the file',
    async run(storage) {
      const upload = await storage.createUpload('a', { partSize, metadata: { x: '1' } });
      await upload.putPart(1, full);
      await upload.putPart(2, 'x');
      const info = await upload.complete();
      const head = await storage.head('a');
      assert.deepEqual({ ...info, lastModified: 0 }, { ...head, lastModified: 0 });
      const file = await storage.get('a');
      await file.cancel();
      assert.deepEqual(file.info, head);
      const { files } = await storage.list();
      assert.deepEqual(
        files.map(({ key, size }) => [key, size]),
        [['a', partSize + 1]],
      );
    },
  },
  {
    id: 'uploads › what has arrived is no file to list, deletePrefix or copy, and outlives them',
    async run(storage) {
      await storage.put('a/1', 'x');
      const upload = await storage.createUpload('a/b', { partSize });
      await upload.putPart(1, 'part');
      assert.deepEqual((await storage.list({ delimiter: '/' })).prefixes, ['a/']);
      assert.deepEqual(await keysOf(storage, 'a/'), ['a/1']);
      await refused('not-found', storage.copy('a/b', 'c'));
      assert.equal(await storage.deletePrefix('a'), 1);
      await storage.delete('a/b');
      assert.deepEqual(await keysOf(storage), []);
      await upload.complete();
      assert.equal(await textOf(storage, 'a/b'), 'part');
    },
  },
  {
    id: 'uploads › a part may be any kind of body',
    async run(storage) {
      for (const body of [
        new Blob(['content']),
        new Blob(['content']).stream(),
        chunksOf(bytesOf('content'), 2),
        bytesOf('xxcontentxx').subarray(2, 9),
      ]) {
        const upload = await storage.createUpload('a', { partSize });
        assert.deepEqual(await upload.putPart(1, body), { number: 1, size: 7 });
        await upload.complete();
        assert.equal(await textOf(storage, 'a'), 'content');
      }
    },
  },
  {
    id: 'uploads › aborting one leaves another of the same key',
    async run(storage) {
      const [one, two] = [
        await storage.createUpload('a', { partSize }),
        await storage.createUpload('a', { partSize }),
      ];
      await one.putPart(1, 'one');
      await two.putPart(1, 'two');
      await one.abort();
      assert.deepEqual(await two.parts(), [{ number: 1, size: 3 }]);
      await two.complete();
      assert.equal(await textOf(storage, 'a'), 'two');
    },
  },
  {
    id: 'uploads › an aborted signal keeps no part, completes nothing, and leaves the upload',
    async run(storage) {
      const options = { signal: AbortSignal.abort() };
      await refused('cancelled', storage.createUpload('a', { partSize, ...options }));
      const upload = await storage.createUpload('a', { partSize });
      await refused('cancelled', upload.putPart(1, 'x', options));
      await refused('cancelled', upload.abort(options));
      assert.deepEqual(await upload.parts(), []);
      await upload.putPart(1, 'x');
      await refused('cancelled', upload.complete(options));
      assert.equal(await storage.exists('a'), false);
      await upload.complete();
    },
  },
  {
    id: "uploads › the caller's bytes can change once a part is kept",
    async run(storage) {
      const bytes = bytesOf('before');
      const upload = await storage.createUpload('a', { partSize });
      await upload.putPart(1, bytes);
      bytes.fill(0);
      await upload.complete();
      assert.equal(await textOf(storage, 'a'), 'before');
    },
  },
]);
