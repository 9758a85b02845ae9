import {
  type ByteSize,
  type CallOptions,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  type OperationAttributes,
  type RunOptions,
  toBytes,
} from '../core/index.ts';
import { type FileBody, prepareBody } from './body.ts';
import { checkExpectations, checkFacts } from './checks.ts';
import { checksumsOf } from './checksums.ts';
import type {
  DriverUploads,
  FileInfo,
  UploadedPart,
  UploadState,
  WriteConditions,
} from './driver.ts';
import { isKey } from './key.ts';

/** Options of {@link FileStorage.createUpload}. The conditions are checked when the upload is completed. */
export interface CreateUploadOptions extends WriteConditions, CallOptions {
  /** Default: told by the key's extension, else `application/octet-stream`. */
  readonly contentType?: string;
  /** The `Cache-Control` header it is served with. */
  readonly cacheControl?: string;
  /** As in {@link PutOptions}. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The size of every part but the last, from 5 MiB to 5 GiB (S3's limits). A part is held in memory. Default: 8 MiB. */
  readonly partSize?: ByteSize;
  /** SHA-256 of the whole content in hex. Another content is refused as `data-loss` at its completion or, on S3 and Azure, by every read. */
  readonly sha256?: string;
}

/** Options of {@link Upload.putPart}. */
export interface PutPartOptions extends CallOptions {
  /** SHA-256 of this part in hex. A body with another one is refused as `data-loss`. */
  readonly sha256?: string;
}

/** The most parts of an upload (S3's limit). */
export const maxParts = 10_000;
const defaultPartBytes = 8 * 2 ** 20;
const leastPartBytes = 5 * 2 ** 20;
const mostPartBytes = 5 * 2 ** 30;

/** What an upload needs of the storage that it belongs to. */
export interface UploadHost {
  readonly component: string;
  readonly adapter: string;
  readonly uploads: DriverUploads;
  readonly run: <Result>(
    name: string,
    attributes: OperationAttributes,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ) => Promise<Result>;
  readonly guard: <Result>(
    name: string,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ) => Promise<Result>;
}

/** By what an upload is known again. */
interface UploadFacts {
  readonly key: string;
  /** In bytes. */
  readonly partSize: number;
  readonly state: UploadState;
}

/**
 * An upload in parts, which may arrive in any order, from several processes and over days. Nothing is at the key before
 * {@link Upload.complete}. Any process that has the {@link Upload.token} goes on with it.
 *
 * Each method throws `not-found` once the upload was completed or aborted, or was left alone for as long as the adapter keeps one.
 */
export class Upload {
  readonly key: string;
  /** The size of every part but the last, in bytes. */
  readonly partSize: number;
  /**
   * Takes the upload up again, in any process: `storage.resumeUpload(token)`. Whoever has it can write this file: keep it where the
   * application keeps its secrets, and do not take one from a client.
   */
  readonly token: string;
  readonly #host: UploadHost;
  readonly #state: UploadState;

  constructor({ key, partSize, state }: UploadFacts, host: UploadHost) {
    this.key = key;
    this.partSize = partSize;
    this.token = writeToken(host.adapter, { key, partSize, state });
    this.#host = host;
    this.#state = state;
  }

  /**
   * Keeps a part: number 1 begins at byte 0, number 2 at `partSize`, and so on, up to 10,000. One of the same number is replaced, so
   * that a part whose fate is unknown is simply put again. Throws `invalid-argument` for a part that is longer than `partSize`.
   */
  async putPart(
    number: number,
    body: FileBody,
    { sha256, signal }: PutPartOptions = {},
  ): Promise<UploadedPart> {
    const origin = this.#origin('putPart');
    if (!(Number.isInteger(number) && number >= 1 && number <= maxParts))
      throw invalidArgument(origin, `part number ${number} is not from 1 to ${maxParts}`);
    checkExpectations({ sha256 }, origin);
    const attributes: Record<string, unknown> = { key: this.key, number };
    const put = async (current: AbortSignal | undefined): Promise<UploadedPart> => {
      const bytes = await this.#collect(body, { sha256, signal: current }, origin);
      const size = bytes.byteLength;
      attributes['size'] = size;
      const part = { number, bytes, checksums: checksumsOf(bytes) };
      // A part that is put twice is there once.
      const options = { signal: current, repeatable: true };
      await this.#host.guard('putPart', options, async (inTime) => {
        await this.#host.uploads.putPart(this.key, this.#state, part, inTime);
      });
      return { number, size };
    };
    return await this.#host.run('putPart', attributes, { signal, guarded: false }, put);
  }

  /** The parts that have arrived, in the order of their numbers. What is missing is still to be put. */
  async parts({ signal }: CallOptions = {}): Promise<readonly UploadedPart[]> {
    return await this.#host.run(
      'listParts',
      { key: this.key },
      { signal, repeatable: true },
      async (current) => {
        const parts = await this.#host.uploads.listParts(this.key, this.#state, current);
        return parts.map(({ number, size }) => ({ number, size }));
      },
    );
  }

  /**
   * Makes the file of all parts that have arrived, whole or not at all. Throws `failed-precondition` when one is missing or is shorter
   * than `partSize` and not the last, or when `ifMatch` does not hold; `already-exists` when `ifNoneMatch` does not.
   */
  async complete({ signal }: CallOptions = {}): Promise<FileInfo> {
    const origin = this.#origin('completeUpload');
    const attributes: Record<string, unknown> = { key: this.key };
    return await this.#host.run('completeUpload', attributes, { signal }, async (current) => {
      const parts = await this.#host.uploads.listParts(this.key, this.#state, current);
      this.#checkParts(parts, origin);
      const info = await this.#host.uploads.complete(this.key, this.#state, parts, current);
      attributes['size'] = info.size;
      return info;
    });
  }

  /** Removes all that has arrived. Does nothing once the upload was completed or aborted. */
  async abort({ signal }: CallOptions = {}): Promise<void> {
    await this.#host.run(
      'abortUpload',
      { key: this.key },
      { signal, repeatable: true },
      async (current) => {
        await this.#host.uploads.abort(this.key, this.#state, current);
      },
    );
  }

  #checkParts(parts: readonly UploadedPart[], origin: ErrorOrigin): void {
    const refuse = (message: string): InfrastructureError =>
      new InfrastructureError({
        code: 'failed-precondition',
        ...origin,
        outcome: 'not-applied',
        message,
      });
    if (parts.length === 0)
      throw refuse('no part has arrived: put part 1, which may be empty, or abort the upload');
    for (const [index, { number, size }] of parts.entries()) {
      if (number !== index + 1)
        throw refuse(`part ${index + 1} is missing: put it, and complete again`);
      if (size !== this.partSize && number !== parts.length)
        throw refuse(
          `part ${number} has ${size} of ${this.partSize} bytes, and is not the last: put it again`,
        );
    }
  }

  async #collect(
    body: FileBody,
    expected: { readonly sha256: string | undefined; readonly signal: AbortSignal | undefined },
    origin: ErrorOrigin,
  ): Promise<Uint8Array> {
    const prepared = await prepareBody(body, expected, origin);
    try {
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of prepared.content instanceof Uint8Array
        ? [prepared.content]
        : prepared.content) {
        size += piece.byteLength;
        if (size > this.partSize)
          throw invalidArgument(
            origin,
            `the part has more than the ${this.partSize} bytes of a part: cut the content at that size`,
          );
        pieces.push(piece);
      }
      const [only] = pieces;
      return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
    } finally {
      await prepared.release();
    }
  }

  #origin(operation: string): ErrorOrigin {
    const { component, adapter } = this.#host;
    return { component, adapter, operation };
  }
}

/** Begins an upload; see {@link FileStorage.createUpload}. The key comes checked. */
export async function createUpload(
  host: UploadHost,
  key: string,
  options: CreateUploadOptions,
  contentType: string,
): Promise<Upload> {
  const { adapter, component } = host;
  const origin = { component, adapter, operation: 'createUpload' };
  const { cacheControl, metadata = {}, sha256, ifMatch, ifNoneMatch, signal } = options;
  checkFacts(options, origin);
  checkExpectations({ sha256 }, origin);
  const partSize = options.partSize === undefined ? defaultPartBytes : toBytes(options.partSize);
  if (partSize < leastPartBytes || partSize > mostPartBytes)
    throw invalidArgument(origin, `a partSize of ${partSize} bytes is not from 5 MiB to 5 GiB`);
  const state = await host.run('createUpload', { key }, { signal }, async (current) => {
    const upload = {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata: { ...metadata },
      partSize,
      ...(sha256 === undefined ? {} : { sha256: sha256.toLowerCase() }),
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    };
    return await host.uploads.create(key, upload, current);
  });
  return new Upload({ key, partSize, state }, host);
}

/** The upload that a token stands for; see {@link FileStorage.resumeUpload}. */
export function resumeUpload(host: UploadHost, token: string): Upload {
  const { adapter, component } = host;
  const facts = readToken(token, adapter);
  if (facts) return new Upload(facts, host);
  throw invalidArgument(
    { component, adapter, operation: 'resumeUpload' },
    `the token is none that createUpload of this adapter (${adapter}) gave: keep it whole and unchanged`,
  );
}

function writeToken(adapter: string, facts: UploadFacts): string {
  return Buffer.from(JSON.stringify({ version: 1, adapter, ...facts })).toString('base64url');
}

function readToken(token: string, expected: string): UploadFacts | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { version, adapter, key, partSize, state } = value;
  const isOfThis = version === 1 && adapter === expected;
  if (!isOfThis || typeof key !== 'string' || !isKey(key) || !isRecord(state)) return undefined;
  if (typeof partSize !== 'number' || !(partSize >= leastPartBytes && partSize <= mostPartBytes))
    return undefined;
  return { key, partSize, state };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
