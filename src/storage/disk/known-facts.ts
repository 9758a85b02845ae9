import { LRUCache } from 'lru-cache';

import { ifThere, readWhole } from './calls.ts';
import { type Facts, parseFacts } from './facts.ts';
import type { DiskPaths } from './paths.ts';

// About 400 bytes each: 8 MB. A version's facts never change, so that no entry is ever stale.
const rememberedFacts = 20_000;

/** Reads the facts of versions, and remembers those that were read or written lately. */
export class KnownFacts {
  readonly #paths: DiskPaths;
  readonly #remembered = new LRUCache<string, Facts>({ max: rememberedFacts });

  constructor(paths: DiskPaths) {
    this.#paths = paths;
  }

  remember(key: string, version: number, facts: Facts): void {
    this.#remembered.set(`${version} ${key}`, facts);
  }

  /** The facts of a version; nothing for one that was not written here. */
  async read(key: string, version: number): Promise<Facts | undefined> {
    const remembered = this.#remembered.get(`${version} ${key}`);
    if (remembered) return remembered;
    const text = await ifThere(readWhole(this.#paths.sidecar(key, version), 'utf8'));
    const found = text === undefined ? undefined : parseFacts(text);
    if (found?.key !== key) return undefined;
    this.remember(key, version, found.facts);
    return found.facts;
  }
}
