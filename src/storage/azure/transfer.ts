import { randomBytes } from 'node:crypto';

import type {
  BlobGetPropertiesResponse,
  BlockBlobClient,
  ContainerClient,
  HttpAuthorization,
} from '@azure/storage-blob';

import type { FileInfo, TransferConditions, WriteConditions } from '../driver.ts';
import { conditionFailed, StorageFault } from '../errors.ts';
import type { PartSender, SendPart } from '../part-sender.ts';
import { isBlocksGone, isConditionFailed, isMissing, refuseWrite } from './errors.ts';
import { conditionsOf, etagOf, infoOf } from './facts.ts';
import { azure } from './sdk.ts';

// Azure takes requests of a clock that is 15 minutes off.
const sourceMs = 20 * 60 * 1000;
// Another writer of the target, who is as large and as slow, must win this often in a row.
const attempts = 5;

/** The sizes at which one way of transfer ends and the next begins, in bytes. */
export interface TransferSizes {
  /** The largest blob that Azure copies in one request. */
  readonly copy: number;
  /** What it copies of a larger one in one request. */
  readonly copyBlock: number;
}

/** A blob that is to be at another key. */
export interface Transfer extends WriteConditions, TransferConditions {
  readonly from: string;
  readonly to: string;
}

/** Copies within the account, without the content passing through this process. */
export class Transfers {
  readonly #container: ContainerClient;
  readonly #sender: PartSender;
  readonly #sizes: TransferSizes;

  constructor(container: ContainerClient, sender: PartSender, sizes: TransferSizes) {
    this.#container = container;
    this.#sender = sender;
    this.#sizes = sizes;
  }

  /** Copies content and facts, atomically at the target and of one version of the source. Throws raw that the source is missing. */
  async copy(transfer: Transfer, signal: AbortSignal | undefined): Promise<FileInfo> {
    const { from, to } = transfer;
    const source = this.#container.getBlockBlobClient(from);
    const facts = await source.getProperties({ ...(signal && { abortSignal: signal }) });
    const info = infoOf(to, facts);
    if (transfer.ifSourceMatch !== undefined && transfer.ifSourceMatch !== info.etag)
      throw conditionFailed(from, 'ifSourceMatch');
    try {
      const written =
        info.size <= this.#sizes.copy
          ? await this.#copyWhole(source, info, transfer, signal)
          : await this.#copyBlocks(source, facts, transfer, signal);
      const { lastModified = new Date() } = written;
      return { ...info, etag: etagOf(written.etag), lastModified };
    } catch (error) {
      const isReplaced = isConditionFailed(error) && (await this.#isOther(from, info.etag, signal));
      if (isReplaced || isMissing(error)) throw replacedMeanwhile(from, error);
      return refuseWrite(to, transfer, error);
    }
  }

  async #copyWhole(
    source: BlockBlobClient,
    { etag }: FileInfo,
    transfer: Transfer,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly etag?: string; readonly lastModified?: Date }> {
    const { url, sourceAuthorization } = await this.#readable(source, signal);
    return await this.#container.getBlockBlobClient(transfer.to).syncCopyFromURL(url, {
      conditions: conditionsOf(transfer),
      sourceConditions: conditionsOf({ ifMatch: etag }),
      ...(sourceAuthorization && { sourceAuthorization }),
      ...(signal && { abortSignal: signal }),
    });
  }

  async #copyBlocks(
    source: BlockBlobClient,
    facts: BlobGetPropertiesResponse,
    transfer: Transfer,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly etag?: string; readonly lastModified?: Date }> {
    const target = this.#container.getBlockBlobClient(transfer.to);
    for (let attempt = 1; ; attempt += 1) {
      const ids: string[] = [];
      await this.#sender.sendAll(this.#blocks(source, target, facts, ids), signal);
      try {
        return await target.commitBlockList(ids, {
          blobHTTPHeaders: {
            ...(facts.contentType !== undefined && { blobContentType: facts.contentType }),
            ...(facts.cacheControl !== undefined && { blobCacheControl: facts.cacheControl }),
            ...(facts.contentEncoding !== undefined && {
              blobContentEncoding: facts.contentEncoding,
            }),
            ...(facts.contentLanguage !== undefined && {
              blobContentLanguage: facts.contentLanguage,
            }),
            ...(facts.contentDisposition !== undefined && {
              blobContentDisposition: facts.contentDisposition,
            }),
          },
          metadata: facts.metadata ?? {},
          conditions: conditionsOf(transfer),
          ...(signal && { abortSignal: signal }),
        });
      } catch (error) {
        // Whoever writes a blob removes the blocks that wait to become it.
        if (!isBlocksGone(error) || attempt === attempts) throw error;
      }
    }
  }

  *#blocks(
    source: BlockBlobClient,
    target: BlockBlobClient,
    { contentLength = 0, etag }: BlobGetPropertiesResponse,
    ids: string[],
  ): Generator<SendPart, void> {
    // Other copies to the same key may be under way.
    const copy = randomBytes(12).toString('base64url');
    const { copyBlock } = this.#sizes;
    for (let start = 0; start < contentLength; start += copyBlock) {
      const id = Buffer.from(`${copy}${String(ids.length).padStart(5, '0')}`).toString('base64');
      ids.push(id);
      const size = Math.min(copyBlock, contentLength - start);
      yield async (signal) => {
        const { url, sourceAuthorization } = await this.#readable(source, signal);
        await target.stageBlockFromURL(id, url, start, size, {
          ...(etag !== undefined && { sourceConditions: { ifMatch: etag } }),
          ...(sourceAuthorization && { sourceAuthorization }),
          ...(signal && { abortSignal: signal }),
        });
      };
    }
  }

  /** How Azure itself may read a blob of ours. */
  async #readable(
    blob: BlockBlobClient,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly url: string; readonly sourceAuthorization?: HttpAuthorization }> {
    const { credential } = this.#container;
    if (credential instanceof azure.StorageSharedKeyCredential) {
      const permissions = azure.BlobSASPermissions.parse('r');
      const expiresOn = new Date(Date.now() + sourceMs);
      return { url: await blob.generateSasUrl({ permissions, expiresOn }) };
    }
    // The URL has its signature within it.
    if (credential instanceof azure.AnonymousCredential) return { url: blob.url };
    const token = await credential.getToken(azure.StorageOAuthScopes, {
      ...(signal && { abortSignal: signal }),
    });
    return {
      url: blob.url,
      ...(token && { sourceAuthorization: { scheme: 'Bearer', value: token.token } }),
    };
  }

  async #isOther(key: string, etag: string, signal: AbortSignal | undefined): Promise<boolean> {
    const blob = this.#container.getBlobClient(key);
    try {
      const facts = await blob.getProperties({ ...(signal && { abortSignal: signal }) });
      return etagOf(facts.etag) !== etag;
    } catch (error) {
      if (isMissing(error)) return true;
      throw error;
    }
  }
}

/** A source changed while it was taken. */
export function replacedMeanwhile(key: string, cause: unknown): StorageFault {
  return new StorageFault(
    {
      code: 'aborted',
      outcome: 'not-applied',
      message: `${JSON.stringify(key)} was replaced while it was copied`,
    },
    cause,
  );
}
