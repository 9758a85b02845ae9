import { randomUUID } from 'node:crypto';

import type { S3Client } from '@aws-sdk/client-s3';

import type {
  DriverPart,
  DriverUpload,
  DriverUploads,
  FileInfo,
  ListedPart,
  UploadState,
  WriteConditions,
} from '../driver.ts';
import { notAnUpload, noUpload, StorageFault } from '../errors.ts';
import { reservedSegment } from '../key.ts';
import { signContent } from './content-signature.ts';
import { isMissing, isNoUpload } from './errors.ts';
import { etagOf, headersOf } from './facts.ts';
import type { ObjectName } from './multipart.ts';
import { abortedBy, s3 } from './sdk.ts';

/** Where the parts of a conditional upload become one object, before that is put at its key under the condition. */
interface Stage extends WriteConditions {
  readonly stage: string;
  /** In bytes. */
  readonly partSize: number;
}

/** What S3 calls an upload. */
interface Name {
  readonly UploadId: string;
  readonly staged: Stage | undefined;
}

/** The file at its key, and what the driver has of the calls that uploads need. */
export interface UploadTarget {
  readonly bucket: string;
  readonly client: S3Client;
  readonly head: (key: string, signal?: AbortSignal) => Promise<FileInfo>;
  readonly remove: (key: string, signal?: AbortSignal) => Promise<void>;
  /** Reads one object and writes it as another under the conditions. */
  readonly transfer: (
    from: string,
    to: string,
    conditions: WriteConditions,
    signal?: AbortSignal,
  ) => Promise<FileInfo>;
}

const stages = `${reservedSegment}/uploads/`;
const mostAtOnce = 5 * 2 ** 30;

/**
 * S3's own uploads in parts. Servers other than AWS ignore a condition at their end: under one, the parts become an object of the
 * storage's own, which no list shows, and that is put at the key by a request whose condition every server keeps.
 */
export class S3Uploads implements DriverUploads {
  readonly #target: UploadTarget;

  constructor(target: UploadTarget) {
    this.#target = target;
  }

  async create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState> {
    const { ifMatch, ifNoneMatch, partSize, sha256 } = upload;
    const isConditional = ifMatch !== undefined || ifNoneMatch !== undefined;
    const staged: Stage | undefined = isConditional
      ? {
          stage: `${stages}${randomUUID()}`,
          partSize,
          ...(ifMatch === undefined ? {} : { ifMatch }),
          ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
        }
      : undefined;
    const { UploadId } = await this.#target.client.send(
      new s3.CreateMultipartUploadCommand({
        ...this.#object(staged?.stage ?? key),
        ...headersOf(upload, sha256 === undefined ? {} : { sha256 }),
      }),
      abortedBy(signal),
    );
    return { key, id: UploadId, ...staged };
  }

  async putPart(
    key: string,
    state: UploadState,
    { number, bytes, checksums }: DriverPart,
    signal?: AbortSignal,
  ): Promise<void> {
    const name = nameOf(key, state);
    const { staged, UploadId } = name;
    if (staged && (number - 1) * staged.partSize + bytes.byteLength > mostAtOnce)
      throw new StorageFault({
        code: 'invalid-argument',
        message:
          'an upload with a condition has at most 5 GiB on S3: upload without one, or in smaller files',
      });
    const command = new s3.UploadPartCommand({
      ...this.#object(staged?.stage ?? key),
      UploadId,
      PartNumber: number,
      Body: bytes,
    });
    signContent(command, checksums.sha256);
    await asked(key, async () => await this.#target.client.send(command, abortedBy(signal)));
  }

  async listParts(
    key: string,
    state: UploadState,
    signal?: AbortSignal,
  ): Promise<readonly ListedPart[]> {
    const name = nameOf(key, state);
    try {
      return await this.#list(key, name, signal);
    } catch (error) {
      // Its completion went wrong after the parts had become one object. They have no etags any more.
      const whole = name.staged && (await this.#stageSize(name.staged, signal));
      if (whole === undefined || !name.staged) throw error;
      return cut(whole, name.staged.partSize);
    }
  }

  async complete(
    key: string,
    state: UploadState,
    parts: readonly ListedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const name = nameOf(key, state);
    const { staged } = name;
    try {
      await this.#join(key, name, parts, signal);
    } catch (error) {
      const isJoined = staged && (await this.#stageSize(staged, signal)) !== undefined;
      if (!isJoined) throw error;
    }
    if (!staged) return await this.#target.head(key, signal);
    const info = await this.#target.transfer(staged.stage, key, staged, signal);
    // Should this fail, the bucket's lifecycle rule clears up.
    await this.#target.remove(staged.stage).catch(() => undefined);
    return info;
  }

  async abort(key: string, state: UploadState, signal?: AbortSignal): Promise<void> {
    const { UploadId, staged } = nameOf(key, state);
    try {
      await this.#target.client.send(
        new s3.AbortMultipartUploadCommand({ ...this.#object(staged?.stage ?? key), UploadId }),
        abortedBy(signal),
      );
    } catch (error) {
      if (!isNoUpload(error)) throw error;
    }
    if (staged) await this.#target.remove(staged.stage, signal);
  }

  async #join(
    key: string,
    name: Name,
    parts: readonly ListedPart[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const command = new s3.CompleteMultipartUploadCommand({
      ...this.#object(name.staged?.stage ?? key),
      UploadId: name.UploadId,
      MultipartUpload: {
        Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })),
      },
    });
    await asked(key, async () => await this.#target.client.send(command, abortedBy(signal)));
  }

  async #list(
    key: string,
    { UploadId, staged }: Name,
    signal: AbortSignal | undefined,
  ): Promise<ListedPart[]> {
    const found: ListedPart[] = [];
    const object = this.#object(staged?.stage ?? key);
    for (let marker: string | undefined, isLast = false; !isLast;) {
      const command = new s3.ListPartsCommand({
        ...object,
        UploadId,
        ...(marker !== undefined && { PartNumberMarker: marker }),
      });
      const page = await asked(
        key,
        async () => await this.#target.client.send(command, abortedBy(signal)),
      );
      for (const { PartNumber = 0, Size = 0, ETag } of page.Parts ?? [])
        found.push({ number: PartNumber, size: Size, etag: etagOf(ETag) });
      marker = page.NextPartNumberMarker;
      isLast = page.IsTruncated !== true || marker === undefined;
    }
    return found;
  }

  /** In bytes; nothing when the parts have not become one object. */
  async #stageSize({ stage }: Stage, signal: AbortSignal | undefined): Promise<number | undefined> {
    try {
      return (await this.#target.head(stage, signal)).size;
    } catch {
      // Why it was asked for matters more.
      return undefined;
    }
  }

  #object(key: string): ObjectName {
    return { Bucket: this.#target.bucket, Key: key };
  }
}

async function asked<Answer>(key: string, ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    // Ceph says of the parts of an upload that is not there that there is no such key.
    if (isNoUpload(error) || isMissing(error)) throw noUpload(key, error);
    throw error;
  }
}

function nameOf(key: string, state: UploadState): Name {
  const { key: ownKey, id, stage, partSize, ifMatch, ifNoneMatch } = state;
  if (typeof id !== 'string' || id === '' || typeof ownKey !== 'string') throw notAnUpload();
  // Not every server minds under which key an upload is named.
  if (ownKey !== key) throw noUpload(key);
  if (stage === undefined) return { UploadId: id, staged: undefined };
  const isStage = typeof stage === 'string' && /^[0-9a-f-]{36}$/.test(stage.slice(stages.length));
  if (!isStage || !stage.startsWith(stages) || typeof partSize !== 'number') throw notAnUpload();
  if (typeof ifMatch === 'string') return { UploadId: id, staged: { stage, partSize, ifMatch } };
  if (ifNoneMatch !== '*') throw notAnUpload();
  return { UploadId: id, staged: { stage, partSize, ifNoneMatch } };
}

function cut(size: number, partSize: number): ListedPart[] {
  const count = Math.max(1, Math.ceil(size / partSize));
  return Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    size: Math.min(partSize, size - index * partSize),
  }));
}
