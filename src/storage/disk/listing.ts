import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

import { LRUCache } from 'lru-cache';

import { compareKeys, isKey } from '../key.ts';
import { isAbsent } from './calls.ts';

// Names, not folders, count: 200,000 of about 60 bytes are 12 MB.
const rememberedNames = 200_000;
// A folder changed within its clock's tick of being read may change again without its time showing it.
const settledAfterMs = 100;

interface Folder {
  readonly mtimeMs: number;
  /** Sorted as keys are; a folder's name ends with a slash, which puts `a/` where its keys belong. */
  readonly names: readonly string[];
}

/** Reads the tree in the order of keys. Remembers large folders between the pages of one listing. */
export class Listing {
  readonly #root: string;
  readonly #folders = new LRUCache<string, Folder>({
    maxSize: rememberedNames,
    sizeCalculation: ({ names }) => names.length + 1,
  });

  constructor(root: string) {
    this.#root = root;
  }

  /** Every key, and with a delimiter every folded prefix, that starts with `prefix` and comes after `after`. */
  async *entries(
    prefix: string,
    after: string | undefined,
    delimiter: '/' | undefined,
  ): AsyncGenerator<string, void> {
    // Nothing before the prefix's last slash varies, so that folders beside it need not be read.
    const base = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#walk(base, { prefix, after, delimiter });
  }

  async *#walk(
    base: string,
    options: {
      readonly prefix: string;
      readonly after: string | undefined;
      readonly delimiter: '/' | undefined;
    },
  ): AsyncGenerator<string, void> {
    const { prefix, after, delimiter } = options;
    const names = await this.#names(base);
    for (
      let index = after === undefined ? 0 : firstAfter(names, base, after);
      index < names.length;
      index += 1
    ) {
      const key = `${base}${names[index]}`;
      if (!key.startsWith(prefix)) {
        if (compareKeys(key, prefix) > 0) return;
        continue;
      }
      if (!key.endsWith('/')) yield key;
      else if (delimiter === undefined) yield* this.#walk(key, options);
      else if (after === undefined || !after.startsWith(key)) {
        // An empty folder holds no key, and so is no prefix.
        for await (const _ of this.#walk(key, {
          prefix: '',
          after: undefined,
          delimiter: undefined,
        })) {
          yield key;
          break;
        }
      }
    }
  }

  async #names(base: string): Promise<readonly string[]> {
    const folder = path.join(this.#root, ...base.split('/'));
    try {
      const { mtimeMs } = await stat(folder);
      const remembered = this.#folders.get(folder);
      if (remembered?.mtimeMs === mtimeMs) return remembered.names;
      const readAt = Date.now();
      const entries = await readdir(folder, { withFileTypes: true });
      const names: string[] = [];
      for (const entry of entries) {
        // As part of the whole key: some names are reserved at the top alone.
        if (!isKey(`${base}${entry.name}`)) continue;
        if (entry.isFile()) names.push(entry.name);
        else if (entry.isDirectory()) names.push(`${entry.name}/`);
      }
      sortNames(names);
      if (readAt - mtimeMs > settledAfterMs) this.#folders.set(folder, { mtimeMs, names });
      return names;
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }
}

// Plain comparison orders by UTF-16 units, which differs from UTF-8 only where there are surrogates.
function sortNames(names: string[]): void {
  if (names.some((name) => /[\ud800-\udfff]/.test(name))) names.sort(compareKeys);
  else names.sort();
}

// The first name whose key comes after, or that is a folder which may hold such keys.
function firstAfter(names: readonly string[], base: string, after: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const key = `${base}${names[middle]}`;
    const isBefore = compareKeys(key, after) <= 0 && !(key.endsWith('/') && after.startsWith(key));
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}
