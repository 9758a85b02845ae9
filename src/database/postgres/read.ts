import { abortedBefore } from '../aborted.ts';
import type { StatementResult } from '../driver.ts';
import type { ExecutionOptions } from './execution.ts';

/** What a {@link Read} is made of. */
export interface ReadOptions extends ExecutionOptions {
  readonly signal: AbortSignal | undefined;
  /** Called when its caller has been let go of before there was an answer. */
  readonly onAbort: (read: Read) => void;
}

/** A read that somebody waits for. It may be sent on several lanes, and settles with the first answer. */
export class Read {
  readonly execution: ExecutionOptions;
  /** Settles once, as {@link Read.answer} and {@link Read.fail} say. */
  readonly result: Promise<StatementResult>;
  readonly #signal: AbortSignal | undefined;
  /** On how many lanes it is. */
  copies = 0;
  /** Where it was sent last. */
  latest: object | undefined;
  isSettled = false;
  /** How long it waited for a place; undefined when it had one at once. */
  waitedMs: number | undefined;
  #waiting: AbortController | undefined;
  #waitedSince = 0;
  #resolve!: (result: StatementResult) => void;
  #reject!: (error: unknown) => void;
  #onAbort: (() => void) | undefined;

  constructor({ signal, onAbort, ...execution }: ReadOptions) {
    this.execution = execution;
    this.#signal = signal;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal === undefined) return;
    this.#onAbort = () => {
      this.fail(abortedBefore(signal));
      onAbort(this);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** It waits for a place now, until it has settled or {@link Read.stopWaiting} is called. */
  startWaiting(): AbortSignal {
    this.#waiting = new AbortController();
    this.#waitedSince = performance.now();
    return this.#waiting.signal;
  }

  stopWaiting(): void {
    if (this.#waiting === undefined) return;
    this.waitedMs = (this.waitedMs ?? 0) + performance.now() - this.#waitedSince;
    this.#waiting.abort();
    this.#waiting = undefined;
  }

  answer(result: StatementResult): void {
    if (this.#settles()) this.#resolve(result);
  }

  fail(error: unknown): void {
    if (this.#settles()) this.#reject(error);
  }

  #settles(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.stopWaiting();
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
