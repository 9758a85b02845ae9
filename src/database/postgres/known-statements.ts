import { createHash } from 'node:crypto';

import { firstWordOf } from '../transaction-statements.ts';
import { Recent } from './recent.ts';

/** Texts that are remembered, at least. */
const knownTexts = 1000;

/** Longer texts, in characters, are of many rows or a long list, and seldom come again. */
const longestPrepared = 10_000;

/** Of so many uses one is sent behind another to find out how long it takes, unless it may take that long, in milliseconds. */
const triedEvery = 16;
const longestTriedMs = 5;

/** A statement's text, and what has been learnt of it. */
export class KnownStatement {
  readonly text: string;
  /** What the server is to keep it by; undefined while that would not pay. */
  name: string | undefined;
  /** How long the server mostly takes for it, in milliseconds, once that is known. */
  typicalMs: number | undefined;
  #isRead: boolean | undefined;
  #isSeen = false;
  #uses = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Whether it only reads, as far as its text tells: no function is called that is not known to do nothing else. */
  get isRead(): boolean {
    this.#isRead ??= readsOnly(this.text);
    return this.#isRead;
  }

  /** Called at each further use: what comes twice is worth being prepared. */
  seenAgain(): void {
    if (this.#isSeen) return;
    this.#isSeen = true;
    if (this.text.length > longestPrepared) return;
    // By its text, so that a pooler that hands out a connection with others' statements can never run another than this.
    this.name = `u_${createHash('sha256').update(this.text).digest('base64url').slice(0, 22)}`;
  }

  /**
   * Learns how long the server took for it once: exactly, where it had begun right after another; with a round trip, and whatever
   * else this process waited for, where it was alone. Soon believes that it is fast, and slowly that it is not.
   */
  took(milliseconds: number, isExact: boolean): void {
    const typicalMs = this.typicalMs ?? milliseconds;
    const weight = milliseconds < typicalMs ? 0.25 : isExact ? 0.03 : 0;
    this.typicalMs = typicalMs + (milliseconds - typicalMs) * weight;
  }

  /** Whether to send it behind another though it may take some time: else it could never be found to take none. */
  isTried(): boolean {
    this.#uses = (this.#uses + 1) % triedEvery;
    return this.#uses === 0 && (this.typicalMs ?? longestTriedMs) < longestTriedMs;
  }
}

/** The statements that were run of late, by their text. */
export class KnownStatements {
  readonly #arePrepared: boolean;
  readonly #statements = new Recent<string, KnownStatement>(knownTexts);

  /** `arePrepared`: whether the server may be told to keep them. */
  constructor(arePrepared: boolean) {
    this.#arePrepared = arePrepared;
  }

  of(text: string): KnownStatement {
    const known = this.#statements.get(text);
    if (known === undefined) {
      const statement = new KnownStatement(text);
      // Others, such as those of cursors and savepoints, are mostly never the same again.
      if (preparable.has(firstWordOf(text) ?? '')) this.#statements.add(text, statement);
      return statement;
    }
    if (this.#arePrepared) known.seenAgain();
    return known;
  }
}

const preparable: ReadonlySet<string> = new Set([
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'values',
  'with',
]);

const texts = /'(?:[^']|'')*'/g;
const names = /"(?:[^"]|"")*"/g;
const called = /([\w"]+)\s*\(/g;
// Also what could hide something from the two above: comments, escapes, and texts between dollars.
const doubtful = /\b(?:insert|update|delete|merge|into|for|call)\b|\\|\$\D|--|\/\*/i;

/** What may stand before a parenthesis in a statement that only reads. */
const harmless: ReadonlySet<string> = new Set(
  `all and any array as between by case collate distinct else except exists filter from group having in intersect is join
  lateral like ilike limit not offset on or order over select some then union using values when where with within
  bigint char decimal numeric time timestamp timestamptz varchar
  abs array_agg array_length avg bool_and bool_or btrim cardinality cast ceil ceiling char_length coalesce concat concat_ws
  count cume_dist date_part date_trunc dense_rank extract first_value floor generate_series greatest json_agg
  json_array_length json_build_array json_build_object jsonb_agg jsonb_array_elements jsonb_array_length
  jsonb_build_array jsonb_build_object jsonb_extract_path_text lag last_value lead least left length lower lpad ltrim
  make_interval max md5 min mod now nullif octet_length percent_rank position power rank regexp_replace replace
  right round row row_number row_to_json rpad rtrim sign split_part sqrt starts_with string_agg strpos substr
  substring sum to_char to_date to_json to_jsonb to_timestamp trim trunc unnest upper`.split(/\s+/),
);

function readsOnly(text: string): boolean {
  // A name before a parenthesis may be a function's, whatever it is.
  const bare = text.replaceAll(texts, "''").replaceAll(names, '""');
  if (firstWordOf(text) !== 'select' || doubtful.test(bare)) return false;
  for (const [, name = ''] of bare.matchAll(called))
    if (!harmless.has(name.toLowerCase())) return false;
  return true;
}
