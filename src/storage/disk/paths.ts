import { hash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import path from 'node:path';

import { LRUCache } from 'lru-cache';

import { systemErrorCode } from '../../core/index.ts';
import { StorageFault } from '../errors.ts';
import { reservedSegment } from '../key.ts';

/** Whether an error says that no file is there. */
export function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const rememberedFolders = 10_000;

/** Where everything lies below the root. Files lie at their keys; what the adapter needs beside them lies in `.underpin/`. */
export class DiskPaths {
  readonly root: string;
  /** Bodies on their way in. On the root's file system, so that a rename can put them in place. */
  readonly temp: string;
  readonly sidecars: string;
  readonly locks: string;
  readonly #checked = new LRUCache<string, true>({ max: rememberedFolders });

  constructor(directory: string) {
    this.root = path.resolve(directory);
    this.temp = path.join(this.root, reservedSegment, 'temp');
    this.sidecars = path.join(this.root, reservedSegment, 'meta');
    this.locks = path.join(this.root, reservedSegment, 'locks');
  }

  /** The path of a checked key, whose segments can neither climb nor be absolute. */
  file(key: string): string {
    return path.join(this.root, ...key.split('/'));
  }

  /** Where one version's facts lie. Hashed, since a segment with a suffix could be too long for a file name. */
  sidecar(key: string, version: number): string {
    const digest = hash('sha1', key, 'hex');
    return path.join(
      this.sidecars,
      digest.slice(0, 2),
      `${digest.slice(2)}.${version.toString(36)}.json`,
    );
  }

  lock(key: string): string {
    return path.join(this.locks, hash('sha1', key, 'hex'));
  }

  /** Refuses a folder that is reached through a symbolic link below the root, since it could lead anywhere. */
  async checkFolder(folder: string): Promise<void> {
    if (folder === this.root || this.#checked.has(folder)) return;
    if (!folder.startsWith(this.root + path.sep))
      throw new TypeError(`${folder} is not below ${this.root}`);
    await this.checkFolder(path.dirname(folder));
    const stats = await lstat(folder).catch((error: unknown) => {
      if (isAbsent(error)) return undefined;
      throw error;
    });
    if (stats === undefined) return;
    if (stats.isSymbolicLink()) {
      throw new StorageFault({
        code: 'permission-denied',
        message: `${folder} is a symbolic link, which could lead out of the storage: replace it with a folder`,
      });
    }
    this.#checked.set(folder, true);
  }
}
