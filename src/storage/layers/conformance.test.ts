import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'vitest';

import { registerConformance } from '../../core/index.ts';
import { storageConformance } from '../conformance/index.ts';
import { diskStorage } from '../disk/index.ts';
import { memoryStorage } from '../memory.ts';
import type { FileStorage } from '../storage.ts';
import { encrypted } from './encrypted.ts';
import { faulty } from './faulty.ts';
import { mirrored } from './mirrored.ts';
import { prefixed } from './prefixed.ts';
import { quarantined } from './quarantined.ts';
import { readOnly } from './read-only.ts';

// Nobody listens there: the suite hands requests for it to the storage's own handler.
const urls = {
  baseUrl: 'https://files.example.com/served',
  secret: 'a secret of at least thirty-two characters',
};
const keys = [{ id: 'test', secret: Buffer.alloc(32, 7).toString('base64') }];
const owned = new WeakMap<FileStorage, () => Promise<void>>();

function hold(name: string, make: (inner: FileStorage) => FileStorage): void {
  const inners = {
    memory: async (): Promise<FileStorage> => memoryStorage({ urls }),
    disk: async (): Promise<FileStorage> => {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-layers-'));
      const storage = diskStorage({ directory, urls });
      owned.set(storage, async () => {
        await rm(directory, { recursive: true });
      });
      return storage;
    },
  };
  for (const [engine, makeInner] of Object.entries(inners)) {
    if (engine === 'disk' && name !== 'prefixed' && name !== 'encrypted') continue;
    const { capabilities } = make(
      engine === 'disk' ? diskStorage({ directory: 'unused' }) : memoryStorage(),
    );
    registerConformance(
      storageConformance,
      {
        adapter: `${name} on ${engine}`,
        capabilities,
        create: async () => {
          const inner = await makeInner();
          const storage = make(inner);
          owned.set(storage, async () => {
            await inner.close();
            await owned.get(inner)?.();
          });
          return storage;
        },
        dispose: async (storage) => {
          await storage.close();
          await owned.get(storage)?.();
        },
      },
      { describe, it },
    );
  }
}

// Its writes are all refused: those of the suite go to the storage below, and its reads through the layer.
function readOnlyBesideWrites(inner: FileStorage): FileStorage {
  const storage = readOnly(inner);
  const close = storage.close.bind(storage);
  return Object.assign(storage, {
    put: inner.put.bind(inner),
    delete: inner.delete.bind(inner),
    deleteMany: inner.deleteMany.bind(inner),
    deletePrefix: inner.deletePrefix.bind(inner),
    copy: inner.copy.bind(inner),
    move: inner.move.bind(inner),
    createUpload: inner.createUpload.bind(inner),
    resumeUpload: inner.resumeUpload.bind(inner),
    signedUpload: inner.signedUpload.bind(inner),
    handler: inner.handler.bind(inner),
    close: async () => {
      await inner.close();
      await close();
    },
  });
}

// What a client sends to a signed URL is pending until the application asks for its scan, as it does here at once.
function scannedOnArrival(inner: FileStorage): FileStorage {
  const storage = quarantined(inner, { scan: async () => 'clean' });
  return Object.assign(storage, {
    handler: () => async (request: Request) => {
      const response = await inner.handler()(request);
      await storage.scanPending();
      return response;
    },
  });
}

hold('prefixed', (inner) => prefixed(inner, 'tenants/7/'));
hold('read-only', readOnlyBesideWrites);
hold('faulty without faults', (inner) => faulty(inner, { faults: [] }));
hold('encrypted', (inner) => encrypted(inner, { keys, urls }));
hold('mirrored', (inner) => mirrored(inner, [memoryStorage()], { urls }));
hold('quarantined', scannedOnArrival);
hold('encrypted over prefixed over mirrored', (inner) =>
  encrypted(prefixed(mirrored(inner, [memoryStorage()]), 'a/b/'), { keys, urls }),
);
