import { hash } from 'node:crypto';

import {
  abortable,
  type ByteSize,
  type CallOptions,
  definePolicy,
  type Duration,
  type ErrorOrigin,
  type InfrastructureError,
  invalidArgument,
  operation,
  PolicyExecutor,
  toBytes,
  toMilliseconds,
  wrapError,
} from '../../core/index.ts';
import { classifyStorageFault } from '../errors.ts';
import { checkPrefix } from '../key.ts';
import type { FileInfo } from '../driver.ts';
import type { FileStorage } from '../storage.ts';
import type { StoredFile } from '../stored-file.ts';
import { type ImageLimits, type ImageVariant, renderImage } from './render.ts';

export type { ImageVariant };

/** Options of {@link variants}. */
export interface ImageVariantsOptions {
  /** Where the variants lie. Nothing else may lie there. Default `variants/`. */
  readonly prefix?: string;
  /** The largest source. Default 50 MiB. */
  readonly maxBytes?: ByteSize;
  /** The most pixels of a source. Default 50 million, which take about 200 MB to decode. */
  readonly maxPixels?: number;
  /** How long one picture may take. Default 30 seconds. */
  readonly timeout?: Duration;
  /** How many are made at once; others wait. Each may take the memory of `maxPixels`. Default 2. */
  readonly concurrency?: number;
}

const component = 'storage';
const longestQueue = 1000;
const name = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * Variants of pictures (of the first frame, where one moves), made when they are first asked for and then kept in the storage. A variant belongs to one version of its
 * source: a picture that was replaced gets new ones.
 */
export class ImageVariants<Name extends string> {
  readonly #storage: FileStorage;
  readonly #variants: Readonly<Record<Name, ImageVariant>>;
  readonly #prefix: string;
  readonly #maxBytes: number;
  readonly #limits: ImageLimits;
  readonly #executor: PolicyExecutor;
  readonly #underWay = new Map<string, Promise<void>>();

  /** Throws `invalid-argument` for a variant without a side, of a side or a quality that is none, or with a name that is none. */
  constructor(
    storage: FileStorage,
    sizes: Readonly<Record<Name, ImageVariant>>,
    options: ImageVariantsOptions = {},
  ) {
    const { prefix = 'variants/', maxPixels = 50_000_000, concurrency = 2 } = options;
    this.#storage = storage;
    const origin = this.#origin();
    if (!prefix.endsWith('/'))
      throw invalidArgument(origin, 'prefix does not end with a slash: give a folder');
    checkPrefix(prefix, origin);
    for (const [variant, size] of Object.entries<ImageVariant>(sizes))
      checkVariant(variant, size, origin);
    this.#variants = { ...sizes };
    this.#prefix = prefix;
    this.#maxBytes = toBytes(options.maxBytes ?? '50MiB');
    this.#limits = { maxPixels, timeout: toMilliseconds(options.timeout ?? '30s') };
    const limit = { concurrency, queue: longestQueue };
    this.#executor = new PolicyExecutor(definePolicy('image variants', { limit }));
  }

  /**
   * The variant's content; makes it first if it is not there. Throws `not-found` when the source is not there, `invalid-argument` when it
   * is no sound picture or too large.
   */
  async get(source: string, variant: Name, options: CallOptions = {}): Promise<StoredFile> {
    return await this.#storage.get(await this.key(source, variant, options), options);
  }

  /** The key of the variant in the storage, such as for `signedUrl`; makes the variant first if it is not there. Throws as `get` does. */
  async key(source: string, variant: Name, { signal }: CallOptions = {}): Promise<string> {
    const size = this.#variants[variant];
    if (!Object.hasOwn(this.#variants, variant))
      throw invalidArgument(this.#origin(), `there is no variant ${JSON.stringify(variant)}`);
    const info = await this.#storage.head(source, { signal });
    const key = this.#keyOf(info, variant, size);
    if (await this.#storage.exists(key, { signal })) return key;
    // All who wait for it share one making, which goes on for the others when one gives up.
    let making = this.#underWay.get(key);
    if (!making) {
      making = this.#make(info, variant, size, key).finally(() => this.#underWay.delete(key));
      // Should everybody have given up.
      making.catch(() => undefined);
      this.#underWay.set(key, making);
    }
    await (signal ? this.#wait(making, signal) : making);
    return key;
  }

  /** Deletes all variants of a source, whatever version of it they were made of. Call it when the source is deleted. */
  async delete(source: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#storage.deletePrefix(this.#folderOf(source), { signal });
  }

  async #wait(making: Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await abortable(making, signal);
    } catch (error) {
      throw wrapError(error, this.#origin(), classifyStorageFault);
    }
  }

  async #make(info: FileInfo, variant: string, size: ImageVariant, key: string): Promise<void> {
    const origin = this.#origin();
    const attributes: Record<string, unknown> = { key: info.key, variant };
    await operation(component, 'makeVariant', attributes, async () => {
      const wrap = (error: unknown): InfrastructureError =>
        wrapError(error, origin, classifyStorageFault);
      await this.#executor.execute({ origin, wrap }, async () => {
        if (info.size > this.#maxBytes)
          throw invalidArgument(
            origin,
            `${JSON.stringify(info.key)} has ${info.size} bytes, more than ${this.#maxBytes}`,
          );
        const file = await this.#storage.get(info.key, { ifMatch: info.etag });
        const content = await renderImage(await file.bytes(), size, this.#limits, origin);
        attributes['size'] = content.byteLength;
        await this.#store(key, content, size);
      });
    });
    await this.#forget(info.key, variant, key);
  }

  async #store(key: string, content: Uint8Array, { format }: ImageVariant): Promise<void> {
    // The key names the version of the source and the looks, so that what is at it never changes.
    const facts = {
      contentType: `image/${format}`,
      cacheControl: 'max-age=31536000, immutable',
    };
    await this.#storage.put(key, content, facts);
  }

  // The variant of versions that are gone.
  async #forget(source: string, variant: string, kept: string): Promise<void> {
    const others: string[] = [];
    const prefix = `${this.#folderOf(source)}${variant}.`;
    for await (const { key } of this.#storage.listAll({ prefix }))
      if (key !== kept) others.push(key);
    await this.#storage.deleteMany(others);
  }

  // Hashed, since a source's key may be as long as a key can be.
  #folderOf(source: string): string {
    return `${this.#prefix}${hash('sha256', source, 'hex').slice(0, 40)}/`;
  }

  #keyOf({ key, etag }: FileInfo, variant: string, size: ImageVariant): string {
    const { width, height, fit, format, quality } = size;
    const looks = JSON.stringify([etag, width, height, fit, format, quality]);
    return `${this.#folderOf(key)}${variant}.${hash('sha256', looks, 'hex').slice(0, 40)}.${format}`;
  }

  #origin(): ErrorOrigin {
    return { component, adapter: this.#storage.adapter, operation: 'makeVariant' };
  }
}

/**
 * Variants of pictures in a storage, made once and kept there. Needs the optional peer `sharp`.
 *
 * @example
 * const pictures = variants(files, { thumb: { width: 320, format: 'webp' } });
 * const url = await files.signedUrl(await pictures.key('photos/cat.jpg', 'thumb'), { expiresIn: '1h' });
 */
export function variants<const Name extends string>(
  storage: FileStorage,
  sizes: Readonly<Record<Name, ImageVariant>>,
  options: ImageVariantsOptions = {},
): ImageVariants<Name> {
  return new ImageVariants(storage, sizes, options);
}

function checkVariant(
  variant: string,
  { width, height, quality }: ImageVariant,
  origin: ErrorOrigin,
): void {
  const refuse = (fault: string): InfrastructureError =>
    invalidArgument(origin, `the variant ${JSON.stringify(variant)} ${fault}`);
  if (!name.test(variant)) throw refuse('is not named by lower-case letters, digits and dashes');
  if (width === undefined && height === undefined)
    throw refuse('has neither a width nor a height: give one of them');
  for (const side of [width, height])
    if (side !== undefined && !(Number.isInteger(side) && side >= 1 && side <= 16_383))
      throw refuse(`has a side of ${side}, which is not from 1 to 16,383 pixels`);
  if (quality !== undefined && !(Number.isInteger(quality) && quality >= 1 && quality <= 100))
    throw refuse(`has a quality of ${quality}, which is not from 1 to 100`);
}
