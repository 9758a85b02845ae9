import assert from 'node:assert/strict';

import { encodeKey } from '../key.ts';
import { type Case, keysOf, refused, send, sendUpload, textOf } from './support.ts';

/** What `reader`, `writer` and `publicUrl` promise. */
export const rolesCases: readonly Case[] = [
  {
    id: 'reader › reads, and has no way to write',
    async run(storage) {
      await storage.put('a/b', 'x');
      const reader = storage.reader();
      assert.equal(await (await reader.get('a/b')).text(), 'x');
      assert.equal((await reader.head('a/b')).size, 1);
      assert.equal(await reader.exists('nope'), false);
      assert.deepEqual((await reader.list({ delimiter: '/' })).prefixes, ['a/']);
      assert.equal((await Array.fromAsync(reader.listAll())).length, 1);
      for (const name of ['put', 'delete', 'deletePrefix', 'move', 'driver', 'native', 'close'])
        assert.equal(Reflect.get(reader, name), undefined, name);
      assert.throws(() => Object.assign(reader, { put: () => undefined }), TypeError);
    },
  },
  {
    id: 'writer › writes, and has no way to read',
    async run(storage) {
      const writer = storage.writer();
      await writer.put('a', 'x');
      await writer.put('b', 'x');
      await writer.put('c/d', 'x');
      await writer.delete('a');
      await writer.deletePrefix('c/');
      assert.deepEqual(await keysOf(storage), ['b']);
      for (const name of ['get', 'head', 'list', 'copy', 'move', 'signedUrl', 'native', 'close'])
        assert.equal(Reflect.get(writer, name), undefined, name);
    },
  },
  {
    id: 'public URL › ends with the key, or is refused where the engine serves nothing to everybody',
    async run(storage) {
      const key = 'größe/a b+c.txt';
      await refused('invalid-argument', storage.publicUrl('../a'));
      try {
        const url = await storage.publicUrl(key);
        assert.ok(URL.canParse(url), url);
        assert.ok(url.endsWith(`/${encodeKey(key)}`), url);
      } catch {
        await refused('failed-precondition', storage.publicUrl(key));
      }
      await storage.put('a', 'x');
      assert.equal(await textOf(storage, 'a'), 'x');
    },
  },
  {
    id: 'reader › signs what may be read',
    requires: ['signedUrls'],
    async run(storage) {
      await storage.put('a', 'x');
      const url = await storage.reader().signedUrl('a', { expiresIn: '5m' });
      assert.equal(await (await send(storage, url)).text(), 'x');
    },
    async unsupported(storage) {
      await refused('unimplemented', storage.reader().signedUrl('a', { expiresIn: '5m' }));
    },
  },
  {
    id: 'writer › uploads in parts and by signed requests',
    requires: ['resumableUploads', 'signedUploads'],
    async run(storage) {
      const writer = storage.writer();
      const { token } = await writer.createUpload('a');
      const upload = writer.resumeUpload(token);
      await upload.putPart(1, 'parts');
      await upload.complete();
      const signed = await writer.signedUpload('b', {
        expiresIn: '5m',
        maxSize: 100,
        contentType: 'text/csv',
      });
      assert.ok((await sendUpload(storage, signed, 'signed')).ok);
      assert.deepEqual(
        [await textOf(storage, 'a'), await textOf(storage, 'b')],
        ['parts', 'signed'],
      );
    },
    async unsupported(storage) {
      const writer = storage.writer();
      if (!storage.capabilities.resumableUploads)
        await refused('unimplemented', writer.createUpload('a'));
      if (!storage.capabilities.signedUploads)
        await refused(
          'unimplemented',
          writer.signedUpload('a', { expiresIn: '5m', maxSize: 1, contentType: 'text/csv' }),
        );
    },
  },
];
