import type { StatementResult } from '../driver.ts';
import type { WireValue } from './parameters.ts';
import type { AnswerOptions } from './session.ts';

let cursors = 0;

/** What a cursor runs its statements with. */
export type Execute = (
  sql: string,
  values: WireValue[],
  options: AnswerOptions,
) => Promise<StatementResult>;

/** Reads a query's rows in chunks, in the transaction that `execute` runs in. The cursor goes with the transaction, if not before. */
export async function* readCursor(
  execute: Execute,
  { sql, values }: { readonly sql: string; readonly values: WireValue[] },
  { chunkSize, signal }: { readonly chunkSize: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<StatementResult, void> {
  cursors += 1;
  const name = `underpin_cursor_${cursors}`;
  const size = Math.max(1, Math.trunc(chunkSize));
  await execute(`declare ${name} no scroll cursor for ${sql}`, values, { signal });
  let isOpen = true;
  try {
    while (isOpen) {
      const { rows } = await execute(`fetch ${size} from ${name}`, [], { signal });
      isOpen = rows.length === size;
      if (rows.length > 0) yield { rows };
    }
  } finally {
    // Of a transaction that has failed or ended there is nothing to close.
    await execute(`close ${name}`, [], {}).catch(() => undefined);
  }
}
