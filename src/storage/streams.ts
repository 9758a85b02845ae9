import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

import type { DriverFile, TransferConditions } from './driver.ts';
import { conditionFailed } from './errors.ts';

/** Buffers for the parts of one body, used again once their part was sent: those left to the garbage collector stay for long. */
export class PartBuffers {
  readonly #size: number;
  readonly #free: Buffer<ArrayBuffer>[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): Buffer<ArrayBuffer> {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** Takes a part back of which nobody reads any more. */
  giveBack({ buffer }: Uint8Array): void {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === this.#size)
      this.#free.push(Buffer.from(buffer));
  }
}

/** The parts of a body, each of this size but the last; at least one, which may be empty. */
export async function* partsOf(
  body: AsyncIterable<Uint8Array>,
  size: number,
  signal: AbortSignal | undefined,
  buffers: PartBuffers = new PartBuffers(size),
): AsyncGenerator<Uint8Array, void> {
  let part = buffers.take();
  let filled = 0;
  let isFirst = true;
  for await (const chunk of body) {
    signal?.throwIfAborted();
    for (let taken = 0; taken < chunk.byteLength;) {
      // Only now, so that the last part is known to be the last.
      if (filled === size) {
        yield part;
        isFirst = false;
        part = buffers.take();
        filled = 0;
      }
      const piece = chunk.subarray(taken, taken + size - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
    }
  }
  signal?.throwIfAborted();
  if (filled > 0 || isFirst) yield part.subarray(0, filled);
}

/** The parts of bytes that are at hand. */
export async function* slicesOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < bytes.byteLength; start += size)
    yield bytes.subarray(start, start + size);
}

/** All that a stream gives. By its events: of a small answer, the stream's iterator would be a good part of the cost. */
export async function readWhole(stream: Readable): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  stream.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  await finished(stream);
  return new Uint8Array(Buffer.concat(chunks));
}

/**
 * A stream's chunks; returned early, they close it. Not the stream's own iterator: returned before its first step, that one
 * leaves the connection open.
 */
export function chunksOf(stream: Readable): AsyncIterable<Uint8Array<ArrayBuffer>> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = stream[Symbol.asyncIterator]();
      return {
        next: async () => (await iterator.next()) as IteratorResult<Uint8Array<ArrayBuffer>>,
        return: async () => {
          stream.destroy();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** These chunks, and then those. */
export async function* chain(
  before: readonly Uint8Array[],
  after: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield* before;
  yield* after;
}

/** The chunks, each of which is shown to `update` on its way. */
export async function* hashed(
  body: AsyncIterable<Uint8Array>,
  update: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    update(chunk);
    yield chunk;
  }
}

/** Releases a content that is not read. */
export async function release(body: DriverFile['body']): Promise<void> {
  if (!(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.();
}

/** Refuses, and releases, another version of a copy's source than the one that is wanted. */
export async function assertSource(
  { info, body }: DriverFile,
  from: string,
  { ifSourceMatch = info.etag }: TransferConditions,
): Promise<void> {
  if (ifSourceMatch === info.etag) return;
  await release(body);
  throw conditionFailed(from, 'ifSourceMatch');
}

/** Sends a body as a stream. When the body fails, so does what sends it, with the body's error; the SDK would wait for more. */
export async function streamed<Result>(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  send: (stream: Readable, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const stream = Readable.from(body, { objectMode: false });
  const failed = new AbortController();
  stream.on('error', (error) => failed.abort(error));
  try {
    return await send(stream, signal ? AbortSignal.any([signal, failed.signal]) : failed.signal);
  } catch (error) {
    throw failed.signal.aborted ? failed.signal.reason : error;
  } finally {
    stream.destroy();
  }
}
