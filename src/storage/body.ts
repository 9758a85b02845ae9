import { Readable } from 'node:stream';

import {
  abortable,
  InfrastructureError,
  invalidArgument,
  type ErrorOrigin,
} from '../core/index.ts';
import { ChecksumDigest, checksumsOf } from './checksums.ts';
import type { Checksums } from './driver.ts';

/** Whatever a file's content can be given as. Streams may be of unknown length, and are read once. */
export type FileBody =
  | Uint8Array
  | ArrayBuffer
  | string
  | Blob
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array>;

/** What the content must be, or the put is refused; and what ends the wait for it. */
export interface BodyExpectations {
  readonly signal?: AbortSignal | undefined;
  /** In bytes. */
  readonly size?: number | undefined;
  /** SHA-256 in hex. */
  readonly sha256?: string | undefined;
  /** CRC-32 in eight hex digits. */
  readonly crc32?: string | undefined;
}

/** A body in the two shapes that drivers take, measured and checked while it is read. */
export interface PreparedBody {
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
  /** In bytes, when known before reading. */
  readonly size: number | undefined;
  /** Once the content has been read to its end. */
  readonly checksums: () => Checksums;
  /** Says that `checksums` will not be called: what is still to be read is hashed only if a checksum is expected. */
  readonly forgoChecksums: () => void;
  /** Up to 4,100 bytes from the beginning, to tell the content type by. */
  readonly sample: Uint8Array;
  /** Whether the caller's body can be read again for another attempt. */
  readonly isReplayable: boolean;
  /** Releases the caller's stream, should nobody have read it to its end. */
  readonly release: () => Promise<void>;
}

const checksumTitles = [
  ['sha256', 'SHA-256'],
  ['crc32', 'CRC-32'],
] as const;
// As much as file-type looks at.
const sampleBytes = 4100;

/** Makes a body ready for a driver. A stream that turns out other than expected throws at its end, so that nothing is stored. */
export async function prepareBody(
  body: FileBody,
  expected: BodyExpectations,
  origin: ErrorOrigin,
): Promise<PreparedBody> {
  const bytes = bytesOf(body);
  if (bytes !== undefined) {
    const checksums = checksumsOf(bytes);
    checkExpectations(expected, { size: bytes.byteLength, checksums }, origin);
    return {
      content: bytes,
      size: bytes.byteLength,
      checksums: () => checksums,
      forgoChecksums: () => undefined,
      sample: bytes.subarray(0, sampleBytes),
      isReplayable: true,
      release: async () => undefined,
    };
  }
  if (!isIterable(body) && !(body instanceof Blob)) {
    throw invalidArgument(
      origin,
      'the body is none of Uint8Array, ArrayBuffer, string, Blob, web or Node stream, or async iterable',
    );
  }
  if (body instanceof ReadableStream && body.locked)
    throw invalidArgument(
      origin,
      'the body is a stream that another reader holds: give it before anybody reads it, or release that reader',
    );
  const source = new Source(body instanceof Blob ? body.stream() : body, expected.signal, origin);
  const { chunks, sample, ended } = await readSample(source);
  const size = expected.size ?? (body instanceof Blob ? body.size : undefined);
  let checksums: Checksums | undefined;
  let isForgone = false;
  return {
    size,
    sample,
    isReplayable: body instanceof Blob,
    release: async () => {
      await source.release();
    },
    checksums() {
      if (!checksums)
        throw new TypeError('checksums() of a body that was not read to its end, or forgone');
      return checksums;
    },
    forgoChecksums() {
      isForgone = expected.sha256 === undefined && expected.crc32 === undefined;
    },
    content: measured(source, {
      chunks,
      ended,
      expected: { ...expected, size },
      origin,
      isForgone: () => isForgone,
      onEnd: (found) => (checksums = found),
    }),
  };
}

/** Releases the caller's stream when the put ends before it was read. */
export async function releaseUnread(body: FileBody): Promise<void> {
  if (!isIterable(body)) return;
  try {
    await iteratorOf(body).return?.();
  } catch {
    // A stream that is broken or locked by its owner; why the put was refused matters more.
  }
}

function bytesOf(body: FileBody): Uint8Array | undefined {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  return undefined;
}

function isIterable(body: unknown): body is AsyncIterable<Uint8Array | string> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

async function readSample(
  source: Source,
): Promise<{ chunks: Uint8Array[]; sample: Uint8Array; ended: boolean }> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  try {
    while (length < sampleBytes && !ended) {
      const chunk = await source.next();
      if (chunk === undefined) ended = true;
      else {
        chunks.push(chunk);
        length += chunk.byteLength;
      }
    }
  } catch (error) {
    await source.release();
    throw error;
  }
  return {
    chunks,
    ended,
    sample: Buffer.concat(chunks).subarray(0, sampleBytes),
  };
}

/** The caller's stream, whose next chunk is waited for until the signal is aborted. */
class Source {
  readonly #iterator: AsyncIterator<Uint8Array | string>;
  readonly #signal: AbortSignal | undefined;
  readonly #origin: ErrorOrigin;
  #isWaiting = false;

  constructor(
    body: AsyncIterable<Uint8Array | string>,
    signal: AbortSignal | undefined,
    origin: ErrorOrigin,
  ) {
    this.#iterator = iteratorOf(body);
    this.#signal = signal;
    this.#origin = origin;
  }

  async next(): Promise<Uint8Array | undefined> {
    let result: IteratorResult<Uint8Array | string, unknown>;
    try {
      this.#isWaiting = true;
      const next = this.#iterator.next();
      result = await (this.#signal ? abortable(next, this.#signal) : next);
      this.#isWaiting = false;
    } catch (error) {
      if (InfrastructureError.is(error) || this.#signal?.aborted) throw error;
      throw new InfrastructureError({
        code: 'aborted',
        ...this.#origin,
        outcome: 'not-applied',
        retryable: false,
        message: 'the body failed while it was read, and nothing was stored: see the cause',
        cause: error,
      });
    }
    if (result.done) return undefined;
    const chunk = bytesOf(result.value);
    if (chunk === undefined)
      throw invalidArgument(
        this.#origin,
        `the body gave a chunk of type ${typeof result.value}: give Uint8Array or string`,
      );
    return chunk;
  }

  async release(): Promise<void> {
    // A stream that broke refuses this too; how the put ended matters more.
    const released = this.#iterator.return?.().catch(() => undefined);
    // A generator that never answers `next` does not answer this either.
    if (!this.#isWaiting) await released;
  }
}

// A stream's own iterator would end it only once the read under way has ended.
function iteratorOf(body: AsyncIterable<Uint8Array | string>): AsyncIterator<Uint8Array | string> {
  if (body instanceof ReadableStream) {
    const reader = (body as ReadableStream<Uint8Array | string>).getReader();
    return {
      next: async () => {
        const { done, value } = await reader.read();
        return done ? { done, value: undefined } : { done, value };
      },
      return: async () => {
        await reader.cancel();
        reader.releaseLock();
        return { done: true, value: undefined };
      },
    };
  }
  const iterator = body[Symbol.asyncIterator]();
  if (!(body instanceof Readable)) return iterator;
  return {
    next: async () => await iterator.next(),
    return: async () => {
      body.destroy();
      return await Promise.resolve({ done: true, value: undefined });
    },
  };
}

interface Measured {
  readonly chunks: readonly Uint8Array[];
  readonly ended: boolean;
  readonly expected: BodyExpectations;
  readonly origin: ErrorOrigin;
  readonly isForgone: () => boolean;
  readonly onEnd: (checksums: Checksums) => void;
}

async function* measured(source: Source, options: Measured): AsyncGenerator<Uint8Array, void> {
  const { chunks, ended, expected, origin, isForgone, onEnd } = options;
  const digest = new ChecksumDigest();
  let size = 0;
  const take = (chunk: Uint8Array): Uint8Array => {
    if (!isForgone()) digest.update(chunk);
    size += chunk.byteLength;
    if (expected.size !== undefined && size > expected.size)
      checkExpectations(expected, { size }, origin);
    return chunk;
  };
  for (const chunk of chunks) yield take(chunk);
  for (let chunk = ended ? undefined : await source.next(); chunk; chunk = await source.next()) {
    yield take(chunk);
  }
  if (isForgone()) {
    checkExpectations(expected, { size }, origin);
    return;
  }
  const checksums = digest.digest();
  checkExpectations(expected, { size, checksums }, origin);
  onEnd(checksums);
}

function checkExpectations(
  expected: BodyExpectations,
  actual: { readonly size: number; readonly checksums?: Checksums },
  origin: ErrorOrigin,
): void {
  if (expected.size !== undefined && actual.size !== expected.size) {
    const found = actual.size > expected.size ? 'more' : `${actual.size}`;
    throw invalidArgument(
      origin,
      `the body was said to have ${expected.size} bytes, but has ${found}; nothing was stored`,
    );
  }
  if (!actual.checksums) return;
  for (const [name, title] of checksumTitles) {
    const wanted = expected[name]?.toLowerCase();
    const found = actual.checksums[name];
    if (wanted === undefined || wanted === found) continue;
    throw new InfrastructureError({
      code: 'data-loss',
      ...origin,
      outcome: 'not-applied',
      message: `the body's ${title} is ${found}, not the expected ${wanted}; nothing was stored`,
    });
  }
}
