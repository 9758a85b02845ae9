import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

import { InfrastructureError } from './errors.ts';

/** Time, as components see it, so that tests can hold it still and move it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Resolves after this many milliseconds; rejects with the signal's reason when aborted. Keeps the process alive while it waits: whoever waits in
   * the background gives a signal, and aborts it on close.
   */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The longest time that a timer of the platform can wait, in milliseconds: a longer one would fire at once. */
export const longestTimer: number = 2 ** 31 - 1;

/** The machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(milliseconds, signal) {
    signal?.throwIfAborted();
    try {
      for (let left = milliseconds; ; left -= longestTimer) {
        await delay(Math.min(left, longestTimer), undefined, signal ? { signal } : {});
        if (left <= longestTimer) return;
      }
    } catch (error) {
      // Node wraps the reason in an AbortError of its own.
      signal?.throwIfAborted();
      throw error;
    }
  },
};

/** A {@link Clock} that only moves when told to. */
export interface FakeClock extends Clock {
  /**
   * Moves time forward, wakes the sleepers that are due in their order, and lets what they start run before it goes on.
   * Throws `invalid-argument` for a negative time.
   */
  advance(milliseconds: number): Promise<void>;
  /** How many are asleep. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly wakeAt: number;
  readonly wake: () => void;
}

/**
 * Makes a {@link FakeClock}. `startAt` is in milliseconds since the Unix epoch; default 2026-01-01T00:00:00Z. `settle` resolves
 * when what was woken has gone as far as it can; default the event loop's next turn, which is enough for what waits for nothing
 * outside of this process.
 */
export function fakeClock(
  startAt: number = Date.UTC(2026, 0, 1),
  settle: () => Promise<unknown> = nextTurn,
): FakeClock {
  let now = startAt;
  let sleepers: Sleeper[] = [];

  return {
    now: () => now,
    get sleepers() {
      return sleepers.length;
    },
    sleep(milliseconds, signal) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const onAbort = (): void => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(signal?.reason as Error);
        };
        const sleeper: Sleeper = {
          wakeAt: now + milliseconds,
          wake: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        sleepers.push(sleeper);
      });
    },
    async advance(milliseconds) {
      if (!(milliseconds >= 0)) {
        throw new InfrastructureError({
          code: 'invalid-argument',
          component: 'core',
          message: 'time goes forward only',
        });
      }
      const end = now + milliseconds;
      // The next turn comes after all microtasks and pending I/O callbacks.
      await settle();
      for (;;) {
        const due = sleepers
          .filter(({ wakeAt }) => wakeAt <= end)
          .toSorted((a, b) => a.wakeAt - b.wakeAt)[0];
        if (due === undefined) break;
        now = Math.max(now, due.wakeAt);
        sleepers = sleepers.filter((sleeper) => sleeper !== due);
        due.wake();
        await settle();
      }
      now = Math.max(now, end);
      await settle();
    },
  };
}
