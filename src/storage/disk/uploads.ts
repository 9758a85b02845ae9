import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';

import {
  systemErrorCode,
  writeDirectoryAtomically,
  writeFileAtomically,
} from '../../core/index.ts';
import { ChecksumDigest, hexOfCrc32 } from '../checksums.ts';
import type {
  Checksums,
  DriverPart,
  DriverPut,
  DriverUpload,
  DriverUploads,
  FileInfo,
  UploadedPart,
  UploadState,
} from '../driver.ts';
import { checksumMismatch, noUpload, notAnUpload, StorageFault } from '../errors.ts';
import { ifThere, isAbsent, openFile, readSlice, statPath } from './calls.ts';
import { FileChunks } from './file-chunks.ts';
import type { DiskPaths } from './paths.ts';
import { removeFolder } from './remains.ts';

/** Stores a finished upload as one file. */
type PutWhole = (
  key: string,
  body: AsyncIterable<Uint8Array>,
  options: DriverPut,
  signal: AbortSignal | undefined,
) => Promise<FileInfo>;

/** What lies in an upload's folder beside the parts. */
interface UploadFacts {
  readonly key: string;
  readonly upload: DriverUpload;
}

const factsName = 'upload.json';
// A part's file ends with the CRC-32 of the part in hex: days may pass before it is read.
const checksumBytes = 8;
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/**
 * Uploads whose parts lie in a folder of their own until they are completed. An upload is there for as long as its folder is, which
 * comes and goes in one step; any process finds it by the id alone.
 */
export class DiskUploads implements DriverUploads {
  readonly #paths: DiskPaths;
  readonly #sync: boolean;
  readonly #putWhole: PutWhole;

  constructor(paths: DiskPaths, { sync }: { readonly sync: boolean }, putWhole: PutWhole) {
    this.#paths = paths;
    this.#sync = sync;
    this.#putWhole = putWhole;
  }

  async create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState> {
    const id = randomUUID();
    await writeDirectoryAtomically(
      path.join(this.#paths.uploads, id),
      { [factsName]: JSON.stringify({ key, upload } satisfies UploadFacts) },
      { sync: this.#sync, signal },
    );
    return { id };
  }

  async putPart(
    key: string,
    state: UploadState,
    { number, bytes, checksums }: DriverPart,
    signal?: AbortSignal,
  ): Promise<void> {
    const { folder } = await this.#find(key, state);
    try {
      await writeFileAtomically(
        path.join(folder, String(number)),
        pieces(bytes, Buffer.from(checksums.crc32)),
        { replace: true, sync: this.#sync, signal },
      );
    } catch (error) {
      // Completed or aborted meanwhile.
      throw isAbsent(error) ? noUpload(key, error) : error;
    }
  }

  async listParts(key: string, state: UploadState): Promise<readonly UploadedPart[]> {
    const { folder } = await this.#find(key, state);
    const names = (await ifThere(readdir(folder))) ?? [];
    const parts = await Promise.all(
      names
        .filter((name) => /^\d+$/.test(name))
        .map(async (name) => {
          const stats = await ifThere(statPath(path.join(folder, name)));
          return stats && { number: Number(name), size: stats.size - checksumBytes };
        }),
    );
    return parts.filter((part) => part !== undefined).toSorted((a, b) => a.number - b.number);
  }

  async complete(
    key: string,
    state: UploadState,
    parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const { folder, upload } = await this.#find(key, state);
    const { sha256, partSize: _, ...put } = upload;
    let checksums: Checksums | undefined;
    const info = await this.#putWhole(
      key,
      this.#content(key, folder, { parts, sha256, onEnd: (found) => (checksums = found) }),
      {
        ...put,
        size: parts.reduce((sum, { size }) => sum + size, 0),
        checksums() {
          if (!checksums) throw new TypeError('checksums() before the body was read to its end');
          return checksums;
        },
      },
      signal,
    );
    // The file is there: what is left of its parts goes later.
    await removeFolder(this.#paths, folder).catch(() => undefined);
    return info;
  }

  async abort(_key: string, state: UploadState): Promise<void> {
    await removeFolder(this.#paths, this.#folder(state));
  }

  // Throws at its end, so that nothing is put in place, when the content is not the one declared or somebody else ended the upload.
  async *#content(
    key: string,
    folder: string,
    {
      parts,
      sha256,
      onEnd,
    }: {
      readonly parts: readonly UploadedPart[];
      readonly sha256: string | undefined;
      readonly onEnd: (checksums: Checksums) => void;
    },
  ): AsyncGenerator<Uint8Array, void> {
    const digest = new ChecksumDigest();
    for (const part of parts) {
      for await (const piece of readPart(key, folder, part)) {
        digest.update(piece);
        yield piece;
      }
    }
    const checksums = digest.digest();
    if (sha256 !== undefined && sha256 !== checksums.sha256)
      throw checksumMismatch(key, { expected: sha256, actual: checksums.sha256 });
    if (!(await ifThere(statPath(path.join(folder, factsName))))) throw noUpload(key);
    onEnd(checksums);
  }

  async #find(
    key: string,
    state: UploadState,
  ): Promise<{ readonly folder: string; readonly upload: DriverUpload }> {
    const folder = this.#folder(state);
    const text = await ifThere(readFile(path.join(folder, factsName), 'utf8'));
    if (text === undefined) throw noUpload(key);
    // Written by this class, into a folder that no key reaches.
    const facts = JSON.parse(text) as UploadFacts;
    if (facts.key !== key) throw noUpload(key);
    return { folder, upload: facts.upload };
  }

  #folder({ id }: UploadState): string {
    if (typeof id !== 'string' || !uuid.test(id)) throw notAnUpload();
    return path.join(this.#paths.uploads, id);
  }
}

// Refuses a part that is no longer what arrived.
async function* readPart(
  key: string,
  folder: string,
  { number, size }: UploadedPart,
): AsyncGenerator<Uint8Array, void> {
  const file = await openPart(key, path.join(folder, String(number)));
  // Closes the file, whatever happens from here on.
  const chunks = new FileChunks(file, 0, size - 1);
  let found = 0;
  try {
    const expected = Buffer.from(await readSlice(file, size, checksumBytes)).toString();
    for await (const chunk of chunks) {
      found = crc32(chunk, found);
      yield chunk;
    }
    if (hexOfCrc32(found) === expected) return;
  } catch (error) {
    if (systemErrorCode(error) !== 'EIO') throw error;
  } finally {
    await chunks.return();
  }
  throw new StorageFault({
    code: 'data-loss',
    outcome: 'not-applied',
    message: `part ${number} of the upload of ${JSON.stringify(key)} is not what arrived: put it again, and complete again`,
  });
}

async function openPart(key: string, file: string): Promise<number> {
  try {
    return await openFile(file, 'r');
  } catch (error) {
    throw isAbsent(error) ? noUpload(key, error) : error;
  }
}

async function* pieces(...all: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* all;
}
