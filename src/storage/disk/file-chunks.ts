import type { FileHandle } from 'node:fs/promises';

// 64 KiB to 1 MiB measured alike on a page cache; 256 KiB halves the calls of a 64 MiB read against 128 KiB.
const chunkBytes = 256 * 1024;

/** Reads a slice of an open file piece by piece, and closes it at the end, on a failure, or when returned early, also before the first piece. */
export class FileChunks implements AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
  readonly #handle: FileHandle;
  readonly #end: number;
  #position: number;
  #closed = false;

  /** `end` is the last byte, included. */
  constructor(handle: FileHandle, start: number, end: number) {
    this.#handle = handle;
    this.#position = start;
    this.#end = end;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array<ArrayBuffer>, undefined>> {
    const wanted = Math.min(chunkBytes, this.#end + 1 - this.#position);
    if (this.#closed || wanted <= 0) return await this.return();
    try {
      const chunk = await readSlice(this.#handle, this.#position, wanted);
      this.#position += wanted;
      return { done: false, value: chunk };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<{ done: true; value: undefined }> {
    if (!this.#closed) {
      this.#closed = true;
      await this.#handle.close();
    }
    return { done: true, value: undefined };
  }
}

/** Reads exactly these bytes. Throws when the file ends before them. */
export async function readSlice(
  handle: FileHandle,
  start: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, start + filled);
    if (bytesRead === 0)
      throw Object.assign(new Error('the file was cut while it was read'), { code: 'EIO' });
    filled += bytesRead;
  }
  return bytes;
}
