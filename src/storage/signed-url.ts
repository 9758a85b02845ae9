import { createHmac, timingSafeEqual } from 'node:crypto';

import {
  type Clock,
  InfrastructureError,
  type Redacted,
  redact,
  type Secret,
} from '../core/index.ts';
import type { DriverSignedUpload, DriverSignedUrl, SignedPut } from './driver.ts';
import { encodeKey } from './key.ts';

/** Where signed URLs of an embedded adapter lead, and with what they are signed. */
export interface LocalUrlOptions {
  /** Where `storage.handler()` is mounted, such as `https://example.com/files`. */
  readonly baseUrl: string;
  /** At least 32 characters; the same in every process that signs or serves. */
  readonly secret: Secret;
}

/** What a verified URL allows. */
export interface Grant {
  readonly key: string;
  readonly method: 'GET' | 'PUT';
  readonly contentType: string | undefined;
  readonly contentDisposition: string | undefined;
  readonly maxSize: number | undefined;
  /** SHA-256 that an upload must have, in lower-case hex. */
  readonly sha256: string | undefined;
}

/** Signs and verifies URLs with HMAC-SHA-256 over everything that they allow. */
export class UrlSigner {
  readonly #baseUrl: URL | undefined;
  readonly #secret: Redacted | undefined;
  readonly #clock: Clock;

  constructor(options: LocalUrlOptions | undefined, clock: Clock) {
    this.#clock = clock;
    if (!options) return;
    const secret = redact(options.secret);
    if (secret.reveal().length < 32)
      throw misconfigured(
        'urls.secret is shorter than 32 characters: generate one with `openssl rand -hex 32`',
      );
    if (!URL.canParse(options.baseUrl))
      throw misconfigured(
        'urls.baseUrl is not a URL: give where the handler is mounted, such as https://example.com/files',
      );
    this.#baseUrl = new URL(options.baseUrl);
    this.#secret = secret;
  }

  /** A URL by which the file can be read. */
  signUrl(key: string, options: DriverSignedUrl): string {
    return this.#sign(key, { ...options, method: 'GET' });
  }

  /** A request by which the file can be written. */
  signUpload(key: string, options: DriverSignedUpload): SignedPut {
    return {
      method: 'PUT',
      url: this.#sign(key, { ...options, method: 'PUT' }),
      headers: { 'content-type': options.contentType },
    };
  }

  /** What a URL allows; `undefined` when it was not signed here, was changed, or has expired. */
  verify(url: URL): Grant | undefined {
    const prefix = this.#baseUrl && `${this.#baseUrl.pathname.replace(/\/$/, '')}/`;
    if (prefix === undefined || !url.pathname.startsWith(prefix)) return undefined;
    const key = decode(url.pathname.slice(prefix.length));
    const given = Buffer.from(url.searchParams.get('signature') ?? '', 'base64url');
    if (key === undefined) return undefined;
    const expected = this.#signature(key, url.searchParams);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    const { searchParams } = url;
    const method = searchParams.get('method');
    if (
      !(Number(searchParams.get('expires')) > this.#clock.now()) ||
      (method !== 'GET' && method !== 'PUT')
    )
      return undefined;
    const max = searchParams.get('max');
    return {
      key,
      method,
      contentType: searchParams.get('type') ?? undefined,
      contentDisposition: searchParams.get('disposition') ?? undefined,
      maxSize: max === null ? undefined : Number(max),
      sha256: searchParams.get('sha256') ?? undefined,
    };
  }

  #sign(
    key: string,
    options: DriverSignedUrl & Partial<DriverSignedUpload> & { readonly method: 'GET' | 'PUT' },
  ): string {
    if (!this.#baseUrl)
      throw misconfigured(
        'signed URLs need the option urls: { baseUrl, secret }',
        'failed-precondition',
      );
    const url = new URL(this.#baseUrl);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${encodeKey(key)}`;
    const { method, contentType, contentDisposition, maxSize, sha256 } = options;
    const parameters = {
      method,
      expires: String(this.#clock.now() + options.expiresIn),
      ...(contentType === undefined ? {} : { type: contentType }),
      ...(contentDisposition === undefined ? {} : { disposition: contentDisposition }),
      ...(maxSize === undefined ? {} : { max: String(maxSize) }),
      ...(sha256 === undefined ? {} : { sha256 }),
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    url.searchParams.set('signature', this.#signature(key, url.searchParams).toString('base64url'));
    return url.href;
  }

  #signature(key: string, parameters: URLSearchParams): Buffer {
    const signed = [...parameters]
      .filter(([name]) => name !== 'signature')
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    return createHmac('sha256', this.#secret?.reveal() ?? '')
      .update(JSON.stringify([key, signed]))
      .digest();
  }
}

function decode(path: string): string | undefined {
  try {
    return path.split('/').map(decodeURIComponent).join('/');
  } catch {
    return undefined;
  }
}

function misconfigured(
  message: string,
  code: 'invalid-argument' | 'failed-precondition' = 'invalid-argument',
): InfrastructureError {
  return new InfrastructureError({ code, component: 'storage', operation: 'signedUrl', message });
}
