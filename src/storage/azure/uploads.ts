import { randomUUID } from 'node:crypto';

import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';

import { checksumsOf } from '../checksums.ts';
import type {
  DriverPart,
  DriverUpload,
  DriverUploads,
  FileInfo,
  UploadedPart,
  UploadState,
} from '../driver.ts';
import { checksumMismatch, noUpload, StorageFault } from '../errors.ts';
import { blockId, readBlockId, stage } from './blocks.ts';
import { isBlocksGone, isMissing } from './errors.ts';
import { headersOf } from './facts.ts';
import type { PutWhole } from './driver.ts';
import { type OpenUpload, readState, stagingName, writeState } from './upload-state.ts';
import type { Transfers } from './transfer.ts';

/** What Azure takes as one block, in bytes. */
const maxPartBytes = 4000 * 2 ** 20;

/**
 * Resumable uploads as blocks that wait at a name of their own: a blob has one set of waiting blocks, which goes whenever the blob is
 * written. At the end the blob is made there, and copied to its key within Azure. What waits is removed by Azure after a week.
 */
export class AzureUploads implements DriverUploads {
  readonly #container: ContainerClient;
  readonly #transfers: Transfers;
  readonly #putWhole: PutWhole;

  constructor(container: ContainerClient, transfers: Transfers, putWhole: PutWhole) {
    this.#container = container;
    this.#transfers = transfers;
    this.#putWhole = putWhole;
  }

  async create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState> {
    if (upload.partSize > maxPartBytes)
      throw new StorageFault({
        code: 'invalid-argument',
        outcome: 'not-applied',
        message: 'a partSize of more than 4000 MiB is more than Azure takes as one block',
      });
    const open = { ...upload, id: randomUUID() };
    // So that Azure knows the upload before its first part.
    await stage(this.#blob(key, open), blockId('open', 0), Buffer.from(' '), signal);
    return writeState(open);
  }

  async putPart(
    key: string,
    state: UploadState,
    { number, bytes }: DriverPart,
    signal?: AbortSignal,
  ): Promise<void> {
    const blob = this.#blob(key, readState(state));
    await this.#blocks(key, blob, signal);
    const isEmpty = bytes.byteLength === 0;
    // Azure takes no empty block, so that one byte may mean none: a note of as many bytes, and one more, tells.
    await stage(blob, blockId('part', number), isEmpty ? Buffer.from(' ') : bytes, signal);
    if (bytes.byteLength <= 1)
      await stage(blob, blockId('note', number), Buffer.from(isEmpty ? ' ' : '  '), signal);
  }

  async listParts(
    key: string,
    state: UploadState,
    signal?: AbortSignal,
  ): Promise<readonly UploadedPart[]> {
    const sizes = await this.#blocks(key, this.#blob(key, readState(state)), signal);
    return [...sizes]
      .map(([id, size]) => ({ ...readBlockId(id), size }))
      .filter(({ kind }) => kind === 'part')
      .map(({ number, size }) => {
        const note = sizes.get(blockId('note', number));
        return { number, size: size === 1 && note !== undefined ? note - 1 : size };
      })
      .toSorted((a, b) => a.number - b.number);
  }

  async complete(
    key: string,
    state: UploadState,
    parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const upload = readState(state);
    const blob = this.#blob(key, upload);
    const full = parts.filter(({ size }) => size > 0);
    const info =
      full.length === 0
        ? await this.#completeEmpty(key, upload, signal)
        : await this.#completeFull(key, upload, full, signal);
    // The file is there: whether this succeeds changes nothing for the caller.
    await blob.deleteIfExists().catch(() => undefined);
    return info;
  }

  async abort(key: string, state: UploadState, signal?: AbortSignal): Promise<void> {
    await discard(this.#blob(key, readState(state)), signal);
  }

  async #completeFull(
    key: string,
    upload: OpenUpload,
    parts: readonly UploadedPart[],
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { sha256, ifMatch, ifNoneMatch } = upload;
    const blob = this.#blob(key, upload);
    try {
      await blob.commitBlockList(
        parts.map(({ number }) => blockId('part', number)),
        {
          ...headersOf(upload, sha256 === undefined ? {} : { sha256 }),
          ...(signal && { abortSignal: signal }),
        },
      );
      const conditions = {
        ...(ifMatch !== undefined && { ifMatch }),
        ...(ifNoneMatch !== undefined && { ifNoneMatch }),
      };
      return await this.#transfers.copy({ from: blob.name, to: key, ...conditions }, signal);
    } catch (error) {
      if (isBlocksGone(error) || isMissing(error)) throw noUpload(key, error);
      throw error;
    }
  }

  async #completeEmpty(
    key: string,
    upload: OpenUpload,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const content = new Uint8Array();
    const checksums = checksumsOf(content);
    const { sha256 = checksums.sha256 } = upload;
    if (sha256 !== checksums.sha256)
      throw checksumMismatch(key, { expected: sha256, actual: checksums.sha256 });
    return await this.#putWhole(key, content, { ...upload, checksums: () => checksums }, signal);
  }

  /** The sizes of an upload's blocks by their ids. */
  async #blocks(
    key: string,
    blob: BlockBlobClient,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, number>> {
    try {
      const { committedBlocks = [], uncommittedBlocks = [] } = await blob.getBlockList('all', {
        ...(signal && { abortSignal: signal }),
      });
      const sizes = new Map(
        [...committedBlocks, ...uncommittedBlocks].map(({ name, size }) => [name, size]),
      );
      // Without it, and without a try to complete, they are what came late to an upload that was aborted.
      if (committedBlocks.length > 0 || sizes.has(blockId('open', 0))) return sizes;
    } catch (error) {
      if (isMissing(error)) throw noUpload(key, error);
      throw error;
    }
    throw noUpload(key);
  }

  #blob(key: string, { id }: Pick<OpenUpload, 'id'>): BlockBlobClient {
    return this.#container.getBlockBlobClient(stagingName(id, key));
  }
}

/** Removes a blob and the blocks that wait for it. */
export async function discard(
  blob: BlockBlobClient,
  signal: AbortSignal | undefined,
): Promise<void> {
  const aborted = { ...(signal && { abortSignal: signal }) };
  // Only a write lets go of blocks that wait.
  await blob.commitBlockList([], aborted);
  await blob.deleteIfExists(aborted);
}
