import { randomBytes } from 'node:crypto';
import { link, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type Duration, toMilliseconds } from './quantities.ts';

/** Options of {@link writeFileAtomically}. */
export interface AtomicWriteOptions {
  /** Whether an existing file is replaced. When not, exactly one of several writers, in any process, creates the file. */
  readonly replace: boolean;
  /** Whether the file and its directory entry are on the disk before the call returns, so that they outlive a power cut. */
  readonly sync: boolean;
  /** Ends the write; the target is as it was. */
  readonly signal?: AbortSignal | undefined;
}

const temporaryName = /^\.underpin-[0-9a-f]{24}\.tmp$/;

/**
 * Writes a whole file or nothing: readers see the old content or the new, also when the process is killed on the way. The
 * content goes to a temporary file in the same directory first (see {@link isTemporaryFile}). The directory must exist.
 *
 * Resolves to whether the file was written: `false` only with `replace: false`, when it was there before. Throws the file
 * system's own errors, or what the source of `data` threw, and then leaves neither the file nor the temporary one.
 */
export async function writeFileAtomically(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
  { replace, sync, signal }: AtomicWriteOptions,
): Promise<boolean> {
  signal?.throwIfAborted();
  const directory = dirname(path);
  const temporary = join(directory, `.underpin-${randomBytes(12).toString('hex')}.tmp`);
  let isRenamed = false;
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(data, signal ? { signal } : {});
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
    signal?.throwIfAborted();
    if (replace) {
      await rename(temporary, path);
      isRenamed = true;
    } else if (!(await linkIfAbsent(temporary, path))) {
      return false;
    }
    if (sync) await syncDirectory(directory);
    return true;
  } finally {
    // What cannot be removed now is removed later, by removeStaleTemporaryFiles.
    if (!isRenamed) await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** Whether a file's name (without its directory) is that of an unfinished write, which every reader of a directory must ignore. */
export function isTemporaryFile(name: string): boolean {
  return temporaryName.test(name);
}

/**
 * Removes what killed processes left of their writes in one directory. `olderThan` must be longer than any write can take,
 * since other processes may be at work. Resolves to the number of files removed; a directory that is not there has none.
 */
export async function removeStaleTemporaryFiles(directory: string, { olderThan }: { readonly olderThan: Duration }): Promise<number> {
  const before = Date.now() - toMilliseconds(olderThan);
  let removed = 0;
  for (const name of await ifPresent(readdir(directory), [])) {
    if (!isTemporaryFile(name)) continue;
    const path = join(directory, name);
    const facts = await ifPresent(stat(path), undefined);
    if (facts === undefined || facts.mtimeMs > before) continue;
    await rm(path, { force: true });
    removed += 1;
  }
  return removed;
}

/** Puts a directory's entries on the disk, so that a file created, renamed or removed in it stays so after a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open a directory, and its file systems journal the entries themselves.
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function linkIfAbsent(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function ifPresent<Result>(promise: Promise<Result>, otherwise: Result): Promise<Result> {
  try {
    return await promise;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
}
