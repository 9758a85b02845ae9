import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, it } from 'vitest';

import { registerConformance } from '../../core/index.ts';
import { storageConformance } from '../conformance/index.ts';
import type { FileStorage } from '../storage.ts';
import { diskStorage } from './index.ts';

const urls = {
  baseUrl: 'https://files.example.com/served',
  secret: 'a secret of at least thirty-two characters',
};
const folders = new WeakMap<FileStorage, string>();

// The suite in test/conformance sees most changes made at once. Where each reaches the disk itself, the thread makes all of them.
registerConformance(
  storageConformance,
  {
    adapter: 'disk, by its thread',
    capabilities: diskStorage({ directory: 'unused' }).capabilities,
    create: async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-thread-'));
      const storage = diskStorage({ directory, urls, sync: true });
      folders.set(storage, directory);
      return storage;
    },
    dispose: async (storage) => {
      await storage.close();
      await rm(folders.get(storage) ?? '', { recursive: true });
    },
  },
  { describe, it },
);
