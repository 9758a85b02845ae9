import { type InfrastructureError, wrapError } from '../core/index.ts';

const shortest = 100;
const longest = 10_000;

/** How long to leave a failing engine alone: doubling from 100 ms to 10 s, with the upper half random. */
export class RetryDelay {
  readonly #random: () => number;
  #failures = 0;
  #failure: InfrastructureError | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The last error, until the engine works again. */
  get failure(): InfrastructureError | undefined {
    return this.#failure;
  }

  /** Counts a failure, and gives the milliseconds to wait. */
  next(error: unknown): number {
    const bound = Math.min(longest, shortest * 2 ** this.#failures);
    this.#failures += 1;
    this.#failure = wrapError(error, { component: 'queue' });
    return bound / 2 + (bound / 2) * this.#random();
  }

  /** The engine works. */
  reset(): void {
    this.#failures = 0;
    this.#failure = undefined;
  }
}
