import { createReadStream, createWriteStream, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { diskStorage } from 'underpin/storage/disk';

import type { Bench, BenchCase, PeerModules, Variant } from './harness.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A storage on a folder, in the few calls that the cases make. */
export interface Store {
  readonly id: string;
  /** Who knows no types leaves the type out. */
  readonly put: (key: string, bytes: Uint8Array, contentType?: string) => Promise<unknown>;
  readonly get: (key: string) => Promise<Uint8Array>;
  readonly putStream: (key: string, content: Readable) => Promise<unknown>;
  readonly getStream: (key: string) => Promise<AsyncIterable<Uint8Array>>;
  /** How many files there are. */
  readonly list: () => Promise<number>;
  readonly close?: () => Promise<void>;
}

/** What `peers/storage/variants.ts` exports: each kind of store, on the folder it is given. */
interface PeerStores {
  readonly stores: readonly ((folder: string) => Store)[];
}

const kilobyte = new Uint8Array(1024).map((_, index) => index % 251);
const chunk = new Uint8Array(64 * 1024).map((_, index) => index % 251);
const streamBytes = 64 * 2 ** 20;

function content(): Readable {
  return Readable.from(
    (function* () {
      for (let sent = 0; sent < streamBytes; sent += chunk.length) yield chunk;
    })(),
    { objectMode: false },
  );
}

function underpin(directory: string): Store {
  const files = diskStorage({ directory });
  return {
    id: 'underpin',
    put: async (key, bytes, contentType) =>
      await files.put(key, bytes, contentType === undefined ? {} : { contentType }),
    get: async (key) => await (await files.get(key)).bytes(),
    putStream: async (key, body) => await files.put(key, body),
    getStream: async (key) => (await files.get(key)).stream(),
    async list() {
      let count = 0;
      for await (const _ of files.listAll()) count += 1;
      return count;
    },
    close: async () => await files.close(),
  };
}

function limit(folder: string): Store {
  let written = 0;
  const place = async (key: string, write: (file: string) => Promise<void>): Promise<void> => {
    written += 1;
    const temporary = path.join(folder, `.${written}.temporary`);
    await write(temporary);
    await rename(temporary, path.join(folder, key));
  };
  return {
    id: 'limit',
    put: async (key, bytes) => await place(key, async (file) => await writeFile(file, bytes)),
    get: async (key) => await readFile(path.join(folder, key)),
    putStream: async (key, body) =>
      await place(key, async (file) => await pipeline(body, createWriteStream(file))),
    getStream: async (key) => createReadStream(path.join(folder, key)),
    list: async () =>
      (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
        entry.isFile(),
      ).length,
  };
}

/** Opens every store, on a folder of its own, or all on the same one. */
async function openStores(
  peers: PeerModules,
  isShared: boolean = false,
): Promise<{ folder: string; stores: [Store, string][]; close: () => Promise<void> }> {
  const folder = await temporaryFolder();
  const peerStores = (await peers('variants.ts')) as PeerStores | undefined;
  const stores: [Store, string][] = [];
  for (const make of [underpin, limit, ...(peerStores?.stores ?? [])]) {
    const own = isShared ? folder : path.join(folder, String(stores.length));
    await mkdir(own, { recursive: true });
    stores.push([make(own), own]);
  }
  return {
    folder,
    stores,
    async close() {
      for (const [store] of stores) await store.close?.();
      await rm(folder, { recursive: true });
    },
  };
}

interface StoreCase {
  readonly goals: BenchCase['goals'];
  readonly prepare?: (store: Store, count: number) => Promise<void>;
  readonly emptied?: boolean;
  readonly work: (store: Store, index: number) => Promise<void>;
}

function storeCase(
  of: Pick<BenchCase, 'id' | 'unit' | 'count' | 'worth'>,
  { goals, prepare, emptied, work }: StoreCase,
): BenchCase {
  return {
    ...of,
    goals,
    async open(peers) {
      const { stores, close } = await openStores(peers);
      for (const [store] of stores) await prepare?.(store, of.count);
      const variants = stores.map(([store, own]): Variant => ({
        id: store.id,
        ...(emptied && {
          reset: async () => {
            for (const name of await readdir(own))
              if (!name.startsWith('.')) await rm(path.join(own, name), { recursive: true });
          },
        }),
        async run(count) {
          for (let index = 0; index < count; index += 1) await work(store, index);
        },
      }));
      return { variants, close };
    },
  };
}

function assertLength(length: number, wanted: number): void {
  if (length !== wanted) throw new Error(`${length} bytes came back, and not ${wanted}`);
}

const listed = 100_000;

const listCase: BenchCase = {
  id: 'disk-list-100k',
  unit: 'ops/s',
  count: 1,
  goals: [],
  async open(peers) {
    const { folder, stores, close } = await openStores(peers, true);
    for (let each = 0; each < listed / 1000; each += 1) {
      const below = path.join(folder, `folder-${each}`);
      await mkdir(below);
      for (let index = 0; index < 1000; index += 1)
        writeFileSync(path.join(below, `file-${index}`), '');
    }
    return {
      // files-sdk reads the whole tree anew for each page, which takes minutes.
      variants: stores
        .filter(([{ id }]) => id !== 'files-sdk')
        .map(([store]) => ({
          id: store.id,
          async run(count) {
            for (let index = 0; index < count; index += 1) {
              const found = await store.list();
              if (found !== listed)
                throw new Error(`${store.id} listed ${found} of ${listed} files`);
            }
          },
        })),
      close,
    };
  },
};

const bench: Bench = {
  component: 'storage',
  peerSet: 'storage',
  notes: [
    '`limit` is `node:fs` by hand: written to a temporary name and renamed, read in one call, listed with `readdir`. Everybody has a folder of its own, in memory where the system has such a place.',
    'flydrive, unstorage and files-sdk write in place: whoever reads meanwhile sees half a file, and a crash leaves one. No peer keeps or verifies a checksum; `underpin` does both. In the cases without `typed` it tells the content type by the first bytes, which no peer here does. `disk-list-100k` counts whole listings of one folder of folders; files-sdk, which reads the whole tree anew for each page, would take minutes and is left out.',
  ],
  cases: [
    storeCase(
      { id: 'disk-get-1k', unit: 'ops/s', count: 2000 },
      {
        goals: [{ against: 'limit', ratioAtLeast: 0.85 }],
        prepare: async (store) => {
          for (let index = 0; index < 100; index += 1) await store.put(`file-${index}`, kilobyte);
        },
        work: async (store, index) => {
          assertLength((await store.get(`file-${index % 100}`)).length, kilobyte.length);
        },
      },
    ),
    storeCase(
      { id: 'disk-put-1k', unit: 'ops/s', count: 1000 },
      {
        goals: [{ against: 'limit', ratioAtLeast: 0.9 }],
        emptied: true,
        work: async (store, index) => {
          await store.put(`file-${index}`, kilobyte);
        },
      },
    ),
    storeCase(
      { id: 'disk-put-1k-typed', unit: 'ops/s', count: 1000 },
      {
        goals: [],
        emptied: true,
        work: async (store, index) => {
          await store.put(`file-${index}`, kilobyte, 'application/octet-stream');
        },
      },
    ),
    storeCase(
      { id: 'disk-stream-put-64m', unit: 'MiB/s', count: 1, worth: 64 },
      {
        goals: [],
        work: async (store) => {
          await store.putStream('large', content());
        },
      },
    ),
    storeCase(
      { id: 'disk-stream-get-64m', unit: 'MiB/s', count: 1, worth: 64 },
      {
        goals: [],
        prepare: async (store) => {
          await store.putStream('large', content());
        },
        work: async (store) => {
          let length = 0;
          for await (const piece of await store.getStream('large')) length += piece.length;
          assertLength(length, streamBytes);
        },
      },
    ),
    listCase,
  ],
};

export default bench;
