import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';

/** Work that stops after each slice of it, for others to have their turn, and is gone on with by `next()`. */
export type Sliced<Result> = Generator<undefined, Result>;

/** How long a slice takes, in milliseconds: a request that comes meanwhile waits about as long. */
const sliceLength = 8;

/** Of how many rows each is looked at the clock, which costs a twentieth of reading one. */
const rowsBetweenLooks = 16;

/** Tells when a slice is over. */
export class Slicer {
  readonly #clock: Clock;
  #rows = 0;
  #end: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#end = clock.now() + sliceLength;
  }

  /** Whether it is time to stop, after one more row. */
  isOver(): boolean {
    this.#rows += 1;
    return this.#rows % rowsBetweenLooks === 0 && this.#clock.now() >= this.#end;
  }

  /** Starts the next slice. */
  restart(): void {
    this.#end = this.#clock.now() + sliceLength;
  }
}

/** Goes on with work whose first slice is over, by `step`, one slice in each turn of the event loop. An abort ends it between two. */
export async function finishInTurns<Result>(
  work: Sliced<Result>,
  signal: AbortSignal,
  step: () => IteratorResult<undefined, Result> = () => work.next(),
): Promise<Result> {
  try {
    for (;;) {
      await nextTurn();
      if (signal.aborted) throw abortedBefore(signal);
      const { done, value } = step();
      if (done) return value;
    }
  } finally {
    // Its result is nobody's any more.
    work.return(undefined as never);
  }
}
