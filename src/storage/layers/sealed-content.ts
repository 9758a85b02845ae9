import type { DriverPut } from '../driver.ts';
import type { Pieces } from './pieces.ts';
import { broken, chunkBytes, type FileSeal, sealedChunkBytes } from './sealing.ts';

/** The stored object that a content makes, chunk by chunk, with its footer. */
export async function* sealing(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  {
    seal,
    key,
    options,
  }: { readonly seal: FileSeal; readonly key: string; readonly options: DriverPut },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let index = 0;
  let size = 0;
  for await (const chunk of rechunked(pieces, chunkBytes)) {
    yield seal.sealChunk(index, chunk);
    index += 1;
    size += chunk.byteLength;
  }
  // Nothing is a chunk too.
  if (index === 0) yield seal.sealChunk(0, new Uint8Array());
  yield seal.sealFooter({ ...options, key }, size, options.checksums());
}

/** The slice of a content out of the sealed chunks that hold it, each given only once it is known to be sound. */
export async function* opening(
  pieces: Pieces,
  {
    seal,
    key,
    first,
    slice,
    length,
    relayed,
  }: {
    readonly seal: FileSeal;
    readonly key: string;
    /** The place of the first of these chunks among all. */
    readonly first: number;
    readonly slice: { readonly start: number; readonly end: number };
    /** Of the sealed chunks together, in bytes. */
    readonly length: number;
    readonly relayed: (error: unknown) => unknown;
  },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let index = first;
  let read = 0;
  try {
    for await (const sealed of rechunked(pieces, sealedChunkBytes)) {
      const chunk = seal.openChunk(index, sealed);
      const offset = index * chunkBytes;
      const wanted = chunk.subarray(Math.max(0, slice.start - offset), slice.end + 1 - offset);
      if (wanted.byteLength > 0) yield wanted;
      index += 1;
      read += sealed.byteLength;
    }
  } catch (error) {
    throw relayed(error);
  }
  if (read !== length) throw broken(key, 'a part of it is missing');
}

/** The bytes in pieces of this size, of which only the last may be shorter. A piece is only good until the next one is asked for. */
async function* rechunked(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const piece of pieces) {
    for (let offset = 0; offset < piece.byteLength;) {
      if (filled === 0 && piece.byteLength - offset >= size) {
        yield piece.subarray(offset, offset + size);
        offset += size;
        continue;
      }
      const part = piece.subarray(offset, offset + size - filled);
      buffer.set(part, filled);
      filled += part.byteLength;
      offset += part.byteLength;
      if (filled < size) continue;
      filled = 0;
      yield buffer;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
