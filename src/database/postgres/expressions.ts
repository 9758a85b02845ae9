import { type Expression, type RawBuilder, sql } from 'kysely';

import type { SqlExpressions } from '../driver.ts';

/** PostgreSQL sorts text by the rules of the database's language unless told otherwise, and holds nulls to be the largest. */
export const postgresExpressions: SqlExpressions = {
  nullsFirst: false,
  onConflict: true,
  byCodePoint,
  contains: (text, part) => sql`strpos(${byCodePoint(text)}, ${part}) > 0`,
  startsWith: (text, part) => sql`starts_with(${byCodePoint(text)}, ${part})`,
  endsWith: (text, part) => sql`right(${byCodePoint(text)}, length(${part})) = ${part}`,
  jsonText: (column) => sql`cast(${column} as text)`,
  isOneOf: (value, list) => sql`${value} = any(${list})`,
  list: (values) => values,
  time: (value) => value.toISOString(),
};

// The bytes of UTF-8 sort as code points do. The cast is nothing to a column of text, and lets others such as uuid have a collation.
function byCodePoint(text: Expression<unknown>): RawBuilder<string> {
  return sql<string>`cast(${text} as text) collate "C"`;
}
