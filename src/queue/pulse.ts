import type { Clock } from '../core/index.ts';

/** Wakes a loop that rests. A notice that comes while it does not rest is kept until it does. */
export class Pulse {
  readonly #clock: Clock;
  #isNoticed = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  notify(): void {
    this.#isNoticed = true;
    this.#wake?.();
  }

  /** Forgets a notice that is about to be served. */
  clear(): void {
    this.#isNoticed = false;
  }

  /** Resolves with the next notice, at once when one is kept, or after `milliseconds`, when given. */
  async wait(milliseconds?: number): Promise<void> {
    if (!this.#isNoticed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      if (milliseconds === undefined) {
        await promise;
      } else {
        const rest = new AbortController();
        await Promise.race([promise, this.#clock.sleep(Math.max(0, milliseconds), rest.signal)]);
        // Nobody listens to the loser of the race, whose rejection is expected.
        rest.abort();
      }
      this.#wake = undefined;
    }
    this.#isNoticed = false;
  }
}
