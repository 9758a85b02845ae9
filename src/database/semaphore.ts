import { InfrastructureError, longestTimer } from '../core/index.ts';
import { abortedBefore } from './aborted.ts';

/** How long, and for whom, a place is waited for. */
export interface AcquireOptions {
  /** In milliseconds, at most {@link longestTimer}. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Called in the step in which whoever had the place gives it up: what it leaves with the place can be taken there. */
  readonly onAdmitted?: (() => void) | undefined;
}

interface Waiter {
  readonly admit: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Lets so many in at once; the others wait in their order, for a bounded time. */
export class Semaphore {
  readonly #what: string;
  readonly #places: number;
  #free: number;
  // A Set keeps its order, and a waiter that gives up leaves it at once.
  readonly #waiters = new Set<Waiter>();

  /** `what` names the thing waited for in errors, such as `the writer of "app.db"`. */
  constructor(what: string, places: number) {
    this.#what = what;
    this.#places = places;
    this.#free = places;
  }

  /** Whether nobody holds a place. */
  get isIdle(): boolean {
    return this.#free === this.#places;
  }

  /** Whether every place is held. */
  get isFull(): boolean {
    return this.#free === 0;
  }

  /** Whether somebody waits for a place. */
  get isContended(): boolean {
    return this.#waiters.size > 0;
  }

  /** Takes a place if one is free and nobody waits. */
  tryAcquire(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  /**
   * Takes a place, and gives how long it was waited for, in milliseconds; undefined when one was free. Throws `cancelled` or `deadline-exceeded` when the signal is aborted, or `resource-exhausted` with the number
   * of those who wait; each with outcome `not-applied`.
   */
  async acquire({ timeout, signal, onAdmitted }: AcquireOptions): Promise<number | undefined> {
    if (signal?.aborted) throw abortedBefore(signal);
    if (this.tryAcquire()) return undefined;
    const startedAt = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = {
      admit: () => {
        onAdmitted?.();
        resolve();
      },
      refuse: reject,
    };
    // Whoever gives up leaves the queue in the same step, or a place given to it would be lost.
    const giveUp = (error: unknown): void => {
      if (this.#waiters.delete(waiter)) reject(error);
    };
    const onAbort = (): void => {
      if (signal) giveUp(abortedBefore(signal));
    };
    const timer = setTimeout(() => {
      giveUp(this.#timedOut(timeout));
    }, timeout);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiters.add(waiter);
    try {
      await promise;
      return performance.now() - startedAt;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Gives the place to whoever has waited longest. */
  release(): void {
    for (const next of this.#waiters) {
      this.#waiters.delete(next);
      next.admit();
      return;
    }
    this.#free += 1;
  }

  /** Resolves once nobody holds a place; those who wait go first. Throws as `acquire` does. */
  async untilIdle(signal?: AbortSignal): Promise<void> {
    let taken = 0;
    try {
      for (; taken < this.#places; taken += 1)
        await this.acquire({ timeout: longestTimer, signal });
    } finally {
      for (; taken > 0; taken -= 1) this.release();
    }
  }

  /** Refuses all who wait. */
  refuseAll(error: unknown): void {
    for (const waiter of this.#waiters) waiter.refuse(error);
    this.#waiters.clear();
  }

  #timedOut(timeout: number): InfrastructureError {
    const waiting = this.#waiters.size;
    return new InfrastructureError({
      code: 'resource-exhausted',
      component: 'database',
      message: `${this.#what} was not free within ${timeout} ms, and ${waiting} wait for it: shorten the transactions that hold it, and await nothing slow in them`,
      outcome: 'not-applied',
      // Whoever asks again at once makes the queue longer.
      retryAfterMs: timeout,
      details: { waiting },
    });
  }
}
