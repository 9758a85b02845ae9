import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import {
  access,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
} from 'node:fs/promises';
import path from 'node:path';

import {
  type Classification,
  type Clock,
  KeyedMutex,
  systemClock,
  syncDirectory,
  systemErrorCode,
} from '../../core/index.ts';
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
import { classifyStorageFault, conditionFailed, notFound, StorageFault } from '../errors.ts';
import { resolveRange } from '../range.ts';
import { type LocalUrlOptions, UrlSigner } from '../signed-url.ts';
import { FileChunks, readSlice } from './file-chunks.ts';
import { Listing } from './listing.ts';
import { withLockFile } from './lock-file.ts';
import { DiskPaths, isAbsent } from './paths.ts';
import { type Sidecar, Sidecars } from './sidecars.ts';

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
  resumableUploads: false,
} as const;

// Up to this size one read is cheaper than a stream.
const wholeBytes = 64 * 1024;
const abandonedAfterMs = 24 * 3600 * 1000;
// Another process may remove an emptied folder between its making and the rename into it.
const folderAttempts = 10;

/** Files in a folder, at their keys. Writes are atomic; every version's facts lie beside the tree (see {@link Sidecars}). */
export class DiskStorageDriver implements StorageDriver {
  readonly adapter = 'disk';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: { readonly directory: string };
  readonly signer: UrlSigner;
  readonly #paths: DiskPaths;
  readonly #sidecars: Sidecars;
  readonly #listing: Listing;
  readonly #mutex = new KeyedMutex();
  readonly #clock: Clock;
  readonly #sync: boolean;

  constructor({ directory, urls, sync = false, clock = systemClock }: DiskDriverOptions) {
    this.#paths = new DiskPaths(directory);
    this.native = { directory: this.#paths.root };
    this.#sidecars = new Sidecars(this.#paths, { sync });
    this.#listing = new Listing(this.#paths.root);
    this.#clock = clock;
    this.#sync = sync;
    this.signer = new UrlSigner(urls, clock);
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
    const { root, temp, sidecars, locks } = this.#paths;
    try {
      for (const folder of [temp, sidecars, locks]) await mkdir(folder, { recursive: true });
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
      throw new StorageFault({
        code: 'failed-precondition',
        message: `${root} is not a folder, or lies below a file: choose another directory`,
      });
    }
    await this.#checkTimes();
    await this.#removeAbandoned();
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
    await this.#paths.checkFolder(path.dirname(this.#paths.file(key)));
    const temp = path.join(this.#paths.temp, randomUUID());
    let version: number | undefined;
    try {
      const handle = await open(temp, 'wx');
      let size: number;
      let sidecar: Sidecar;
      try {
        size =
          body instanceof Uint8Array
            ? await writeAll(handle, body)
            : await writeStream(handle, body, signal);
        sidecar = {
          key,
          contentType: options.contentType,
          ...(options.cacheControl === undefined ? {} : { cacheControl: options.cacheControl }),
          metadata: options.metadata,
          ...options.checksums(),
        };
        version = await this.#sidecars.create(this.#clock.now(), sidecar);
        await handle.utimes(Sidecars.modificationTime(version), Sidecars.modificationTime(version));
        if (this.#sync) await handle.sync();
      } finally {
        await handle.close();
      }
      signal?.throwIfAborted();
      await this.#exclusively([key], async () => {
        await this.#whileMatching(key, options, async () => await this.#place(temp, key, options));
      });
      // From here on the file is in place, and its facts are no remains.
      if (options.ifNoneMatch !== undefined) await rm(temp, { force: true }).catch(() => undefined);
      if (this.#sync) await this.#confirmPlace(key);
      return infoOf(sidecar, size, version);
    } catch (error) {
      if (isApplied(error)) throw error;
      await rm(temp, { force: true });
      if (version !== undefined) await this.#sidecars.remove(key, version);
      throw error;
    }
  }

  async get(key: string, range: ByteRange | undefined): Promise<DriverFile> {
    const handle = await this.#open(key);
    let isHandedOver = false;
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw notFound(key);
      const info = await this.#info(key, stats);
      const resolved = range && resolveRange(range, stats.size, key);
      const { start, end } = resolved ?? { start: 0, end: stats.size - 1 };
      const length = end + 1 - start;
      if (length <= wholeBytes) {
        return {
          info,
          ...(resolved && { range: resolved }),
          body: await readSlice(handle, start, length),
        };
      }
      isHandedOver = true;
      return {
        info,
        ...(resolved && { range: resolved }),
        body: new FileChunks(handle, start, end),
      };
    } finally {
      if (!isHandedOver) await handle.close();
    }
  }

  async head(key: string): Promise<FileInfo> {
    const stats = await this.#stat(key);
    if (!stats) throw notFound(key);
    return await this.#info(key, stats);
  }

  async delete(key: string, conditions: Pick<WriteConditions, 'ifMatch'>): Promise<void> {
    const remove = async (): Promise<void> => {
      const stats = await this.#stat(key);
      if (!stats) return;
      const file = this.#paths.file(key);
      await rm(file, { force: true });
      await this.#sidecars.remove(key, Sidecars.versionOf(stats));
      await this.#removeEmptyFolders(path.dirname(file));
    };
    await this.#exclusively([key], async () => await this.#whileMatching(key, conditions, remove));
  }

  async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const { info, body } = await this.get(from, undefined);
    const { ifNoneMatch, ifSourceMatch = info.etag } = conditions;
    if (ifSourceMatch !== info.etag) {
      if (body instanceof FileChunks) await body.return();
      throw conditionFailed(from, 'ifSourceMatch');
    }
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
      if (body instanceof FileChunks) await body.return();
    }
  }

  async move(from: string, to: string, conditions: TransferConditions): Promise<FileInfo> {
    const [source, target] = [this.#paths.file(from), this.#paths.file(to)];
    await this.#paths.checkFolder(path.dirname(target));
    return await this.#exclusively([from, to], async () => {
      const stats = await this.#stat(from);
      if (!stats) throw notFound(from);
      const {
        size,
        etag,
        lastModified: _,
        sha256,
        crc32,
        ...facts
      } = await this.#info(from, stats);
      if (conditions.ifSourceMatch !== undefined && conditions.ifSourceMatch !== etag)
        throw conditionFailed(from, 'ifSourceMatch');
      const version = Sidecars.versionOf(stats);
      if (sha256 === undefined || crc32 === undefined) {
        // Somebody else wrote it: there are no facts to take along.
        await this.#place(source, to, conditions);
        await this.#leave(source, from, conditions);
        return await this.#info(to, stats);
      }
      const sidecar: Sidecar = { ...facts, key: to, sha256, crc32 };
      await this.#sidecars.write(version, sidecar, { replace: true });
      try {
        await this.#place(source, to, conditions);
      } catch (error) {
        await this.#sidecars.remove(to, version);
        throw error;
      }
      await this.#leave(source, from, conditions);
      await this.#sidecars.remove(from, version);
      return infoOf(sidecar, size, version);
    });
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
    const files = await Promise.all(
      page
        .filter((entry) => !entry.endsWith('/'))
        .map(async (key) => {
          const stats = await this.#stat(key);
          return (
            stats && { key, size: stats.size, lastModified: modifiedAt(Sidecars.versionOf(stats)) }
          );
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
    // Nothing is held open between calls.
  }

  async #open(key: string): Promise<FileHandle> {
    const file = this.#paths.file(key);
    await this.#paths.checkFolder(path.dirname(file));
    try {
      return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      throw isAbsent(error) ? notFound(key) : error;
    }
  }

  // The file's stats; nothing for what is no file, such as a folder.
  async #stat(key: string): Promise<Stats | undefined> {
    const file = this.#paths.file(key);
    await this.#paths.checkFolder(path.dirname(file));
    try {
      const stats = await lstat(file);
      return stats.isFile() ? stats : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async #info(
    key: string,
    stats: { readonly size: number; readonly mtimeMs: number },
  ): Promise<FileInfo> {
    const version = Sidecars.versionOf(stats);
    const sidecar = await this.#sidecars.read(key, version);
    if (sidecar) return infoOf(sidecar, stats.size, version);
    // Somebody else wrote it: its facts are what can be seen.
    return {
      key,
      size: stats.size,
      etag: `${version.toString(36)}-${stats.size.toString(36)}`,
      contentType: await detectContentType(new Uint8Array(), key),
      metadata: {},
      lastModified: modifiedAt(version),
    };
  }

  // Puts a finished file in its place, whatever was there before, or nothing at all.
  async #place(source: string, key: string, { ifNoneMatch }: WriteConditions): Promise<void> {
    const target = this.#paths.file(key);
    const replaced = await this.#stat(key);
    if (ifNoneMatch !== undefined) {
      if (replaced) throw conditionFailed(key, 'ifNoneMatch');
      await this.#inFolder(key, async () => await link(source, target));
      return;
    }
    await this.#inFolder(key, async () => await rename(source, target));
    // The facts of a version that is gone do no harm, and are no reason to call the new one failed.
    if (replaced)
      await this.#sidecars.remove(key, Sidecars.versionOf(replaced)).catch(() => undefined);
  }

  // Ends a move at its source, whose second name is still there where a link made the first.
  async #leave(source: string, from: string, { ifNoneMatch }: WriteConditions): Promise<void> {
    if (ifNoneMatch !== undefined) {
      await unlink(source).catch((error: unknown) => {
        throw appliedBut(
          `the file is at its target, but ${JSON.stringify(from)} could not be removed`,
          error,
        );
      });
    }
    await this.#removeEmptyFolders(path.dirname(source));
  }

  async #confirmPlace(key: string): Promise<void> {
    try {
      await syncDirectory(path.dirname(this.#paths.file(key)));
    } catch (error) {
      throw appliedBut(
        `${JSON.stringify(key)} is in place, but the disk did not confirm that it will stay`,
        error,
      );
    }
  }

  // One writer of a key at a time in this process. Keys are taken in one order, so that no two writers wait for each other.
  async #exclusively<Result>(keys: readonly string[], fn: () => Promise<Result>): Promise<Result> {
    const [first, ...others] = keys.toSorted();
    if (first === undefined) return await fn();
    return await this.#mutex.run(first, async () => await this.#exclusively(others, fn));
  }

  // With ifMatch, also one writer at a time of all the processes that give one.
  async #whileMatching(
    key: string,
    { ifMatch }: WriteConditions,
    fn: () => Promise<void>,
  ): Promise<void> {
    if (ifMatch === undefined) {
      await fn();
      return;
    }
    await withLockFile(this.#paths.lock(key), this.#clock, async () => {
      const stats = await this.#stat(key);
      if (!stats || (await this.#info(key, stats)).etag !== ifMatch)
        throw conditionFailed(key, 'ifMatch');
      await fn();
    });
  }

  async #inFolder(key: string, place: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await place();
        return;
      } catch (error) {
        const code = systemErrorCode(error);
        if (code === 'EEXIST' && (await this.#stat(key))) throw conditionFailed(key, 'ifNoneMatch');
        if (code === 'EISDIR' || code === 'ENOTDIR' || code === 'EEXIST' || code === 'ENOTEMPTY')
          throw bothFileAndFolder(key);
        if (code !== 'ENOENT' || attempt === folderAttempts) throw error;
        await this.#makeFolder(key);
      }
    }
  }

  async #makeFolder(key: string): Promise<void> {
    try {
      await mkdir(path.dirname(this.#paths.file(key)), { recursive: true });
    } catch (error) {
      const code = systemErrorCode(error);
      throw code === 'EEXIST' || code === 'ENOTDIR' ? bothFileAndFolder(key) : error;
    }
  }

  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let current = folder; current !== this.#paths.root; current = path.dirname(current)) {
      try {
        await rmdir(current);
      } catch {
        return;
      }
    }
  }

  async #checkTimes(): Promise<void> {
    const probe = path.join(this.#paths.temp, randomUUID());
    const version = this.#clock.now() * 100 + 12;
    const handle = await open(probe, 'wx');
    try {
      await handle.utimes(Sidecars.modificationTime(version), Sidecars.modificationTime(version));
      const stats = await handle.stat();
      if (Sidecars.versionOf(stats) === version) return;
    } finally {
      await handle.close();
      await rm(probe, { force: true });
    }
    throw new StorageFault({
      code: 'failed-precondition',
      message: `the file system of ${this.#paths.root} does not keep modification times to ten microseconds, which the storage needs: choose a directory on another`,
    });
  }

  async #removeAbandoned(): Promise<void> {
    const before = Date.now() - abandonedAfterMs;
    for (const name of await readdir(this.#paths.temp)) {
      const file = path.join(this.#paths.temp, name);
      const stats = await stat(file).catch(() => undefined);
      if (stats && stats.mtimeMs < before) await rm(file, { force: true });
    }
  }
}

function infoOf(sidecar: Sidecar, size: number, version: number): FileInfo {
  return {
    ...sidecar,
    size,
    etag: sidecar.sha256.slice(0, 32),
    metadata: Object.freeze({ ...sidecar.metadata }),
    lastModified: modifiedAt(version),
  };
}

function modifiedAt(version: number): Date {
  return new Date(Sidecars.writtenAt(version));
}

function appliedBut(message: string, cause: unknown): StorageFault {
  return new StorageFault({ code: 'data-loss', outcome: 'applied', message }, cause);
}

function isApplied(error: unknown): boolean {
  return error instanceof StorageFault && error.classification.outcome === 'applied';
}

function bothFileAndFolder(key: string): StorageFault {
  return new StorageFault({
    code: 'unimplemented',
    message: `${JSON.stringify(key)} would be both a file and a folder, which a disk cannot hold: choose another key`,
    details: { capability: 'nestedKeys' },
  });
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

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<number> {
  for (let written = 0; written < bytes.byteLength;) {
    written += (await handle.write(bytes, written, bytes.byteLength - written)).bytesWritten;
  }
  return bytes.byteLength;
}

async function writeStream(
  handle: FileHandle,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let size = 0;
  for await (const chunk of body) {
    signal?.throwIfAborted();
    size += await writeAll(handle, chunk);
  }
  return size;
}
