import { closeFile, readSlice } from './calls.ts';

// Measured on a page cache: fewer calls than 256 KiB, and no slower than 1 MiB.
const chunkBytes = 512 * 1024;

/**
 * Reads a slice of an open file piece by piece, and closes it at the end, on a failure, or when returned early, also before the first
 * piece. While one piece is used the next is read.
 */
export class FileChunks implements AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
  readonly #file: number;
  readonly #end: number;
  #position: number;
  #ahead: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #closed = false;

  /** `end` is the last byte, included. */
  constructor(file: number, start: number, end: number) {
    this.#file = file;
    this.#position = start;
    this.#end = end;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array<ArrayBuffer>, undefined>> {
    const current = this.#ahead ?? this.#read();
    if (this.#closed || current === undefined) return await this.return();
    try {
      const chunk = await current;
      this.#ahead = this.#closed ? undefined : this.#read();
      // Told by the call that waits for it.
      this.#ahead?.catch(() => undefined);
      return { done: false, value: chunk };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<{ done: true; value: undefined }> {
    if (!this.#closed) {
      this.#closed = true;
      // A descriptor that is closed under a read could be another file's by the time it is used.
      await this.#ahead?.catch(() => undefined);
      await closeFile(this.#file);
    }
    return { done: true, value: undefined };
  }

  #read(): Promise<Uint8Array<ArrayBuffer>> | undefined {
    const wanted = Math.min(chunkBytes, this.#end + 1 - this.#position);
    if (wanted <= 0) return undefined;
    const start = this.#position;
    this.#position += wanted;
    return readSlice(this.#file, start, wanted);
  }
}
