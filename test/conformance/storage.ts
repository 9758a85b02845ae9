import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { storageConformance } from '../../src/storage/conformance/index.ts';
import { azureStorage } from '../../src/storage/azure/index.ts';
import { diskStorage } from '../../src/storage/disk/index.ts';
import type { FileStorage, StorageCapabilities } from '../../src/storage/index.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { s3Storage } from '../../src/storage/s3/index.ts';
import { makeBucket, type TestBucket } from '../services/buckets.ts';
import { makeContainer, type TestContainer } from '../services/containers.ts';
import { sharedServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { port, type RegisteredPort } from './registry.ts';

type StorageTarget = Parameters<typeof port<FileStorage, keyof StorageCapabilities>>[1][number];

const folders = new WeakMap<FileStorage, string>();
const buckets = new WeakMap<FileStorage, TestBucket>();
const containers = new WeakMap<FileStorage, TestContainer>();
const { missing: azuriteMissing } = await service('azurite');

// It verifies no signature, ignores the headers that a signed URL asks for, and has no answer but 500 to a part of an upload
// that is gone.
const notKeptByMoto: ReadonlySet<string> = new Set([
  'signed URL › carries the disposition and the type that were signed',
  'signed URL › one that was changed, or is used for another method, is refused',
  'signed upload › of the largest size is stored, and of one byte more refused',
  'signed upload › of another type or to another key is refused',
  'signed upload › does not let its holder read or delete the file',
  'uploads › what was aborted is gone, and aborting again is no error',
]);

/** S3 by one of its servers. */
async function s3Target(name: string, server: 's3' | 'moto'): Promise<StorageTarget> {
  return {
    adapter: name,
    capabilities: s3Storage({ bucket: 'unused' }).capabilities,
    skip: (await service(server)).missing,
    create: async () => {
      const bucket = await makeBucket((await sharedServer(server)).url);
      const storage = s3Storage(bucket.options);
      buckets.set(storage, bucket);
      return storage;
    },
    dispose: async (storage) => {
      await storage.close();
      await buckets.get(storage)?.remove();
    },
  };
}

// Nobody listens there: the suite hands requests for it to the storage's own handler.
const urls = {
  baseUrl: 'https://files.example.com/served',
  secret: 'a secret of at least thirty-two characters',
};

/** Every storage adapter. */
export const storagePort: RegisteredPort = port(storageConformance, [
  {
    adapter: 'memory',
    capabilities: memoryStorage().capabilities,
    create: async () => memoryStorage({ urls }),
    dispose: async (storage) => {
      await storage.close();
    },
  },
  {
    adapter: 'disk',
    capabilities: diskStorage({ directory: 'unused' }).capabilities,
    create: async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-storage-'));
      const storage = diskStorage({ directory, urls });
      folders.set(storage, directory);
      return storage;
    },
    dispose: async (storage) => {
      await storage.close();
      await rm(folders.get(storage) ?? '', { recursive: true });
    },
  },
  await s3Target('s3', 's3'),
  { ...(await s3Target('s3 (moto)', 'moto')), leavesOut: (id) => notKeptByMoto.has(id) },
  {
    adapter: 'azure',
    capabilities: azureStorage({ container: 'unused', accountName: 'unused', accountKey: 'eA==' })
      .capabilities,
    skip: azuriteMissing,
    create: async () => {
      const made = await makeContainer((await sharedServer('azurite')).url);
      const storage = azureStorage(made.options);
      containers.set(storage, made);
      return storage;
    },
    dispose: async (storage) => {
      await storage.close();
      await containers.get(storage)?.remove();
    },
  },
]);
