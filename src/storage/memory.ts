import { type Clock, systemClock } from '../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  FileInfo,
  ListPage,
  SignedPut,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from './driver.ts';
import { classifyStorageFault, conditionFailed, notFound, StorageFault } from './errors.ts';
import { compareKeys } from './key.ts';
import { MemoryUploads } from './memory-uploads.ts';
import { resolveRange } from './range.ts';
import { type LocalUrlOptions, UrlSigner } from './signed-url.ts';
import type { FileStorageOptions } from './options.ts';
import { FileStorage } from './storage.ts';

/** A file as the memory adapter holds it. */
export interface MemoryFile {
  readonly info: FileInfo;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Options of {@link memoryStorage}. */
export interface MemoryStorageOptions extends FileStorageOptions {
  /** Needed for signed URLs. */
  readonly urls?: LocalUrlOptions;
  /** Refuses, as `resource-exhausted`, what would make all files together larger. In bytes. Default: no limit. */
  readonly maxBytes?: number;
  readonly clock?: Clock;
}

const capabilities = {
  conditionalWrites: true,
  conditionalDeletes: true,
  nestedKeys: true,
  atomicMove: true,
  signedUrls: true,
  signedUploads: true,
  handler: true,
  signedChecksums: true,
  resumableUploads: true,
} as const;

/** Files in the process's memory; they go with it. */
export class MemoryStorageDriver implements StorageDriver {
  readonly adapter = 'memory';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: Map<string, MemoryFile> = new Map();
  readonly classify: StorageDriver['classify'] = classifyStorageFault;
  readonly signer: UrlSigner;
  readonly uploads: MemoryUploads;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  #bytes = 0;
  // Sorted once per change of the set of keys, not once per page.
  #sorted: string[] | undefined;

  constructor({
    urls,
    maxBytes = Number.POSITIVE_INFINITY,
    clock = systemClock,
  }: MemoryStorageOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    this.signer = new UrlSigner(urls, clock);
    this.uploads = new MemoryUploads(async (key, bytes, put) => await this.put(key, bytes, put));
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const bytes =
      body instanceof Uint8Array
        ? new Uint8Array(body)
        : await collect(body, this.#maxBytes, signal);
    // From here to the end nothing is awaited: conditions and write are one step.
    this.#checkConditions(key, options);
    const checksums = options.checksums();
    return this.#store({
      bytes,
      info: {
        key,
        size: bytes.byteLength,
        etag: checksums.sha256.slice(0, 32),
        contentType: options.contentType,
        ...(options.cacheControl === undefined ? {} : { cacheControl: options.cacheControl }),
        metadata: Object.freeze(options.metadata),
        lastModified: new Date(this.#clock.now()),
        ...checksums,
      },
    });
  }

  async get(key: string, range: ByteRange | undefined): Promise<DriverFile> {
    const { info, bytes } = this.#require(key);
    if (!range) return { info, body: bytes.slice() };
    const resolved = resolveRange(range, bytes.byteLength, key);
    return { info, range: resolved, body: bytes.slice(resolved.start, resolved.end + 1) };
  }

  async head(key: string): Promise<FileInfo> {
    return this.#require(key).info;
  }

  async delete(key: string, conditions: Pick<WriteConditions, 'ifMatch'>): Promise<void> {
    this.#checkConditions(key, conditions);
    this.#remove(key);
  }

  async copy(from: string, to: string, conditions: TransferConditions): Promise<FileInfo> {
    return this.#copy(from, to, conditions);
  }

  async move(from: string, to: string, conditions: TransferConditions): Promise<FileInfo> {
    const info = this.#copy(from, to, conditions);
    this.#remove(from);
    return info;
  }

  async list({ prefix, delimiter, after, limit }: DriverList): Promise<ListPage> {
    this.#sorted ??= [...this.native.keys()].toSorted(compareKeys);
    const files: ListPage['files'][number][] = [];
    const prefixes: string[] = [];
    let last: string | undefined;
    for (const key of this.#sorted) {
      if (!key.startsWith(prefix) || (after !== undefined && compareKeys(key, after) <= 0))
        continue;
      const slash = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
      const folded = slash === -1 ? undefined : key.slice(0, slash + 1);
      // All that a page already folded was given with it.
      if (
        folded !== undefined &&
        (folded === prefixes.at(-1) || (after?.startsWith(folded) ?? false))
      )
        continue;
      if (files.length + prefixes.length === limit)
        return { files, prefixes, ...(last === undefined ? {} : { next: last }) };
      if (folded === undefined) {
        const { size, lastModified } = this.#require(key).info;
        files.push({ key, size, lastModified });
      } else prefixes.push(folded);
      last = folded ?? key;
    }
    return { files, prefixes };
  }

  async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    return this.signer.signUrl(key, options);
  }

  async signUpload(key: string, options: DriverSignedUpload): Promise<SignedPut> {
    return this.signer.signUpload(key, options);
  }

  async close(): Promise<void> {
    this.native.clear();
    this.uploads.clear();
    this.#sorted = undefined;
    this.#bytes = 0;
  }

  #copy(from: string, to: string, conditions: TransferConditions): FileInfo {
    const { bytes, info } = this.#require(from);
    const { ifSourceMatch = info.etag } = conditions;
    if (ifSourceMatch !== info.etag) throw conditionFailed(from, 'ifSourceMatch');
    this.#checkConditions(to, conditions);
    return this.#store({
      bytes,
      info: { ...info, key: to, lastModified: new Date(this.#clock.now()) },
    });
  }

  #require(key: string): MemoryFile {
    const file = this.native.get(key);
    if (!file) throw notFound(key);
    return file;
  }

  #checkConditions(key: string, { ifMatch, ifNoneMatch }: WriteConditions): void {
    const etag = this.native.get(key)?.info.etag;
    if (ifNoneMatch !== undefined && etag !== undefined) throw conditionFailed(key, 'ifNoneMatch');
    if (ifMatch !== undefined && ifMatch !== etag) throw conditionFailed(key, 'ifMatch');
  }

  #store(file: MemoryFile): FileInfo {
    const { key } = file.info;
    const replaced = this.native.get(key);
    const bytes = this.#bytes - (replaced?.bytes.byteLength ?? 0) + file.bytes.byteLength;
    if (bytes > this.#maxBytes) throw full(this.#maxBytes);
    this.#bytes = bytes;
    this.native.set(key, file);
    if (!replaced) this.#sorted = undefined;
    return file.info;
  }

  #remove(key: string): void {
    const file = this.native.get(key);
    if (!file) return;
    this.#bytes -= file.bytes.byteLength;
    this.native.delete(key);
    this.#sorted = undefined;
  }
}

async function collect(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    signal?.throwIfAborted();
    size += chunk.byteLength;
    if (size > maxBytes) throw full(maxBytes);
    chunks.push(chunk);
  }
  signal?.throwIfAborted();
  return new Uint8Array(Buffer.concat(chunks));
}

function full(maxBytes: number): StorageFault {
  return new StorageFault({
    code: 'resource-exhausted',
    retryable: false,
    message: `the memory storage is full: its maxBytes is ${maxBytes}`,
  });
}

/**
 * Files in memory, for tests and for what may be lost.
 *
 * @example
 * const files = memoryStorage();
 * await files.put('notes/today.txt', 'hello');
 */
export function memoryStorage(
  options: MemoryStorageOptions = {},
): FileStorage<MemoryStorageDriver> {
  return new FileStorage(new MemoryStorageDriver(options), options);
}
