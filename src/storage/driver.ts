import type { Driver } from '../core/index.ts';
import type { UrlSigner } from './signed-url.ts';

/** Facts of a stored file. */
export interface FileInfo {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** Changes whenever the content changes. An opaque text without quotes. */
  readonly etag: string;
  readonly contentType: string;
  /** The `Cache-Control` header it is served with. */
  readonly cacheControl?: string;
  /** The caller's own facts, by lower-case names. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly lastModified: Date;
  /** SHA-256 of the content in lower-case hex, where the storage holds one. */
  readonly sha256?: string;
}

/** One file of a list. */
export interface ListedFile {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  readonly lastModified: Date;
}

/** One page of a list, in the order of the keys' UTF-8 bytes. */
export interface ListPage {
  readonly files: readonly ListedFile[];
  /** With a delimiter: what keys share up to and including it, each once. */
  readonly prefixes: readonly string[];
  /** Give it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

/** A slice of a file in bytes, both ends included, as in HTTP: `start` and `end`, `start` alone (to the end), or the last `suffix` bytes. */
export type ByteRange =
  | { readonly start: number; readonly end?: number; readonly suffix?: never }
  | { readonly suffix: number; readonly start?: never; readonly end?: never };

/** Conditions on a write: on nothing being there, or on what is there. At most one of them. */
export interface WriteConditions {
  /** `'*'`: only when nothing is there. */
  readonly ifNoneMatch?: '*';
  /** Only when the file's etag is this. */
  readonly ifMatch?: string;
}

/** What the driver is to write. */
export interface DriverPut extends WriteConditions {
  readonly contentType: string;
  readonly cacheControl?: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** In bytes, when it is known before the body is read. */
  readonly size: number | undefined;
  /** SHA-256 of the body in hex. Only to be called once the body has been read to its end. */
  readonly sha256: () => string;
}

/** What the driver gives back for a read. */
export interface DriverFile {
  readonly info: FileInfo;
  /** First and last byte of the body within the file, when a range was asked for. */
  readonly range?: { readonly start: number; readonly end: number };
  /** All at once, where that is cheaper than a stream; or a stream that releases everything when it ends, fails or is returned early. */
  readonly body: Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array<ArrayBuffer>>;
}

/** What an adapter can do. */
export type StorageCapabilities = {
  /** `ifNoneMatch: '*'` and `ifMatch` on `put`, `ifNoneMatch: '*'` on `copy` and `move`; of racing writers one wins. */
  readonly conditionalWrites: boolean;
  /** `ifMatch` on `delete`. */
  readonly conditionalDeletes: boolean;
  /** Holds `a` and `a/b` at the same time. */
  readonly nestedKeys: boolean;
  /** `move` without a condition is one step: nobody sees both names, or neither. With one, both may show for a moment. */
  readonly atomicMove: boolean;
  /** `signedUrl` and `signedUpload`. */
  readonly signedUrls: boolean;
  /** Serves its signed URLs itself, by `handler()`; where false, they lead to the engine. */
  readonly handler: boolean;
};

/** What a signed URL allows to read. */
export interface DriverSignedUrl {
  /** In milliseconds. */
  readonly expiresIn: number;
  /** The `Content-Disposition` and `Content-Type` that the answer carries. */
  readonly contentDisposition?: string;
  readonly contentType?: string;
}

/** What a signed upload allows to write. */
export interface DriverSignedUpload {
  /** In milliseconds. */
  readonly expiresIn: number;
  /** The type that must be sent. */
  readonly contentType: string;
  /** The most bytes that are accepted. */
  readonly maxSize: number;
}

/** A PUT of the content, with these headers as they are. */
export interface SignedPut {
  readonly method: 'PUT';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A POST of a form (`multipart/form-data`) with these fields and then the content as its last field, `file`. */
export interface SignedForm {
  readonly method: 'POST';
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** A request that a client may send to upload a file without credentials. */
export type SignedUpload = SignedPut | SignedForm;

/**
 * What an adapter of the storage room implements. Keys come checked. Every method MUST stop soon after its signal is aborted and
 * reject then. A missing file is thrown as an error that `classify` maps to `not-found`, an unmet condition as one that it maps
 * to `failed-precondition` (`already-exists` for `ifNoneMatch: '*'`).
 */
export interface StorageDriver extends Driver {
  readonly capabilities: StorageCapabilities;
  /** Signs and verifies this storage's own URLs. MUST be there where `handler` is true. */
  readonly signer?: UrlSigner;
  /**
   * MUST be atomic: a reader sees the old file or the whole new one with its metadata, also after a crash; when the body throws,
   * nothing changes. MUST check the conditions and write as one step against every other writer.
   */
  put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  /** A range that starts at or past the end is thrown as `invalid-argument`; one that ends past it is cut. */
  get(key: string, range: ByteRange | undefined, signal?: AbortSignal): Promise<DriverFile>;
  head(key: string, signal?: AbortSignal): Promise<FileInfo>;
  /** Deleting what is not there MUST succeed, unless `ifMatch` is given. */
  delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Copies content and metadata, atomically at the target. */
  copy(
    from: string,
    to: string,
    conditions: Pick<WriteConditions, 'ifNoneMatch'>,
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  /** Moves; where `atomicMove` is false, a crash may leave both names, but never neither. */
  move(
    from: string,
    to: string,
    conditions: Pick<WriteConditions, 'ifNoneMatch'>,
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  list(options: DriverList, signal?: AbortSignal): Promise<ListPage>;
  /** Only called where `signedUrls` is true. Does no I/O. */
  signUrl?(key: string, options: DriverSignedUrl): Promise<string>;
  /** Only called where `signedUrls` is true. Does no I/O. MUST NOT let a body pass that is larger than `maxSize`. */
  signUpload?(key: string, options: DriverSignedUpload): Promise<SignedUpload>;
}

/** What the driver is to list. */
export interface DriverList {
  readonly prefix: string;
  readonly delimiter: '/' | undefined;
  /** Only keys (and prefixes) after this one. */
  readonly after: string | undefined;
  readonly limit: number;
}
