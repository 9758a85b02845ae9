// Written after each peer's own documentation, as it comes.

import { Readable } from 'node:stream';

import { FileStorage } from '@flystorage/file-storage';
import { LocalStorageAdapter } from '@flystorage/local-fs';
import { Files } from 'files-sdk';
import { fs as filesSdkFs } from 'files-sdk/fs';
import { Disk } from 'flydrive';
import { FSDriver } from 'flydrive/drivers/fs';
import { createStorage } from 'unstorage';
import fsDriver from 'unstorage/drivers/fs';

async function count(items) {
  let found = 0;
  for await (const _ of items) found += 1;
  return found;
}

function flydrive(folder) {
  const disk = new Disk(new FSDriver({ location: folder, visibility: 'private' }));
  return {
    id: 'flydrive',
    put: (key, bytes) => disk.put(key, bytes),
    get: (key) => disk.getBytes(key),
    putStream: (key, content) => disk.putStream(key, content),
    getStream: (key) => disk.getStream(key),
    async list() {
      let found = 0;
      let paginationToken;
      do {
        const page = await disk.listAll('', { recursive: true, paginationToken });
        for (const item of page.objects) if (item.isFile) found += 1;
        paginationToken = page.paginationToken;
      } while (paginationToken);
      return found;
    },
  };
}

function flystorage(folder) {
  const files = new FileStorage(new LocalStorageAdapter(folder));
  return {
    id: 'flystorage',
    put: (key, bytes) =>
      files.write(key, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    get: (key) => files.readToUint8Array(key),
    putStream: (key, content) => files.write(key, content),
    getStream: (key) => files.read(key),
    list: async () => await count(files.list('', { deep: true }).filter((entry) => entry.isFile)),
  };
}

function unstorage(folder) {
  const storage = createStorage({ driver: fsDriver({ base: folder }) });
  return {
    id: 'unstorage',
    put: (key, bytes) => storage.setItemRaw(key, bytes),
    get: (key) => storage.getItemRaw(key),
    // It has no streams: the file is in memory as a whole.
    putStream: async (key, content) =>
      await storage.setItemRaw(key, Buffer.concat(await Array.fromAsync(content))),
    getStream: async (key) => [await storage.getItemRaw(key)],
    list: async () => (await storage.getKeys()).length,
  };
}

function filesSdk(folder) {
  const files = new Files({ adapter: filesSdkFs({ root: folder }) });
  return {
    id: 'files-sdk',
    put: (key, bytes) => files.upload(key, bytes),
    get: async (key) => new Uint8Array(await (await files.download(key)).arrayBuffer()),
    putStream: (key, content) => files.upload(key, Readable.toWeb(content)),
    getStream: async (key) => (await files.download(key)).stream(),
    list: async () => await count(files.listAll()),
  };
}

export const stores = [flydrive, flystorage, unstorage, filesSdk];
