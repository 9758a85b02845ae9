import { randomInt } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  type Stats,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

import {
  etagOf,
  type Facts,
  modificationTime,
  parseFacts,
  serializeFacts,
  versionOf,
} from './facts.ts';
import { DiskPaths } from './paths.ts';

/** One change of the tree. */
export type Change =
  | {
      readonly kind: 'put';
      readonly key: string;
      /** The whole content; without it, it already lies at `temp`. */
      readonly content?: Uint8Array;
      /** A path of its own in the folder for bodies on their way in. Whatever happens, nothing is left there. */
      readonly temp: string;
      readonly facts: Facts;
      /** Milliseconds since the Unix epoch. */
      readonly now: number;
      readonly ifNoneMatch?: '*';
      readonly ifMatch?: string;
    }
  | {
      readonly kind: 'move';
      readonly key: string;
      readonly to: string;
      readonly ifNoneMatch?: '*';
      readonly ifSourceMatch?: string;
    }
  | { readonly kind: 'delete'; readonly key: string; readonly ifMatch?: string };

/** The file that a put or a move has put in place, or a delete has taken away. */
export interface Placed {
  readonly version: number;
  readonly size: number;
  /** Of a moved file, unless somebody else had written it. Those of a put are known to whoever put it. */
  readonly facts?: Facts | undefined;
}

/** Why nothing was changed. `at` is the key, or the path of the link. */
export interface Refusal {
  readonly reason:
    | 'absent'
    | 'exists'
    | 'changed'
    | 'source-changed'
    | 'both-file-and-folder'
    | 'link';
  readonly at: string;
}

/** Says that a change was refused, and nothing was changed. */
export class RefusedChange extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.reason);
    this.refusal = refusal;
  }
}

/** Says that a change took place, and what failed after it. */
export class UnfinishedChange extends Error {
  override readonly cause: unknown;

  constructor(message: string, cause: unknown) {
    super(message);
    this.cause = cause;
  }
}

/** How {@link Changes} are made. */
export interface ChangesOptions {
  readonly directory: string;
  readonly reserved: string;
  /** Whether each change reaches the disk itself before it ends. */
  readonly sync: boolean;
}

// Another process may remove an emptied folder between its making and the rename into it.
const folderAttempts = 10;

/**
 * Makes changes in the tree, each in one go of blocking calls: within one process they take turns, and no other change of it comes
 * between a condition and its write.
 */
export class Changes {
  readonly #paths: DiskPaths;
  readonly #sync: boolean;
  #latest = 0;

  constructor({ directory, reserved, sync }: ChangesOptions) {
    this.#paths = new DiskPaths(directory, reserved);
    this.#sync = sync;
  }

  /** The greatest version of all puts. */
  get latest(): number {
    return this.#latest;
  }

  /**
   * Makes a change; a put under a version that is greater than `after`. Throws {@link RefusedChange}, {@link UnfinishedChange}, or what
   * the operating system refuses: then nothing was changed.
   */
  make(change: Change, after: number): Placed {
    this.#latest = Math.max(this.#latest, after);
    if (change.kind === 'put') return this.#put(change);
    if (change.kind === 'move') return this.#move(change);
    return this.#delete(change);
  }

  #put(put: Change & { kind: 'put' }): Placed {
    const { key, temp, facts, ifNoneMatch } = put;
    let version: number | undefined;
    try {
      const replaced = this.#find(key);
      this.#checkConditions(key, replaced, put);
      const file = openSync(temp, put.content ? 'wx' : 'r+');
      let size: number;
      try {
        if (put.content) writeAllSync(file, put.content);
        version = this.#createFacts(key, facts, put.now);
        futimesSync(file, modificationTime(version), modificationTime(version));
        if (this.#sync) fsyncSync(file);
        size = put.content?.byteLength ?? lstatSync(temp).size;
      } finally {
        closeSync(file);
      }
      this.#place(temp, key, put);
      // From here on the file is in place, and its facts are no remains.
      if (ifNoneMatch !== undefined) ignoringErrors(() => unlinkSync(temp));
      if (replaced) this.#forget(key, versionOf(replaced));
      this.#confirm(key);
      return { version, size };
    } catch (error) {
      if (error instanceof UnfinishedChange) throw error;
      ignoringErrors(() => unlinkSync(temp));
      if (version !== undefined) this.#forget(key, version);
      throw error;
    }
  }

  #move(move: Change & { kind: 'move' }): Placed {
    const { key, to, ifNoneMatch, ifSourceMatch } = move;
    const found = this.#find(key);
    if (!found) throw new RefusedChange({ reason: 'absent', at: key });
    const replaced = this.#find(to);
    this.#checkConditions(to, replaced, move);
    const version = versionOf(found);
    const facts = this.#read(key, version);
    if (ifSourceMatch !== undefined && ifSourceMatch !== etagOf(facts, version, found.size))
      throw new RefusedChange({ reason: 'source-changed', at: key });
    const source = this.#paths.file(key);
    if (facts) this.#writeFacts(to, version, facts, 'w');
    try {
      this.#place(source, to, move);
    } catch (error) {
      if (facts) this.#forget(to, version);
      throw error;
    }
    if (replaced && versionOf(replaced) !== version) this.#forget(to, versionOf(replaced));
    if (ifNoneMatch !== undefined) {
      try {
        unlinkSync(source);
      } catch (error) {
        throw new UnfinishedChange(
          `the file is at its target, but ${JSON.stringify(key)} could not be removed`,
          error,
        );
      }
    }
    this.#forget(key, version);
    this.#removeEmptyFolders(source);
    this.#confirm(to);
    return { version, size: found.size, facts };
  }

  #delete(removal: Change & { kind: 'delete' }): Placed {
    const { key } = removal;
    const found = this.#find(key);
    this.#checkConditions(key, found, removal);
    if (!found) return { version: 0, size: 0 }; // Nothing was there.
    const version = versionOf(found);
    const file = this.#paths.file(key);
    try {
      unlinkSync(file);
    } catch (error) {
      // Another process was first.
      if (!isAbsentError(error)) throw error;
    }
    this.#forget(key, version);
    this.#removeEmptyFolders(file);
    return { version, size: found.size };
  }

  #checkConditions(
    key: string,
    found: Stats | undefined,
    { ifNoneMatch, ifMatch }: { readonly ifNoneMatch?: '*'; readonly ifMatch?: string },
  ): void {
    if (ifNoneMatch !== undefined && found) throw new RefusedChange({ reason: 'exists', at: key });
    if (ifMatch === undefined) return;
    const version = found && versionOf(found);
    const etag =
      version === undefined
        ? undefined
        : etagOf(this.#read(key, version), version, found?.size ?? 0);
    if (etag !== ifMatch) throw new RefusedChange({ reason: 'changed', at: key });
  }

  // The file's stats; nothing for what is no file, such as a folder.
  #find(key: string): Stats | undefined {
    const file = this.#paths.file(key);
    this.#refuseLinks(file);
    const stats = lstatIfThere(file);
    return stats?.isFile() === true ? stats : undefined;
  }

  // Looks each time, since a link could lead anywhere and be put there at any time.
  #refuseLinks(file: string): void {
    for (const folder of this.#paths.foldersAbove(file))
      if (lstatIfThere(folder)?.isSymbolicLink() === true)
        throw new RefusedChange({ reason: 'link', at: folder });
  }

  #read(key: string, version: number): Facts | undefined {
    try {
      const found = parseFacts(readFileSync(this.#paths.sidecar(key, version), 'utf8'));
      return found?.key === key ? found.facts : undefined;
    } catch (error) {
      if (isAbsentError(error)) return undefined;
      throw error;
    }
  }

  // Writes the facts under a version that no other of this key has, and gives it.
  #createFacts(key: string, facts: Facts, now: number): number {
    for (;;) {
      // Ascending, so that only another process can have taken it.
      this.#latest = Math.max(this.#latest + 1, now * 100 + randomInt(100));
      try {
        this.#writeFacts(key, this.#latest, facts, 'wx');
        return this.#latest;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
    }
  }

  #writeFacts(key: string, version: number, facts: Facts, flag: 'w' | 'wx'): void {
    const file = this.#paths.sidecar(key, version);
    const write = (): void =>
      writeFileSync(file, serializeFacts(key, facts), { flag, flush: this.#sync });
    try {
      try {
        write();
      } catch (error) {
        if (!isAbsentError(error)) throw error;
        this.#makeFoldersAbove(file);
        write();
      }
      if (this.#sync) syncFolder(path.dirname(file));
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') ignoringErrors(() => unlinkSync(file));
      throw error;
    }
  }

  // The facts of a version that is gone do no harm, and are no reason to call a change failed: a later start removes them.
  #forget(key: string, version: number): void {
    ignoringErrors(() => unlinkSync(this.#paths.sidecar(key, version)));
  }

  // Puts a finished file in its place, whatever was there before, or nothing at all.
  #place(source: string, key: string, { ifNoneMatch }: { readonly ifNoneMatch?: '*' }): void {
    const target = this.#paths.file(key);
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (attempt > 1) {
          this.#makeFoldersAbove(target);
          this.#refuseLinks(target);
        }
        if (ifNoneMatch === undefined) renameSync(source, target);
        else linkSync(source, target);
        return;
      } catch (error) {
        const code = codeOf(error);
        if (code === 'EEXIST' && lstatIfThere(target)?.isFile() === true)
          throw new RefusedChange({ reason: 'exists', at: key });
        if (code !== undefined && isTaken.has(code))
          throw new RefusedChange({ reason: 'both-file-and-folder', at: key });
        if (code !== 'ENOENT' || attempt === folderAttempts) throw error;
      }
    }
  }

  // One by one: made all at once, what a read-only disk says is that they are not there.
  #makeFoldersAbove(file: string): void {
    for (const folder of this.#paths.foldersAbove(file)) {
      try {
        mkdirSync(folder);
      } catch (error) {
        if (codeOf(error) === 'EEXIST') continue;
        throw error;
      }
      if (this.#sync) syncFolder(path.dirname(folder));
    }
  }

  #removeEmptyFolders(file: string): void {
    ignoringErrors(() => {
      for (const folder of this.#paths.foldersAbove(file).toReversed()) rmdirSync(folder);
    });
  }

  #confirm(key: string): void {
    if (!this.#sync) return;
    try {
      syncFolder(path.dirname(this.#paths.file(key)));
    } catch (error) {
      throw new UnfinishedChange(
        `${JSON.stringify(key)} is in place, but the disk did not confirm that it will stay`,
        error,
      );
    }
  }
}

// What a file system says when a file stands where a folder is needed, or a folder where the file is to go.
const isTaken: ReadonlySet<string> = new Set(['EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY']);

function writeAllSync(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength;)
    written += writeSync(file, bytes, written, bytes.byteLength - written);
}

function lstatIfThere(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (isAbsentError(error)) return undefined;
    throw error;
  }
}

function syncFolder(folder: string): void {
  // Windows cannot open a folder, and its file systems journal the entries themselves.
  if (process.platform === 'win32') return;
  const opened = openSync(folder, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

function isAbsentError(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function ignoringErrors(fn: () => void): void {
  try {
    fn();
  } catch {
    // Said where it is called.
  }
}
