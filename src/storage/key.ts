import { type ErrorOrigin, invalidArgument } from '../core/index.ts';

/** The longest key, in bytes of UTF-8 (S3's limit). */
export const maxKeyBytes = 1024;

/** The longest segment between two slashes, in bytes of UTF-8 (the limit of common file systems). */
export const maxSegmentBytes = 255;

/** The first segment that the room keeps for itself. */
export const reservedSegment = '.underpin';

// Device names and characters that Windows forbids in file names; a key that one machine refuses must not be born on another.
const windowsDevice = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const forbiddenCharacter = /[\u0000-\u001f\u007f<>:"|?*\\]/;

const ignoredCharacters = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
// What another segment does not begin with, which is told in a tenth of the time.
const mayBeReserved = /^[.uU\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/;
const shortReserved = /^underp~\d+$/;

/**
 * Refuses, with `invalid-argument`, every key that some adapter or URL could not hold exactly: empty, over-long, absolute,
 * with `.`, `..` or empty segments, backslashes, control characters, characters and names that Windows forbids, lone surrogates,
 * or text that is not in Unicode Normalization Form C.
 */
export function checkKey(key: string, origin: ErrorOrigin): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw invalidArgument(origin, `the key ${quote(key)} ${fault}`);
}

/** Whether a text is a key that {@link checkKey} lets through. */
export function isKey(text: string): boolean {
  return keyFault(text) === undefined;
}

/** Like {@link checkKey} for the prefix of a list, which may be empty, end with a slash, or end in the middle of a segment. */
export function checkPrefix(prefix: string, origin: ErrorOrigin): void {
  if (prefix === '') return;
  if (isKey(prefix)) return;
  // A prefix that stops inside a segment says nothing of that segment's end: `con` is one of `contact`.
  const fault = keyFault(prefix.endsWith('/') ? prefix.slice(0, -1) : `${prefix}x`);
  if (fault !== undefined) throw invalidArgument(origin, `the prefix ${quote(prefix)} ${fault}`);
}

function keyFault(key: string): string | undefined {
  if (typeof key !== 'string') return 'is not a string';
  if (key === '') return 'is empty: give it at least one character';
  if (key.length > maxKeyBytes || Buffer.byteLength(key) > maxKeyBytes)
    return `is longer than ${maxKeyBytes} bytes`;
  if (!key.isWellFormed()) return 'has a lone surrogate, which UTF-8 cannot hold';
  if (forbiddenCharacter.test(key))
    return 'has a backslash, a control character or one of < > : " | ? *, which not every storage can hold';
  if (key !== key.normalize('NFC'))
    return "is not in Unicode Normalization Form C: pass key.normalize('NFC')";
  if (key.startsWith('/') || key.endsWith('/') || key.includes('//'))
    return 'starts or ends with a slash, or has two in a row: join names with one slash';
  const segments = key.split('/');
  if (namesReserved(segments[0] ?? ''))
    return `starts with ${reservedSegment}/, which the storage keeps for itself`;
  for (const segment of segments) {
    if (segment === '.' || segment === '..')
      return 'has a "." or ".." segment, which paths and URLs drop';
    if (segment.endsWith('.') || segment.endsWith(' '))
      return 'has a segment that ends with a dot or a space, which Windows drops';
    if (windowsDevice.test(segment))
      return `has the segment ${quote(segment)}, a device name on Windows`;
    if (segment.length > 63 && Buffer.byteLength(segment) > maxSegmentBytes)
      return `has a segment longer than ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

// Under any name that some file system takes for it: in other cases, with characters that HFS+ ignores, by Windows' short name.
function namesReserved(segment: string): boolean {
  if (!mayBeReserved.test(segment)) return false;
  const plain = segment.replaceAll(ignoredCharacters, '').toLowerCase();
  return plain === reservedSegment || shortReserved.test(plain);
}

function quote(text: unknown): string {
  const shown = typeof text === 'string' ? text : `(${typeof text})`;
  return JSON.stringify(shown.length > 100 ? `${shown.slice(0, 100)}…` : shown);
}

/** Orders keys as S3 does: by their bytes in UTF-8. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A key as the path of a URL. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/');
}
