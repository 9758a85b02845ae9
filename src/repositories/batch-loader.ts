import { abortable, type Context, currentContext } from '../core/index.ts';
import type { Row } from './driver.ts';
import { copyRow } from './row.ts';

type Load = (ids: readonly unknown[], signal: AbortSignal | undefined) => Promise<readonly Row[]>;

interface Batch {
  readonly context: Context;
  /** How many asked for each. */
  readonly ids: Map<unknown, number>;
  /** Of those who wait; `undefined` for who cannot be aborted. */
  readonly signals: Set<AbortSignal | undefined>;
  readonly rows: Promise<Map<unknown, Row>>;
}

/**
 * Answers all single reads of one tick and one context with one query, so that the query's event names whose work it was. A
 * read that is aborted stops waiting; the query itself is aborted when nobody waits any more.
 *
 * Our own, since the loaders to be had cache what they loaded, and know nothing of context or signals.
 */
export class BatchLoader {
  readonly #load: Load;
  readonly #idField: string;
  #open: Batch[] = [];

  constructor(idField: string, load: Load) {
    this.#idField = idField;
    this.#load = load;
  }

  async load(id: unknown, signal: AbortSignal | undefined): Promise<Row | undefined> {
    const context = currentContext();
    const batch = this.#open.find((open) => open.context === context) ?? this.#begin(context);
    batch.ids.set(id, (batch.ids.get(id) ?? 0) + 1);
    batch.signals.add(signal);
    const rows = await (signal === undefined ? batch.rows : abortable(batch.rows, signal));
    const row = rows.get(id);
    // Each caller may change what it gets, and those who asked for the same do not go on at the same moment.
    return row === undefined || batch.ids.get(id) === 1 ? row : copyRow(row);
  }

  #begin(context: Context): Batch {
    const ids = new Map<unknown, number>();
    const signals = new Set<AbortSignal | undefined>();
    const batch: Batch = { context, ids, signals, rows: this.#loadLater(ids, signals) };
    this.#open.push(batch);
    return batch;
  }

  async #loadLater(
    ids: ReadonlyMap<unknown, number>,
    signals: ReadonlySet<AbortSignal | undefined>,
  ): Promise<Map<unknown, Row>> {
    await endOfTick();
    this.#open = this.#open.filter((batch) => batch.ids !== ids);
    const joint = joinSignals(signals);
    try {
      const rows = await this.#load([...ids.keys()], joint.signal);
      return new Map(rows.map((row) => [row[this.#idField], row]));
    } finally {
      joint.release();
    }
  }
}

/** A signal that is aborted once all of these are. */
function joinSignals(signals: ReadonlySet<AbortSignal | undefined>): {
  readonly signal: AbortSignal | undefined;
  readonly release: () => void;
} {
  const [first] = signals;
  if (signals.size === 1 || signals.has(undefined)) {
    return { signal: signals.has(undefined) ? undefined : first, release: () => undefined };
  }
  const all = new AbortController();
  const released = new AbortController();
  const waiting = new Set(signals);
  for (const signal of signals) {
    const leave = (): void => {
      waiting.delete(signal);
      if (waiting.size === 0) all.abort(signal?.reason);
    };
    if (signal?.aborted) leave();
    else signal?.addEventListener('abort', leave, { once: true, signal: released.signal });
  }
  return { signal: all.signal, release: () => released.abort() };
}

// A tick that is asked for in a microtask comes once all microtasks have run: reads that these begin are in the batch too.
function endOfTick(): Promise<void> {
  return new Promise((resolve) => {
    queueMicrotask(() => {
      process.nextTick(resolve);
    });
  });
}
