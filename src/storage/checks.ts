import { type ErrorOrigin, invalidArgument } from '../core/index.ts';
import type { BodyExpectations } from './body.ts';
import type { ByteRange, FileFacts } from './driver.ts';

// S3's limit of 2 KiB, less what the adapter keeps there.
const maxMetadataBytes = 1856;
// Ceph answers 500 to one of 128.
const metadataName = /^[a-z0-9][a-z0-9-]{0,63}$/;
const printable = /^[\u0020-\u007e]*$/;
const mediaType =
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[\w !#-[\]-~]*"))*$/;

/** Refuses what could not stand in a `Content-Disposition` header. */
export function checkDisposition(contentDisposition: string, origin: ErrorOrigin): void {
  if (printable.test(contentDisposition)) return;
  throw invalidArgument(
    origin,
    "contentDisposition is not printable ASCII: write other characters as RFC 8187's filename*",
  );
}

/** Refuses what is no content type. */
export function checkMediaType(contentType: string, origin: ErrorOrigin): void {
  if (contentType.length <= 255 && mediaType.test(contentType)) return;
  throw invalidArgument(
    origin,
    `${JSON.stringify(contentType.slice(0, 100))} is not a content type: write it as type/subtype`,
  );
}

/** Refuses a size or a checksum that no content can have. */
export function checkExpectations(
  { size, sha256, crc32 }: Omit<BodyExpectations, 'signal'>,
  origin: ErrorOrigin,
): void {
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0))
    throw invalidArgument(origin, `size ${size} is not a number of bytes`);
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256))
    throw invalidArgument(origin, 'sha256 is not 64 hexadecimal digits');
  if (crc32 !== undefined && !/^[0-9a-f]{8}$/i.test(crc32))
    throw invalidArgument(origin, 'crc32 is not 8 hexadecimal digits');
}

/** Refuses facts that some storage or a header could not hold exactly. */
export function checkFacts(
  { contentType, cacheControl, metadata = {} }: Partial<FileFacts>,
  origin: ErrorOrigin,
): void {
  if (contentType !== undefined) checkMediaType(contentType, origin);
  if (cacheControl !== undefined && !printable.test(cacheControl))
    throw invalidArgument(origin, 'cacheControl is not printable ASCII');
  let length = 0;
  for (const [name, value] of Object.entries(metadata)) {
    if (!metadataName.test(name))
      throw invalidArgument(
        origin,
        `the metadata name ${JSON.stringify(name)} is not made of 1 to 64 lower-case letters, digits and dashes`,
      );
    if (typeof value !== 'string' || !printable.test(value) || value !== value.trim()) {
      throw invalidArgument(
        origin,
        `the value of metadata "${name}" is not printable ASCII without spaces around it: encode it, for example with encodeURIComponent`,
      );
    }
    length += name.length + value.length;
  }
  if (length > maxMetadataBytes)
    throw invalidArgument(
      origin,
      `the metadata has ${length} bytes, more than ${maxMetadataBytes}: store it as a file of its own`,
    );
}

/** Refuses what is no range. */
export function checkRange(range: ByteRange, origin: ErrorOrigin): void {
  const numbers = [range.start, range.end, range.suffix].filter((value) => value !== undefined);
  const isWhole = numbers.every((value) => Number.isSafeInteger(value) && value >= 0);
  const isOrdered =
    range.start === undefined || range.end === undefined || range.start <= range.end;
  if (
    isWhole &&
    isOrdered &&
    range.suffix !== 0 &&
    (range.start === undefined) !== (range.suffix === undefined)
  )
    return;
  throw invalidArgument(
    origin,
    `${JSON.stringify(range)} is not a range: give start and end, start alone, or suffix, in bytes`,
  );
}
