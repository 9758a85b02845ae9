import { momentAfter } from '../moment.ts';

/** Up to here clocks pass for the same, in milliseconds: what a measurement over a network may be off by anyway. */
const tolerance = 1000;

/**
 * Turns this process's times into those of the engine's clock, and back: a lease is the same to all workers, however far their
 * machines' clocks are apart.
 */
export class EngineTime {
  #ahead = 0;

  /** Learns how far the engine's clock is ahead of this machine's. `read` gives its time, or null when there is but one clock. */
  async measure<Result>(
    read: () => Promise<Result & { readonly clock: number | null }>,
  ): Promise<Result> {
    // The machine's clock, also when the queue was given another: that one is the same distance ahead of both.
    const before = Date.now();
    const result = await read();
    const after = Date.now();
    if (result.clock !== null) {
      const ahead = result.clock - (before + after) / 2;
      // A slow answer may be off by half of the time it took: what is known stands, as long as it can be true.
      const doubt = tolerance + (after - before) / 2;
      if (Math.abs(ahead - this.#ahead) > doubt) this.#ahead = Math.round(ahead);
    }
    return result;
  }

  toEngine(time: number): number {
    return momentAfter(time, this.#ahead);
  }

  fromEngine(time: number): number {
    return momentAfter(time, -this.#ahead);
  }
}
