import {
  type Expression,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
} from 'kysely';

import type { SqlDialect, SqlExpressions } from '../driver.ts';
import { describePostgresSchema } from './describe-schema.ts';

/** PostgreSQL sorts text by the rules of the database's language unless told otherwise, and holds nulls to be the largest. */
const expressions: SqlExpressions = {
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

/** How PostgreSQL's SQL is written, on a server or within the process. */
export const postgresDialect: SqlDialect = {
  createAdapter: () => new PostgresAdapter(),
  createIntrospector: (query) => new PostgresIntrospector(query),
  createQueryCompiler: () => new PostgresQueryCompiler(),
  expressions,
  describeSchema: describePostgresSchema,
};

// The bytes of UTF-8 sort as code points do. The cast is nothing to a column of text, and lets others such as uuid have a collation.
function byCodePoint(text: Expression<unknown>): RawBuilder<string> {
  return sql<string>`cast(${text} as text) collate "C"`;
}
