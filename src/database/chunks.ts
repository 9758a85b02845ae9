import type { StatementResult } from './driver.ts';

/** Rows that are there already, as a stream gives them. */
export function* inChunks(
  { rows, ...rest }: StatementResult,
  chunkSize: number,
): Generator<StatementResult, void> {
  for (let start = 0; start < rows.length; start += chunkSize)
    yield { ...rest, rows: rows.slice(start, start + chunkSize) };
}
