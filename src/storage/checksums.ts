import { createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import type { Checksums } from './driver.ts';

/** The checksums of bytes at hand. */
export function checksumsOf(bytes: Uint8Array): Checksums {
  return { sha256: hash('sha256', bytes, 'hex'), crc32: hexOfCrc32(crc32(bytes)) };
}

/** The checksums of a content that passes by in pieces. */
export class ChecksumDigest {
  readonly #sha256 = createHash('sha256');
  #crc32 = 0;

  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk);
    this.#crc32 = crc32(chunk, this.#crc32);
  }

  /** Once, after the last piece. */
  digest(): Checksums {
    return { sha256: this.#sha256.digest('hex'), crc32: hexOfCrc32(this.#crc32) };
  }
}

/** A CRC-32 as eight lower-case hex digits. */
export function hexOfCrc32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
