import { close, fstat, fsync, lstat, open, read, readFile, write } from 'node:fs';
import { promisify } from 'node:util';

import { systemErrorCode } from '../../core/index.ts';

// On file descriptors: the file handles of node:fs/promises cost half as much again for each call.
export const openFile: typeof open.__promisify__ = promisify(open);
export const closeFile: typeof close.__promisify__ = promisify(close);
export const statOpenFile: typeof fstat.__promisify__ = promisify(fstat);
export const syncOpenFile: typeof fsync.__promisify__ = promisify(fsync);
export const statPath: typeof lstat.__promisify__ = promisify(lstat);
export const readWhole: typeof readFile.__promisify__ = promisify(readFile);
const readOnce = promisify(read);
const writeOnce = promisify(write);

/** Whether an error says that no file is there. */
export function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** What a call resolves to; nothing where no file is there. */
export async function ifThere<Result>(call: Promise<Result>): Promise<Result | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Reads exactly these bytes. Throws when the file ends before them. */
export async function readSlice(
  file: number,
  start: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  // Never seen before it was filled.
  const bytes: Uint8Array<ArrayBuffer> = Buffer.allocUnsafeSlow(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await readOnce(file, bytes, filled, length - filled, start + filled);
    if (bytesRead === 0)
      throw Object.assign(new Error('the file was cut while it was read'), { code: 'EIO' });
    filled += bytesRead;
  }
  return new Uint8Array(bytes.buffer);
}

/** Appends all of these bytes. */
export async function writeAll(file: number, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    const { bytesWritten } = await writeOnce(file, bytes, written, bytes.byteLength - written);
    written += bytesWritten;
  }
}
