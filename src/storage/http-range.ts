import type { ByteRange } from './driver.ts';

// More are not worth what they cost, and are a known way to exhaust a server (RFC 9110 §14.2 leaves it to the server).
const mostRanges = 16;

/** First and last byte. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** The ranges of a `Range` header (RFC 9110 §14.2); nothing for one that is to be ignored: of another unit, malformed, or of too many. */
export function parseRanges(header: string | null): readonly ByteRange[] | undefined {
  const [, list] = /^bytes=(.*)$/.exec(header ?? '') ?? [];
  const entries = list?.split(',', mostRanges + 1) ?? [];
  if (entries.length > mostRanges) return undefined;
  const ranges: ByteRange[] = [];
  for (const entry of entries) {
    const range = parseRange(entry.trim());
    if (!range) return undefined;
    ranges.push(range);
  }
  return ranges.length === 0 ? undefined : ranges;
}

function parseRange(text: string): ByteRange | undefined {
  const [, first, last] = /^(\d{0,15})-(\d{0,15})$/.exec(text) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return Number(last) === 0 ? undefined : { suffix: Number(last) };
  if (last === '') return { start: Number(first) };
  return Number(first) <= Number(last) ? { start: Number(first), end: Number(last) } : undefined;
}

/** What there is of these ranges in a file of this size, in the order asked for. */
export function extentsOf(ranges: readonly ByteRange[], size: number): readonly Extent[] {
  return ranges
    .map((range) => ({
      start: range.suffix === undefined ? range.start : Math.max(0, size - range.suffix),
      end: Math.min(range.end ?? size - 1, size - 1),
    }))
    .filter(({ start }) => start < size);
}
