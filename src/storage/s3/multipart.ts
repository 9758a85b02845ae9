import type { S3Client } from '@aws-sdk/client-s3';

import { type Classify, type Policy, PolicyExecutor, wrapError } from '../../core/index.ts';
import { StorageFault } from '../errors.ts';
import { s3 } from './sdk.ts';

// Together with the part that is being filled, at most this many are in memory.
const partsAtOnce = 4;
const maxParts = 10_000;

/** One object in one bucket. */
export interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

/**
 * Uploads in parts, each of which is sent again by itself when it fails: a stream cannot be read twice. Nothing is at the key
 * before the last step; whatever fails, the parts are removed.
 */
export class MultipartUploader {
  readonly #client: S3Client;
  readonly #classify: Classify;
  readonly #executor: PolicyExecutor;

  constructor(client: S3Client, classify: Classify, policy: Policy) {
    this.#client = client;
    this.#classify = classify;
    const { name, retry } = policy;
    this.#executor = new PolicyExecutor({ name, ...(retry && { retry }) });
  }

  /** Gives the etag, or nothing where the server does not tell it. */
  async upload(
    object: ObjectName,
    facts: { readonly ContentType: string; readonly Metadata: Record<string, string> },
    parts: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { UploadId } = await this.#client.send(
      new s3.CreateMultipartUploadCommand({ ...object, ...facts }),
      { ...(signal && { abortSignal: signal }) },
    );
    try {
      const Parts = await this.#sendParts({ ...object, UploadId }, parts, signal);
      const { ETag } = await this.#client.send(
        new s3.CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts } }),
        { ...(signal && { abortSignal: signal }) },
      );
      return ETag;
    } catch (error) {
      // Not under the caller's signal, which may be why it failed. Should this fail too, the bucket's lifecycle rule clears up.
      await this.#client
        .send(new s3.AbortMultipartUploadCommand({ ...object, UploadId }))
        .catch(() => undefined);
      throw error;
    }
  }

  async #sendParts(
    upload: ObjectName & { readonly UploadId: string | undefined },
    parts: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<{ PartNumber: number; ETag: string | undefined }[]> {
    const failed = new AbortController();
    const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
    const sent: Promise<{ PartNumber: number; ETag: string | undefined }>[] = [];
    const underWay = new Set<Promise<unknown>>();
    try {
      for await (const part of parts) {
        stop.throwIfAborted();
        if (sent.length === maxParts) throw tooLarge(part.byteLength);
        const sending = this.#sendPart({ ...upload, PartNumber: sent.length + 1 }, part, stop);
        sent.push(sending);
        underWay.add(sending);
        sending.then(
          () => underWay.delete(sending),
          (error: unknown) => failed.abort(error),
        );
        if (underWay.size >= partsAtOnce) await Promise.race(underWay);
      }
      return await Promise.all(sent);
    } catch (error) {
      failed.abort(error);
      // A part that arrived after the abort of the upload would stay.
      await Promise.allSettled(sent);
      throw signal?.aborted ? signal.reason : failed.signal.reason;
    }
  }

  async #sendPart(
    part: ObjectName & { readonly UploadId: string | undefined; readonly PartNumber: number },
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<{ PartNumber: number; ETag: string | undefined }> {
    const origin = { component: 'storage', adapter: 's3', operation: 'put' };
    const wrap = (error: unknown): ReturnType<typeof wrapError> =>
      wrapError(error, origin, (raw) => {
        const classification = this.#classify(raw);
        return classification && { ...classification, outcome: 'not-applied' };
      });
    const { ETag } = await this.#executor.execute(
      { origin, signal, repeatable: true, wrap },
      async (current) =>
        await this.#client.send(new s3.UploadPartCommand({ ...part, Body: body }), {
          ...(current && { abortSignal: current }),
        }),
    );
    return { PartNumber: part.PartNumber, ETag };
  }
}

function tooLarge(partBytes: number): StorageFault {
  return new StorageFault({
    code: 'invalid-argument',
    outcome: 'not-applied',
    message: `the stream has more than ${maxParts} parts of ${partBytes} bytes: give its size, so that larger parts are made`,
  });
}

/** The size of the parts of a body, in bytes: at least `least`, and so large that S3's 10,000 parts hold it. */
export function partBytesFor(size: number | undefined, least: number): number {
  return Math.max(least, Math.ceil((size ?? 0) / maxParts));
}
