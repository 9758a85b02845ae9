// The thread that changes the folder reads this, and is to be there within milliseconds: of the house it imports only what imports nothing.
import { isTexts } from '../texts.ts';

/** What the file system does not know of a file. */
export interface Facts {
  readonly contentType: string;
  readonly cacheControl?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sha256: string;
  readonly crc32: string;
}

// The facts of each version of a file lie in a file of their own beside the tree, its sidecar. The version is the file's modification
// time in units of ten microseconds, and is set to be unique for its key: whichever version is in place after a crash finds its own
// facts, and a file that somebody else wrote or changed finds none.

/** The version of a file by its modification time. */
export function versionOf({ mtimeMs }: { readonly mtimeMs: number }): number {
  return Math.floor(mtimeMs * 100);
}

/** A version's modification time in seconds: the middle of its unit, so that no rounding on the way reaches another. */
export function modificationTime(version: number): number {
  return (version + 0.5) / 100_000;
}

/** When the version was written. */
export function writtenAt(version: number): Date {
  return new Date(Math.floor(version / 100));
}

/** The etag of a file with these facts, or of one that somebody else wrote. */
export function etagOf(facts: Facts | undefined, version: number, size: number): string {
  return facts?.sha256.slice(0, 32) ?? `${version.toString(36)}-${size.toString(36)}`;
}

/** The text of a sidecar. It names its key, so that the key can be found again from it. */
export function serializeFacts(key: string, facts: Facts): string {
  return JSON.stringify({ key, ...facts });
}

/** The facts and the key in the text of a sidecar; nothing for what was cut short or is none. */
export function parseFacts(
  text: string,
): { readonly key: string; readonly facts: Facts } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { key, contentType, cacheControl, metadata, sha256, crc32 } = value as Partial<
    Record<keyof Facts | 'key', unknown>
  >;
  const isKnown =
    typeof key === 'string' &&
    typeof contentType === 'string' &&
    typeof sha256 === 'string' &&
    typeof crc32 === 'string';
  if (
    !isKnown ||
    (cacheControl !== undefined && typeof cacheControl !== 'string') ||
    !isTexts(metadata)
  )
    return undefined;
  return {
    key,
    facts: {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      sha256,
      crc32,
    },
  };
}
