import { createHash } from 'node:crypto';

import { StorageFault } from '../errors.ts';

const digest = /^[0-9a-f]{32}$/;

/**
 * The etag of an object that was made of parts with these: the MD5 of their MD5s, and their number. Nothing where a server's etags
 * are no MD5s, as with its keys of AWS KMS.
 */
export function etagOfParts(etags: readonly string[]): string | undefined {
  if (!etags.every((etag) => digest.test(etag))) return undefined;
  const md5 = createHash('md5');
  for (const etag of etags) md5.update(Buffer.from(etag, 'hex'));
  return `${md5.digest('hex')}-${etags.length}`;
}

/** The MD5 of bytes, as S3 gives it as the etag of what was sent in one request. */
export function etagOfBytes(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

/** The etag of a content that was made of parts of this size, while it passes by. */
class PartedDigest {
  readonly #partSize: number;
  readonly #etags: string[] = [];
  #part = createHash('md5');
  #filled = 0;

  constructor(partSize: number) {
    this.#partSize = partSize;
  }

  update(chunk: Uint8Array): void {
    for (let taken = 0; taken < chunk.byteLength;) {
      if (this.#filled === this.#partSize) {
        this.#etags.push(this.#part.digest('hex'));
        this.#part = createHash('md5');
        this.#filled = 0;
      }
      const piece = chunk.subarray(taken, taken + this.#partSize - this.#filled);
      this.#part.update(piece);
      this.#filled += piece.byteLength;
      taken += piece.byteLength;
    }
  }

  /** Once, after the last piece. */
  digest(): string | undefined {
    return etagOfParts([...this.#etags, this.#part.digest('hex')]);
  }
}

/**
 * The content of an object, held against its etag while it passes by. Not a generator: returned before its first step, that would
 * not close the content.
 */
export function heldAgainstEtag(
  key: string,
  content: AsyncIterable<Uint8Array<ArrayBuffer>>,
  { etag, partSize }: { readonly etag: string; readonly partSize: number },
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  return {
    [Symbol.asyncIterator]() {
      const source = content[Symbol.asyncIterator]();
      const digest = new PartedDigest(partSize);
      return {
        async next() {
          const step = await source.next();
          if (step.done === true) checkEtag(key, etag, digest.digest());
          else digest.update(step.value);
          return step;
        },
        async return() {
          await source.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function checkEtag(key: string, expected: string, actual: string | undefined): void {
  if (actual === expected) return;
  throw new StorageFault({
    code: 'data-loss',
    message: `${JSON.stringify(key)} is corrupt: its content has the etag ${actual}, not ${expected}. Restore it from a copy`,
  });
}
