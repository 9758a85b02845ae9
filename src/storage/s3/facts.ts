import type { DriverPut, FileInfo } from '../driver.ts';

/** Holds the SHA-256 among the object's metadata. A dot cannot stand in the name of a caller's metadata. */
const checksumName = 'underpin.sha256';

/** Names the write that made the object, where its outcome may have to be found out. */
export const writeName = 'underpin.write';

/** The facts of a put as S3's requests take them. `sha256` is left out where it is not known before the content is sent. */
export function headersOf(
  {
    contentType,
    cacheControl,
    metadata,
  }: Pick<DriverPut, 'contentType' | 'cacheControl' | 'metadata'>,
  sha256: string | undefined,
): { ContentType: string; CacheControl?: string; Metadata: Record<string, string> } {
  return {
    ContentType: contentType,
    ...(cacheControl === undefined ? {} : { CacheControl: cacheControl }),
    Metadata: { ...metadata, ...(sha256 === undefined ? {} : { [checksumName]: sha256 }) },
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
}

/** The facts of an object. */
export function infoOf(key: string, facts: ObjectFacts): FileInfo {
  const { [checksumName]: sha256, [writeName]: _, ...metadata } = facts.Metadata ?? {};
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
  };
}

/** An etag without the quotes of HTTP. */
export function etagOf(etag: string | undefined): string {
  return (etag ?? '').replaceAll('"', '');
}
