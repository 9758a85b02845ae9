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
  /** CRC-32 of the content (that of zlib, gzip and ZIP) as eight lower-case hex digits, where the storage holds one. */
  readonly crc32?: string;
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

/** Conditions on a copy or a move. */
export interface TransferConditions extends Pick<WriteConditions, 'ifNoneMatch'> {
  /** Only when the source's etag is this, so that what was looked at is what is copied. */
  readonly ifSourceMatch?: string;
}

/** What is kept beside the content. */
export interface FileFacts {
  readonly contentType: string;
  readonly cacheControl?: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What the driver is to write. */
export interface DriverPut extends WriteConditions, FileFacts {
  /** In bytes, when it is known before the body is read. */
  readonly size: number | undefined;
  /** Of the body. Only to be called once the body has been read to its end, and not after `forgoChecksums`. */
  readonly checksums: () => Checksums;
  /** Says that `checksums` will not be called, so that the rest of a stream is not hashed for it. */
  readonly forgoChecksums?: () => void;
}

/** Checksums of a content, in lower-case hex. */
export interface Checksums {
  readonly sha256: string;
  readonly crc32: string;
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
  /** `signedUrl`. */
  readonly signedUrls: boolean;
  /** `signedUpload`. */
  readonly signedUploads: boolean;
  /** Serves its signed URLs itself, by `handler()`; where false, they lead to the engine. */
  readonly handler: boolean;
  /** `sha256` on `signedUpload`: what is sent must have this checksum. */
  readonly signedChecksums: boolean;
  /** `createUpload` and `resumeUpload`. */
  readonly resumableUploads: boolean;
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
  /** SHA-256 that the content must have, in lower-case hex. Only where `signedChecksums` is true. */
  readonly sha256?: string;
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

/** A part of a resumable upload that has arrived. */
export interface UploadedPart {
  /** From 1 to 10,000. */
  readonly number: number;
  /** In bytes. */
  readonly size: number;
}

/** An {@link UploadedPart} as its driver lists it. */
export interface ListedPart extends UploadedPart {
  /** By what the engine knows this content of the part again, where it wants to be told. */
  readonly etag?: string;
}

/** What a resumable upload is to make. */
export interface DriverUpload extends WriteConditions, FileFacts {
  /** The size of every part but the last, in bytes. */
  readonly partSize: number;
  /** SHA-256 of the whole content in lower-case hex, when its sender knows it. */
  readonly sha256?: string;
}

/** A part as the driver gets it. */
export interface DriverPart {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly checksums: Checksums;
}

/** By what a driver knows its upload again in another process. It travels as JSON in the token; a driver MUST check what it reads from it. */
export type UploadState = Readonly<Record<string, unknown>>;

/**
 * Resumable uploads. An upload that is not there (any more) is thrown as an error that `classify` maps to `not-found`; a state that is
 * none of this driver's, to `invalid-argument`. What nobody completes or aborts MUST go away by itself, or be documented.
 */
export interface DriverUploads {
  create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState>;
  /** Keeps a part, and replaces the one of this number if there is one. MUST check that what is kept is what was given. */
  putPart(key: string, state: UploadState, part: DriverPart, signal?: AbortSignal): Promise<void>;
  /** In the order of their numbers. */
  listParts(key: string, state: UploadState, signal?: AbortSignal): Promise<readonly ListedPart[]>;
  /**
   * Makes the file out of these parts, which `listParts` gave and which have no gaps; as atomic as `put`, under the conditions that the upload was
   * created with. Where `sha256` was given: MUST refuse another content as `data-loss`, or hold the checksum so that reading does.
   */
  complete(
    key: string,
    state: UploadState,
    parts: readonly ListedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  /** Removes all that has arrived. Aborting what is not there MUST succeed. */
  abort(key: string, state: UploadState, signal?: AbortSignal): Promise<void>;
}

/**
 * What an adapter of the storage room implements. Keys come checked. Every method MUST stop soon after its signal is aborted and
 * reject then. A missing file is thrown as an error that `classify` maps to `not-found`, an unmet condition as one that it maps
 * to `failed-precondition` (`already-exists` for `ifNoneMatch: '*'`).
 */
export interface StorageDriver extends Driver {
  readonly capabilities: StorageCapabilities;
  /** Signs and verifies this storage's own URLs. This or `handler` MUST be there where the capability `handler` is true. */
  readonly signer?: UrlSigner;
  /** Answers the URLs that this storage signs where it has no signer, since they are those of another storage. */
  handler?(): (request: Request) => Promise<Response>;
  /** MUST be there where `resumableUploads` is true. */
  readonly uploads?: DriverUploads;
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
  /**
   * Deletes at most 1,000 files in fewer requests than one each, where the engine can. Throws when any could not be deleted. Without it,
   * `delete` is called for each.
   */
  deleteMany?(keys: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Copies content and metadata, atomically at the target. MUST copy no other version of the source than `ifSourceMatch` names. */
  copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  /** Moves; where `atomicMove` is false, a crash may leave both names, but never neither. */
  move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo>;
  list(options: DriverList, signal?: AbortSignal): Promise<ListPage>;
  /** Only called where `signedUrls` is true. Does no I/O. */
  signUrl?(key: string, options: DriverSignedUrl): Promise<string>;
  /** Only called where `signedUploads` is true. Does no I/O. MUST NOT let a body pass that is larger than `maxSize`. */
  signUpload?(key: string, options: DriverSignedUpload): Promise<SignedUpload>;
  /** Where the engine serves a file to everybody, should its owner let it. Without it, only a `publicBaseUrl` tells. */
  publicUrl?(key: string): Promise<string>;
}

/** What the driver is to list. */
export interface DriverList {
  readonly prefix: string;
  readonly delimiter: '/' | undefined;
  /** Only keys (and prefixes) after this one. */
  readonly after: string | undefined;
  readonly limit: number;
}
