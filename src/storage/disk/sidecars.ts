import { randomInt } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { LRUCache } from 'lru-cache';

import { syncDirectory, systemErrorCode } from '../../core/index.ts';
import { type DiskPaths, isAbsent } from './paths.ts';

/** What the file system does not know of a file. */
export interface Sidecar {
  readonly key: string;
  readonly contentType: string;
  readonly cacheControl?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sha256: string;
  readonly crc32: string;
}

// About 400 bytes each: 8 MB. A version's facts never change, so that no entry is ever stale.
const rememberedSidecars = 20_000;

/**
 * The facts of each version of a file, in a file of their own beside the tree. The version is the file's modification time in units
 * of ten microseconds, and is set to be unique for its key: whichever version is in place after a crash finds its own facts, and a
 * file that somebody else wrote or changed finds none.
 */
export class Sidecars {
  readonly #paths: DiskPaths;
  readonly #remembered = new LRUCache<string, Sidecar>({ max: rememberedSidecars });

  readonly #sync: boolean;
  #latest = 0;

  /** With `sync`, facts are on the disk itself before the content they belong to is put in place. */
  constructor(paths: DiskPaths, { sync }: { readonly sync: boolean }) {
    this.#paths = paths;
    this.#sync = sync;
  }

  /** The version of a file by its modification time. */
  static versionOf({ mtimeMs }: { readonly mtimeMs: number }): number {
    return Math.floor(mtimeMs * 100);
  }

  /** A version's modification time in seconds: the middle of its unit, so that no rounding on the way reaches another. */
  static modificationTime(version: number): number {
    return (version + 0.5) / 100_000;
  }

  /** When the version was written, in milliseconds since the Unix epoch. */
  static writtenAt(version: number): number {
    return Math.floor(version / 100);
  }

  /** Writes the facts under a version that no other of this key has, and gives it. */
  async create(now: number, sidecar: Sidecar): Promise<number> {
    for (;;) {
      // Ascending, so that only another process can have taken it.
      this.#latest = Math.max(this.#latest + 1, now * 100 + randomInt(100));
      const version = this.#latest;
      if (await this.write(version, sidecar, { replace: false })) return version;
    }
  }

  /** Writes the facts of a version; gives false when they exist and may not be replaced. */
  async write(
    version: number,
    sidecar: Sidecar,
    { replace }: { readonly replace: boolean },
  ): Promise<boolean> {
    const file = this.#paths.sidecar(sidecar.key, version);
    const attempt = async (): Promise<void> => {
      await writeFile(file, JSON.stringify(sidecar), {
        flag: replace ? 'w' : 'wx',
        flush: this.#sync,
      });
    };
    try {
      await attempt().catch(async (error: unknown) => {
        if (!isAbsent(error)) throw error;
        await mkdir(path.dirname(file), { recursive: true });
        await attempt();
      });
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return false;
      await rm(file, { force: true });
      throw error;
    }
    if (this.#sync) await syncDirectory(path.dirname(file));
    this.#remembered.set(file, sidecar);
    return true;
  }

  /** The facts of a version; `undefined` for one that was not written here. */
  async read(key: string, version: number): Promise<Sidecar | undefined> {
    const file = this.#paths.sidecar(key, version);
    const remembered = this.#remembered.get(file);
    if (remembered) return remembered;
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (isAbsent(error)) return undefined;
      throw error;
    });
    const sidecar = text === undefined ? undefined : parseSidecar(text, key);
    if (sidecar) this.#remembered.set(file, sidecar);
    return sidecar;
  }

  async remove(key: string, version: number): Promise<void> {
    const file = this.#paths.sidecar(key, version);
    this.#remembered.delete(file);
    await rm(file, { force: true });
  }
}

function parseSidecar(text: string, key: string): Sidecar | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const {
    key: ownKey,
    contentType,
    cacheControl,
    metadata,
    sha256,
    crc32,
  } = value as Partial<Record<keyof Sidecar, unknown>>;
  const isKnown =
    ownKey === key &&
    typeof contentType === 'string' &&
    typeof sha256 === 'string' &&
    typeof crc32 === 'string';
  if (
    !isKnown ||
    (cacheControl !== undefined && typeof cacheControl !== 'string') ||
    !isTexts(metadata)
  )
    return undefined;
  return {
    key,
    contentType,
    ...(cacheControl === undefined ? {} : { cacheControl }),
    metadata,
    sha256,
    crc32,
  };
}

function isTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((text) => typeof text === 'string')
  );
}
