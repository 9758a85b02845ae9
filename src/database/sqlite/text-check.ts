import { isUtf8 } from 'node:buffer';
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';

import { InfrastructureError } from '../../core/index.ts';

/** Whether a text holds the character that `node:sqlite` gives for bytes that are no UTF-8. */
export function hasReplacement(tuples: readonly (readonly SQLOutputValue[])[]): boolean {
  for (const tuple of tuples)
    for (const value of tuple)
      if (typeof value === 'string' && value.includes('\ufffd')) return true;
  return false;
}

/**
 * Reads again, as bytes, what gave a text with U+FFFD in it. Throws `data-loss` when it stood for bytes that are no UTF-8, which
 * only another program can have written. A statement that cannot be read again, since it writes, is let through.
 */
export function assertUtf8(
  native: DatabaseSync,
  sql: string,
  values: readonly SQLInputValue[],
): void {
  const read = prepareBytes(native, sql);
  if (read === undefined) return;
  for (const row of read.bytes.iterate(...values)) {
    const index = (row as unknown as readonly SQLOutputValue[]).findIndex(
      (cell) => cell instanceof Uint8Array && !isUtf8(cell),
    );
    if (index === -1) continue;
    throw new InfrastructureError({
      code: 'data-loss',
      component: 'database',
      adapter: 'sqlite',
      outcome: 'not-applied',
      message: `the column "${read.columns[index]}" holds text that is not UTF-8, which another program must have written: read its bytes with cast(… as blob), and write it anew`,
      details: { columns: [read.columns[index]] },
    });
  }
}

function prepareBytes(
  native: DatabaseSync,
  sql: string,
): { readonly bytes: StatementSync; readonly columns: readonly string[] } | undefined {
  try {
    const encoding = native.prepare('pragma encoding').get()?.['encoding'];
    if (encoding !== 'UTF-8') return undefined;
    const plain = native.prepare(sql);
    const columns = plain.columns().map(({ name }) => name);
    const names = columns.map((_, index) => `c${index}`);
    const cells = names.map(
      (name) => `case typeof(${name}) when 'text' then cast(${name} as blob) end`,
    );
    const inner = plain.sourceSQL.replace(/;\s*$/, '');
    // The line break ends a comment.
    const bytes = native.prepare(
      `with t (${names.join()}) as (${inner}\n) select ${cells.join()} from t`,
    );
    bytes.setReturnArrays(true);
    return { bytes, columns };
  } catch {
    return undefined;
  }
}
