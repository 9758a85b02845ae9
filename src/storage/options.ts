import type { ByteSize, CallOptions, ComponentOptions, Duration } from '../core/index.ts';
import type { ByteRange, WriteConditions } from './driver.ts';

/** Options of {@link FileStorage.put}. */
export interface PutOptions extends WriteConditions, CallOptions {
  /** Default: told by the first bytes, else by the key's extension, else `application/octet-stream`. */
  readonly contentType?: string;
  /** The `Cache-Control` header it is served with. */
  readonly cacheControl?: string;
  /**
   * The caller's own facts: names of up to 64 lower-case letters, digits and dashes; values of printable ASCII
   * without spaces around them; 1,856 bytes in all (S3's limit, less what the adapter keeps there).
   */
  readonly metadata?: Readonly<Record<string, string>>;
  /** In bytes. A body of another length is refused, and nothing is stored. */
  readonly size?: number;
  /** In hex. A body with another checksum is refused as `data-loss`, and nothing is stored. */
  readonly sha256?: string;
  /** CRC-32 (that of zlib, gzip and ZIP) in eight hex digits. As `sha256`. */
  readonly crc32?: string;
  /**
   * Whether a `contentType` that the first bytes contradict is refused as `invalid-argument`: a web page that says it is a picture, for
   * instance. Text has no signature, so that any text passes for any type of text. Default: no.
   */
  readonly verifyContentType?: boolean;
}

/** Options of {@link FileStorage.get}. */
export interface GetOptions extends CallOptions {
  readonly range?: ByteRange;
  /** Only when the file's etag is this; else `failed-precondition`. */
  readonly ifMatch?: string;
  /** Only when the file's etag is not this; else `failed-precondition` with `details.notModified`. */
  readonly ifNoneMatch?: string;
}

/** Options of {@link FileStorage.list}. */
export interface ListOptions extends CallOptions {
  /** Only keys that start with it. Default: all. */
  readonly prefix?: string;
  /** Folds what lies below the next slash into `prefixes`. */
  readonly delimiter?: '/';
  /** Only keys after this one: the `next` of the page before. */
  readonly after?: string;
  /** From 1 to 1,000, the default. */
  readonly limit?: number;
}

/** Options of {@link FileStorage.signedUrl}. */
export interface SignedUrlOptions {
  /** At most seven days (S3's limit). */
  readonly expiresIn: Duration;
  /** Such as `attachment; filename="report.pdf"`. */
  readonly contentDisposition?: string;
  /** Default: the type it was stored with. */
  readonly contentType?: string;
}

/** Options of {@link FileStorage.signedUpload}. */
export interface SignedUploadOptions {
  /** At most seven days (S3's limit). */
  readonly expiresIn: Duration;
  readonly maxSize: ByteSize;
  /** The type that must be sent. */
  readonly contentType: string;
  /** SHA-256 in hex of what must be sent. Where the adapter has `signedChecksums`. */
  readonly sha256?: string;
}

/** Options of {@link FileStorage}. */
export interface FileStorageOptions extends ComponentOptions {
  /**
   * Where files can be read by everybody, such as a CDN before a bucket: `https://cdn.example.com/files`. Default: where the engine
   * itself serves them, if it does.
   */
  readonly publicBaseUrl?: string;
}
