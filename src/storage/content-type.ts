import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type';
import mime from 'mime';

import { type ErrorOrigin, invalidArgument } from '../core/index.ts';

const unknownContentType = 'application/octet-stream';
// Types whose content begins as that of the format it is made of.
const containers: ReadonlyMap<string, RegExp> = new Map([
  ['application/zip', /^application\/(?:vnd\.|epub\+zip$|java-archive$|x-.*zip)|\+zip$/],
  ['application/xml', /^(?:text\/(?:xml|html)|.*\+xml)$/],
  ['application/x-cfb', /^application\/(?:msword|vnd\.ms-)/],
  ['application/gzip', /^application\/(?:x-)?(?:gzip|tgz|gtar|compressed-tar)/],
]);

/** Tells a content type by the first bytes; where they say nothing (text has no signature), by the key's extension. */
export async function detectContentType(sample: Uint8Array, key: string): Promise<string> {
  const detected = await fileTypeFromBuffer(sample).catch(() => undefined);
  if (detected !== undefined) return detected.mime;
  const byName = mime.getType(key);
  if (byName === null) return unknownContentType;
  return byName.startsWith('text/') ? `${byName}; charset=utf-8` : byName;
}

/** A content type without its parameters, in lower case. */
export function essenceOf(contentType: string): string {
  return contentType.replace(/;.*$/, '').trim().toLowerCase();
}

/**
 * Refuses a declared type that the first bytes contradict: they have the signature of another type, or not the one that
 * content of the declared type always has.
 */
export async function checkContentType(
  declared: string,
  sample: Uint8Array,
  origin: ErrorOrigin,
): Promise<void> {
  const essence = essenceOf(declared);
  // It says nothing that could be wrong.
  if (essence === unknownContentType) return;
  const detected = (await fileTypeFromBuffer(sample).catch(() => undefined))?.mime;
  const hasSignature = supportedMimeTypes.has(essence);
  if (detected === essence || (detected === undefined && !hasSignature)) return;
  // What is made of another format, as most of today's office documents are of ZIP, is told apart by more than the first bytes.
  if (detected !== undefined && containers.get(detected)?.test(essence) === true) return;
  throw invalidArgument(
    origin,
    detected === undefined
      ? `the content is not ${essence}: it does not begin as such content does`
      : `the content is ${detected}, and not ${essence} as was declared`,
    { declared: essence, detected },
  );
}
