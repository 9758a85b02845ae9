import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { S3Client } from '@aws-sdk/client-s3';

import type { Classify, Policy } from '../../core/index.ts';
import { ChecksumDigest } from '../checksums.ts';
import type {
  ByteRange,
  Checksums,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  FileFacts,
  FileInfo,
  ListPage,
  SignedForm,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { conditionFailed, notFound, StorageFault } from '../errors.ts';
import { encodeKey } from '../key.ts';
import { signContent } from './content-signature.ts';
import {
  classifierFor,
  isAccessDenied,
  isCephsLostRace,
  isClockSkew,
  isConditionFailed,
  isMissing,
  isRangeUnsatisfiable,
} from './errors.ts';
import { etagOf, headersOf, infoOf, writeName } from './facts.ts';
import { listPage } from './listing.ts';
import { MultipartUploader, type ObjectName, partBytesFor } from './multipart.ts';
import { presignedPost, presigner, s3 } from './sdk.ts';
import { chain, chunksOf, hashed, partsOf, readWhole, slicesOf } from '../streams.ts';

/** What {@link S3StorageDriver} takes. */
export interface S3DriverOptions {
  readonly bucket: string;
  readonly client: S3Client;
  /** Whether `close` destroys the client. */
  readonly ownsClient: boolean;
  /** Guards each part of an upload in parts. */
  readonly policy: Policy;
  readonly sizes?: Partial<S3Sizes>;
}

/** Where one way of transfer ends and the next begins, in bytes. Not for callers: S3 knows no others, but a test must reach them. */
export interface S3Sizes {
  /** The least size of a part; a stream that is not longer is sent in one request. */
  readonly part: number;
  /** The largest content of bytes at hand that is sent in one request. */
  readonly whole: number;
  /** The largest object that the server copies in one request. */
  readonly copy: number;
}

const capabilities = {
  conditionalWrites: true,
  // AWS has it since 2025, but other servers ignore the condition and delete.
  conditionalDeletes: false,
  nestedKeys: true,
  atomicMove: false,
  signedUrls: true,
  signedUploads: true,
  handler: false,
  signedChecksums: false,
  resumableUploads: false,
} as const;

const defaultSizes: S3Sizes = { part: 8 * 2 ** 20, whole: 64 * 2 ** 20, copy: 5 * 2 ** 30 };
// Up to this size a read is finished within its call, so that the policy covers it.
const readWholeBytes = 64 * 1024;
// Nothing can be here: the room keeps the folder for itself.
const probeKey = '.underpin/probe';

/** Content whose size and checksums are known before it is sent. */
interface Content {
  readonly body: Uint8Array | Readable;
  readonly size: number;
  readonly checksums: Checksums;
}

/** Objects in one bucket, at their keys. */
export class S3StorageDriver implements StorageDriver {
  readonly adapter = 's3';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: S3Client;
  readonly classify: Classify;
  readonly #bucket: string;
  readonly #ownsClient: boolean;
  readonly #multipart: MultipartUploader;
  readonly #sizes: S3Sizes;

  constructor({ bucket, client, ownsClient, policy, sizes }: S3DriverOptions) {
    this.native = client;
    this.#bucket = bucket;
    this.#ownsClient = ownsClient;
    this.#sizes = { ...defaultSizes, ...sizes };
    this.classify = classifierFor(bucket);
    this.#multipart = new MultipartUploader(client, this.classify, policy);
  }

  async start(signal?: AbortSignal): Promise<void> {
    try {
      await this.checkHealth(signal);
    } catch (error) {
      if (!isClockSkew(error)) throw error;
      // The SDK has learnt the server's time from this answer.
      await this.checkHealth(signal);
    }
  }

  /** A GET, since the answer to a HEAD cannot say what is wrong; and of a key, since HeadBucket needs the right to list. */
  async checkHealth(signal?: AbortSignal): Promise<void> {
    try {
      const { Body } = await this.native.send(
        new s3.GetObjectCommand(this.#object(probeKey)),
        abortedBy(signal),
      );
      (Body as Readable | undefined)?.destroy();
    } catch (error) {
      // Denied is an answer: the key may write only, or may not know what there is.
      if (!isMissing(error) && !isAccessDenied(error)) throw error;
    }
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const isConditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined;
    const partBytes = partBytesFor(options.size, this.#sizes.part);
    if (body instanceof Uint8Array) {
      const checksums = options.checksums();
      const size = body.byteLength;
      if (isConditional || size <= this.#sizes.whole)
        return await this.#putWhole(key, { body, size, checksums }, options, signal);
      return await this.#putParts(key, slicesOf(body, partBytes), options, checksums, signal);
    }
    const parts = partsOf(body, partBytes, signal);
    const first = await parts.next();
    const second = first.done ? first : await parts.next();
    if (!second.done && first.value) {
      const all = chain([first.value, second.value], parts);
      // Servers other than AWS ignore a condition at the end of an upload in parts.
      if (isConditional) return await this.#putSpooled(key, all, options, signal);
      return await this.#putParts(key, all, options, undefined, signal);
    }
    const content = first.value ?? new Uint8Array();
    return await this.#putWhole(
      key,
      { body: content, size: content.byteLength, checksums: options.checksums() },
      options,
      signal,
    );
  }

  async get(key: string, range: ByteRange | undefined, signal?: AbortSignal): Promise<DriverFile> {
    const Range = range && writeRange(range);
    const { Body, ...facts } = await this.#reading(key, async () => {
      return await this.native.send(
        new s3.GetObjectCommand({ ...this.#object(key), ...(Range !== undefined && { Range }) }),
        abortedBy(signal),
      );
    });
    // Node's build of the SDK gives a Readable.
    const stream = Body as unknown as Readable;
    if (signal) addAbortSignal(signal, stream);
    const info = infoOf(key, facts);
    const [, start, end] = /^bytes (\d+)-(\d+)\//.exec(facts.ContentRange ?? '') ?? [];
    if (range && start === undefined) {
      stream.destroy();
      // An empty file has no byte to begin with, and some servers answer with all of it.
      throw info.size === 0
        ? unsatisfiable(key)
        : new StorageFault({ code: 'internal', message: 'the server ignored the range' });
    }
    const resolved =
      start === undefined ? {} : { range: { start: Number(start), end: Number(end) } };
    const body =
      (facts.ContentLength ?? Number.POSITIVE_INFINITY) <= readWholeBytes
        ? await readWhole(stream)
        : chunksOf(stream);
    return { info, ...resolved, body };
  }

  async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.#reading(key, async () =>
      infoOf(
        key,
        await this.native.send(new s3.HeadObjectCommand(this.#object(key)), abortedBy(signal)),
      ),
    );
  }

  async delete(
    key: string,
    _conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      await this.native.send(new s3.DeleteObjectCommand(this.#object(key)), abortedBy(signal));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const source = await this.head(from, signal);
    const { ifSourceMatch = source.etag } = conditions;
    if (ifSourceMatch !== source.etag) throw conditionFailed(from, 'ifSourceMatch');
    // Servers other than AWS ignore a condition on a copy's target.
    if (conditions.ifNoneMatch !== undefined || source.size > this.#sizes.copy)
      return await this.#copyThrough(from, to, conditions, signal);
    const { CopyObjectResult } = await this.#reading(from, async () => {
      return await this.native.send(
        new s3.CopyObjectCommand({
          ...this.#object(to),
          CopySource: `${this.#bucket}/${encodeKey(from)}`,
          // So that the facts are those of what is copied.
          CopySourceIfMatch: source.etag,
        }),
        abortedBy(signal),
      );
    });
    const etag = etagOf(CopyObjectResult?.ETag) || source.etag;
    const lastModified = CopyObjectResult?.LastModified ?? new Date();
    return { ...source, key: to, etag, lastModified };
  }

  async move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const info = await this.copy(from, to, conditions, signal);
    await this.delete(from, {}, signal);
    return info;
  }

  async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    return await listPage(options, async (query) => {
      return await this.native.send(
        new s3.ListObjectsV2Command({ Bucket: this.#bucket, ...query }),
        abortedBy(signal),
      );
    });
  }

  async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    const { contentType, contentDisposition, expiresIn } = options;
    const command = new s3.GetObjectCommand({
      ...this.#object(key),
      ...(contentType !== undefined && { ResponseContentType: contentType }),
      ...(contentDisposition !== undefined && { ResponseContentDisposition: contentDisposition }),
    });
    return await presigner.getSignedUrl(this.native, command, {
      expiresIn: Math.ceil(expiresIn / 1000),
    });
  }

  /** A form, since a signed PUT of S3 cannot limit the size. */
  async signUpload(key: string, options: DriverSignedUpload): Promise<SignedForm> {
    const { url, fields } = await presignedPost.createPresignedPost(this.native, {
      ...this.#object(key),
      Expires: Math.ceil(options.expiresIn / 1000),
      Fields: { 'Content-Type': options.contentType },
      Conditions: [['content-length-range', 0, options.maxSize]],
    });
    return { method: 'POST', url, fields };
  }

  async close(): Promise<void> {
    if (this.#ownsClient) this.native.destroy();
  }

  #object(key: string): ObjectName {
    return { Bucket: this.#bucket, Key: key };
  }

  async #reading<Result>(key: string, read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (isMissing(error)) throw notFound(key, error);
      if (isRangeUnsatisfiable(error)) throw unsatisfiable(key, error);
      if (isConditionFailed(error)) throw changedMeanwhile(key, error);
      throw error;
    }
  }

  async #putWhole(
    key: string,
    { body, size, checksums }: Content,
    options: FileFacts & WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { ifMatch, ifNoneMatch } = options;
    const facts = headersOf(options, checksums);
    const write = randomBytes(16).toString('base64url');
    if (ifMatch !== undefined) facts.Metadata[writeName] = write;
    const command = new s3.PutObjectCommand({
      ...this.#object(key),
      ...facts,
      Body: body,
      ContentLength: size,
      ...(ifNoneMatch !== undefined && { IfNoneMatch: ifNoneMatch }),
      // Without quotes: AWS takes both, Ceph only this.
      ...(ifMatch !== undefined && { IfMatch: ifMatch }),
    });
    const answered = signContent(command, checksums.sha256);
    try {
      const { ETag } = await this.native.send(command, abortedBy(signal));
      return this.#putInfo(key, options, { size, ...checksums, ETag, lastModified: answered() });
    } catch (error) {
      if (ifNoneMatch !== undefined && isConditionFailed(error))
        throw conditionFailed(key, 'ifNoneMatch', error);
      if (ifMatch !== undefined && (isConditionFailed(error) || isMissing(error)))
        throw conditionFailed(key, 'ifMatch', error);
      if (ifMatch !== undefined && isCephsLostRace(error)) {
        const there = await this.native.send(
          new s3.HeadObjectCommand(this.#object(key)),
          abortedBy(signal),
        );
        if (there.Metadata?.[writeName] === write) return infoOf(key, there);
        if (etagOf(there.ETag) !== ifMatch) throw conditionFailed(key, 'ifMatch', error);
      }
      throw error;
    }
  }

  async #putParts(
    key: string,
    parts: AsyncIterable<Uint8Array>,
    options: FileFacts,
    checksums: Checksums | undefined,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const facts = headersOf(options, checksums);
    await this.#multipart.upload(this.#object(key), facts, parts, signal);
    // Ceph's answer has no etag, and none has the time.
    return await this.head(key, signal);
  }

  // By way of a file, since S3 takes a condition only with content of a known size.
  async #putSpooled(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const folder = await mkdtemp(path.join(tmpdir(), 'underpin-s3-'));
    try {
      const file = path.join(folder, 'body');
      await pipeline(body, createWriteStream(file, { mode: 0o600 }), abortedWith(signal));
      const { size } = await stat(file);
      const checksums = options.checksums();
      const content = createReadStream(file);
      try {
        return await this.#putWhole(key, { body: content, size, checksums }, options, signal);
      } finally {
        content.destroy();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #copyThrough(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { info, body } = await this.get(from, undefined, signal);
    const { ifNoneMatch, ifSourceMatch = info.etag } = conditions;
    if (ifSourceMatch !== info.etag) {
      if (!(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.();
      throw conditionFailed(from, 'ifSourceMatch');
    }
    const digest = new ChecksumDigest();
    const checked = hashed(
      body instanceof Uint8Array ? slicesOf(body, readWholeBytes) : body,
      (chunk) => {
        digest.update(chunk);
      },
    );
    let checksums: Checksums | undefined;
    const options: DriverPut = {
      ...(ifNoneMatch && { ifNoneMatch }),
      contentType: info.contentType,
      ...(info.cacheControl === undefined ? {} : { cacheControl: info.cacheControl }),
      metadata: info.metadata,
      size: info.size,
      checksums: () => (checksums ??= digest.digest()),
    };
    return await this.put(to, checked, options, signal);
  }

  #putInfo(
    key: string,
    { contentType, cacheControl, metadata }: FileFacts,
    stored: Checksums & {
      readonly size: number;
      readonly ETag: string | undefined;
      readonly lastModified: Date;
    },
  ): FileInfo {
    const { ETag, ...known } = stored;
    return {
      key,
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      etag: etagOf(ETag),
      ...known,
    };
  }
}

function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}

function abortedWith(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function unsatisfiable(key: string, cause?: unknown): StorageFault {
  return new StorageFault(
    {
      code: 'invalid-argument',
      message: `the range starts past the end of ${JSON.stringify(key)}`,
    },
    cause,
  );
}

function changedMeanwhile(key: string, cause: unknown): StorageFault {
  return new StorageFault(
    { code: 'aborted', message: `${JSON.stringify(key)} was replaced while it was copied` },
    cause,
  );
}

function writeRange({ start, end, suffix }: ByteRange): string {
  return suffix === undefined ? `bytes=${start}-${end ?? ''}` : `bytes=-${suffix}`;
}
