import {
  type Clock,
  type ComponentHealth,
  InfrastructureError,
  invalidArgument,
  KeyedMutex,
  systemClock,
} from '../../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  DriverUploads,
  FileInfo,
  ListPage,
  SignedPut,
  StorageCapabilities,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { StorageFault } from '../errors.ts';
import { type LocalUrlOptions, UrlSigner } from '../signed-url.ts';
import type { FileStorage } from '../storage.ts';
import { LayerDriver } from './layer.ts';
import { passing } from './pieces.ts';

/** Options of {@link mirrored}. */
export interface MirroredOptions {
  /** Needed for signed URLs, which lead to this storage's `handler()`: those of one storage below would pass by the others. */
  readonly urls?: LocalUrlOptions;
  /** For `urls`. */
  readonly clock?: Clock;
}

/** What a mirrored storage can do whose primary can do this. */
export type MirroredCapabilities<Primary extends StorageCapabilities> = Omit<
  Primary,
  'signedUrls' | 'signedUploads' | 'handler' | 'signedChecksums'
> & {
  readonly conditionalWrites: Primary['conditionalWrites'];
  readonly conditionalDeletes: Primary['conditionalDeletes'];
  readonly nestedKeys: Primary['nestedKeys'];
  readonly atomicMove: Primary['atomicMove'];
  readonly resumableUploads: Primary['resumableUploads'];
  readonly signedUrls: true;
  readonly signedUploads: true;
  readonly handler: true;
  readonly signedChecksums: true;
};

/** What {@link MirroredStorage.repair} did. */
export interface RepairReport {
  /** How many files were brought to a secondary. */
  readonly copied: number;
  /** How many were deleted from one. */
  readonly deleted: number;
}

/** The same files in a primary, which decides, and in secondaries, which follow. */
export class MirroredDriver<
  Primary extends StorageCapabilities = StorageCapabilities,
> extends LayerDriver<MirroredCapabilities<Primary>> {
  override readonly adapter: string;
  override readonly uploads: DriverUploads;
  readonly signer: UrlSigner;
  readonly #secondaries: readonly FileStorage[];
  // Writes of one key follow each other on all storages in the same order, as far as this process makes them.
  readonly #mutex = new KeyedMutex();

  constructor(
    primary: FileStorage,
    secondaries: readonly FileStorage[],
    {
      urls,
      clock = systemClock,
      capabilities,
    }: MirroredOptions & { readonly capabilities: Primary },
  ) {
    super('mirrored', primary, {
      ...capabilities,
      signedUrls: true,
      signedUploads: true,
      handler: true,
      signedChecksums: true,
    });
    this.adapter = `mirrored(${[primary, ...secondaries].map(({ adapter }) => adapter).join(', ')})`;
    if (secondaries.length === 0)
      throw invalidArgument(
        { component: 'storage', adapter: this.adapter, operation: 'mirrored' },
        'there is no secondary: give at least one storage to mirror to',
      );
    this.#secondaries = secondaries;
    this.signer = new UrlSigner(urls, clock);
    const uploads = this.layerUploads();
    this.uploads = {
      create: async (...call) => await uploads.create(...call),
      putPart: async (...call) => {
        await uploads.putPart(...call);
      },
      listParts: async (...call) => await uploads.listParts(...call),
      complete: async (key, state, parts, signal) =>
        await this.#write(
          [key],
          signal,
          async () => await uploads.complete(key, state, parts, signal),
        ),
      abort: async (...call) => {
        await uploads.abort(...call);
      },
    };
  }

  // One that cannot be reached now is no mistake: it is what mirrors are for.
  override async start(signal?: AbortSignal): Promise<void> {
    const starts = await Promise.allSettled(
      this.#all().map(async (storage) => {
        await storage.start({ signal });
      }),
    );
    const errors = starts.flatMap((start): unknown[] =>
      start.status === 'rejected' ? [start.reason] : [],
    );
    const fatal =
      errors.find((error) => !isOutage(error)) ??
      (errors.length === starts.length ? errors[0] : undefined);
    if (fatal !== undefined) throw this.relayed(fatal);
  }

  override async checkHealth(signal?: AbortSignal): Promise<ComponentHealth> {
    const all = await Promise.all(
      this.#all().map(async (storage) => ({
        storage,
        health: await storage.checkHealth({ signal }),
      })),
    );
    const ill = all.filter(({ health }) => health.status !== 'ok');
    if (ill.length === 0) return { status: 'ok' };
    const isDown = all.every(({ health }) => health.status === 'down');
    const said = ill.map(
      ({ storage, health }) => `${storage.adapter}: ${health.message ?? health.status}`,
    );
    return { status: isDown ? 'down' : 'degraded', message: said.join('; ') };
  }

  override async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#write(
      [key],
      signal,
      async () => await super.put(key, body, options, signal),
    );
  }

  override async get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<DriverFile> {
    return await this.#read(signal, async (storage) => {
      const file = await storage.get(key, { ...(range ? { range } : {}), signal });
      return {
        info: this.outerInfo(file.info),
        ...(file.range ? { range: file.range } : {}),
        body: passing(file.stream(), (error) => this.relayed(error)),
      };
    });
  }

  override async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.#read(signal, async (storage) =>
      this.outerInfo(await storage.head(key, { signal })),
    );
  }

  override async delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#write([key], signal, async () => {
      await super.delete(key, conditions, signal);
    });
  }

  override async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await super.deleteMany(keys, signal);
    // Not key by key as for other writes, so that each storage can take them in one request.
    await this.#follow(async (secondary) => {
      await secondary.deleteMany(keys, { signal });
    });
  }

  override async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#write(
      [to],
      signal,
      async () => await super.copy(from, to, conditions, signal),
    );
  }

  override async move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    // The target first: a secondary may have both names for a moment, but never neither.
    return await this.#write(
      [to, from],
      signal,
      async () => await super.move(from, to, conditions, signal),
    );
  }

  override async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    const { prefix, delimiter, after, limit } = options;
    return await this.#read(
      signal,
      async (storage) =>
        await storage.list({
          prefix,
          limit,
          ...(delimiter === undefined ? {} : { delimiter }),
          ...(after === undefined ? {} : { after }),
          signal,
        }),
    );
  }

  override async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    return this.signer.signUrl(key, options);
  }

  override async signUpload(key: string, options: DriverSignedUpload): Promise<SignedPut> {
    return this.signer.signUpload(key, options);
  }

  /** Brings what differs to the secondaries; see {@link MirroredStorage.repair}. */
  async repair(
    prefix: string,
    { prune, signal }: { readonly prune: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<RepairReport> {
    let copied = 0;
    let deleted = 0;
    await this.relay(async () => {
      for (const secondary of this.#secondaries) {
        for await (const { key } of this.native.listAll({ prefix, signal })) {
          const didCopy = await this.#mutex.run(
            key,
            async () => await this.#bring(key, secondary, signal),
          );
          if (didCopy) copied += 1;
        }
        if (!prune) continue;
        for await (const { key } of secondary.listAll({ prefix, signal })) {
          await this.#mutex.run(key, async () => {
            if (await this.native.exists(key, { signal })) return;
            await secondary.delete(key, { signal });
            deleted += 1;
          });
        }
      }
    });
    return { copied, deleted };
  }

  // The same for the same content, whichever storage answers.
  protected override outerInfo(info: FileInfo): FileInfo {
    return { ...info, etag: etagOf(info) };
  }

  protected override async innerConditions(
    key: string,
    conditions: WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<WriteConditions> {
    const { ifMatch } = conditions;
    if (ifMatch === undefined) return await super.innerConditions(key, conditions, signal);
    try {
      const info = await this.native.head(key, { signal });
      return { ifMatch: etagOf(info) === ifMatch ? info.etag : ifMatch };
    } catch (error) {
      // The write says what it is for nothing to be there.
      if (InfrastructureError.is(error, 'not-found')) return { ifMatch };
      throw error;
    }
  }

  #all(): readonly FileStorage[] {
    return [this.native, ...this.#secondaries];
  }

  // Only an outage goes on to the next: what the primary says is not there is not to come back from a secondary.
  async #read<Result>(
    signal: AbortSignal | undefined,
    fn: (storage: FileStorage) => Promise<Result>,
  ): Promise<Result> {
    let first: unknown;
    for (const storage of this.#all()) {
      try {
        return await fn(storage);
      } catch (error) {
        first ??= error;
        if (signal?.aborted === true || (storage === this.native && !isOutage(error))) break;
      }
    }
    throw this.relayed(first);
  }

  // Writes on the primary, and then makes these keys the same on all secondaries.
  async #write<Result>(
    keys: readonly string[],
    signal: AbortSignal | undefined,
    fn: () => Promise<Result>,
  ): Promise<Result> {
    return await this.#exclusively(keys, async () => {
      const result = await fn();
      await this.#follow(async (secondary) => {
        for (const key of keys) await this.#bring(key, secondary, signal);
      });
      return result;
    });
  }

  // Keys are taken in one order, so that no two writers wait for each other.
  async #exclusively<Result>(keys: readonly string[], fn: () => Promise<Result>): Promise<Result> {
    const [first, ...others] = keys.toSorted();
    if (first === undefined) return await fn();
    return await this.#mutex.run(first, async () => await this.#exclusively(others, fn));
  }

  async #follow(fn: (secondary: FileStorage) => Promise<void>): Promise<void> {
    const ends = await Promise.allSettled(this.#secondaries.map(fn));
    const behind = ends.flatMap((end, index) => (end.status === 'rejected' ? [index] : []));
    const end = ends.find((one) => one.status === 'rejected');
    if (!end) return;
    const { code, retryable } = InfrastructureError.is(end.reason)
      ? end.reason
      : ({ code: 'internal', retryable: false } as const);
    const names = behind.map((index) => `${index + 1} (${this.#secondaries[index]?.adapter})`);
    throw new StorageFault(
      {
        code,
        outcome: 'applied',
        retryable,
        message: `the primary has done it, but these secondaries have not: ${names.join(', ')}. Do it again, or call repair(): ${(end.reason as Error).message}`,
        details: { behind },
      },
      end.reason,
    );
  }

  // Makes a key the same on a secondary as on the primary, and tells whether it had to send the content.
  async #bring(
    key: string,
    secondary: FileStorage,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const [wanted, held] = await Promise.all([
      infoOf(this.native, key, signal),
      infoOf(secondary, key, signal),
    ]);
    if (!wanted) {
      if (held) await secondary.delete(key, { signal });
      return false;
    }
    if (held && isSame(wanted, held)) return false;
    const file = await this.native.get(key, { signal });
    const { contentType, cacheControl, metadata, size, sha256 } = file.info;
    await secondary.put(key, file.stream(), {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      size,
      ...(sha256 === undefined ? {} : { sha256 }),
      signal,
    });
    return true;
  }
}

function isOutage(error: unknown): boolean {
  return (
    InfrastructureError.is(error, 'unavailable') ||
    InfrastructureError.is(error, 'deadline-exceeded')
  );
}

function etagOf({ sha256, etag }: FileInfo): string {
  return sha256?.slice(0, 32) ?? etag;
}

// Without a checksum on both sides nothing tells that contents are the same.
function isSame(a: FileInfo, b: FileInfo): boolean {
  return a.sha256 !== undefined && describe(a) === describe(b);
}

function describe({ sha256, contentType, cacheControl, metadata }: FileInfo): string {
  const entries = Object.entries(metadata).toSorted(([x], [y]) => (x < y ? -1 : 1));
  return JSON.stringify([sha256, contentType, cacheControl, entries]);
}

async function infoOf(
  storage: FileStorage,
  key: string,
  signal: AbortSignal | undefined,
): Promise<FileInfo | undefined> {
  try {
    return await storage.head(key, { signal });
  } catch (error) {
    if (InfrastructureError.is(error, 'not-found')) return undefined;
    throw error;
  }
}
