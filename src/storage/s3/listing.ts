import type { DriverList, ListedFile, ListPage } from '../driver.ts';
import { compareKeys, reservedSegment } from '../key.ts';

/** A request for one page of a list. */
interface Query {
  readonly Prefix?: string;
  readonly Delimiter?: string;
  readonly StartAfter?: string;
  readonly MaxKeys: number;
  /** Keys may hold what XML cannot. */
  readonly EncodingType: 'url';
}

/** The server's answer to it. */
interface Answer {
  readonly Contents?:
    | readonly {
        readonly Key?: string | undefined;
        readonly Size?: number | undefined;
        readonly LastModified?: Date | undefined;
      }[]
    | undefined;
  readonly CommonPrefixes?: readonly { readonly Prefix?: string | undefined }[] | undefined;
  readonly IsTruncated?: boolean | undefined;
}

// The last of all characters: what starts with a prefix comes before the prefix with this.
const lastCharacter = '\u{10FFFF}';
// Below it lies what the adapter keeps for itself.
const hidden = `${reservedSegment}/`;

/** One page of a list. S3 would give a folded prefix again when a page goes on after it or after a key below it. */
export async function listPage(
  { prefix, delimiter, after, limit }: DriverList,
  fetchPage: (query: Query) => Promise<Answer>,
): Promise<ListPage> {
  const folded = foldedOf(after, prefix, delimiter);
  for (let start = folded === undefined ? after : `${folded}${lastCharacter}`; ;) {
    const answer = await fetchPage({
      ...(prefix === '' ? {} : { Prefix: prefix }),
      ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
      ...(start === undefined ? {} : { StartAfter: start }),
      MaxKeys: limit,
      EncodingType: 'url',
    });
    const stored = (answer.Contents ?? []).map(
      ({ Key = '', Size = 0, LastModified = new Date(0) }): ListedFile => ({
        key: decode(Key),
        size: Size,
        lastModified: LastModified,
      }),
    );
    const all = (answer.CommonPrefixes ?? []).map(({ Prefix = '' }) => decode(Prefix));
    const files = stored.filter(({ key }) => !key.startsWith(hidden));
    const prefixes = all.filter((one) => one !== folded && one !== hidden);
    const names = [...stored.map(({ key }) => key), ...all].toSorted(compareKeys);
    const last = names.at(-1);
    if (answer.IsTruncated !== true || last === undefined) return { files, prefixes };
    const next = names.findLast((name) => !name.startsWith(hidden));
    if (files.length + prefixes.length > 0 && next !== undefined) return { files, prefixes, next };
    if (last.startsWith(hidden)) start = `${hidden}${lastCharacter}`;
    else start = last.endsWith('/') ? `${last}${lastCharacter}` : last;
  }
}

function foldedOf(
  after: string | undefined,
  prefix: string,
  delimiter: string | undefined,
): string | undefined {
  if (delimiter === undefined || after === undefined || !after.startsWith(prefix)) return undefined;
  const slash = after.indexOf(delimiter, prefix.length);
  return slash === -1 ? undefined : after.slice(0, slash + 1);
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
