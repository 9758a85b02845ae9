import { InfrastructureError } from '../core/index.ts';
import { ChecksumDigest, checksumsOf } from './checksums.ts';
import type { Checksums, DriverFile, FileInfo } from './driver.ts';
import { release } from './streams.ts';

const pieceBytes = 64 * 1024;

/** What {@link StoredFile} needs of the storage it came from. */
export interface StoredFileOptions {
  /** Wraps what the driver's stream throws. */
  readonly wrap: (error: unknown) => InfrastructureError;
  readonly signal: AbortSignal | undefined;
}

/**
 * A file that was read. Its content can be taken once, in one of four ways; content that does not have the checksum it was
 * stored with is refused as `data-loss` (at the end of a stream; never for a range). What is not taken must be released with
 * {@link StoredFile.cancel} or `await using`.
 */
export class StoredFile implements AsyncDisposable {
  readonly info: FileInfo;
  /** First and last byte of the content within the file, when a range was asked for. */
  readonly range: { readonly start: number; readonly end: number } | undefined;
  readonly #options: StoredFileOptions;
  #body: DriverFile['body'] | undefined;

  constructor(file: DriverFile, options: StoredFileOptions) {
    this.info = file.info;
    this.range = file.range;
    this.#body = file.body;
    this.#options = options;
  }

  /** The content in one piece. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const body = this.#take();
    if (body instanceof Uint8Array) {
      if (this.#isVerifiable) this.#verify(checksumsOf(body));
      return body;
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#checked(body)) chunks.push(chunk);
    const joined = Buffer.concat(chunks);
    return new Uint8Array(joined.buffer, joined.byteOffset, joined.byteLength);
  }

  /** The content as UTF-8 text; bytes that are not UTF-8 are refused as `data-loss`. */
  async text(): Promise<string> {
    const bytes = await this.bytes();
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (error) {
      throw this.#options.wrap(
        new InfrastructureError({
          code: 'data-loss',
          component: 'storage',
          operation: 'get',
          message: `${JSON.stringify(this.info.key)} is not UTF-8 text: read its bytes()`,
          cause: error,
        }),
      );
    }
  }

  /** The content as JSON; anything else is refused as `data-loss`. Validate what it gives. */
  async json(): Promise<unknown> {
    const text = await this.text();
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw this.#options.wrap(
        // Without the parser's message, which quotes the content.
        new InfrastructureError({
          code: 'data-loss',
          component: 'storage',
          operation: 'get',
          message: `${JSON.stringify(this.info.key)} is not JSON`,
          cause: (error as Error).name,
        }),
      );
    }
  }

  /** The content piece by piece, in bounded memory. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const body = this.#take();
    const source = body instanceof Uint8Array ? piecesOf(body) : body;
    const checked = this.#checked(source);
    let isStarted = false;
    return ReadableStream.from({
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          isStarted = true;
          return await checked.next();
        },
        return: async () => {
          // A generator that was never started would not run its clean-up.
          if (!isStarted) await source[Symbol.asyncIterator]().return?.();
          return await checked.return();
        },
      }),
    });
  }

  /** Releases the content unread. Does nothing once it was taken. */
  async cancel(): Promise<void> {
    const body = this.#body;
    this.#body = undefined;
    if (body !== undefined) await release(body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }

  get #isVerifiable(): boolean {
    const { sha256, crc32 } = this.info;
    return this.range === undefined && (sha256 !== undefined || crc32 !== undefined);
  }

  #take(): DriverFile['body'] {
    const body = this.#body;
    this.#body = undefined;
    if (body !== undefined) return body;
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'storage',
      operation: 'get',
      message: `the content of ${JSON.stringify(this.info.key)} was already taken or cancelled: get it again`,
    });
  }

  async *#checked(
    body: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const { signal, wrap } = this.#options;
    const digest = this.#isVerifiable ? new ChecksumDigest() : undefined;
    try {
      for await (const chunk of body) {
        signal?.throwIfAborted();
        digest?.update(chunk);
        yield chunk;
      }
    } catch (error) {
      throw wrap(error);
    }
    if (digest) this.#verify(digest.digest());
  }

  #verify(actual: Checksums): void {
    const { key, sha256, crc32 } = this.info;
    const [title, expected, found] =
      sha256 === undefined ? ['CRC-32', crc32, actual.crc32] : ['SHA-256', sha256, actual.sha256];
    if (expected === found) return;
    throw this.#options.wrap(
      new InfrastructureError({
        code: 'data-loss',
        component: 'storage',
        operation: 'get',
        message: `${JSON.stringify(key)} is corrupt: its ${title} is not the one it was stored with. Restore it from a copy`,
        details: { key, expected, actual: found },
      }),
    );
  }
}

// Pieces, so that whoever stops or aborts in the middle of a stream can, whatever the adapter gave.
async function* piecesOf(
  bytes: Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (let start = 0; start < bytes.byteLength; start += pieceBytes)
    yield bytes.subarray(start, start + pieceBytes);
}
