import assert from 'node:assert/strict';

import type { FileStorage } from '../storage.ts';
import {
  type Case,
  noise,
  refused,
  requiring,
  sameBytes,
  send,
  sendUpload,
  sha256Of,
  textOf,
} from './support.ts';

const csv = { expiresIn: '5m', maxSize: 100, contentType: 'text/csv' } as const;

const urlRefused = async (storage: FileStorage): Promise<void> => {
  await refused('unimplemented', storage.signedUrl('a', { expiresIn: '5m' }));
};

const uploadRefused = async (storage: FileStorage): Promise<void> => {
  // Without signedUploads, or without signedChecksums alone.
  const sha256 = sha256Of('x');
  await refused('unimplemented', storage.signedUpload('a', { ...csv, sha256 }));
  if (!storage.capabilities.signedUploads)
    await refused('unimplemented', storage.signedUpload('a', csv));
};

const urlCases = requiring('signedUrls', urlRefused, [
  {
    id: 'signed URL › reads the file without credentials, with its type and cache control',
    async run(storage) {
      const bytes = noise(100_000);
      await storage.put('a.bin', bytes, { contentType: 'image/png', cacheControl: 'max-age=60' });
      const response = await send(storage, await storage.signedUrl('a.bin', { expiresIn: '5m' }));
      assert.equal(response.status, 200);
      assert.deepEqual(
        ['content-type', 'cache-control', 'content-length'].map((name) =>
          response.headers.get(name),
        ),
        ['image/png', 'max-age=60', '100000'],
      );
      sameBytes(new Uint8Array(await response.arrayBuffer()), bytes);
    },
  },
  {
    id: 'signed URL › leads to any key that is allowed',
    async run(storage) {
      for (const key of ['a b/c+d%20e&f=g#h', 'größe/猫 🐈.txt', "it's(1)!~;,@$[].x"]) {
        await storage.put(key, key);
        const response = await send(storage, await storage.signedUrl(key, { expiresIn: '5m' }));
        assert.equal(await response.text(), key);
      }
    },
  },
  {
    id: 'signed URL › answers a range',
    async run(storage) {
      await storage.put('a', 'hello world');
      const url = await storage.signedUrl('a', { expiresIn: '5m' });
      const response = await send(storage, url, { headers: { range: 'bytes=6-8' } });
      assert.deepEqual(
        [response.status, response.headers.get('content-range'), await response.text()],
        [206, 'bytes 6-8/11', 'wor'],
      );
    },
  },
  {
    id: 'signed URL › carries the disposition and the type that were signed',
    async run(storage) {
      await storage.put('a', 'x', { contentType: 'text/plain' });
      const contentDisposition = 'attachment; filename="report & more.csv"';
      const url = await storage.signedUrl('a', {
        expiresIn: '5m',
        contentDisposition,
        contentType: 'text/csv; charset=utf-8',
      });
      const response = await send(storage, url);
      assert.deepEqual(
        [
          response.headers.get('content-disposition'),
          response.headers.get('content-type'),
          await response.text(),
        ],
        [contentDisposition, 'text/csv; charset=utf-8', 'x'],
      );
    },
  },
  {
    id: 'signed URL › one that was changed, or is used for another method, is refused',
    async run(storage) {
      await storage.put('a', 'secret');
      await storage.put('b', 'other');
      const url = new URL(await storage.signedUrl('a', { expiresIn: '5m' }));
      const other = new URL(url);
      other.pathname = other.pathname.replace(/a$/, 'b');
      const unsigned = new URL(url);
      unsigned.search = '';
      for (const changed of [other, unsigned]) {
        const response = await send(storage, changed.href);
        assert.equal(response.status, 403, changed.href);
        assert.doesNotMatch(await response.text(), /^(?:other|secret)$/);
      }
      for (const method of ['PUT', 'DELETE']) {
        const init = { method, ...(method === 'PUT' && { body: 'changed' }) };
        const { status } = await send(storage, url.href, init);
        assert.ok(status >= 400 && status < 500, `${method} answered ${status}`);
      }
      assert.equal(await textOf(storage, 'a'), 'secret');
    },
  },
  {
    id: 'signed URL › a file that is not there is 404',
    async run(storage) {
      const response = await send(storage, await storage.signedUrl('nope', { expiresIn: '5m' }));
      await response.body?.cancel();
      assert.equal(response.status, 404);
    },
  },
  {
    id: 'signed URL › options that could not be kept are refused',
    async run(storage) {
      for (const options of [
        { expiresIn: 999 },
        { expiresIn: '8d' },
        { expiresIn: '5m', contentDisposition: 'a\r\nb: c' },
        { expiresIn: '5m', contentDisposition: 'größe' },
        { expiresIn: '5m', contentType: 'text' },
      ] as const)
        await refused('invalid-argument', storage.signedUrl('a', options), JSON.stringify(options));
      await refused('invalid-argument', storage.signedUrl('../a', { expiresIn: '5m' }));
    },
  },
  {
    id: 'signed URL › answers 304 to whoever has this version, and the new one once it is replaced',
    async run(storage) {
      await storage.put('a', 'first');
      const url = await storage.signedUrl('a', { expiresIn: '5m' });
      const etag = (await send(storage, url)).headers.get('etag') ?? assert.fail('no etag');
      const headers = { 'if-none-match': etag };
      const same = await send(storage, url, { headers });
      assert.deepEqual([same.status, await same.text()], [304, '']);
      await storage.put('a', 'second');
      const changed = await send(storage, url, { headers });
      assert.deepEqual([changed.status, await changed.text()], [200, 'second']);
    },
  },
]);

const uploadCases = requiring('signedUploads', uploadRefused, [
  {
    id: 'signed upload › stores what is sent, with the type that was signed',
    async run(storage) {
      const upload = await storage.signedUpload('in/größe 1.csv', csv);
      const { status } = await sendUpload(storage, upload, 'a,b\n');
      assert.ok(status >= 200 && status < 300, `answered ${status}`);
      const file = await storage.get('in/größe 1.csv');
      assert.deepEqual([file.info.contentType, await file.text()], ['text/csv', 'a,b\n']);
    },
  },
  {
    id: 'signed upload › of the largest size is stored, and of one byte more refused',
    async run(storage) {
      const { status } = await sendUpload(
        storage,
        await storage.signedUpload('a', csv),
        'x'.repeat(100),
      );
      assert.ok(status >= 200 && status < 300, `answered ${status}`);
      const more = await sendUpload(storage, await storage.signedUpload('b', csv), 'x'.repeat(101));
      assert.ok(more.status >= 400 && more.status < 500, `answered ${more.status}`);
      assert.equal(await storage.exists('b'), false);
    },
  },
  {
    id: 'signed upload › of another type or to another key is refused',
    async run(storage) {
      const upload = await storage.signedUpload('a', csv);
      const asPage = JSON.parse(
        JSON.stringify(upload).replaceAll('text/csv', 'text/html'),
      ) as typeof upload;
      const elsewhere =
        upload.method === 'PUT'
          ? { ...upload, url: upload.url.replace(/\/a(?=[/?])/, '/b') }
          : { ...upload, fields: { ...upload.fields, key: 'b' } };
      for (const changed of [asPage, elsewhere]) {
        const { status } = await sendUpload(storage, changed, 'x');
        assert.ok(status >= 400 && status < 500, `answered ${status}`);
      }
      assert.equal(await storage.exists('a'), false);
      assert.equal(await storage.exists('b'), false);
    },
  },
  {
    id: 'signed upload › of another content than the checksum that was signed is refused',
    requires: ['signedChecksums'],
    async run(storage) {
      const sha256 = sha256Of('right');
      const wrong = await sendUpload(
        storage,
        await storage.signedUpload('a', { ...csv, sha256 }),
        'wrong',
      );
      assert.ok(wrong.status >= 400 && wrong.status < 500, `answered ${wrong.status}`);
      assert.equal(await storage.exists('a'), false);
      const right = await sendUpload(
        storage,
        await storage.signedUpload('a', { ...csv, sha256: sha256.toUpperCase() }),
        'right',
      );
      assert.ok(right.status >= 200 && right.status < 300, `answered ${right.status}`);
      assert.equal(await textOf(storage, 'a'), 'right');
    },
  },
  {
    id: 'signed upload › options that could not be kept are refused',
    async run(storage) {
      for (const change of [
        { expiresIn: 1 },
        { expiresIn: '8d' },
        { contentType: 'text' },
      ] as const)
        await refused(
          'invalid-argument',
          storage.signedUpload('a', { ...csv, ...change }),
          JSON.stringify(change),
        );
      await refused('invalid-argument', storage.signedUpload('/a', csv));
    },
  },
  {
    id: 'signed upload › replaces a file with all its facts',
    async run(storage) {
      await storage.put('a', 'old', { metadata: { x: '1' }, cacheControl: 'no-store' });
      await sendUpload(storage, await storage.signedUpload('a', csv), 'new');
      const info = await storage.head('a');
      assert.deepEqual(
        [info.size, info.contentType, info.metadata, info.cacheControl],
        [3, 'text/csv', {}, undefined],
      );
    },
  },
  {
    id: 'signed upload › does not let its holder read or delete the file',
    async run(storage) {
      await storage.put('a', 'secret');
      const { url } = await storage.signedUpload('a', csv);
      for (const method of ['GET', 'DELETE']) {
        const response = await send(storage, url, { method });
        assert.ok(!response.ok, `${method} ${response.status}`);
        assert.ok(!(await response.text()).includes('secret'), method);
      }
      assert.equal(await textOf(storage, 'a'), 'secret');
    },
  },
]);

/** What `signedUrl` and `signedUpload` promise. The subject must be one that can sign, and whose URLs lead to it. */
export const signedUrlsCases: readonly Case[] = [...urlCases, ...uploadCases];
