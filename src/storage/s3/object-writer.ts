import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';

import type { S3Client } from '@aws-sdk/client-s3';

import type { Checksums, FileFacts, FileInfo, WriteConditions } from '../driver.ts';
import { conditionFailed } from '../errors.ts';
import { answerDate, signContent } from './content-signature.ts';
import { isCephsLostRace, isConditionFailed, isMissing } from './errors.ts';
import { etagOf, headersOf, infoOf, writeName } from './facts.ts';
import type { ObjectName } from './multipart.ts';
import { abortedBy, s3 } from './sdk.ts';

/** Content whose size and checksum are known before it is sent. */
export interface Content {
  readonly body: Uint8Array | Readable;
  /** In bytes. */
  readonly size: number;
  readonly checksums: Pick<Checksums, 'sha256'> & Partial<Checksums>;
}

/** Writes whole objects in one request each, which all servers decide in one step. */
export class ObjectWriter {
  readonly #client: S3Client;

  constructor(client: S3Client) {
    this.#client = client;
  }

  async put(
    object: ObjectName,
    { body, size, checksums }: Content,
    options: FileFacts & WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { ifMatch, ifNoneMatch, contentType, cacheControl, metadata } = options;
    const key = object.Key;
    const facts = headersOf(options, checksums);
    const write = ifMatch === undefined ? undefined : randomBytes(16).toString('base64url');
    if (write !== undefined) facts.Metadata[writeName] = write;
    const command = new s3.PutObjectCommand({
      ...object,
      ...facts,
      Body: body,
      ContentLength: size,
      ...(ifNoneMatch !== undefined && { IfNoneMatch: ifNoneMatch }),
      // Without quotes: AWS takes both, Ceph only this.
      ...(ifMatch !== undefined && { IfMatch: ifMatch }),
    });
    signContent(command, checksums.sha256);
    const answered = answerDate(command);
    try {
      const { ETag } = await this.#client.send(command, abortedBy(signal));
      return {
        key,
        contentType,
        ...(cacheControl === undefined ? {} : { cacheControl }),
        metadata,
        etag: etagOf(ETag),
        size,
        ...checksums,
        lastModified: answered(),
      };
    } catch (error) {
      if (ifNoneMatch !== undefined && isConditionFailed(error))
        throw conditionFailed(key, 'ifNoneMatch', error);
      if (ifMatch !== undefined && (isConditionFailed(error) || isMissing(error)))
        throw conditionFailed(key, 'ifMatch', error);
      if (ifMatch !== undefined && isCephsLostRace(error)) {
        const there = await this.#client.send(new s3.HeadObjectCommand(object), abortedBy(signal));
        if (there.Metadata?.[writeName] === write) return infoOf(key, there);
        if (etagOf(there.ETag) !== ifMatch) throw conditionFailed(key, 'ifMatch', error);
      }
      throw error;
    }
  }
}
