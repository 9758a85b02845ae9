import { type Classify, type ComponentHealth, InfrastructureError } from '../../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  DriverUploads,
  FileInfo,
  ListPage,
  SignedUpload,
  StorageCapabilities,
  StorageDriver,
  TransferConditions,
  WriteConditions,
} from '../driver.ts';
import { classifyStorageFault } from '../errors.ts';
import type { PutOptions } from '../options.ts';
import type { FileStorage } from '../storage.ts';
import { passing } from './pieces.ts';
import { LayerUploads } from './uploads.ts';

/** What of a put is for the storage below as it is: all but the conditions, and the checksums that it makes itself. */
export function innerPut({
  contentType,
  cacheControl,
  metadata,
  size,
}: DriverPut): Pick<PutOptions, 'contentType' | 'cacheControl' | 'metadata' | 'size'> {
  return {
    contentType,
    ...(cacheControl === undefined ? {} : { cacheControl }),
    metadata,
    ...(size === undefined ? {} : { size }),
  };
}

/**
 * What every layer is: a driver over a storage that somebody else made, owns and closes. By itself it passes each call on; a layer
 * overrides what it is for. Errors of the storage below keep code, outcome, message, details and cause, and say the layer's name.
 */
export class LayerDriver<
  Capabilities extends StorageCapabilities = StorageCapabilities,
> implements StorageDriver {
  readonly adapter: string;
  readonly capabilities: Capabilities;
  /** The storage below. */
  readonly native: FileStorage;
  readonly classify: Classify = classifyStorageFault;
  readonly uploads: DriverUploads;

  constructor(name: string, inner: FileStorage, capabilities: Capabilities) {
    this.adapter = `${name}(${inner.adapter})`;
    this.native = inner;
    this.capabilities = capabilities;
    this.uploads = this.layerUploads();
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.relay(async () => {
      await this.native.start({ signal });
    });
  }

  async checkHealth(signal?: AbortSignal): Promise<ComponentHealth> {
    return await this.native.checkHealth({ signal });
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.relay(async () => {
      const conditions = await this.innerConditions(key, options, signal);
      const put = { ...innerPut(options), ...conditions, signal };
      return this.outerInfo(await this.native.put(this.innerKey(key), body, put));
    });
  }

  async get(key: string, range: ByteRange | undefined, signal?: AbortSignal): Promise<DriverFile> {
    return await this.relay(async () => {
      const ranged = range ? { range } : {};
      const file = await this.native.get(this.innerKey(key), { ...ranged, signal });
      return {
        info: this.outerInfo(file.info),
        ...(file.range ? { range: file.range } : {}),
        body: passing(file.stream(), (error) => this.relayed(error)),
      };
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.relay(async () =>
      this.outerInfo(await this.native.head(this.innerKey(key), { signal })),
    );
  }

  async delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.relay(async () => {
      const { ifMatch } = await this.innerConditions(key, conditions, signal);
      const matching = ifMatch === undefined ? {} : { ifMatch };
      await this.native.delete(this.innerKey(key), { ...matching, signal });
    });
  }

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.relay(async () => {
      await this.native.deleteMany(
        keys.map((key) => this.innerKey(key)),
        { signal },
      );
    });
  }

  async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const [source, target] = [this.innerKey(from), this.innerKey(to)];
    return await this.relay(async () =>
      this.outerInfo(await this.native.copy(source, target, { ...conditions, signal })),
    );
  }

  async move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const [source, target] = [this.innerKey(from), this.innerKey(to)];
    return await this.relay(async () =>
      this.outerInfo(await this.native.move(source, target, { ...conditions, signal })),
    );
  }

  async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    const { prefix, delimiter, after, limit } = options;
    return await this.relay(
      async () =>
        await this.native.list({
          prefix,
          limit,
          ...(delimiter === undefined ? {} : { delimiter }),
          ...(after === undefined ? {} : { after }),
          signal,
        }),
    );
  }

  async signUrl(key: string, options: DriverSignedUrl): Promise<string> {
    return await this.relay(
      async () => await this.native.signedUrl(this.innerKey(key), { ...options }),
    );
  }

  async signUpload(key: string, options: DriverSignedUpload): Promise<SignedUpload> {
    return await this.relay(
      async () => await this.native.signedUpload(this.innerKey(key), { ...options }),
    );
  }

  async publicUrl(key: string): Promise<string> {
    return await this.relay(async () => await this.native.publicUrl(this.innerKey(key)));
  }

  handler?(): (request: Request) => Promise<Response> {
    return this.native.handler();
  }

  async close(): Promise<void> {
    // Whoever made the storage below closes it.
  }

  /** Uploads that are those of the storage below. */
  protected layerUploads(): DriverUploads {
    return new LayerUploads({
      inner: this.native,
      keyOf: (key) => this.innerKey(key),
      outer: (info) => this.outerInfo(info),
      relay: async (fn) => await this.relay(fn),
      conditions: async (key, conditions, signal) =>
        await this.innerConditions(key, conditions, signal),
    });
  }

  /** The key below. */
  protected innerKey(key: string): string {
    return key;
  }

  /** The key that the caller knows of one below. */
  protected outerKey(key: string): string {
    return key;
  }

  /** What the caller is told of a file below. */
  protected outerInfo(info: FileInfo): FileInfo {
    return { ...info, key: this.outerKey(info.key) };
  }

  /** The conditions in terms of the etags below. */
  protected async innerConditions(
    _key: string,
    { ifMatch, ifNoneMatch }: WriteConditions,
    _signal: AbortSignal | undefined,
  ): Promise<WriteConditions> {
    return {
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    };
  }

  /** What an error below says, in terms of this layer. */
  protected outerMessage(message: string): string {
    return message;
  }

  /** Runs calls of the storage below, whose errors become the layer's own. */
  protected async relay<Result>(fn: () => Promise<Result>): Promise<Result> {
    try {
      return await fn();
    } catch (error) {
      throw this.relayed(error);
    }
  }

  /** An error of the storage below as one of this layer; any other unchanged, such as that of the body which the caller gave. */
  protected relayed(error: unknown): unknown {
    if (!InfrastructureError.is(error) || error.adapter === this.adapter) return error;
    const { message, cause, details, operation, retryAfterMs } = error;
    const { key } = details;
    return new InfrastructureError({
      code: error.code,
      component: error.component,
      adapter: this.adapter,
      ...(operation === undefined ? {} : { operation }),
      outcome: error.outcome,
      retryable: error.retryable,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      details: typeof key === 'string' ? { ...details, key: this.outerKey(key) } : details,
      message: this.outerMessage(message),
      cause,
    });
  }
}
