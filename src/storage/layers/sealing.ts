import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto';

import type { Checksums, FileFacts } from '../driver.ts';
import { StorageFault } from '../errors.ts';

// The format; see docs/decisions/0051-encrypted-files.md. A change of any of these is another format, with another mark.
const mark = Buffer.from('UNDERPN1');
const keyIdBytes = 16;
const saltBytes = 32;
const tagBytes = 16;
const checksumBytes = 36;

/** Of the content, in one sealed chunk; the last one may have less. */
export const chunkBytes: number = 64 * 1024;
/** What a chunk has in the stored object. */
export const sealedChunkBytes: number = chunkBytes + tagBytes;
/** What stands after the last chunk. */
export const footerBytes: number = mark.length + keyIdBytes + saltBytes + checksumBytes + tagBytes;

/** What is sealed with a file besides its content: another key or other facts do not open it. */
export interface SealedFacts extends FileFacts {
  readonly key: string;
}

/** How long the stored object is for a content of this length. */
export function sealedSize(size: number): number {
  return size + tagBytes * chunkCount(size) + footerBytes;
}

/** How long the content is of a stored object of this length; `undefined` where no content makes such a length. */
export function plainSize(sealed: number): number | undefined {
  const body = sealed - footerBytes;
  const size = body - tagBytes * Math.max(1, Math.ceil(body / sealedChunkBytes));
  return size >= 0 && sealedSize(size) === sealed ? size : undefined;
}

/** The id of a key, as a footer names it. */
export function isKeyId(id: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,15}$/.test(id);
}

/** Seals and opens one stored object, with keys that are of no other. */
export class FileSeal {
  readonly #salt: Buffer;
  readonly #keyId: string;
  readonly #contentKey: Buffer;
  readonly #footerKey: Buffer;
  readonly #key: string;

  constructor(
    key: string,
    keyId: string,
    secret: Uint8Array,
    salt: Buffer = randomBytes(saltBytes),
  ) {
    this.#key = key;
    this.#keyId = keyId;
    this.#salt = salt;
    // Bound to the file's key: the object under another key gives other keys, which do not open it.
    const derive = (purpose: string): Buffer => {
      const info = JSON.stringify([mark.toString(), purpose, keyId, key]);
      // Hashed, since HKDF takes no info as long as a key may be.
      return Buffer.from(hkdfSync('sha256', secret, salt, hash('sha256', info, 'buffer'), 32));
    };
    this.#contentKey = derive('content');
    this.#footerKey = derive('footer');
  }

  /** The seal of a stored object by its footer. `secretOf` gives the key of an id. */
  static of(key: string, footer: Uint8Array, secretOf: (keyId: string) => Uint8Array): FileSeal {
    const bytes = Buffer.from(footer);
    if (bytes.length !== footerBytes || !bytes.subarray(0, mark.length).equals(mark))
      throw broken(key, 'it was not written by this layer, or its end is missing');
    const idStart = mark.length;
    const saltStart = idStart + keyIdBytes;
    const keyId = bytes.toString('latin1', idStart, saltStart).replace(/\0+$/, '');
    if (!isKeyId(keyId)) throw broken(key, 'its footer was changed');
    const salt = bytes.subarray(saltStart, saltStart + saltBytes);
    return new FileSeal(key, keyId, secretOf(keyId), salt);
  }

  /** A chunk of the content, which has this place among them. */
  sealChunk(index: number, chunk: Uint8Array): Buffer<ArrayBuffer> {
    return seal(this.#contentKey, nonceOf(index), chunk);
  }

  /** Throws `data-loss` unless it is the chunk that was sealed at this place. */
  openChunk(index: number, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
    const opened = open(this.#contentKey, nonceOf(index), sealed);
    if (!opened) throw broken(this.#key, `chunk ${index} is not what was stored`);
    return opened;
  }

  /** Ends the stored object: nothing can be cut off or added before it, and its facts and checksums are those of the content. */
  sealFooter(facts: SealedFacts, size: number, { sha256, crc32 }: Checksums): Buffer<ArrayBuffer> {
    const sums = Buffer.from(sha256 + crc32, 'hex');
    const id = Buffer.alloc(keyIdBytes);
    id.write(this.#keyId, 'latin1');
    return Buffer.concat([
      mark,
      id,
      this.#salt,
      seal(this.#footerKey, nonceOf(0), sums, describe(facts, size)),
    ]);
  }

  /** The checksums of the content. Throws `data-loss` when the object or its facts are not what was stored. */
  openFooter(footer: Uint8Array, facts: SealedFacts, size: number): Checksums {
    const sealed = footer.subarray(footerBytes - checksumBytes - tagBytes);
    const sums = open(this.#footerKey, nonceOf(0), sealed, describe(facts, size));
    if (!sums)
      throw broken(
        this.#key,
        'its length, type, metadata or key is not the one it was stored with',
      );
    const hex = Buffer.from(sums).toString('hex');
    return { sha256: hex.slice(0, 64), crc32: hex.slice(64) };
  }
}

/** What is stored is not what was put. */
export function broken(key: string, what: string): StorageFault {
  return new StorageFault({
    code: 'data-loss',
    message: `${JSON.stringify(key)} cannot be decrypted: ${what}. Restore it from a copy`,
    details: { key },
  });
}

function chunkCount(size: number): number {
  return Math.max(1, Math.ceil(size / chunkBytes));
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 6, 6);
  return nonce;
}

function describe({ key, contentType, cacheControl, metadata }: SealedFacts, size: number): Buffer {
  const entries = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(JSON.stringify([key, size, contentType, cacheControl ?? null, entries]));
}

function seal(
  key: Buffer,
  nonce: Buffer,
  plain: Uint8Array,
  associated?: Buffer,
): Buffer<ArrayBuffer> {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  if (associated) cipher.setAAD(associated);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

// Nothing of what does not carry its tag.
function open(
  key: Buffer,
  nonce: Buffer,
  sealed: Uint8Array,
  associated?: Buffer,
): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.byteLength < tagBytes) return undefined;
  const end = sealed.byteLength - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  if (associated) decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength);
}
