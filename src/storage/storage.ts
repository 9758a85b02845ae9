import {
  type CallOptions,
  Component,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  requireCapability,
  type Duration,
  toMilliseconds,
  toBytes,
} from '../core/index.ts';
import { type FileBody, prepareBody, type PreparedBody, releaseUnread } from './body.ts';
import {
  checkDisposition,
  checkExpectations,
  checkFacts,
  checkMediaType,
  checkRange,
} from './checks.ts';
import { checkContentType, detectContentType } from './content-type.ts';
import type {
  FileInfo,
  ListedFile,
  ListPage,
  SignedUpload,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from './driver.ts';
import { storageHandler } from './handler.ts';
import { checkKey, checkPrefix, encodeKey } from './key.ts';
import type {
  FileStorageOptions,
  GetOptions,
  ListOptions,
  PutOptions,
  SignedUploadOptions,
  SignedUrlOptions,
} from './options.ts';
import {
  pickMethods,
  readerMethods,
  type StorageReader,
  type StorageWriter,
  writerMethods,
} from './roles.ts';
import { StoredFile } from './stored-file.ts';
import {
  createUpload,
  type CreateUploadOptions,
  resumeUpload,
  type Upload,
  type UploadHost,
} from './upload.ts';

// Compile-time refusal of a call on an adapter whose literal capability is false.
type Needs<Able, Self> = Able extends false ? never : Self;

// The kind of upload that the adapter signs, where its type says so.
type UploadOf<AnyDriver extends StorageDriver> = AnyDriver extends {
  signUpload: (...options: never) => Promise<infer Upload extends SignedUpload>;
}
  ? Upload
  : SignedUpload;

// S3's limit.
const deletesInOneCall = 1000;
// As many connections as a vendor's client commonly keeps to one host are 50; other calls need some of them.
const deletesAtOnce = 32;
const longestSignature = 7 * 24 * 3600 * 1000;
/**
 * Files by key, on any adapter. Keys are relative, with slashes between their segments.
 *
 * Each method throws `invalid-argument` for a key that some adapter could not hold (see {@link checkKey}), `not-found` for a file
 * that is not there, `permission-denied`, `resource-exhausted` (full), `unavailable`, and `cancelled` or `deadline-exceeded` when
 * its signal is aborted.
 */
export class FileStorage<
  AnyDriver extends StorageDriver = StorageDriver,
> extends Component<AnyDriver> {
  readonly #publicBaseUrl: string | undefined;

  /** Throws `invalid-argument` for a `publicBaseUrl` that is no URL. */
  constructor(driver: AnyDriver, options: FileStorageOptions = {}) {
    super('storage', driver, options);
    const { publicBaseUrl } = options;
    if (publicBaseUrl !== undefined && !URL.canParse(publicBaseUrl))
      throw invalidArgument(
        this.#origin('publicUrl'),
        'publicBaseUrl is not a URL: give where files can be read, such as https://cdn.example.com/files',
      );
    this.#publicBaseUrl = publicBaseUrl?.replace(/\/$/, '');
  }

  /**
   * Stores a file, whole or not at all: a body that fails on the way, or is not as long or does not have the checksum that was
   * declared, leaves what was there. Throws `already-exists` when `ifNoneMatch: '*'` does not hold, `failed-precondition` when
   * `ifMatch` does not.
   */
  async put(key: string, body: FileBody, options: PutOptions = {}): Promise<FileInfo> {
    const origin = this.#origin('put');
    checkKey(key, origin);
    checkFacts(options, origin);
    checkExpectations(options, origin);
    this.#checkConditions(options, origin);
    const { contentType, cacheControl, metadata = {}, signal } = options;
    const attributes: Record<string, unknown> = { key };
    const repeatable = options.ifNoneMatch === undefined && options.ifMatch === undefined;
    const store = async (
      prepared: PreparedBody,
      current: AbortSignal | undefined,
    ): Promise<FileInfo> => {
      const info = await this.driver.put(
        key,
        prepared.content,
        {
          contentType: contentType ?? (await detectContentType(prepared.sample, key)),
          ...(cacheControl === undefined ? {} : { cacheControl }),
          metadata: { ...metadata },
          size: prepared.size,
          checksums: prepared.checksums,
          forgoChecksums: prepared.forgoChecksums,
          ...pickConditions(options),
        },
        current,
      );
      attributes['size'] = info.size;
      return info;
    };
    let wasRead = false;
    const attempt = async (current: AbortSignal | undefined): Promise<FileInfo> => {
      const { size, sha256, crc32 } = options;
      wasRead = true;
      const prepared = await prepareBody(body, { size, sha256, crc32, signal: current }, origin);
      try {
        if (options.verifyContentType === true && contentType !== undefined)
          await checkContentType(contentType, prepared.sample, origin);
        return await store(prepared, current);
      } catch (error) {
        throw prepared.isReplayable ? error : unrepeatable(this.wrap(error, 'put', current));
      } finally {
        await prepared.release();
      }
    };
    try {
      return await this.run('put', attributes, { signal, repeatable }, attempt);
    } finally {
      // Refused before anybody looked at the body: by an abort during the start, say, or an open circuit.
      if (!wasRead) await releaseUnread(body);
    }
  }

  /** Reads a file, or a range of it. The content is taken from what this resolves with. */
  async get(key: string, options: GetOptions = {}): Promise<StoredFile> {
    const origin = this.#origin('get');
    checkKey(key, origin);
    if (options.range) checkRange(options.range, origin);
    const attributes: Record<string, unknown> = { key };
    return await this.run(
      'get',
      attributes,
      { signal: options.signal, repeatable: true, outlived: true },
      async (signal) => {
        const file = new StoredFile(await this.driver.get(key, options.range, signal), {
          signal,
          wrap: (error) => this.wrap(error, 'get', signal),
        });
        attributes['size'] = file.info.size;
        const { etag } = file.info;
        const isModified =
          options.ifNoneMatch === undefined || unquoted(options.ifNoneMatch) !== etag;
        if (isModified && (options.ifMatch === undefined || unquoted(options.ifMatch) === etag))
          return file;
        await file.cancel();
        throw new InfrastructureError({
          code: 'failed-precondition',
          ...origin,
          message: isModified
            ? `${JSON.stringify(key)} has changed: its etag is "${etag}", not the one in ifMatch`
            : `${JSON.stringify(key)} still has the etag in ifNoneMatch`,
          details: { etag, notModified: !isModified },
        });
      },
    );
  }

  /** The facts of a file. */
  async head(key: string, { signal }: CallOptions = {}): Promise<FileInfo> {
    checkKey(key, this.#origin('head'));
    return await this.run(
      'head',
      { key },
      { signal, repeatable: true },
      async (current) => await this.driver.head(key, current),
    );
  }

  /** Whether a file is there. */
  async exists(key: string, { signal }: CallOptions = {}): Promise<boolean> {
    checkKey(key, this.#origin('exists'));
    return await this.run('exists', { key }, { signal, repeatable: true }, async (current) => {
      try {
        await this.driver.head(key, current);
        return true;
      } catch (error) {
        if (InfrastructureError.is(this.wrap(error, 'exists'), 'not-found')) return false;
        throw error;
      }
    });
  }

  /** Deletes a file; deleting what is not there is no error, unless `ifMatch` is given: then `failed-precondition`. */
  async delete(
    key: string,
    options: Pick<WriteConditions, 'ifMatch'> & CallOptions = {},
  ): Promise<void> {
    const origin = this.#origin('delete');
    checkKey(key, origin);
    if (options.ifMatch !== undefined)
      requireCapability(this.driver.capabilities, 'conditionalDeletes', origin);
    const { signal } = options;
    await this.run(
      'delete',
      { key },
      { signal, repeatable: options.ifMatch === undefined },
      async (current) => {
        await this.driver.delete(key, pickConditions(options), current);
      },
    );
  }

  /**
   * Deletes files; deleting what is not there is no error. Not one step: a failure may leave some, and calling again deletes the rest.
   */
  async deleteMany(keys: Iterable<string>, { signal }: CallOptions = {}): Promise<void> {
    const origin = this.#origin('deleteMany');
    const all = [...new Set(keys)];
    for (const key of all) checkKey(key, origin);
    await this.run(
      'deleteMany',
      { count: all.length },
      { signal, guarded: false },
      async (current) => {
        await this.#deleteAll('deleteMany', all, current);
      },
    );
  }

  /** Deletes every file whose key starts with the prefix, and tells how many. Not one step: a failure may leave some. */
  async deletePrefix(prefix: string, { signal }: CallOptions = {}): Promise<number> {
    const origin = this.#origin('deletePrefix');
    if (prefix === '')
      throw invalidArgument(
        origin,
        'the prefix is empty, which would delete everything: name what to delete',
      );
    checkPrefix(prefix, origin);
    const attributes: Record<string, unknown> = { prefix, deleted: 0 };
    return await this.run(
      'deletePrefix',
      attributes,
      { signal, guarded: false },
      async (current) => {
        let deleted = 0;
        for (let after: string | undefined, isLast = false; !isLast;) {
          const page = await this.guard(
            'deletePrefix',
            { signal: current, repeatable: true },
            async (inTime) =>
              await this.driver.list({ prefix, delimiter: undefined, after, limit: 1000 }, inTime),
          );
          const keys = page.files.map(({ key }) => key);
          await this.#deleteAll('deletePrefix', keys, current);
          deleted += page.files.length;
          attributes['deleted'] = deleted;
          after = page.next;
          isLast = after === undefined;
        }
        return deleted;
      },
    );
  }

  // Settles when none of its calls is under way any more.
  async #deleteAll(
    name: string,
    keys: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const inOneCall = this.driver.deleteMany ? deletesInOneCall : 1;
    // One iterator for all workers: each file is taken once.
    const queue = chunked(keys, inOneCall);
    const work = async (): Promise<void> => {
      for (const some of queue) {
        await this.guard(name, { signal, repeatable: true }, async (inTime) => {
          if (this.driver.deleteMany) await this.driver.deleteMany(some, inTime);
          else for (const key of some) await this.driver.delete(key, {}, inTime);
        });
      }
    };
    const workers = Math.min(deletesAtOnce, this.policy.limit?.concurrency ?? deletesAtOnce);
    const ends = await Promise.allSettled(Array.from({ length: workers }, work));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /**
   * Copies a file with its metadata. Throws `already-exists` when `ifNoneMatch: '*'` does not hold, `failed-precondition` when
   * `ifSourceMatch` does not.
   */
  async copy(
    from: string,
    to: string,
    options: TransferConditions & CallOptions = {},
  ): Promise<FileInfo> {
    return await this.#transfer('copy', { from, to }, options);
  }

  /**
   * Moves a file with its metadata. Where the adapter's `atomicMove` is false, a crash may leave both, but never neither. Throws
   * as {@link FileStorage.copy} does.
   */
  async move(
    from: string,
    to: string,
    options: TransferConditions & CallOptions = {},
  ): Promise<FileInfo> {
    return await this.#transfer('move', { from, to }, options);
  }

  /** One page of keys, in the order of their UTF-8 bytes. */
  async list(options: ListOptions = {}): Promise<ListPage> {
    const origin = this.#origin('list');
    const { prefix = '', delimiter, after, limit = 1000, signal } = options;
    checkPrefix(prefix, origin);
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= 1000)) {
      throw invalidArgument(
        origin,
        `limit ${limit} is not a whole number from 1 to 1000: use listAll() for more`,
      );
    }
    if (after !== undefined) checkPrefix(after, origin);
    const attributes: Record<string, unknown> = { prefix };
    return await this.run('list', attributes, { signal, repeatable: true }, async (current) => {
      const page = await this.driver.list({ prefix, delimiter, after, limit }, current);
      attributes['count'] = page.files.length;
      return page;
    });
  }

  /** Every file whose key starts with the prefix, page by page, in the order of their keys' UTF-8 bytes. */
  async *listAll(
    options: Omit<ListOptions, 'delimiter' | 'limit'> = {},
  ): AsyncGenerator<ListedFile, void> {
    for (let after = options.after, isLast = false; !isLast;) {
      const page = await this.list({ ...options, ...(after === undefined ? {} : { after }) });
      yield* page.files;
      after = page.next;
      isLast = after === undefined;
    }
  }

  /**
   * Begins an upload in parts, which another process can go on with. Throws `invalid-argument` for a mistake in the options; whether the
   * conditions hold is seen when it is completed.
   *
   * @example
   * const upload = await files.createUpload('films/cat.mp4');
   * for (const [index, part] of parts.entries()) await upload.putPart(index + 1, part);
   * await upload.complete();
   */
  async createUpload(
    this: Needs<AnyDriver['capabilities']['resumableUploads'], FileStorage<AnyDriver>>,
    key: string,
    options: CreateUploadOptions = {},
  ): Promise<Upload> {
    const self = this as FileStorage<AnyDriver>;
    const origin = self.#origin('createUpload');
    checkKey(key, origin);
    self.#checkConditions(options, origin);
    const host = self.#uploadHost(origin);
    const contentType = options.contentType ?? (await detectContentType(new Uint8Array(), key));
    return await createUpload(host, key, { ...options, ...pickConditions(options) }, contentType);
  }

  /** Goes on with an upload by its token. Does no I/O: whether it is still there shows at the first call. */
  resumeUpload(
    this: Needs<AnyDriver['capabilities']['resumableUploads'], FileStorage<AnyDriver>>,
    token: string,
  ): Upload {
    const self = this as FileStorage<AnyDriver>;
    return resumeUpload(self.#uploadHost(self.#origin('resumeUpload')), token);
  }

  /**
   * The URL by which everybody can read the file, if its owner lets them: by `publicBaseUrl`, else where the engine serves it. Neither
   * checks nor changes who may. Throws `failed-precondition` where there is no such place.
   */
  async publicUrl(key: string): Promise<string> {
    const origin = this.#origin('publicUrl');
    checkKey(key, origin);
    if (this.#publicBaseUrl !== undefined) return `${this.#publicBaseUrl}/${encodeKey(key)}`;
    const url = await this.driver.publicUrl?.(key);
    if (url !== undefined) return url;
    throw new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message: `the ${this.adapter} adapter serves nothing to everybody: give publicBaseUrl, or use signedUrl`,
    });
  }

  /** This storage as something that can only be read, for code that has no business to write. */
  reader(): StorageReader {
    return pickMethods(this, readerMethods);
  }

  /** This storage as something that can only be written, for code that has no business to read. */
  writer(): StorageWriter {
    return pickMethods(this, writerMethods);
  }

  /** A URL by which anybody can read the file until it expires. Does not check that the file is there. */
  async signedUrl(
    this: Needs<AnyDriver['capabilities']['signedUrls'], FileStorage<AnyDriver>>,
    key: string,
    options: SignedUrlOptions,
  ): Promise<string> {
    const self = this as FileStorage<AnyDriver>;
    const { contentType, contentDisposition } = options;
    const origin = self.#origin('signedUrl');
    requireCapability(self.driver.capabilities, 'signedUrls', origin);
    if (contentDisposition !== undefined) checkDisposition(contentDisposition, origin);
    return await self.#sign(key, options, origin, async (expiresIn) => {
      return await self.driver.signUrl?.(key, {
        expiresIn,
        ...(contentType === undefined ? {} : { contentType }),
        ...(contentDisposition === undefined ? {} : { contentDisposition }),
      });
    });
  }

  /**
   * A request by which anybody can upload the file until it expires, of this type and at most this size: a PUT, or a POST of a
   * form, as the adapter has it.
   */
  async signedUpload(
    this: Needs<AnyDriver['capabilities']['signedUploads'], FileStorage<AnyDriver>>,
    key: string,
    options: SignedUploadOptions,
  ): Promise<UploadOf<AnyDriver>> {
    const self = this as FileStorage<AnyDriver>;
    const { contentType, sha256 } = options;
    const origin = self.#origin('signedUpload');
    requireCapability(self.driver.capabilities, 'signedUploads', origin);
    const maxSize = toBytes(options.maxSize);
    if (sha256 !== undefined) {
      requireCapability(self.driver.capabilities, 'signedChecksums', origin);
      checkExpectations({ sha256 }, origin);
    }
    const upload = await self.#sign(key, options, origin, async (expiresIn) => {
      const request = { expiresIn, contentType, maxSize };
      return await self.driver.signUpload?.(key, {
        ...request,
        ...(sha256 === undefined ? {} : { sha256: sha256.toLowerCase() }),
      });
    });
    // It is what this driver's own signUpload gave.
    return upload as UploadOf<AnyDriver>;
  }

  /**
   * A fetch handler for the signed URLs of an embedded storage: GET and HEAD with Range, ETag and conditional requests, and PUT
   * of the type and within the size that were signed. Mount it where `urls.baseUrl` leads. Bodies stream in bounded memory.
   * Answers 403 for a URL that was not signed here, was changed or has expired, and does not say which.
   */
  handler(
    this: Needs<AnyDriver['capabilities']['handler'], FileStorage<AnyDriver>>,
  ): (request: Request) => Promise<Response> {
    const storage = this as FileStorage<AnyDriver>;
    requireCapability(storage.driver.capabilities, 'handler', storage.#origin('handler'));
    const { signer } = storage.driver;
    if (signer) return storageHandler(storage, signer);
    if (storage.driver.handler) return storage.driver.handler();
    throw new TypeError('the driver declares handler and has neither a signer nor a handler');
  }

  async #sign<Signed>(
    key: string,
    options: { readonly expiresIn: Duration; readonly contentType?: string },
    origin: ErrorOrigin & { readonly operation: string },
    sign: (expiresIn: number) => Promise<Signed | undefined>,
  ): Promise<Signed> {
    checkKey(key, origin);
    const expiresIn = toMilliseconds(options.expiresIn);
    if (expiresIn < 1000 || expiresIn > longestSignature)
      throw invalidArgument(origin, 'expiresIn must be from one second to seven days');
    if (options.contentType !== undefined) checkMediaType(options.contentType, origin);
    return await this.run(origin.operation, { key }, { repeatable: true }, async () => {
      const signed = await sign(expiresIn);
      if (signed === undefined)
        throw new TypeError('the driver declares that it signs, and does not');
      return signed;
    });
  }

  async #transfer(
    name: 'copy' | 'move',
    { from, to }: { readonly from: string; readonly to: string },
    options: TransferConditions & CallOptions,
  ): Promise<FileInfo> {
    const origin = this.#origin(name);
    checkKey(from, origin);
    checkKey(to, origin);
    const { ifNoneMatch, ifSourceMatch } = options;
    this.#checkConditions({ ...(ifNoneMatch && { ifNoneMatch }) }, origin);
    if (from === to)
      throw invalidArgument(
        origin,
        `${name} from ${JSON.stringify(from)} to itself: give another target`,
      );
    return await this.run(
      name,
      { from, to },
      { signal: options.signal },
      async (signal) =>
        await this.driver[name](
          from,
          to,
          {
            ...(ifNoneMatch && { ifNoneMatch }),
            ...(ifSourceMatch === undefined ? {} : { ifSourceMatch: unquoted(ifSourceMatch) }),
          },
          signal,
        ),
    );
  }

  #uploadHost(origin: ErrorOrigin): UploadHost {
    requireCapability(this.driver.capabilities, 'resumableUploads', origin);
    if (!this.driver.uploads)
      throw new TypeError('the driver declares resumableUploads and has no uploads');
    const { component, adapter } = this;
    return {
      component,
      adapter,
      uploads: this.driver.uploads,
      run: async (name, attributes, options, fn) => await this.run(name, attributes, options, fn),
      guard: async (name, options, fn) => await this.guard(name, options, fn),
    };
  }

  #checkConditions(conditions: WriteConditions, origin: ErrorOrigin): void {
    if (conditions.ifMatch === undefined && conditions.ifNoneMatch === undefined) return;
    requireCapability(this.driver.capabilities, 'conditionalWrites', origin);
    if (conditions.ifMatch !== undefined && conditions.ifNoneMatch !== undefined) {
      throw invalidArgument(origin, 'ifMatch and ifNoneMatch cannot both hold: give one');
    }
  }

  #origin(name: string): ErrorOrigin & { readonly operation: string } {
    return { component: this.component, adapter: this.adapter, operation: name };
  }
}

function* chunked<Item>(items: readonly Item[], size: number): Generator<readonly Item[], void> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

// A stream is used up by its first attempt: repeating the call would store less than it was given.
function unrepeatable(error: InfrastructureError): InfrastructureError {
  if (!error.retryable) return error;
  return new InfrastructureError({
    code: error.code,
    component: error.component,
    ...(error.adapter === undefined ? {} : { adapter: error.adapter }),
    ...(error.operation === undefined ? {} : { operation: error.operation }),
    outcome: error.outcome,
    retryable: false,
    details: error.details,
    message: `${error.message} (the body was a stream, which cannot be sent twice: put again with a new one)`,
    cause: error.cause,
  });
}

function pickConditions({ ifMatch, ifNoneMatch }: WriteConditions): WriteConditions {
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: unquoted(ifMatch) }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

// An etag may come back as HTTP writes it.
function unquoted(etag: string): string {
  return etag.replace(/^(?:W\/)?"(.*)"$/, '$1');
}
