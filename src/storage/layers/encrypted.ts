import {
  type Clock,
  InfrastructureError,
  invalidArgument,
  redact,
  Redacted,
  type Secret,
  systemClock,
} from '../../core/index.ts';
import type {
  ByteRange,
  Checksums,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  FileInfo,
  ListPage,
  SignedPut,
  StorageCapabilities,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { notFound, StorageFault } from '../errors.ts';
import { resolveRange } from '../range.ts';
import { type LocalUrlOptions, UrlSigner } from '../signed-url.ts';
import { FileStorage } from '../storage.ts';
import { assertSource } from '../streams.ts';
import { LayerDriver } from './layer.ts';
import { piecesOf, transformed } from './pieces.ts';
import { opening, sealing } from './sealed-content.ts';
import {
  broken,
  chunkBytes,
  FileSeal,
  footerBytes,
  isKeyId,
  plainSize,
  sealedChunkBytes,
  sealedSize,
} from './sealing.ts';

/** A key that files are encrypted with. */
export interface EncryptionKey {
  /** By which a file names its key: up to 16 lower-case letters, digits and dashes. Never give the id of one key to another. */
  readonly id: string;
  /** 32 random bytes in base64: `openssl rand -base64 32`. */
  readonly secret: Secret;
}

/** Options of {@link encrypted}. */
export interface EncryptedOptions {
  /** The first one encrypts; all of them decrypt. To rotate, put a new one first and keep the others until no file has them. */
  readonly keys: readonly EncryptionKey[];
  /** Needed for signed URLs, which lead to this storage's `handler()`: those of the storage below would serve what is encrypted. */
  readonly urls?: LocalUrlOptions;
  /** For `urls`. */
  readonly clock?: Clock;
}

/** What an encrypted storage can do over one that can do this. */
export type EncryptedCapabilities<Inner extends StorageCapabilities> = Omit<
  Inner,
  'atomicMove' | 'signedUrls' | 'signedUploads' | 'handler' | 'signedChecksums' | 'resumableUploads'
> & {
  readonly conditionalWrites: Inner['conditionalWrites'];
  readonly conditionalDeletes: Inner['conditionalDeletes'];
  readonly nestedKeys: Inner['nestedKeys'];
  readonly atomicMove: false;
  readonly signedUrls: true;
  readonly signedUploads: true;
  readonly handler: true;
  readonly signedChecksums: true;
  readonly resumableUploads: false;
};

/** A stored object whose footer has been read and found sound. */
interface Opened {
  readonly info: FileInfo;
  readonly seal: FileSeal;
  /** The etag below. */
  readonly etag: string;
  /** The end of the stored object, and where it begins within it. */
  readonly tail: Uint8Array<ArrayBuffer>;
  readonly tailStart: number;
}

// A file that is replaced between its footer and its content is opened anew; more often than this is a writer in a loop.
const openAttempts = 50;

/** Files of another storage, encrypted on the way there and decrypted on the way back. */
export class EncryptedDriver<
  Inner extends StorageCapabilities = StorageCapabilities,
> extends LayerDriver<EncryptedCapabilities<Inner>> {
  readonly signer: UrlSigner;
  readonly #secrets: ReadonlyMap<string, Redacted<Uint8Array>>;
  readonly #newest: string;

  constructor(
    inner: FileStorage,
    { keys, urls, clock = systemClock }: EncryptedOptions,
    capabilities: Inner,
  ) {
    super('encrypted', inner, {
      ...capabilities,
      atomicMove: false,
      signedUrls: true,
      signedUploads: true,
      handler: true,
      signedChecksums: true,
      resumableUploads: false,
    });
    const refuse = (message: string): InfrastructureError =>
      invalidArgument(
        { component: 'storage', adapter: this.adapter, operation: 'encrypted' },
        message,
      );
    const [newest] = keys;
    if (!newest) throw refuse('keys is empty: give at least the key to encrypt with');
    const secrets = new Map<string, Redacted<Uint8Array>>();
    for (const { id, secret } of keys) {
      if (!isKeyId(id))
        throw refuse(
          `the key id ${JSON.stringify(id)} is not made of 1 to 16 lower-case letters, digits and dashes`,
        );
      if (secrets.has(id)) throw refuse(`two keys have the id ${JSON.stringify(id)}`);
      const bytes = Buffer.from(redact(secret).reveal(), 'base64');
      if (bytes.length !== 32)
        throw refuse(
          `the secret of the key ${JSON.stringify(id)} is not 32 bytes in base64: make one with \`openssl rand -base64 32\``,
        );
      secrets.set(id, new Redacted<Uint8Array>(bytes));
    }
    this.#secrets = secrets;
    this.#newest = newest.id;
    this.signer = new UrlSigner(urls, clock);
  }

  override async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const seal = new FileSeal(key, this.#newest, this.#secretOf(key, this.#newest));
    const sealed =
      body instanceof Uint8Array
        ? Buffer.concat(await Array.fromAsync(sealing([body], { seal, key, options })))
        : transformed(body, (pieces) => sealing(pieces, { seal, key, options }));
    const size = options.size === undefined ? undefined : sealedSize(options.size);
    const info = await super.put(key, sealed, { ...options, size }, signal);
    return plainInfo(info, plainSize(info.size) ?? 0, options.checksums());
  }

  override async get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<DriverFile> {
    return await this.relay(async () => {
      for (let attempt = 1; ; attempt += 1) {
        const opened = await this.#open(
          key,
          range ? footerBytes : footerBytes + sealedChunkBytes,
          signal,
        );
        try {
          return await this.#read(opened, range, signal);
        } catch (error) {
          // Only the condition on the etag tells it.
          const isReplaced =
            InfrastructureError.is(error, 'failed-precondition') &&
            error.details['etag'] !== undefined;
          if (!isReplaced) throw error;
          if (attempt === openAttempts) throw replaced(key, error);
        }
      }
    });
  }

  override async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.relay(async () => {
      const { info } = await found(key, async () => await this.#open(key, footerBytes, signal));
      return info;
    });
  }

  override async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const file = await found(from, async () => await this.get(from, undefined, signal));
    await assertSource(file, from, conditions);
    const { info, body } = file;
    const { ifNoneMatch } = conditions;
    const { contentType, cacheControl, metadata, size, sha256 = '', crc32 = '' } = info;
    const options = {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      size,
      ...(ifNoneMatch && { ifNoneMatch }),
      checksums: () => ({ sha256, crc32 }),
    };
    return await this.put(to, body, options, signal);
  }

  override async move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const info = await this.copy(from, to, conditions, signal);
    if (!this.capabilities.conditionalDeletes) {
      await this.delete(from, {}, signal);
      return info;
    }
    try {
      await this.delete(from, { ifMatch: info.etag }, signal);
    } catch (error) {
      // Who replaced the source meanwhile wrote after the move, and keeps what was written.
      if (!InfrastructureError.is(error, 'failed-precondition')) throw error;
    }
    return info;
  }

  override async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    const page = await super.list(options, signal);
    // A length that this layer never makes is an object of somebody else, which reading refuses.
    const files = page.files.map((file) => ({ ...file, size: plainSize(file.size) ?? file.size }));
    return { ...page, files };
  }

  override async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    return this.signer.signUrl(key, options);
  }

  override async signUpload(key: string, options: DriverSignedUpload): Promise<SignedPut> {
    return this.signer.signUpload(key, options);
  }

  override async publicUrl(): Promise<string> {
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'storage',
      adapter: this.adapter,
      operation: 'publicUrl',
      message: 'an encrypted storage serves nothing to everybody: use signedUrl',
    });
  }

  protected override async innerConditions(
    key: string,
    conditions: WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<WriteConditions> {
    const { ifMatch } = conditions;
    if (ifMatch === undefined) return await super.innerConditions(key, conditions, signal);
    try {
      const { info, etag } = await this.#open(key, footerBytes, signal);
      return { ifMatch: info.etag === ifMatch ? etag : ifMatch };
    } catch (error) {
      // The write below says what it is for nothing to be there.
      if (InfrastructureError.is(error, 'not-found')) return { ifMatch };
      throw error;
    }
  }

  #secretOf(key: string, keyId: string): Uint8Array {
    const secret = this.#secrets.get(keyId);
    if (secret) return secret.reveal();
    throw new StorageFault({
      code: 'failed-precondition',
      message: `${JSON.stringify(key)} was encrypted with the key ${JSON.stringify(keyId)}, which is not among keys: add it there`,
      details: { keyId },
    });
  }

  async #open(key: string, tailBytes: number, signal: AbortSignal | undefined): Promise<Opened> {
    const file = await this.#tail(key, tailBytes, signal);
    const { info } = file;
    const tail = await file.bytes();
    const size = plainSize(info.size);
    if (size === undefined) throw broken(key, 'no file of this layer has its length');
    const footer = tail.subarray(-footerBytes);
    const seal = FileSeal.of(key, footer, (keyId) => this.#secretOf(key, keyId));
    const { contentType, cacheControl, metadata } = info;
    const facts = {
      key,
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
    };
    const checksums = seal.openFooter(footer, facts, size);
    return {
      info: plainInfo(info, size, checksums),
      seal,
      etag: info.etag,
      tail,
      tailStart: info.size - tail.byteLength,
    };
  }

  async #tail(
    key: string,
    suffix: number,
    signal: AbortSignal | undefined,
  ): ReturnType<FileStorage['get']> {
    try {
      return await this.native.get(key, { range: { suffix }, signal });
    } catch (error) {
      // Nothing can be read of an object without bytes.
      if (InfrastructureError.is(error, 'invalid-argument')) throw broken(key, 'it is empty');
      throw error;
    }
  }

  async #read(
    { info, seal, etag, tail, tailStart }: Opened,
    range: ByteRange | undefined,
    signal: AbortSignal | undefined,
  ): Promise<DriverFile> {
    const { key, size } = info;
    const resolved = range && resolveRange(range, size, key);
    const slice = resolved ?? { start: 0, end: size - 1 };
    const first = Math.floor(slice.start / chunkBytes);
    const last = Math.floor(Math.max(0, slice.end) / chunkBytes);
    const start = first * sealedChunkBytes;
    const end = Math.min((last + 1) * sealedChunkBytes, sealedSize(size) - footerBytes);
    const content =
      start >= tailStart
        ? piecesOf(tail.subarray(start - tailStart, end - tailStart))
        : (
            await this.native.get(key, {
              range: { start, end: end - 1 },
              ifMatch: etag,
              signal,
            })
          ).stream();
    const body = transformed(content, (pieces) =>
      opening(pieces, {
        seal,
        key,
        first,
        slice,
        length: end - start,
        relayed: (error) => this.relayed(error),
      }),
    );
    return { info, ...(resolved ? { range: resolved } : {}), body };
  }
}

// Else the error of a file that is not there would say that a get was asked for.
async function found<Result>(key: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    throw InfrastructureError.is(error, 'not-found') ? notFound(key, error) : error;
  }
}

/** What is known of the content, in place of the stored object's. */
function plainInfo(info: FileInfo, size: number, checksums: Checksums): FileInfo {
  return { ...info, size, etag: checksums.sha256.slice(0, 32), ...checksums };
}

function replaced(key: string, cause: unknown): StorageFault {
  return new StorageFault(
    {
      code: 'aborted',
      message: `${JSON.stringify(key)} was replaced again and again while it was read: read it again`,
    },
    cause,
  );
}

/**
 * A storage whose files lie encrypted in another one: AES-256-GCM in chunks of 64 KiB, so that ranges read only what they need. What
 * anybody but this layer does to a stored file, be it a changed bit, a cut, or another file in its place, is `data-loss` when it is read. Keys,
 * content types, metadata, sizes and times stay visible below; content and checksums do not. The storage below stays its owner's to close.
 *
 * Copies and moves go through this process, and a move is two steps. There are no uploads in parts.
 *
 * @example
 * const files = encrypted(s3Storage({ bucket }), { keys: [{ id: '2026', secret: process.env.FILES_KEY }] });
 */
export function encrypted<Inner extends FileStorage>(
  storage: Inner,
  options: EncryptedOptions,
): FileStorage<EncryptedDriver<Inner['capabilities']>> {
  return new FileStorage(new EncryptedDriver(storage, options, storage.capabilities));
}
