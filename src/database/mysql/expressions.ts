import { type Expression, type RawBuilder, sql } from 'kysely';

import type { SqlExpressions } from '../driver.ts';
import { jsonArray } from '../exact-json.ts';

/**
 * The collation that compares by code points, blanks at the end included. It has another name on each server, and each reads a
 * comment of its own (https://mariadb.com/kb/en/comment-syntax/).
 */
const exact = sql.raw('/*M! utf8mb4_nopad_bin *//*!80017 utf8mb4_0900_bin */');

/** MySQL compares text by the rules of its column's collation, most of which ignore case, and holds nulls to be the smallest. */
export const mysqlExpressions: SqlExpressions = {
  nullsFirst: true,
  onConflict: false,
  byCodePoint,
  contains: (text, part) => sql`locate(${part}, ${byCodePoint(text)}) > 0`,
  startsWith: (text, part) => sql`left(${byCodePoint(text)}, char_length(${part})) = ${part}`,
  endsWith: (text, part) => sql`right(${byCodePoint(text)}, char_length(${part})) = ${part}`,
  jsonText: (column) => sql`cast(${column} as char)`,
  isOneOf: (value, list, type) =>
    type === 'text'
      ? sql`${value} in (select item collate ${exact} from json_table(${list}, '$[*]' columns (item longtext path '$')) as list)`
      : sql`${value} in (select item from json_table(${list}, '$[*]' columns (item bigint path '$')) as list)`,
  list: jsonArray,
  // Without a zone, so that a column of times takes it as one of text does.
  time: (value) => value.toISOString().replace('Z', ''),
};

function byCodePoint(text: Expression<unknown>): RawBuilder<string> {
  return sql<string>`${text} collate ${exact}`;
}
