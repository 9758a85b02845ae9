import { type Context, currentContext } from '../core/index.ts';
import type { Row } from './driver.ts';
import { copyRow } from './row.ts';

interface Batch {
  readonly context: Context;
  readonly signal: AbortSignal | undefined;
  readonly ids: Set<unknown>;
  readonly rows: Promise<Map<unknown, Row>>;
}

/**
 * Answers all single reads of one tick with one query. Reads share a batch only when they share the context and the signal, so
 * that the query is cancelled with those who wait for it, and its event names whose work it was.
 *
 * Our own, since the loaders to be had cache what they loaded, and know nothing of context or signals.
 */
export class BatchLoader {
  readonly #load: (
    ids: readonly unknown[],
    signal: AbortSignal | undefined,
  ) => Promise<readonly Row[]>;
  readonly #idField: string;
  #open: Batch[] = [];

  constructor(
    idField: string,
    load: (ids: readonly unknown[], signal: AbortSignal | undefined) => Promise<readonly Row[]>,
  ) {
    this.#idField = idField;
    this.#load = load;
  }

  async load(id: unknown, signal: AbortSignal | undefined): Promise<Row | undefined> {
    const context = currentContext();
    const batch =
      this.#open.find((open) => open.context === context && open.signal === signal) ??
      this.#begin(context, signal);
    const isFirst = !batch.ids.has(id);
    if (isFirst) batch.ids.add(id);
    const row = (await batch.rows).get(id);
    // Each caller may change what it gets.
    return row === undefined || isFirst ? row : copyRow(row);
  }

  #begin(context: Context, signal: AbortSignal | undefined): Batch {
    const ids = new Set<unknown>();
    const batch: Batch = { context, signal, ids, rows: this.#loadLater(ids, signal) };
    this.#open.push(batch);
    return batch;
  }

  async #loadLater(
    ids: ReadonlySet<unknown>,
    signal: AbortSignal | undefined,
  ): Promise<Map<unknown, Row>> {
    await endOfTick();
    this.#open = this.#open.filter((batch) => batch.ids !== ids);
    const rows = await this.#load([...ids], signal);
    return new Map(rows.map((row) => [row[this.#idField], row]));
  }
}

// A tick that is asked for in a microtask comes once all microtasks have run: reads that these begin are in the batch too.
function endOfTick(): Promise<void> {
  return new Promise((resolve) => {
    queueMicrotask(() => {
      process.nextTick(resolve);
    });
  });
}
