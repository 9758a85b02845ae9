import type {
  DriverPart,
  DriverUpload,
  DriverUploads,
  FileInfo,
  UploadedPart,
  UploadState,
  WriteConditions,
} from '../driver.ts';
import { notAnUpload, noUpload } from '../errors.ts';
import type { FileStorage } from '../storage.ts';
import type { Upload } from '../upload.ts';

/** What uploads need of the layer that they belong to. */
export interface LayerUploadsOptions {
  readonly inner: FileStorage;
  /** The key below at which the upload makes its file. */
  readonly keyOf: (key: string) => string;
  readonly outer: (info: FileInfo) => FileInfo;
  readonly relay: <Result>(fn: () => Promise<Result>) => Promise<Result>;
  readonly conditions: (
    key: string,
    conditions: WriteConditions,
    signal: AbortSignal | undefined,
  ) => Promise<WriteConditions>;
}

/** Uploads of the storage below. Their state is the token of the upload there. */
export class LayerUploads implements DriverUploads {
  readonly #options: LayerUploadsOptions;

  constructor(options: LayerUploadsOptions) {
    this.#options = options;
  }

  async create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState> {
    const { inner, keyOf, relay, conditions } = this.#options;
    return await relay(async () => {
      const { ifMatch: _, ifNoneMatch: __, ...options } = upload;
      const kept = await conditions(key, upload, signal);
      const { token } = await inner.createUpload(keyOf(key), { ...options, ...kept, signal });
      return { token };
    });
  }

  async putPart(
    key: string,
    state: UploadState,
    { number, bytes }: DriverPart,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#options.relay(async () => {
      await this.#resume(key, state).putPart(number, bytes, { signal });
    });
  }

  async listParts(
    key: string,
    state: UploadState,
    signal?: AbortSignal,
  ): Promise<readonly UploadedPart[]> {
    return await this.#options.relay(async () => await this.#resume(key, state).parts({ signal }));
  }

  // The upload below lists its parts once more: it cannot know that they were just checked.
  async complete(
    key: string,
    state: UploadState,
    _parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const { relay, outer } = this.#options;
    return await relay(async () => outer(await this.#resume(key, state).complete({ signal })));
  }

  async abort(key: string, state: UploadState, signal?: AbortSignal): Promise<void> {
    await this.#options.relay(async () => {
      await this.#resume(key, state).abort({ signal });
    });
  }

  #resume(key: string, { token }: UploadState): Upload {
    if (typeof token !== 'string') throw notAnUpload();
    const upload = this.#options.inner.resumeUpload(token);
    if (upload.key !== this.#options.keyOf(key)) throw noUpload(key);
    return upload;
  }
}
