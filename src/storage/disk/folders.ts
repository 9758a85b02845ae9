import { LRUCache } from 'lru-cache';

import { ifThere, statPath } from './calls.ts';
import { linkRefused } from './change-errors.ts';
import type { DiskPaths } from './paths.ts';

const rememberedFolders = 10_000;
// How long a link that takes a folder's place while it is in use can be followed at most, for reading.
const rememberedMs = 1000;

/** Looks whether files are reached through real folders alone. */
export class Folders {
  readonly #paths: DiskPaths;
  readonly #checked = new LRUCache<string, true>({ max: rememberedFolders, ttl: rememberedMs });

  constructor(paths: DiskPaths) {
    this.#paths = paths;
  }

  /** Refuses a file that is reached through a symbolic link below the root, since it could lie anywhere. */
  async check(file: string): Promise<void> {
    for (const folder of this.#paths.foldersAbove(file)) {
      if (this.#checked.has(folder)) continue;
      const stats = await ifThere(statPath(folder));
      if (stats === undefined) return;
      if (stats.isSymbolicLink()) throw linkRefused(folder);
      this.#checked.set(folder, true);
    }
  }
}
