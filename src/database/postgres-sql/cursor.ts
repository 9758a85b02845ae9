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

/** How a cursor is read. */
export interface CursorOptions {
  /** Rows in a chunk, at most. */
  readonly chunkSize: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether it outlives its transaction, for which PostgreSQL puts the rows aside first. Default: no. */
  readonly isHeld?: boolean;
}

/** Reads a query's rows in chunks, in the transaction that `execute` runs in. The cursor goes with the transaction, unless it is held. */
export async function* readCursor(
  execute: Execute,
  { sql, values }: { readonly sql: string; readonly values: WireValue[] },
  { chunkSize, signal, isHeld = false }: CursorOptions,
): AsyncGenerator<StatementResult, void> {
  cursors += 1;
  const name = `underpin_cursor_${cursors}`;
  const size = Math.max(1, Math.trunc(chunkSize));
  const hold = isHeld ? 'with hold ' : '';
  await execute(`declare ${name} no scroll cursor ${hold}for ${sql}`, values, { signal });
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
