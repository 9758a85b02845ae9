import { addAbortSignal, type Readable } from 'node:stream';

import type { S3Client } from '@aws-sdk/client-s3';

import type { Classify, Policy } from '../../core/index.ts';
import { ChecksumDigest, checksumsOf } from '../checksums.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  DriverUploads,
  FileInfo,
  ListPage,
  SignedForm,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { conditionFailed, notFound, StorageFault } from '../errors.ts';
import { encodeKey } from '../key.ts';
import { sendMd5 } from './content-signature.ts';
import {
  changedMeanwhile,
  classifierFor,
  isAccessDenied,
  isClockSkew,
  isConditionFailed,
  isMissing,
  isNamelessRefusal,
  isRangeUnsatisfiable,
  notDeleted,
  unsatisfiable,
} from './errors.ts';
import { heldAgainstEtag } from './etag.ts';
import { etagOf, infoOf, verifiablePartSize } from './facts.ts';
import { listPage } from './listing.ts';
import { MultipartUploader, type ObjectName, partBytesFor } from './multipart.ts';
import { ObjectWriter } from './object-writer.ts';
import { publicUrlOf } from './public-url.ts';
import { abortedBy, presignedPost, presigner, s3 } from './sdk.ts';
import { spooled } from './spool.ts';
import {
  assertSource,
  chain,
  chunksOf,
  hashed,
  PartBuffers,
  partsOf,
  readWhole,
  slicesOf,
  streamed,
} from '../streams.ts';
import { S3Uploads } from './uploads.ts';

/** What {@link S3StorageDriver} takes. */
export interface S3DriverOptions {
  readonly bucket: string;
  readonly client: S3Client;
  /** Whether `close` destroys the client. */
  readonly ownsClient: boolean;
  /** Guards each part of an upload in parts. */
  readonly policy: Policy;
  /** Whether the credentials may list the bucket. Default: true. */
  readonly mayList?: boolean;
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
  // Of a form, which alone can limit the size, servers other than AWS ignore the checksum.
  signedChecksums: false,
  resumableUploads: true,
} as const;

const defaultSizes: S3Sizes = { part: 8 * 2 ** 20, whole: 64 * 2 ** 20, copy: 5 * 2 ** 30 };
// Up to this size a read is finished within its call, so that the policy covers it.
const readWholeBytes = 64 * 1024;
// Nothing can be here: the room keeps the folder for itself.
const probeKey = '.underpin/probe';

/** Objects in one bucket, at their keys. */
export class S3StorageDriver implements StorageDriver {
  readonly adapter = 's3';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: S3Client;
  readonly classify: Classify;
  readonly uploads: DriverUploads;
  readonly #bucket: string;
  readonly #ownsClient: boolean;
  readonly #mayList: boolean;
  readonly #writer: ObjectWriter;
  readonly #multipart: MultipartUploader;
  readonly #sizes: S3Sizes;

  constructor({ bucket, client, ownsClient, policy, mayList = true, sizes }: S3DriverOptions) {
    this.native = client;
    this.#bucket = bucket;
    this.#ownsClient = ownsClient;
    this.#mayList = mayList;
    this.#sizes = { ...defaultSizes, ...sizes };
    this.classify = classifierFor(bucket);
    this.#writer = new ObjectWriter(client);
    this.#multipart = new MultipartUploader(client, this.classify, policy);
    this.uploads = new S3Uploads({
      bucket,
      client,
      head: async (key, signal) => await this.head(key, signal),
      remove: async (key, signal) => {
        await this.delete(key, {}, signal);
      },
      transfer: async (...args) => await this.#transfer(...args),
    });
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
    const object = this.#object(key);
    const partSize = partBytesFor(options.size, this.#sizes.part);
    if (body instanceof Uint8Array) {
      const checksums = options.checksums();
      const size = body.byteLength;
      if (isConditional || size <= this.#sizes.whole)
        return await this.#writer.put(object, { body, size, checksums }, options, signal);
      const whole = { ...options, object, checksums, partSize };
      return await this.#multipart.upload(whole, slicesOf(body, partSize), signal);
    }
    const buffers = new PartBuffers(partSize);
    const parts = partsOf(body, partSize, signal, buffers);
    const first = await parts.next();
    const second = first.done ? first : await parts.next();
    if (second.done || !first.value) {
      const content = first.value ?? new Uint8Array();
      const checksums = options.checksums();
      const whole = { body: content, size: content.byteLength, checksums };
      return await this.#writer.put(object, whole, options, signal);
    }
    const all = chain([first.value, second.value], parts);
    if (!isConditional) {
      options.forgoChecksums?.();
      const onSent = (part: Uint8Array): void => {
        buffers.giveBack(part);
      };
      const whole = { ...options, object, checksums: {}, partSize, onSent };
      return await this.#multipart.upload(whole, all, signal);
    }
    // Servers other than AWS ignore a condition at the end of an upload in parts.
    return await spooled(all, signal, async (content, size) => {
      return await streamed(content, signal, async (stream, current) => {
        const whole = { body: stream, size, checksums: options.checksums() };
        return await this.#writer.put(object, whole, options, current);
      });
    });
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
    const partSize = verifiablePartSize(facts);
    if (partSize !== undefined) {
      const { etag } = info;
      return { info, body: heldAgainstEtag(key, chunksOf(stream), { etag, partSize }) };
    }
    const body =
      (facts.ContentLength ?? Number.POSITIVE_INFINITY) <= readWholeBytes
        ? await readWhole(stream)
        : chunksOf(stream);
    return { info, ...resolved, body };
  }

  async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.#reading(key, async () => {
      try {
        const command = new s3.HeadObjectCommand(this.#object(key));
        return infoOf(key, await this.native.send(command, abortedBy(signal)));
      } catch (error) {
        if (!isNamelessRefusal(error)) throw error;
        // The answer to a GET says why: the key, its rights or this machine's clock.
        const command = new s3.GetObjectCommand(this.#object(key));
        const { Body, ...facts } = await this.native.send(command, abortedBy(signal));
        (Body as Readable | undefined)?.destroy();
        return infoOf(key, facts);
      }
    });
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

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const Objects = keys.map((Key) => ({ Key }));
    const Delete = { Objects, Quiet: true };
    const command = new s3.DeleteObjectsCommand({ Bucket: this.#bucket, Delete });
    sendMd5(command);
    const { Errors = [] } = await this.native.send(command, abortedBy(signal));
    const failed = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
    if (failed[0]) throw notDeleted(failed.length, failed[0]);
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
      return await this.#transfer(from, to, conditions, signal);
    try {
      const { CopyObjectResult } = await this.native.send(
        new s3.CopyObjectCommand({
          ...this.#object(to),
          CopySource: `${this.#bucket}/${encodeKey(from)}`,
          // So that the facts are those of what is copied.
          CopySourceIfMatch: source.etag,
        }),
        abortedBy(signal),
      );
      const etag = etagOf(CopyObjectResult?.ETag) || source.etag;
      const lastModified = CopyObjectResult?.LastModified ?? new Date();
      return { ...source, key: to, etag, lastModified };
    } catch (error) {
      if (isMissing(error)) throw notFound(from, error);
      if (isConditionFailed(error)) throw changedMeanwhile(from, error);
      throw error;
    }
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

  async publicUrl(key: string): Promise<string> {
    return await publicUrlOf(this.native, this.#bucket, key);
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
      // Who may not list is not told what is not there.
      if (isMissing(error) || (!this.#mayList && isAccessDenied(error))) throw notFound(key, error);
      if (isRangeUnsatisfiable(error)) throw unsatisfiable(key, error);
      throw error;
    }
  }

  /** Reads an object and writes it as another. */
  async #transfer(
    from: string,
    to: string,
    conditions: WriteConditions & TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const file = await this.get(from, undefined, signal);
    await assertSource(file, from, conditions);
    const { info, body } = file;
    const { ifMatch, ifNoneMatch } = conditions;
    const { size, contentType, cacheControl, metadata, sha256, crc32 } = info;
    const options = {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    };
    const object = this.#object(to);
    // The server is given the checksum that the content was stored with, so that it takes no other.
    const known = {
      ...(sha256 !== undefined && { sha256 }),
      ...(crc32 !== undefined && { crc32 }),
    };
    if (body instanceof Uint8Array) {
      const whole = { body, size, checksums: { ...checksumsOf(body), ...known } };
      return await this.#writer.put(object, whole, options, signal);
    }
    if (size > this.#sizes.copy) {
      const partSize = partBytesFor(size, this.#sizes.part);
      const whole = { ...options, object, checksums: known, partSize };
      if (ifMatch === undefined && ifNoneMatch === undefined)
        return await this.#multipart.upload(whole, partsOf(body, partSize, signal), signal);
    }
    const write = async (
      content: AsyncIterable<Uint8Array>,
      checksums: { readonly sha256: string; readonly crc32?: string },
    ): Promise<FileInfo> =>
      await streamed(content, signal, async (stream, current) => {
        return await this.#writer.put(object, { body: stream, size, checksums }, options, current);
      });
    if (sha256 !== undefined) return await write(body, { ...known, sha256 });
    const digest = new ChecksumDigest();
    const checked = hashed(body, (chunk) => {
      digest.update(chunk);
    });
    return await spooled(checked, signal, async (content) => await write(content, digest.digest()));
  }
}

function writeRange({ start, end, suffix }: ByteRange): string {
  return suffix === undefined ? `bytes=${start}-${end ?? ''}` : `bytes=-${suffix}`;
}
