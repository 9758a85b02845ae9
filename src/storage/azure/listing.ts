import type { DriverList, ListedFile, ListPage } from '../driver.ts';
import { compareKeys, reservedSegment } from '../key.ts';

/** A request for one page of Azure's list. */
export interface Query {
  readonly prefix: string;
  readonly delimiter: '/' | undefined;
  /** Only from this name on, itself included. */
  readonly startFrom: string | undefined;
  /** Where the page before it ended. */
  readonly marker: string | undefined;
  readonly limit: number;
}

/** The answer to it: in the order of the names, files and prefixes each for themselves. */
export interface Answer {
  readonly files: readonly ListedFile[];
  readonly prefixes: readonly string[];
  /** Absent on the last page. */
  readonly marker?: string;
}

interface Entry {
  readonly key: string;
  /** Absent for a prefix. */
  readonly file?: ListedFile;
}

const reserved = `${reservedSegment}/`;

/**
 * One page of a list. Azure's own pages go on by a marker that it alone can read; these go on after a key, from which it is told to
 * start. It orders names as texts of UTF-16, where the characters beyond U+FFFF come before those from U+E000 on; the order of UTF-8 is
 * the other way round. So a file whose key has such a character waits until nothing can come that belongs before it.
 */
export async function listPage(
  { prefix, delimiter, after, limit }: DriverList,
  fetchPage: (query: Query) => Promise<Answer>,
): Promise<ListPage> {
  const startFrom = startOf(after, prefix, delimiter);
  let waiting: Entry[] = [];
  let open: readonly string[] = [];
  for (let marker: string | undefined; ;) {
    // One more than asked for: it begins with what the last page ended with.
    const page = await fetchPage({
      prefix,
      delimiter,
      startFrom,
      marker,
      limit: limit + 1,
    });
    const entries: Entry[] = [
      ...page.files.map((file) => ({ key: file.key, file })),
      ...page.prefixes.map((key) => ({ key })),
    ];
    // One of the two is what Azure gave last.
    const last = [page.files.at(-1)?.key, page.prefixes.at(-1)].filter((key) => key !== undefined);
    if (last.length > 0) open = last;
    waiting.push(...entries.filter(({ key }) => isWanted(key, after)));
    const isLast = page.marker === undefined;
    const settled = waiting
      .filter(({ key }) => isLast || isSettled(key, open))
      .toSorted((a, b) => compareKeys(a.key, b.key));
    waiting = waiting.filter((entry) => !settled.includes(entry));
    const given = settled.slice(0, limit);
    const next = given.at(-1)?.key;
    if (isLast && given.length === settled.length) return pageOf(given);
    if (next !== undefined) return { ...pageOf(given), next };
    marker = page.marker;
  }
}

/** Neither what the storage keeps for itself, nor what comes up to `after`. */
function isWanted(key: string, after: string | undefined): boolean {
  return !key.startsWith(reserved) && (after === undefined || compareKeys(key, after) > 0);
}

/** A name from which on all that comes after `after` is listed, whether Azure orders by UTF-8 or by UTF-16. */
function startOf(
  after: string | undefined,
  prefix: string,
  delimiter: '/' | undefined,
): string | undefined {
  // Of a folded list, Azure starts at what it shows, not below it.
  const slash =
    delimiter !== undefined && after?.startsWith(prefix)
      ? after.indexOf(delimiter, prefix.length)
      : -1;
  const shown = slash === -1 ? after : after?.slice(0, slash);
  return shown?.replace(/[\u{E000}-\u{10FFFF}].*$/su, '') || undefined;
}

/** Whether nothing that Azure may yet list belongs before the key, when it has come as far as `open`. */
function isSettled(key: string, open: readonly string[]): boolean {
  const disputed = key.search(/[\u{10000}-\u{10FFFF}]/u);
  return disputed === -1 || !open.some((last) => last.startsWith(key.slice(0, disputed)));
}

function pageOf(entries: readonly Entry[]): ListPage {
  return {
    files: entries.flatMap(({ file }) => file ?? []),
    prefixes: entries.flatMap(({ key, file }) => (file ? [] : [key])),
  };
}
