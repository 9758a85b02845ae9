import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { storageConformance } from '../../src/storage/conformance/index.ts';
import { diskStorage } from '../../src/storage/disk/index.ts';
import type { FileStorage } from '../../src/storage/index.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { port, type RegisteredPort } from './registry.ts';

const directories = new WeakMap<FileStorage, string>();

/** The storage port's adapters. */
export const storagePort: RegisteredPort = port(storageConformance, [
  {
    adapter: 'memory',
    capabilities: memoryStorage().capabilities,
    create: async () => memoryStorage(),
    dispose: async (storage) => await storage.close(),
  },
  {
    adapter: 'disk',
    capabilities: diskStorage({ directory: 'never-made' }).capabilities,
    async create() {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-storage-'));
      const storage: FileStorage = diskStorage({ directory });
      directories.set(storage, directory);
      return storage;
    },
    async dispose(storage) {
      await storage.close();
      await rm(directories.get(storage) ?? '', { recursive: true, force: true });
    },
  },
]);
