import type { ByteRange } from './driver.ts';
import { rangeUnsatisfiable } from './errors.ts';

/** First and last byte of a range within a file of this size, cut at its end. Throws when it starts past the end. */
export function resolveRange(
  range: ByteRange,
  size: number,
  key: string,
): { readonly start: number; readonly end: number } {
  const start = range.suffix === undefined ? range.start : Math.max(0, size - range.suffix);
  if (start >= size) throw rangeUnsatisfiable(key, size);
  return { start, end: Math.min(range.end ?? size - 1, size - 1) };
}
