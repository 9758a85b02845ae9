import { randomBytes } from 'node:crypto';

import type { S3Client } from '@aws-sdk/client-s3';

import type { Classify, Policy } from '../../core/index.ts';
import type { Checksums, FileFacts, FileInfo } from '../driver.ts';
import { StorageFault } from '../errors.ts';
import { PartSender, type SendPart } from '../part-sender.ts';
import { maxParts } from '../upload.ts';
import { answerDate } from './content-signature.ts';
import { etagOfBytes, etagOfParts } from './etag.ts';
import { etagOf, headersOf, infoOf, partSizeName, writeName } from './facts.ts';
import { abortedBy, s3 } from './sdk.ts';
import { chain } from '../streams.ts';

/** One object in one bucket. */
export interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

/** What is to be made of the parts. */
export interface PartedObject extends FileFacts {
  readonly object: ObjectName;
  /** Of the whole, where they are known before it is sent. */
  readonly checksums: Partial<Checksums>;
  /** Of every part but the last, in bytes. */
  readonly partSize: number;
  /** Told of each part of which nothing is read any more. */
  readonly onSent?: ((part: Uint8Array) => void) | undefined;
}

type UploadName = ObjectName & { readonly UploadId: string | undefined };

interface SentPart {
  readonly PartNumber: number;
  readonly ETag: string | undefined;
  /** In bytes. */
  readonly size: number;
}

/**
 * Uploads in parts, each of which is sent again by itself when it fails: a stream cannot be read twice. Nothing is at the key
 * before the last step; whatever fails, the parts are removed.
 */
export class MultipartUploader {
  readonly #client: S3Client;
  readonly #sender: PartSender;
  // Learnt from the first part that is sent. They are not where the server encrypts by a key management service.
  #etagsAreMd5: boolean | undefined;

  constructor(client: S3Client, classify: Classify, policy: Policy) {
    this.#client = client;
    this.#sender = new PartSender('s3', classify, policy);
  }

  async upload(
    whole: PartedObject,
    parts: AsyncGenerator<Uint8Array, void>,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const { object, partSize, checksums } = whole;
    const facts = headersOf(whole, checksums);
    const write = randomBytes(16).toString('base64url');
    facts.Metadata[writeName] = write;
    const isHeldAgainstEtag = checksums.sha256 === undefined && this.#etagsAreMd5 !== false;
    if (isHeldAgainstEtag) facts.Metadata[partSizeName] = String(partSize);
    const { UploadId } = await this.#client.send(
      new s3.CreateMultipartUploadCommand({ ...object, ...facts }),
      abortedBy(signal),
    );
    const upload = { ...object, UploadId };
    try {
      const sent: SentPart[] = [];
      if (isHeldAgainstEtag && this.#etagsAreMd5 === undefined) {
        const step = await parts.next();
        const first = step.done === true ? new Uint8Array() : step.value;
        const send = this.#send({ ...upload, PartNumber: 1 }, first);
        const part = await this.#sender.send(send, signal);
        this.#etagsAreMd5 = etagOf(part.ETag) === etagOfBytes(first);
        if (!this.#etagsAreMd5) {
          await this.#remove(upload);
          return await this.upload(whole, chain([first], parts), signal);
        }
        sent.push(part);
        whole.onSent?.(first);
      }
      const rest = { upload, before: sent.length, onSent: whole.onSent };
      sent.push(...(await this.#sender.sendAll(this.#sends(rest, parts), signal)));
      return await this.#complete(upload, sent, { facts, write }, signal);
    } catch (error) {
      await this.#remove(upload);
      throw error;
    }
  }

  async #complete(
    upload: UploadName,
    sent: readonly SentPart[],
    { facts, write }: { readonly facts: ReturnType<typeof headersOf>; readonly write: string },
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const key = upload.Key;
    const Parts = sent.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }));
    const command = new s3.CompleteMultipartUploadCommand({
      ...upload,
      MultipartUpload: { Parts },
    });
    const answered = answerDate(command);
    const { ETag } = await this.#client.send(command, abortedBy(signal));
    const expected = this.#etagsAreMd5
      ? etagOfParts(sent.map((part) => etagOf(part.ETag)))
      : undefined;
    const ContentLength = sent.reduce((total, { size }) => total + size, 0);
    const made = infoOf(key, { ...facts, ContentLength, ETag, LastModified: answered() });
    if (made.etag !== '') return assembled(made, expected);
    // Ceph's answer has none.
    const there = await this.#client.send(
      new s3.HeadObjectCommand({ Bucket: upload.Bucket, Key: key }),
      abortedBy(signal),
    );
    return there.Metadata?.[writeName] === write
      ? assembled(infoOf(key, there), expected)
      : // Somebody has replaced it already.
        { ...made, etag: expected ?? '' };
  }

  // Not under the caller's signal, which may be why it failed. Should this fail too, the bucket's lifecycle rule clears up.
  async #remove(upload: UploadName): Promise<void> {
    await this.#client.send(new s3.AbortMultipartUploadCommand(upload)).catch(() => undefined);
  }

  async *#sends(
    {
      upload,
      before,
      onSent,
    }: Pick<PartedObject, 'onSent'> & { readonly upload: UploadName; readonly before: number },
    parts: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<SendPart<SentPart>, void> {
    let PartNumber = before;
    for await (const part of parts) {
      PartNumber += 1;
      if (PartNumber > maxParts) throw tooLarge(part.byteLength);
      const send = this.#send({ ...upload, PartNumber }, part);
      yield async (signal) => {
        const sent = await send(signal);
        onSent?.(part);
        return sent;
      };
    }
  }

  #send(part: UploadName & { readonly PartNumber: number }, body: Uint8Array): SendPart<SentPart> {
    return async (signal) => {
      // The SDK signs the content's own SHA-256: the server takes no other.
      const command = new s3.UploadPartCommand({ ...part, Body: body });
      const { ETag } = await this.#client.send(command, abortedBy(signal));
      return { PartNumber: part.PartNumber, ETag, size: body.byteLength };
    };
  }
}

function assembled(info: FileInfo, expected: string | undefined): FileInfo {
  if (expected === undefined || info.etag === expected) return info;
  throw new StorageFault({
    code: 'data-loss',
    message: `S3 made another content of the parts of ${JSON.stringify(info.key)}: its etag is ${info.etag}, not ${expected}. Put it again`,
  });
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
