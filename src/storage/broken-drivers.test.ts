import { describe, expect, it } from 'vitest';

import { runConformanceCase } from '../core/index.ts';
import { checksumsOf } from './checksums.ts';
import { storageConformance } from './conformance/index.ts';
import type {
  DriverFile,
  DriverList,
  DriverPut,
  FileInfo,
  ListPage,
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
};

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
