import { setImmediate as nextTurn } from 'node:timers/promises';

import type { InfrastructureError } from '../core/index.ts';
import type { WorkerHost } from './attempt.ts';
import type { Settlement } from './driver.ts';
import { RetryDelay } from './retry-delay.ts';

/** So that one transaction of settlements stays short. */
const largestBatch = 1000;

interface Pending {
  readonly settlement: Settlement;
  readonly resolve: (tookEffect: boolean) => void;
}

/** Settles claims in batches: all that come up in one turn of the event loop, or while the batch before is under way, go as one. */
export class Settler {
  readonly #host: WorkerHost;
  readonly #stop = new AbortController();
  readonly #delay: RetryDelay;
  #pending: Pending[] = [];
  #flushing = false;

  constructor(host: WorkerHost) {
    this.#host = host;
    this.#delay = new RetryDelay(host.random);
  }

  /** The last error, while it stands. */
  get failure(): InfrastructureError | undefined {
    return this.#delay.failure;
  }

  /** Whether it took effect. An engine that fails is asked again until {@link Settler.stop}. Never rejects. */
  async settle(settlement: Settlement): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#pending.push({ settlement, resolve });
    if (!this.#flushing) void this.#flush();
    return await promise;
  }

  /** Gives up what is not settled; the leases of those jobs end by themselves. */
  stop(): void {
    this.#stop.abort();
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    while (this.#pending.length > 0 && !this.#stop.signal.aborted) {
      await nextTurn();
      const batch = this.#pending.splice(0, largestBatch);
      const results = await this.#settleBatch(batch.map(({ settlement }) => settlement));
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] ?? false);
    }
    this.#flushing = false;
    for (const { resolve } of this.#pending.splice(0)) resolve(false);
  }

  async #settleBatch(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    const { driver, clock, run } = this.#host;
    while (!this.#stop.signal.aborted) {
      try {
        const attributes: Record<string, unknown> = { count: settlements.length };
        const results = await run('settle', attributes, async (signal) => {
          const taken = await driver.settle(settlements, clock.now(), signal);
          attributes['lost'] = taken.filter((isTaken) => !isTaken).length;
          return taken;
        });
        this.#delay.reset();
        return results;
      } catch (error) {
        await clock.sleep(this.#delay.next(error), this.#stop.signal).catch(() => undefined);
      }
    }
    return [];
  }
}
