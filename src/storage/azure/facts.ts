import type { BlobHTTPHeaders, Metadata } from '@azure/storage-blob';

import type { Checksums, FileFacts, FileInfo, WriteConditions } from '../driver.ts';

// What the adapter keeps among a blob's metadata. Azure takes identifiers only, so that a dash becomes an underscore; a caller's name
// never begins with one, unless a digit follows.
const sha256Name = '_underpin_sha256';
const crc32Name = '_underpin_crc32';
// Azure drops what has an empty value.
const emptyName = '_underpin_empty';

/** The facts of a put as Azure's requests take them. */
export function headersOf(
  { contentType, cacheControl, metadata }: FileFacts,
  { sha256, crc32 }: Partial<Checksums> = {},
): { readonly blobHTTPHeaders: BlobHTTPHeaders; readonly metadata: Metadata } {
  const all = Object.entries(metadata).map(([name, value]) => [writeName(name), value] as const);
  const empty = all.filter(([, value]) => value === '').map(([name]) => name);
  return {
    blobHTTPHeaders: {
      blobContentType: contentType,
      ...(cacheControl === undefined ? {} : { blobCacheControl: cacheControl }),
    },
    metadata: {
      ...Object.fromEntries(all.filter(([, value]) => value !== '')),
      ...(empty.length === 0 ? {} : { [emptyName]: empty.join(' ') }),
      ...(sha256 === undefined ? {} : { [sha256Name]: sha256 }),
      ...(crc32 === undefined ? {} : { [crc32Name]: crc32 }),
    },
  };
}

/** What Azure says of a blob, in a HEAD's or a GET's answer. */
interface BlobFacts {
  readonly contentLength?: number;
  readonly contentRange?: string;
  readonly etag?: string;
  readonly contentType?: string;
  readonly cacheControl?: string;
  readonly lastModified?: Date;
  readonly metadata?: Metadata;
}

/** The facts of a blob. */
export function infoOf(key: string, facts: BlobFacts): FileInfo {
  const {
    [sha256Name]: sha256,
    [crc32Name]: crc32,
    [emptyName]: empty = '',
    ...own
  } = facts.metadata ?? {};
  const total = /\/(\d+)$/.exec(facts.contentRange ?? '')?.[1];
  const names = empty.split(' ').filter((name) => name !== '');
  const all = [...Object.entries(own), ...names.map((name) => [name, ''] as const)];
  return {
    key,
    size: total === undefined ? (facts.contentLength ?? 0) : Number(total),
    etag: etagOf(facts.etag),
    contentType: facts.contentType ?? 'application/octet-stream',
    ...(facts.cacheControl === undefined ? {} : { cacheControl: facts.cacheControl }),
    metadata: Object.fromEntries(all.map(([name, value]) => [readName(name), value])),
    lastModified: facts.lastModified ?? new Date(0),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(crc32 === undefined ? {} : { crc32 }),
  };
}

function writeName(name: string): string {
  return name.replaceAll('-', '_').replace(/^\d/, '_$&');
}

function readName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^_(?=\d)/, '')
    .replaceAll('_', '-');
}

/** An etag without the quotes of HTTP. */
export function etagOf(etag: string | undefined): string {
  return (etag ?? '').replaceAll('"', '');
}

/** Conditions as Azure's requests take them. */
export function conditionsOf({ ifMatch, ifNoneMatch }: WriteConditions): {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
} {
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: `"${ifMatch}"` }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}
