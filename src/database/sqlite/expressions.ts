import { sql } from 'kysely';

import type { SqlExpressions } from '../driver.ts';
import { jsonArray } from '../exact-json.ts';

/** SQLite compares text by its bytes, and holds nulls to be the smallest. */
export const sqliteExpressions: SqlExpressions = {
  nullsFirst: true,
  onConflict: true,
  byCodePoint: (text) => text,
  contains: (text, part) => sql`instr(${text}, ${part}) > 0`,
  startsWith: (text, part) => sql`substr(${text}, 1, length(${part})) = ${part}`,
  // A length of zero would ask substr for the whole text.
  endsWith: (text, part) =>
    part === '' ? sql`${text} is not null` : sql`substr(${text}, -length(${part})) = ${part}`,
  jsonText: (column) => column,
  isOneOf: (value, list) => sql`${value} in (select value from json_each(${list}))`,
  list: jsonArray,
  time: (value) => value.toISOString(),
};
