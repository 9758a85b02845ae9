import { randomUUID } from 'node:crypto';

import { checksumsOf } from './checksums.ts';
import type {
  DriverPart,
  DriverPut,
  DriverUpload,
  DriverUploads,
  FileInfo,
  UploadedPart,
  UploadState,
} from './driver.ts';
import { checksumMismatch, notAnUpload, noUpload } from './errors.ts';

interface OpenUpload {
  readonly key: string;
  readonly upload: DriverUpload;
  readonly parts: Map<number, Uint8Array>;
}

/** Stores a finished upload as one file. */
type PutWhole = (key: string, bytes: Uint8Array, options: DriverPut) => Promise<FileInfo>;

/** Uploads whose parts lie in memory until they are completed, and go with the process. */
export class MemoryUploads implements DriverUploads {
  readonly #open = new Map<string, OpenUpload>();
  readonly #putWhole: PutWhole;

  constructor(putWhole: PutWhole) {
    this.#putWhole = putWhole;
  }

  async create(key: string, upload: DriverUpload): Promise<UploadState> {
    const id = randomUUID();
    this.#open.set(id, { key, upload, parts: new Map() });
    return { id };
  }

  async putPart(key: string, state: UploadState, { number, bytes }: DriverPart): Promise<void> {
    this.#require(key, state).parts.set(number, new Uint8Array(bytes));
  }

  async listParts(key: string, state: UploadState): Promise<readonly UploadedPart[]> {
    return [...this.#require(key, state).parts]
      .map(([number, { byteLength }]) => ({ number, size: byteLength }))
      .toSorted((a, b) => a.number - b.number);
  }

  async complete(
    key: string,
    state: UploadState,
    parts: readonly UploadedPart[],
  ): Promise<FileInfo> {
    const { upload, parts: kept } = this.#require(key, state);
    const bytes = Buffer.concat(parts.map(({ number }) => kept.get(number) ?? new Uint8Array()));
    const checksums = checksumsOf(bytes);
    const { sha256, partSize: _, ...facts } = upload;
    if (sha256 !== undefined && sha256 !== checksums.sha256)
      throw checksumMismatch(key, { expected: sha256, actual: checksums.sha256 });
    const info = await this.#putWhole(key, bytes, {
      ...facts,
      size: bytes.byteLength,
      checksums: () => checksums,
    });
    this.#open.delete(idOf(state));
    return info;
  }

  async abort(_key: string, state: UploadState): Promise<void> {
    this.#open.delete(idOf(state));
  }

  clear(): void {
    this.#open.clear();
  }

  #require(key: string, state: UploadState): OpenUpload {
    const upload = this.#open.get(idOf(state));
    if (upload?.key !== key) throw noUpload(key);
    return upload;
  }
}

function idOf({ id }: UploadState): string {
  if (typeof id !== 'string') throw notAnUpload();
  return id;
}
