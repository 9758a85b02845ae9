import type { Checksums, FileFacts, FileInfo } from '../driver.ts';

// They hold the checksums among the object's metadata. A dot cannot stand in the name of a caller's metadata.
const sha256Name = 'underpin.sha256';
const crc32Name = 'underpin.crc32';

/** Names the write that made the object, where its outcome may have to be found out. */
export const writeName = 'underpin.write';

/** Holds the size of the parts that the object was made of, in bytes, by which its content can be held against its etag. */
export const partSizeName = 'underpin.part-size';

/** The facts of a put as S3's requests take them. Checksums are left out where they are not known before the content is sent. */
export function headersOf(
  { contentType, cacheControl, metadata }: FileFacts,
  checksums: Partial<Checksums> = {},
): { ContentType: string; CacheControl?: string; Metadata: Record<string, string> } {
  return {
    ContentType: contentType,
    ...(cacheControl === undefined ? {} : { CacheControl: cacheControl }),
    Metadata: {
      ...metadata,
      ...(checksums.sha256 === undefined ? {} : { [sha256Name]: checksums.sha256 }),
      ...(checksums.crc32 === undefined ? {} : { [crc32Name]: checksums.crc32 }),
    },
  };
}

/** What S3 says of an object, in a HEAD's or a GET's answer. */
interface ObjectFacts {
  readonly ContentLength?: number | undefined;
  readonly ContentRange?: string | undefined;
  readonly ETag?: string | undefined;
  readonly ContentType?: string | undefined;
  readonly CacheControl?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly Metadata?: Record<string, string> | undefined;
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}

/** The facts of an object. */
export function infoOf(key: string, facts: ObjectFacts): FileInfo {
  const {
    [sha256Name]: sha256,
    [crc32Name]: crc32,
    [writeName]: _write,
    [partSizeName]: _partSize,
    ...metadata
  } = facts.Metadata ?? {};
  const total = /\/(\d+)$/.exec(facts.ContentRange ?? '')?.[1];
  return {
    key,
    size: total === undefined ? (facts.ContentLength ?? 0) : Number(total),
    etag: etagOf(facts.ETag),
    contentType: facts.ContentType ?? 'application/octet-stream',
    ...(facts.CacheControl === undefined ? {} : { cacheControl: facts.CacheControl }),
    metadata,
    lastModified: facts.LastModified ?? new Date(0),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(crc32 === undefined ? {} : { crc32 }),
  };
}

/** An etag without the quotes of HTTP. */
export function etagOf(etag: string | undefined): string {
  return (etag ?? '').replaceAll('"', '');
}

/** The size of the parts by which an object's content can be held against its etag; nothing where it cannot, or need not. */
export function verifiablePartSize(facts: ObjectFacts): number | undefined {
  const { Metadata = {}, ServerSideEncryption = 'AES256', SSECustomerAlgorithm } = facts;
  const partSize = Number(Metadata[partSizeName]);
  if (!Number.isSafeInteger(partSize) || partSize <= 0) return undefined;
  if (facts.ContentRange !== undefined || Metadata[sha256Name] !== undefined) return undefined;
  // Of what was encrypted otherwise, etags are no MD5s.
  if (ServerSideEncryption !== 'AES256' || SSECustomerAlgorithm !== undefined) return undefined;
  // A copy by the server may be of one part.
  const count = Math.max(1, Math.ceil((facts.ContentLength ?? 0) / partSize));
  return etagOf(facts.ETag).endsWith(`-${count}`) ? partSize : undefined;
}
