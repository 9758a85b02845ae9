import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { systemErrorCode } from './errors.ts';
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
  const temporary = temporaryPath(directory);
  let isRenamed = false;
  try {
    await writeNewFile(temporary, data, { sync, signal });
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

/**
 * Creates a directory with all of its files or not at all, as {@link writeFileAtomically} does a file. Exactly one of
 * several writers, in any process, creates it. `files` maps names to contents and has at least one. Resolves to whether the
 * directory was created: `false` when it was there before.
 */
export async function writeDirectoryAtomically(
  path: string,
  files: Readonly<Record<string, Uint8Array | string>>,
  { sync, signal }: Omit<AtomicWriteOptions, 'replace'>,
): Promise<boolean> {
  signal?.throwIfAborted();
  const parent = dirname(path);
  const temporary = temporaryPath(parent);
  let isRenamed = false;
  try {
    await mkdir(temporary);
    for (const [name, data] of Object.entries(files))
      await writeNewFile(join(temporary, name), data, { sync, signal });
    if (sync) await syncDirectory(temporary);
    signal?.throwIfAborted();
    isRenamed = await renameIfAbsent(temporary, path);
    if (isRenamed && sync) await syncDirectory(parent);
    return isRenamed;
  } finally {
    if (!isRenamed) await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Whether the name of a file or directory (without what it is in) is that of an unfinished write, which every reader of a directory must ignore. */
export function isTemporaryFile(name: string): boolean {
  return temporaryName.test(name);
}

/**
 * Removes what killed processes left of their writes in one directory. `olderThan` must be longer than any write can take,
 * since other processes may be at work. Resolves to the number of files removed; a directory that is not there has none.
 */
export async function removeStaleTemporaryFiles(
  directory: string,
  { olderThan }: { readonly olderThan: Duration },
): Promise<number> {
  const before = Date.now() - toMilliseconds(olderThan);
  let removed = 0;
  for (const name of await ifPresent(readdir(directory), [])) {
    if (!isTemporaryFile(name)) continue;
    const path = join(directory, name);
    const facts = await ifPresent(stat(path), undefined);
    if (facts === undefined || facts.mtimeMs > before) continue;
    await rm(path, { recursive: true, force: true });
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

/** A new path for an unfinished or a discarded file or directory; see {@link isTemporaryFile}. */
export function temporaryPath(directory: string): string {
  return join(directory, `.underpin-${randomBytes(12).toString('hex')}.tmp`);
}

async function writeNewFile(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
  { sync, signal }: Omit<AtomicWriteOptions, 'replace'>,
): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(data, signal ? { signal } : {});
    if (sync) await file.sync();
  } finally {
    await file.close();
  }
}

// A rename onto a directory that has something in it fails, which makes it the one atomic way to create one with contents.
async function renameIfAbsent(existing: string, path: string): Promise<boolean> {
  try {
    await rename(existing, path);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    // Windows says so when the target is there, and also when it may not be made.
    if (code === 'EPERM' && (await ifPresent(stat(path), undefined))?.isDirectory()) return false;
    throw error;
  }
}

/** What a file-system call resolves to; `otherwise` when what it is about is not there. */
export async function ifPresent<Result, Otherwise>(
  call: Promise<Result>,
  otherwise: Otherwise,
): Promise<Result | Otherwise> {
  try {
    return await call;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return otherwise;
    throw error;
  }
}

async function linkIfAbsent(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
