import { describe, expect, it } from 'vitest';

import { runConformanceCase } from '../core/index.ts';
import { checksumsOf } from './checksums.ts';
import { storageConformance } from './conformance/index.ts';
import type {
  Checksums,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverUploads,
  FileInfo,
  ListPage,
  SignedPut,
  TransferConditions,
  UploadState,
  WriteConditions,
} from './driver.ts';
import { MemoryStorageDriver } from './memory.ts';
import { FileStorage } from './storage.ts';

class SoundDriver extends MemoryStorageDriver {
  constructor() {
    super({
      urls: {
        baseUrl: 'https://files.example.com/served',
        secret: 'a secret of at least thirty-two characters',
      },
    });
  }
}

type Body = Uint8Array | AsyncIterable<Uint8Array>;

/** Each breaks one rule, as real adapters have been seen to. */
const broken: Readonly<Record<string, () => MemoryStorageDriver>> = {
  "keeps the caller's bytes instead of a copy": () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const info = await super.put(key, body, options, signal);
        if (body instanceof Uint8Array)
          this.native.set(key, { info, bytes: body as Uint8Array<ArrayBuffer> });
        return info;
      }
    })(),
  'hands out its own bytes': () =>
    new (class extends SoundDriver {
      override async get(key: string): Promise<DriverFile> {
        await this.head(key);
        const { info, bytes } = this.native.get(key) ?? {
          info: await this.head(key),
          bytes: new Uint8Array(),
        };
        return { info, body: bytes };
      }
    })(),
  'stores what came before a stream failed': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        if (body instanceof Uint8Array) return await super.put(key, body, options, signal);
        const chunks: Uint8Array[] = [];
        try {
          for await (const chunk of body) chunks.push(chunk);
        } catch (error) {
          await super.put(key, Buffer.concat(chunks), {
            ...options,
            checksums: () => ({ sha256: '', crc32: '' }),
          });
          throw error;
        }
        return await super.put(key, Buffer.concat(chunks), options, signal);
      }
    })(),
  'ignores ifNoneMatch': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const { ifNoneMatch: _, ...rest } = options;
        return await super.put(key, body, rest, signal);
      }
    })(),
  'ignores ifMatch': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const { ifMatch: _, ...rest } = options;
        return await super.put(key, body, rest, signal);
      }
    })(),
  'checks conditions before it reads the body, and not as one step with the write': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const { ifNoneMatch, ...rest } = options;
        if (ifNoneMatch !== undefined && this.native.has(key))
          return await super.put(key, body, options, signal);
        return await super.put(key, body, rest, signal);
      }
    })(),
  'drops metadata': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        return await super.put(key, body, { ...options, metadata: {} }, signal);
      }
    })(),
  'keeps the old metadata when a file is replaced': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const old = this.native.get(key)?.info.metadata;
        return await super.put(
          key,
          body,
          { ...options, metadata: { ...old, ...options.metadata } },
          signal,
        );
      }
    })(),
  'counts the end of a range as outside of it': () =>
    new (class extends SoundDriver {
      override async get(
        key: string,
        range: Parameters<MemoryStorageDriver['get']>[1],
      ): Promise<DriverFile> {
        const file = await super.get(key, range);
        return range && file.body instanceof Uint8Array
          ? { ...file, body: file.body.slice(0, -1) }
          : file;
      }
    })(),
  'gives an empty body for a file that is not there': () =>
    new (class extends SoundDriver {
      override async get(
        key: string,
        range: Parameters<MemoryStorageDriver['get']>[1],
      ): Promise<DriverFile> {
        if (!this.native.has(key))
          await super.put(key, new Uint8Array(), {
            contentType: 'a/b',
            metadata: {},
            size: 0,
            checksums: () => checksumsOf(new Uint8Array()),
          });
        return await super.get(key, range);
      }
    })(),
  'throws when it deletes what is not there': () =>
    new (class extends SoundDriver {
      override async delete(
        key: string,
        conditions: Pick<WriteConditions, 'ifMatch'>,
      ): Promise<void> {
        await this.head(key);
        await super.delete(key, conditions);
      }
    })(),
  'lists in the order of writing': () =>
    new (class extends SoundDriver {
      override async list(options: DriverList): Promise<ListPage> {
        const page = await super.list(options);
        return { ...page, files: page.files.toReversed() };
      }
    })(),
  'loses the last key of each page': () =>
    new (class extends SoundDriver {
      override async list(options: DriverList): Promise<ListPage> {
        const page = await super.list(options);
        return page.next === undefined ? page : { ...page, files: page.files.slice(0, -1) };
      }
    })(),
  'removes the source of a move that is refused': () =>
    new (class extends SoundDriver {
      override async move(
        from: string,
        to: string,
        conditions: Pick<WriteConditions, 'ifNoneMatch'>,
      ): Promise<FileInfo> {
        try {
          return await super.move(from, to, conditions);
        } catch (error) {
          await super.delete(from, {});
          throw error;
        }
      }
    })(),
  'drops the facts of a copy': () =>
    new (class extends SoundDriver {
      override async copy(
        from: string,
        to: string,
        conditions: Pick<WriteConditions, 'ifNoneMatch'>,
      ): Promise<FileInfo> {
        await super.copy(from, to, conditions);
        const { body, info } = await super.get(to, undefined);
        return await super.put(to, body as Uint8Array, {
          contentType: 'application/octet-stream',
          metadata: {},
          size: info.size,
          checksums: () => ({ sha256: info.sha256 ?? '', crc32: info.crc32 ?? '' }),
        });
      }
    })(),
  'ignores the ifNoneMatch of an upload': () =>
    uploading((open) => ({
      create: async (key, upload) => {
        const { ifNoneMatch: _, ...rest } = upload;
        return await open.create(key, rest);
      },
    })),
  'mixes two uploads of one key': () => {
    const states = new Map<string, UploadState>();
    return uploading((open) => ({
      create: async (key, upload) => {
        const state = states.get(key) ?? (await open.create(key, upload));
        states.set(key, state);
        return state;
      },
    }));
  },
  'shows a part before the upload is completed': () =>
    uploading((open, driver) => ({
      putPart: async (key, state, part) => {
        await open.putPart(key, state, part);
        await driver.put(key, part.bytes, {
          contentType: 'application/octet-stream',
          metadata: {},
          size: part.bytes.byteLength,
          checksums: () => part.checksums,
        });
      },
    })),
  'joins the parts in the order of their arrival': () =>
    uploading((open) => {
      const arrived: number[] = [];
      return {
        putPart: async (key, state, part) => {
          arrived.push(part.number);
          await open.putPart(key, state, part);
        },
        complete: async (key, state, parts) =>
          await open.complete(
            key,
            state,
            parts.toSorted((a, b) => arrived.indexOf(a.number) - arrived.indexOf(b.number)),
          ),
      };
    }),
  'keeps an upload that was aborted': () => uploading(() => ({ abort: async () => undefined })),
  'keeps the first of two parts of one number': () =>
    uploading((open) => ({
      putPart: async (key, state, part) => {
        const parts = await open.listParts(key, state);
        if (parts.every(({ number }) => number !== part.number))
          await open.putPart(key, state, part);
      },
    })),
  'does not hold the checksum that was declared for an upload': () =>
    uploading((open) => ({
      create: async (key, upload) => {
        const { sha256: _, ...rest } = upload;
        return await open.create(key, rest);
      },
    })),
  'stops at the first file of many that is not there': () =>
    new (class extends SoundDriver {
      async deleteMany(keys: readonly string[]): Promise<void> {
        for (const key of keys) {
          if (!this.native.has(key)) return;
          await this.delete(key, {});
        }
      }
    })(),
  'ignores ifSourceMatch': () =>
    new (class extends SoundDriver {
      override async copy(
        from: string,
        to: string,
        { ifSourceMatch: _, ...conditions }: TransferConditions,
      ): Promise<FileInfo> {
        return await super.copy(from, to, conditions);
      }
    })(),
  'holds the CRC-32 of an empty file for every file': () =>
    new (class extends SoundDriver {
      override async put(
        key: string,
        body: Body,
        options: DriverPut,
        signal?: AbortSignal,
      ): Promise<FileInfo> {
        const checksums = (): Checksums => ({ ...options.checksums(), crc32: '00000000' });
        return await super.put(key, body, { ...options, checksums }, signal);
      }
    })(),
  'signs uploads without the checksum that they are bound to': () =>
    new (class extends SoundDriver {
      override async signUpload(
        key: string,
        { sha256: _, ...options }: DriverSignedUpload,
      ): Promise<SignedPut> {
        return await super.signUpload(key, options);
      }
    })(),
  'takes a prefix for the name of a folder': () =>
    new (class extends SoundDriver {
      override async list(options: DriverList): Promise<ListPage> {
        const isPartial = options.prefix !== '' && !options.prefix.endsWith('/');
        return await super.list({ ...options, prefix: options.prefix + (isPartial ? '/' : '') });
      }
    })(),
  'announces a page after each full one': () =>
    new (class extends SoundDriver {
      override async list(options: DriverList): Promise<ListPage> {
        const page = await super.list(options);
        const last = page.files.at(-1)?.key;
        return page.files.length === options.limit && last !== undefined
          ? { ...page, next: last }
          : page;
      }
    })(),
};

/** A sound driver but for these methods of its uploads. */
function uploading(
  change: (open: DriverUploads, driver: MemoryStorageDriver) => Partial<DriverUploads>,
): MemoryStorageDriver {
  const driver = new SoundDriver();
  const { uploads } = driver;
  const sound: DriverUploads = {
    create: uploads.create.bind(uploads),
    putPart: uploads.putPart.bind(uploads),
    listParts: uploads.listParts.bind(uploads),
    complete: uploads.complete.bind(uploads),
    abort: uploads.abort.bind(uploads),
  };
  Object.assign(uploads, change(sound, driver));
  return driver;
}

async function* failuresOf(make: () => MemoryStorageDriver): AsyncGenerator<string, void> {
  for (const one of storageConformance.cases) {
    const result = await runConformanceCase(one, {
      adapter: 'broken',
      capabilities: make().capabilities,
      create: async () => new FileStorage(make()),
      dispose: async (storage) => await storage.close(),
    });
    if (result.status === 'failed') yield result.id;
  }
}

describe('storage › the suite catches a driver that', () => {
  it.for(Object.entries(broken))('%s', async ([, make]) => {
    const { value: first } = await failuresOf(make).next();
    expect(first).toBeTypeOf('string');
  });

  it('(and passes the driver that they are made from)', async () => {
    expect(await Array.fromAsync(failuresOf(() => new SoundDriver()))).toEqual([]);
  });
});
