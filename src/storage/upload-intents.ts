import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

import {
  type ByteSize,
  type CallOptions,
  type Clock,
  type Duration,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  type Redacted,
  redact,
  type Secret,
  systemClock,
  toBytes,
  toMilliseconds,
} from '../core/index.ts';
import { checkExpectations, checkMediaType } from './checks.ts';
import { checkContentType, essenceOf } from './content-type.ts';
import type { FileInfo, SignedUpload } from './driver.ts';
import { checkKey, checkPrefix, isKey } from './key.ts';
import type { FileStorage } from './storage.ts';

/** Options of {@link uploadIntents}. */
export interface UploadIntentsOptions {
  /** Which types may be uploaded, each with its largest size: `{ 'image/*': '10MiB', 'application/pdf': '50MiB' }`. */
  readonly accept: Readonly<Record<string, ByteSize>>;
  /** Signs the tokens: at least 32 characters, the same in every process. */
  readonly secret: Secret;
  /** Where uploads lie until they are completed. Nothing else may lie there. Default `pending/`. */
  readonly pendingPrefix?: string;
  /** How long a client may begin its upload. Default 15 minutes; at most seven days. */
  readonly expiresIn?: Duration;
  /** How long after its expiry an upload that nobody completed is kept. Default a day. */
  readonly keepFor?: Duration;
  readonly clock?: Clock;
}

/** What somebody wants to upload. */
export interface UploadWish extends CallOptions {
  /** Where the file is to be once it is completed. The application chooses it, not the client. */
  readonly key: string;
  /** Who uploads; whoever completes must name the same. */
  readonly owner: string;
  readonly contentType: string;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of the content in hex, when the client knows it. */
  readonly sha256?: string;
}

/** An upload that was allowed. */
export interface UploadIntent {
  /** Completes the upload. May go to the client: there is no secret in it, and one that was changed is refused. */
  readonly token: string;
  /** What the client sends. */
  readonly upload: SignedUpload;
  /** Until when it may begin. */
  readonly expiresAt: Date;
}

interface Facts {
  readonly key: string;
  readonly owner: string;
  readonly contentType: string;
  readonly size: number;
  readonly sha256?: string;
  /** Where the upload lies until it is completed. */
  readonly pending: string;
}

const component = 'storage';
const defaultExpiry = 15 * 60_000;
const defaultKeep = 24 * 3600_000;
// As much as a type can be told by.
const sampleBytes = 4100;
const pendingName = /^(\d{13})-[0-9a-f-]{36}$/;

/**
 * Direct uploads by clients that nobody needs to trust. The type, the size and the owner are checked before anything is signed; the
 * content lands at a key of its own; and only once it was looked at it is at the key that it was meant for.
 */
export class UploadIntents {
  readonly #storage: FileStorage;
  readonly #accept: readonly (readonly [pattern: string, maxSize: number])[];
  readonly #secret: Redacted;
  readonly #prefix: string;
  readonly #expiresIn: number;
  readonly #keepFor: number;
  readonly #clock: Clock;

  /** Throws `invalid-argument` for a short secret, a type that is none, or a prefix that is none. */
  constructor(storage: FileStorage, options: UploadIntentsOptions) {
    const { accept, pendingPrefix = 'pending/', clock = systemClock } = options;
    const origin = { component, adapter: storage.adapter, operation: 'uploadIntents' };
    this.#secret = redact(options.secret);
    if (this.#secret.reveal().length < 32)
      throw invalidArgument(
        origin,
        'secret is shorter than 32 characters: generate one with `openssl rand -hex 32`',
      );
    if (!pendingPrefix.endsWith('/'))
      throw invalidArgument(origin, 'pendingPrefix does not end with a slash: give a folder');
    checkPrefix(pendingPrefix, origin);
    this.#accept = Object.entries(accept).map(([pattern, maxSize]) => {
      if (pattern !== '*/*') checkMediaType(pattern.replace(/\/\*$/, '/x'), origin);
      return [pattern.toLowerCase(), toBytes(maxSize)];
    });
    if (this.#accept.length === 0)
      throw invalidArgument(origin, 'accept is empty: name the types that may be uploaded');
    this.#storage = storage;
    this.#prefix = pendingPrefix;
    this.#expiresIn = toMilliseconds(options.expiresIn ?? defaultExpiry);
    this.#keepFor = toMilliseconds(options.keepFor ?? defaultKeep);
    this.#clock = clock;
  }

  /**
   * Allows an upload. Throws `invalid-argument` for a type that is not accepted, or a size that is more than its type may have, and
   * `unimplemented` where the storage cannot sign uploads.
   */
  async create(wish: UploadWish): Promise<UploadIntent> {
    const origin = this.#origin('createIntent');
    const { key, owner, contentType, size, sha256 } = wish;
    checkKey(key, origin);
    checkMediaType(contentType, origin);
    checkExpectations({ size, sha256 }, origin);
    if (owner === '') throw invalidArgument(origin, 'owner is empty: name who uploads');
    this.#checkAccepted(contentType, size, origin);
    const expiresAt = this.#clock.now() + this.#expiresIn;
    const pending = `${this.#prefix}${String(expiresAt).padStart(13, '0')}-${randomUUID()}`;
    const facts: Facts = {
      key,
      owner,
      contentType,
      size,
      ...(sha256 === undefined ? {} : { sha256: sha256.toLowerCase() }),
      pending,
    };
    const upload = await this.#storage.signedUpload(pending, {
      expiresIn: this.#expiresIn,
      maxSize: size,
      contentType,
      ...(facts.sha256 !== undefined && this.#storage.capabilities.signedChecksums
        ? { sha256: facts.sha256 }
        : {}),
    });
    return { token: this.#write(facts), upload, expiresAt: new Date(expiresAt) };
  }

  /**
   * Looks at what has arrived, and moves it to its key if it is what was announced. Else it is deleted, and `invalid-argument` (another
   * size or type) or `data-loss` (another checksum) says what is wrong. Throws `permission-denied` for a token that was not given here or
   * belongs to another owner, `not-found` when nothing has arrived or it was completed before, and `already-exists` when the key has been
   * taken: nothing is ever replaced.
   */
  async complete(
    token: string,
    { owner, signal }: { readonly owner: string } & CallOptions,
  ): Promise<FileInfo> {
    const origin = this.#origin('completeIntent');
    const facts = this.#read(token);
    if (facts?.owner !== owner)
      throw new InfrastructureError({
        code: 'permission-denied',
        ...origin,
        outcome: 'not-applied',
        message: 'the token was not given here, was changed, or belongs to another owner',
      });
    const { etag } = await this.#inspect(facts, signal, origin);
    // What is sent again after it was looked at is another version, and stays.
    const conditions = { ifSourceMatch: etag, ifNoneMatch: '*' } as const;
    return await this.#storage.move(facts.pending, facts.key, { ...conditions, signal });
  }

  /** Deletes the uploads that nobody completed, and tells how many. Run it from time to time, such as daily. */
  async reap({ signal }: CallOptions = {}): Promise<number> {
    const before = this.#clock.now() - this.#keepFor;
    const due: string[] = [];
    for await (const { key } of this.#storage.listAll({ prefix: this.#prefix, signal })) {
      const [, expiry] = pendingName.exec(key.slice(this.#prefix.length)) ?? [];
      // In the order of their expiry, and what has another name is none of ours.
      if (expiry === undefined) continue;
      if (Number(expiry) >= before) break;
      due.push(key);
    }
    await this.#storage.deleteMany(due, { signal });
    return due.length;
  }

  #checkAccepted(contentType: string, size: number, origin: ErrorOrigin): void {
    const type = essenceOf(contentType);
    const whole = type.replace(/\/.*$/, '/*');
    const accepted =
      this.#accept.find(([pattern]) => pattern === type) ??
      this.#accept.find(([pattern]) => pattern === whole) ??
      this.#accept.find(([pattern]) => pattern === '*/*');
    if (!accepted)
      throw invalidArgument(
        origin,
        `${type} is not accepted: choose one of ${this.#accept.map(([pattern]) => pattern).join(', ')}`,
        { contentType: type, accepted: this.#accept.map(([pattern]) => pattern) },
      );
    const [, maxSize] = accepted;
    if (size > maxSize)
      throw invalidArgument(origin, `${size} bytes of ${type} are more than ${maxSize}`, {
        size,
        maxSize,
      });
  }

  // What arrived, if it is what was announced.
  async #inspect(
    facts: Facts,
    signal: AbortSignal | undefined,
    origin: ErrorOrigin,
  ): Promise<FileInfo> {
    const { pending, contentType, size, sha256 } = facts;
    const info = await this.#storage.head(pending, { signal }).catch((error: unknown) => {
      throw InfrastructureError.is(error, 'not-found') ? nothingArrived(error, origin) : error;
    });
    try {
      if (info.size !== size)
        throw invalidArgument(origin, `${info.size} bytes have arrived, and not ${size}`, {
          size: info.size,
        });
      const read = { ifMatch: info.etag, signal };
      const range = { start: 0, end: sampleBytes - 1 };
      const sample =
        size === 0
          ? new Uint8Array()
          : await (await this.#storage.get(pending, { ...read, range })).bytes();
      await checkContentType(contentType, sample, origin);
      if (sha256 === undefined) return info;
      const digest = createHash('sha256');
      for await (const chunk of (await this.#storage.get(pending, read)).stream())
        digest.update(chunk);
      const actual = digest.digest('hex');
      if (actual !== sha256)
        throw new InfrastructureError({
          code: 'data-loss',
          ...origin,
          message: `the SHA-256 of what has arrived is ${actual}, not the expected ${sha256}`,
        });
      return info;
    } catch (error) {
      const isWrong =
        InfrastructureError.is(error, 'invalid-argument') ||
        InfrastructureError.is(error, 'data-loss');
      if (isWrong) await this.#storage.delete(pending, { signal });
      throw error;
    }
  }

  #write(facts: Facts): string {
    const payload = Buffer.from(JSON.stringify(facts)).toString('base64url');
    return `${payload}.${this.#sign(payload).toString('base64url')}`;
  }

  // What a token says; nothing when it was not written here.
  #read(token: string): Facts | undefined {
    const [payload = '', signature = ''] = token.split('.');
    const given = Buffer.from(signature, 'base64url');
    const expected = this.#sign(payload);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    // What is signed was written by `#write`, with the same secret.
    const facts = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Facts;
    return isKey(facts.key) && facts.pending.startsWith(this.#prefix) ? facts : undefined;
  }

  #sign(payload: string): Buffer {
    // Named, so that no other token that the same secret signs passes for one of these.
    return createHmac('sha256', this.#secret.reveal())
      .update(`underpin upload intent\n${payload}`)
      .digest();
  }

  #origin(operation: string): ErrorOrigin {
    return { component, adapter: this.#storage.adapter, operation };
  }
}

/**
 * Direct uploads by clients, validated before they are signed and looked at before they count.
 *
 * @example
 * const uploads = uploadIntents(files, { accept: { 'image/*': '10MiB' }, secret });
 * const { token, upload } = await uploads.create({ key: `photos/${id}`, owner: user.id, contentType, size });
 * // The client sends `upload`, and then asks to complete `token`.
 * await uploads.complete(token, { owner: user.id });
 */
export function uploadIntents(storage: FileStorage, options: UploadIntentsOptions): UploadIntents {
  return new UploadIntents(storage, options);
}

function nothingArrived(cause: unknown, origin: ErrorOrigin): InfrastructureError {
  return new InfrastructureError({
    code: 'not-found',
    ...origin,
    outcome: 'not-applied',
    message: 'nothing has arrived by this token, or it was completed before: upload first',
    cause,
  });
}
