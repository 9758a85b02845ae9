import { type CompiledQuery, InsertQueryNode } from 'kysely';

import { mostParameters, type WireValue } from './parameters.ts';
import type { Statement } from './connection.ts';

/** Rows that go in one statement, at most. */
const mostRows = 1000;

/** What the values of one statement may take, roughly, in bytes: a server may refuse messages of more than a megabyte. */
const mostBytes = 512 * 1024;

const lastTuple = /\bvalues (\(\?(?:, \?)*\))$/;

/**
 * The statements that run one statement for each row of parameters, in few messages: `insert … values (?, ?)` is given many rows at
 * once, which takes effect as a whole as it does row by row. Any other runs for each row.
 */
export function* batchesOf({
  sql,
  query,
  rows,
}: {
  readonly sql: string;
  readonly query: CompiledQuery['query'];
  readonly rows: readonly WireValue[][];
}): Generator<Statement, void> {
  const tuple = InsertQueryNode.is(query) ? lastTuple.exec(sql)?.[1] : undefined;
  const width = rows[0]?.length ?? 0;
  // As many as there are parameters, so that none of them stands elsewhere.
  if (tuple === undefined || tuple.split('?').length - 1 !== width) {
    for (const values of rows) yield { sql, values, query };
    return;
  }
  const limit = Math.min(mostRows, Math.floor(mostParameters / width));
  let start = 0;
  while (start < rows.length) {
    let end = start;
    for (let bytes = 0; end < rows.length && end - start < limit && bytes < mostBytes; end += 1)
      bytes += sizeOf(rows[end] ?? []);
    const values = rows.slice(start, end).flat();
    yield { sql: sql + `, ${tuple}`.repeat(end - start - 1), values, query };
    start = end;
  }
}

function sizeOf(values: readonly WireValue[]): number {
  let size = 0;
  for (const value of values)
    size += typeof value === 'string' || Buffer.isBuffer(value) ? value.length : 8;
  return size;
}
