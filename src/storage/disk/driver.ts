import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';

import { type Classification, type Clock, systemClock, systemErrorCode } from '../../core/index.ts';
import { ChecksumDigest, checksumsOf } from '../checksums.ts';
import { detectContentType } from '../content-type.ts';
import type {
  ByteRange,
  Checksums,
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
} from '../driver.ts';
import { classifyStorageFault, notFound, StorageFault } from '../errors.ts';
import { reservedSegment } from '../key.ts';
import { resolveRange } from '../range.ts';
import { type LocalUrlOptions, UrlSigner } from '../signed-url.ts';
import { assertSource, release } from '../streams.ts';
import {
  closeFile,
  ifThere,
  isAbsent,
  openFile,
  readSlice,
  statOpenFile,
  statPath,
} from './calls.ts';
import { ChangeMaker } from './change-maker.ts';
import type { Change, Placed } from './changes.ts';
import { etagOf, type Facts, modificationTime, versionOf, writtenAt } from './facts.ts';
import { FileChunks } from './file-chunks.ts';
import { Folders } from './folders.ts';
import { KnownFacts } from './known-facts.ts';
import { Listing } from './listing.ts';
import { withLockFile } from './lock-file.ts';
import { DiskPaths } from './paths.ts';
import { removeRemains } from './remains.ts';
import { writeTempFile } from './temp-file.ts';
import { DiskUploads } from './uploads.ts';

/** What {@link DiskStorageDriver} takes. */
export interface DiskDriverOptions {
  /** Holds the files at their keys, and a folder `.underpin`. Made when it is not there. */
  readonly directory: string;
  /** Needed for signed URLs. */
  readonly urls?: LocalUrlOptions;
  /**
   * Whether a put resolves only when the content has reached the disk itself. Default false: the file is whole or absent after a
   * crash of the process, but a power failure within seconds may lose it.
   */
  readonly sync?: boolean;
  readonly clock?: Clock;
}

const capabilities = {
  conditionalWrites: true,
  conditionalDeletes: true,
  nestedKeys: false,
  atomicMove: true,
  signedUrls: true,
  signedUploads: true,
  handler: true,
  signedChecksums: true,
  resumableUploads: true,
} as const;

// Up to this size one read is cheaper than a stream, and a copy for the thread that writes it costs less than another file's calls.
const wholeBytes = 64 * 1024;

/**
 * Files in a folder, at their keys. Reading goes through Node's own threads; the changes of the tree are made one after another (see
 * {@link ChangeMaker}).
 */
export class DiskStorageDriver implements StorageDriver {
  readonly adapter = 'disk';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: { readonly directory: string };
  readonly signer: UrlSigner;
  readonly uploads: DiskUploads;
  readonly #paths: DiskPaths;
  readonly #folders: Folders;
  readonly #facts: KnownFacts;
  readonly #listing: Listing;
  readonly #changes: ChangeMaker;
  readonly #clock: Clock;
  readonly #sync: boolean;

  constructor({ directory, urls, sync = false, clock = systemClock }: DiskDriverOptions) {
    this.#paths = new DiskPaths(directory, reservedSegment);
    this.native = { directory: this.#paths.root };
    this.#folders = new Folders(this.#paths);
    this.#facts = new KnownFacts(this.#paths);
    this.#listing = new Listing(this.#paths.root);
    this.#changes = new ChangeMaker({
      directory: this.#paths.root,
      reserved: reservedSegment,
      sync,
    });
    this.#clock = clock;
    this.#sync = sync;
    this.signer = new UrlSigner(urls, clock);
    this.uploads = new DiskUploads(
      this.#paths,
      { sync },
      async (key, body, options, signal) => await this.put(key, body, options, signal),
    );
  }

  readonly classify = (error: unknown): Classification | undefined => {
    const { root } = this.#paths;
    const code = systemErrorCode(error);
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      return {
        code: 'resource-exhausted',
        retryable: false,
        outcome: 'not-applied',
        message: `the disk that holds ${root} is full: free space on it, or choose another directory`,
      };
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      return {
        code: 'permission-denied',
        message: `no permission to use ${root}: let this process read and write it, or choose another directory`,
      };
    }
    if (code === 'ELOOP')
      return {
        code: 'permission-denied',
        message: 'the file is a symbolic link, which could lead out of the storage',
      };
    return classifyStorageFault(error);
  };

  async start(): Promise<void> {
    const { root, temp, sidecars, locks, uploads } = this.#paths;
    try {
      for (const folder of [temp, sidecars, locks, uploads])
        await mkdir(folder, { recursive: true });
    } catch (error) {
      const code = systemErrorCode(error);
      // What mkdir says of a folder that is to be made on a read-only disk.
      if (code === 'ENOENT')
        throw new StorageFault(
          {
            code: 'permission-denied',
            message: `${root} cannot be made: make it, or choose another directory`,
          },
          error,
        );
      if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
      throw new StorageFault({
        code: 'failed-precondition',
        message: `${root} is not a folder, or lies below a file: choose another directory`,
      });
    }
    await this.#checkTimes();
    await this.#changes.start();
    await removeRemains(this.#paths, Date.now());
  }

  async checkHealth(): Promise<void> {
    await access(this.#paths.temp, constants.W_OK);
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    await this.#folders.check(this.#paths.file(key));
    const temp = this.#paths.temp + path.sep + randomUUID();
    const isWhole = body instanceof Uint8Array && body.byteLength <= wholeBytes;
    try {
      if (!isWhole) await writeTempFile(temp, body, { sync: this.#sync, signal });
      signal?.throwIfAborted();
      const { contentType, cacheControl, metadata, ifMatch, ifNoneMatch } = options;
      const facts: Facts = {
        contentType,
        ...(cacheControl === undefined ? {} : { cacheControl }),
        metadata,
        ...options.checksums(),
      };
      const placed = await this.#matching(key, ifMatch, {
        kind: 'put',
        key,
        ...(isWhole && { content: alone(body) }),
        temp,
        facts,
        now: this.#clock.now(),
        ...(ifMatch === undefined ? {} : { ifMatch }),
        ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
      });
      return await infoOf(key, { ...placed, facts });
    } catch (error) {
      if (!isWhole) await rm(temp, { force: true });
      throw error;
    }
  }

  async get(key: string, range: ByteRange | undefined): Promise<DriverFile> {
    // Each further round means that another writer has replaced the file meanwhile.
    for (;;) {
      const file = await this.#getInPlace(key, range);
      if (file) return file;
    }
  }

  // Nothing where the file was replaced, and its facts removed, before they were read.
  async #getInPlace(key: string, range: ByteRange | undefined): Promise<DriverFile | undefined> {
    const file = await this.#open(key);
    let isHandedOver = false;
    try {
      const stats = await statOpenFile(file);
      if (!stats.isFile()) throw notFound(key);
      const info = await this.#info(key, stats);
      if (!info) return undefined;
      const resolved = range && resolveRange(range, stats.size, key);
      const { start, end } = resolved ?? { start: 0, end: stats.size - 1 };
      const length = end + 1 - start;
      isHandedOver = length > wholeBytes;
      const body = isHandedOver
        ? new FileChunks(file, start, end)
        : await readSlice(file, start, length);
      return { info, ...(resolved && { range: resolved }), body };
    } finally {
      // Nobody waits for it, since what was read stays read.
      if (!isHandedOver) void closeFile(file).catch(() => undefined);
    }
  }

  async head(key: string): Promise<FileInfo> {
    for (;;) {
      const stats = await this.#stat(key);
      if (!stats) throw notFound(key);
      const info = await this.#info(key, stats);
      if (info) return info;
    }
  }

  async delete(key: string, { ifMatch }: Pick<WriteConditions, 'ifMatch'>): Promise<void> {
    await this.#matching(key, ifMatch, {
      kind: 'delete',
      key,
      ...(ifMatch === undefined ? {} : { ifMatch }),
    });
  }

  async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const file = await this.get(from, undefined);
    await assertSource(file, from, conditions);
    const { info, body } = file;
    const { ifNoneMatch } = conditions;
    const { key: _, etag: __, lastModified: ___, sha256, crc32, ...facts } = info;
    const source =
      sha256 === undefined || crc32 === undefined
        ? digesting(body)
        : { body, checksums: () => ({ sha256, crc32 }) };
    try {
      return await this.put(
        to,
        source.body,
        { ...(ifNoneMatch && { ifNoneMatch }), ...facts, checksums: source.checksums },
        signal,
      );
    } finally {
      await release(body);
    }
  }

  async move(
    from: string,
    to: string,
    { ifNoneMatch, ifSourceMatch }: TransferConditions,
  ): Promise<FileInfo> {
    const placed = await this.#changes.make({
      kind: 'move',
      key: from,
      to,
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
      ...(ifSourceMatch === undefined ? {} : { ifSourceMatch }),
    });
    return await infoOf(to, placed);
  }

  async list(
    { prefix, delimiter, after, limit }: DriverList,
    signal?: AbortSignal,
  ): Promise<ListPage> {
    const entries: string[] = [];
    for await (const entry of this.#listing.entries(prefix, after, delimiter)) {
      signal?.throwIfAborted();
      entries.push(entry);
      if (entries.length > limit) break;
    }
    const page = entries.slice(0, limit);
    const next = entries.length > limit ? page.at(-1) : undefined;
    const keys = page.filter((entry) => !entry.endsWith('/'));
    const paths = keys.map((key) => this.#paths.file(key));
    // Once for each folder, and not for each of its files.
    const folders = new Map(paths.map((file) => [path.dirname(file), file]));
    for (const file of folders.values()) await this.#folders.check(file);
    const files = await Promise.all(
      keys.map(async (key, index) => {
        const stats = await statFile(paths[index] ?? '');
        return stats && { key, size: stats.size, lastModified: writtenAt(versionOf(stats)) };
      }),
    );
    return {
      files: files.filter((file) => file !== undefined),
      prefixes: page.filter((entry) => entry.endsWith('/')),
      ...(next === undefined ? {} : { next }),
    };
  }

  async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    return this.signer.signUrl(key, options);
  }

  async signUpload(key: string, options: DriverSignedUpload): Promise<SignedPut> {
    return this.signer.signUpload(key, options);
  }

  async close(): Promise<void> {
    await this.#changes.close();
  }

  async #open(key: string): Promise<number> {
    const file = this.#paths.file(key);
    await this.#folders.check(file);
    try {
      return await openFile(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      throw isAbsent(error) ? notFound(key) : error;
    }
  }

  async #stat(key: string): Promise<Stats | undefined> {
    const file = this.#paths.file(key);
    await this.#folders.check(file);
    return await statFile(file);
  }

  // Nothing where that version is in place no more.
  async #info(
    key: string,
    stats: { readonly size: number; readonly mtimeMs: number },
  ): Promise<FileInfo | undefined> {
    const version = versionOf(stats);
    const facts = await this.#facts.read(key, version);
    if (!facts) {
      // Somebody else wrote it; or it has been replaced since, and its facts went with it.
      const current = await this.#stat(key);
      if (!current || versionOf(current) !== version) return undefined;
    }
    return await infoOf(key, { version, size: stats.size, facts });
  }

  // With ifMatch, one writer at a time of all the processes that give one. Those of this process take turns anyway.
  async #matching(key: string, ifMatch: string | undefined, change: Change): Promise<Placed> {
    if (ifMatch === undefined) return await this.#changes.make(change);
    return await withLockFile(
      this.#paths.lock(key),
      this.#clock,
      async () => await this.#changes.make(change),
    );
  }

  async #checkTimes(): Promise<void> {
    const probe = path.join(this.#paths.temp, randomUUID());
    const version = this.#clock.now() * 100 + 12;
    const handle = await open(probe, 'wx');
    try {
      await handle.utimes(modificationTime(version), modificationTime(version));
      if (versionOf(await handle.stat()) === version) return;
    } finally {
      await handle.close();
      await rm(probe, { force: true });
    }
    throw new StorageFault({
      code: 'failed-precondition',
      message: `the file system of ${this.#paths.root} does not keep modification times to ten microseconds, which the storage needs: choose a directory on another`,
    });
  }
}

// What is sent to a thread is sent with all the memory that it is a part of, and memory that others share stays theirs to change.
function alone(bytes: Uint8Array): Uint8Array {
  const isAll = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return isAll ? bytes : new Uint8Array(bytes);
}

async function infoOf(key: string, { version, size, facts }: Placed): Promise<FileInfo> {
  return {
    key,
    size,
    etag: etagOf(facts, version, size),
    // Where somebody else wrote it, its facts are what can be seen.
    contentType: facts?.contentType ?? (await detectContentType(new Uint8Array(), key)),
    ...(facts?.cacheControl === undefined ? {} : { cacheControl: facts.cacheControl }),
    metadata: Object.freeze({ ...facts?.metadata }),
    lastModified: writtenAt(version),
    ...(facts && { sha256: facts.sha256, crc32: facts.crc32 }),
  };
}

// The checksums of a body that has none yet, once it has been read to its end.
function digesting(body: DriverFile['body']): {
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  readonly checksums: () => Checksums;
} {
  if (body instanceof Uint8Array) return { body, checksums: () => checksumsOf(body) };
  const digest = new ChecksumDigest();
  return {
    body: (async function* () {
      for await (const chunk of body) {
        digest.update(chunk);
        yield chunk;
      }
    })(),
    checksums: () => digest.digest(),
  };
}

// The file's stats; nothing for what is no file, such as a folder.
async function statFile(file: string): Promise<Stats | undefined> {
  const stats = await ifThere(statPath(file));
  return stats?.isFile() === true ? stats : undefined;
}
