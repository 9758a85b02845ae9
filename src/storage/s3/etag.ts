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

/** The content of an object that was made of parts of this size, held against its etag while it passes by. */
export async function* heldAgainstEtag(
  key: string,
  content: AsyncIterable<Uint8Array<ArrayBuffer>>,
  { etag, partSize }: { readonly etag: string; readonly partSize: number },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const etags: string[] = [];
  let part = createHash('md5');
  let filled = 0;
  for await (const chunk of content) {
    for (let taken = 0; taken < chunk.byteLength;) {
      if (filled === partSize) {
        etags.push(part.digest('hex'));
        part = createHash('md5');
        filled = 0;
      }
      const piece = chunk.subarray(taken, taken + partSize - filled);
      part.update(piece);
      filled += piece.byteLength;
      taken += piece.byteLength;
    }
    yield chunk;
  }
  etags.push(part.digest('hex'));
  const actual = etagOfParts(etags);
  if (actual === etag) return;
  throw new StorageFault({
    code: 'data-loss',
    message: `${JSON.stringify(key)} is corrupt: its content has the etag ${actual}, not ${etag}. Restore it from a copy`,
  });
}
