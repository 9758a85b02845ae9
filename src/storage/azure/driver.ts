import { randomUUID } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';

import type { BlobSASSignatureValues, ContainerClient } from '@azure/storage-blob';

import type { Classify, Policy } from '../../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUrl,
  FileInfo,
  ListPage,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { notFound, rangeUnsatisfiable, StorageFault } from '../errors.ts';
import { resolveRange } from '../range.ts';
import { PartSender } from '../part-sender.ts';
import { chain, chunksOf, partsOf, readWhole, slicesOf } from '../streams.ts';
import { blockBytesFor, blocksOf, md5Of } from './blocks.ts';
import {
  classifierFor,
  errorOfAnswer,
  isAccessDenied,
  isConditionFailed,
  isMissing,
  isRangeUnsatisfiable,
  refuseWrite,
} from './errors.ts';
import { conditionsOf, etagOf, headersOf, infoOf } from './facts.ts';
import { listPage } from './listing.ts';
import { azure } from './sdk.ts';
import { replacedMeanwhile, Transfers, type TransferSizes } from './transfer.ts';
import { AzureUploads, discard } from './uploads.ts';
import { stagingName } from './upload-state.ts';

/** What {@link AzureStorageDriver} takes. */
export interface AzureDriverOptions {
  readonly client: ContainerClient;
  /** What `close` ends: nothing, where the client is the caller's own. */
  readonly disconnect?: () => void;
  /** Guards each block of a content that is sent in blocks. */
  readonly policy: Policy;
  readonly sizes?: Partial<AzureSizes>;
}

/** Where one way of transfer ends and the next begins, in bytes. Not for callers: Azure knows no others, but a test must reach them. */
export interface AzureSizes extends TransferSizes {
  /** The least size of a block; a stream that is not longer is sent in one request. */
  readonly block: number;
  /** The largest content of bytes at hand that is sent in one request. */
  readonly whole: number;
}

/** Stores bytes that are at hand in one request. */
export type PutWhole = (
  key: string,
  bytes: Uint8Array,
  options: Omit<DriverPut, 'size'>,
  signal: AbortSignal | undefined,
) => Promise<FileInfo>;

const capabilities = {
  conditionalWrites: true,
  conditionalDeletes: true,
  nestedKeys: true,
  atomicMove: false,
  signedUrls: true,
  // A shared access signature limits neither the size nor the type of what is sent.
  signedUploads: false,
  handler: false,
  signedChecksums: false,
  resumableUploads: true,
} as const;

const mebibyte = 2 ** 20;
const defaultSizes: AzureSizes = {
  block: 8 * mebibyte,
  whole: 64 * mebibyte,
  copy: 256 * mebibyte,
  copyBlock: 256 * mebibyte,
};
// Up to this size a read is finished within its call, so that the policy covers it.
const readWholeBytes = 64 * 1024;
// Azure's limit of a batch.
const deletesInOneBatch = 256;
// Nothing can be here: the room keeps the folder for itself.
const probeKey = '.underpin/probe';

/** Block blobs in one container, at their keys. */
export class AzureStorageDriver implements StorageDriver {
  readonly adapter = 'azure';
  readonly capabilities: typeof capabilities = capabilities;
  readonly native: ContainerClient;
  readonly classify: Classify;
  readonly uploads: AzureUploads;
  readonly #disconnect: () => void;
  readonly #sender: PartSender;
  readonly #transfers: Transfers;
  readonly #sizes: AzureSizes;

  constructor({ client, disconnect = () => undefined, policy, sizes }: AzureDriverOptions) {
    this.native = client;
    this.#disconnect = disconnect;
    this.#sizes = { ...defaultSizes, ...sizes };
    this.classify = classifierFor(client.containerName);
    this.#sender = new PartSender(this.adapter, this.classify, policy);
    this.#transfers = new Transfers(client, this.#sender, this.#sizes);
    this.uploads = new AzureUploads(client, this.#transfers, this.#putWhole.bind(this));
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.checkHealth(signal);
  }

  /** Of a key, since the properties of the container need a right that reading and writing do not. */
  async checkHealth(signal?: AbortSignal): Promise<void> {
    try {
      await this.native.getBlobClient(probeKey).getProperties(abortedBy(signal));
    } catch (error) {
      // Denied is an answer: whoever asks may write only.
      if (!isMissing(error) && !isAccessDenied(error)) throw error;
    }
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const blockBytes = blockBytesFor(options.size, this.#sizes.block);
    if (body instanceof Uint8Array) {
      if (body.byteLength <= this.#sizes.whole)
        return await this.#putWhole(key, body, options, signal);
      return await this.#putBlocks(key, slicesOf(body, blockBytes), options, signal);
    }
    const parts = partsOf(body, blockBytes, signal);
    const first = await parts.next();
    const second = first.done ? first : await parts.next();
    if (second.done || !first.value)
      return await this.#putWhole(key, first.value ?? new Uint8Array(), options, signal);
    const all = chain([first.value, second.value], parts);
    return await this.#putBlocks(key, all, options, signal);
  }

  async get(key: string, range: ByteRange | undefined, signal?: AbortSignal): Promise<DriverFile> {
    const blob = this.native.getBlobClient(key);
    // Azure knows no range from the end.
    const head = range?.suffix === undefined ? undefined : await this.head(key, signal);
    const { start, end } = range && head ? resolveRange(range, head.size, key) : (range ?? {});
    const length = start !== undefined && end !== undefined ? end - start + 1 : undefined;
    const facts = await this.#reading(key, async () => {
      return await blob.download(start ?? 0, length, {
        ...abortedBy(signal),
        conditions: conditionsOf({ ...(head && { ifMatch: head.etag }) }),
        maxRetryRequests: 0,
      });
    });
    // In Node it is a Readable.
    const stream = facts.readableStreamBody as Readable;
    if (signal) addAbortSignal(signal, stream);
    const info = infoOf(key, facts);
    const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(facts.contentRange ?? '') ?? [];
    if (range && (start ?? 0) >= info.size) {
      stream.destroy();
      // Azurite answers all the same when it starts just past the end.
      throw rangeUnsatisfiable(key, info.size);
    }
    // From the first byte to the end is the whole file, for which the SDK asks as such.
    const resolved = range && {
      range: { start: Number(first ?? 0), end: Number(last ?? info.size - 1) },
    };
    const body =
      (facts.contentLength ?? Number.POSITIVE_INFINITY) <= readWholeBytes
        ? await readWhole(stream)
        : chunksOf(stream);
    return { info, ...resolved, body };
  }

  async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.#reading(key, async () =>
      infoOf(key, await this.native.getBlobClient(key).getProperties(abortedBy(signal))),
    );
  }

  async delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      await this.native.getBlobClient(key).delete({
        ...abortedBy(signal),
        conditions: conditionsOf(conditions),
        // A blob that has snapshots goes with them or not at all.
        deleteSnapshots: 'include',
      });
    } catch (error) {
      if (conditions.ifMatch !== undefined || !isMissing(error))
        refuseWrite(key, conditions, error);
    }
  }

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    for (let start = 0; start < keys.length; start += deletesInOneBatch) {
      const blobs = keys
        .slice(start, start + deletesInOneBatch)
        .map((key) => this.native.getBlobClient(key));
      const { subResponses } = await this.native
        .getBlobBatchClient()
        .deleteBlobs(blobs, { ...abortedBy(signal), deleteSnapshots: 'include' });
      const failed = subResponses
        .filter(({ status }) => status >= 300)
        .map(({ status, errorCode }) => errorOfAnswer(status, errorCode))
        .find((error) => !isMissing(error));
      if (failed) throw failed;
    }
  }

  async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#reading(
      from,
      async () => await this.#transfers.copy({ from, to, ...conditions }, signal),
    );
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
    return await listPage(options, async ({ prefix, delimiter, startFrom, marker, limit }) => {
      const query = {
        ...abortedBy(signal),
        ...(prefix === '' ? {} : { prefix }),
        ...(startFrom === undefined ? {} : { startFrom }),
      };
      const settings = {
        maxPageSize: limit,
        ...(marker === undefined ? {} : { continuationToken: marker }),
      };
      const pages =
        delimiter === undefined
          ? this.native.listBlobsFlat(query).byPage(settings)
          : this.native.listBlobsByHierarchy(delimiter, query).byPage(settings);
      for await (const { segment, continuationToken } of pages) {
        return {
          files: segment.blobItems.map(({ name, properties }) => ({
            key: name,
            size: properties.contentLength ?? 0,
            lastModified: properties.lastModified,
          })),
          prefixes: prefixesOf(segment),
          ...(continuationToken ? { marker: continuationToken } : {}),
        };
      }
      return { files: [], prefixes: [] };
    });
  }

  /** Throws `failed-precondition` without the account's key: nothing else signs without a request. */
  async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    if (!(this.native.credential instanceof azure.StorageSharedKeyCredential))
      throw new StorageFault({
        code: 'failed-precondition',
        outcome: 'not-applied',
        message:
          "only the account's key signs URLs: connect with accountKey, or with a connection string that has one",
      });
    const { contentType, contentDisposition, expiresIn } = options;
    const signature: Omit<BlobSASSignatureValues, 'containerName'> = {
      permissions: azure.BlobSASPermissions.parse('r'),
      // It counts in whole seconds.
      expiresOn: new Date(Math.ceil((Date.now() + expiresIn) / 1000) * 1000),
      ...(contentType === undefined ? {} : { contentType }),
      ...(contentDisposition === undefined ? {} : { contentDisposition }),
    };
    return await this.native.getBlobClient(key).generateSasUrl(signature);
  }

  /** Readable where the container allows anonymous access. */
  async publicUrl(key: string): Promise<string> {
    const url = new URL(this.native.getBlobClient(key).url);
    url.search = '';
    return url.href;
  }

  async close(): Promise<void> {
    this.#disconnect();
  }

  async #reading<Result>(key: string, read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (isMissing(error)) throw notFound(key, error);
      if (isRangeUnsatisfiable(error))
        throw new StorageFault(
          {
            code: 'invalid-argument',
            message: `the range starts past the end of ${JSON.stringify(key)}`,
          },
          error,
        );
      if (isConditionFailed(error)) throw replacedMeanwhile(key, error);
      throw error;
    }
  }

  async #putWhole(
    key: string,
    bytes: Uint8Array,
    options: Omit<DriverPut, 'size'>,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const checksums = options.checksums();
    const { contentType, cacheControl, metadata } = options;
    try {
      const { etag, lastModified = new Date() } = await this.native
        .getBlockBlobClient(key)
        .upload(bytes, bytes.byteLength, {
          ...headersOf(options, checksums),
          ...abortedBy(signal),
          conditions: conditionsOf(options),
          transactionalContentMD5: md5Of(bytes),
        });
      return {
        key,
        size: bytes.byteLength,
        etag: etagOf(etag),
        contentType,
        ...(cacheControl === undefined ? {} : { cacheControl }),
        metadata,
        lastModified,
        ...checksums,
      };
    } catch (error) {
      return refuseWrite(key, options, error);
    }
  }

  /**
   * Blocks of several writers that wait at one key would go with the first of them that is done, so that they wait at a name of their
   * own, and what they become is copied.
   */
  async #putBlocks(
    key: string,
    parts: AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { ifMatch, ifNoneMatch } = options;
    const blob = this.native.getBlockBlobClient(stagingName(randomUUID(), key));
    try {
      const ids: string[] = [];
      await this.#sender.sendAll(blocksOf(blob, parts, ids), signal);
      // Only now: the checksums are known once the body has been read.
      const facts = headersOf(options, options.checksums());
      await blob.commitBlockList(ids, { ...facts, ...abortedBy(signal) });
      const conditions = {
        ...(ifMatch !== undefined && { ifMatch }),
        ...(ifNoneMatch !== undefined && { ifNoneMatch }),
      };
      return await this.#transfers.copy({ from: blob.name, to: key, ...conditions }, signal);
    } finally {
      // Not under the caller's signal, which may be why it failed. Should this fail too, Azure removes what waits after a week.
      await discard(blob, undefined).catch(() => undefined);
    }
  }
}

// A flat list has none.
function prefixesOf(segment: {
  readonly blobItems: unknown;
  readonly blobPrefixes?: readonly { readonly name: string }[];
}): string[] {
  return (segment.blobPrefixes ?? []).map(({ name }) => name);
}

function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}
