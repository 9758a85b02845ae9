import { type InfrastructureError, wrapError } from '../core/index.ts';
import type { Attempt, WorkerHost } from './attempt.ts';
import { momentAfter } from './moment.ts';

/**
 * Extends the leases of the attempts in a worker's hands while they are there, and aborts those that lost theirs or whose time
 * is up. One timer serves all of them.
 */
export class LeaseKeeper {
  readonly #host: WorkerHost;
  readonly #lease: number;
  readonly #attempts: ReadonlySet<Attempt>;
  readonly #stop = new AbortController();
  #rest = new AbortController();
  #wakeAt = 0;
  #extending = false;
  #failure: InfrastructureError | undefined;

  /** `lease` is in milliseconds; `attempts` is the worker's own, live set. */
  constructor(host: WorkerHost, lease: number, attempts: ReadonlySet<Attempt>) {
    this.#host = host;
    this.#lease = lease;
    this.#attempts = attempts;
  }

  /** The last error of an extension, while it stands. */
  get failure(): InfrastructureError | undefined {
    return this.#failure;
  }

  /** Sees to it that the attempt's deadline is kept. */
  watch({ deadline }: Attempt): void {
    if (deadline < this.#wakeAt) this.#rest.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.#rest.abort();
  }

  /** Runs until {@link LeaseKeeper.stop}. Never rejects. */
  async run(): Promise<void> {
    const { clock } = this.#host;
    // Two extensions may fail before a lease ends.
    const beat = this.#lease / 3;
    let nextBeat = clock.now() + beat;
    while (!this.#stop.signal.aborted) {
      this.#wakeAt = nextBeat;
      for (const { deadline, leaseUntil, isLost } of this.#attempts) {
        this.#wakeAt = Math.min(this.#wakeAt, deadline, isLost ? Infinity : leaseUntil);
      }
      this.#rest = new AbortController();
      await clock
        .sleep(Math.max(0, this.#wakeAt - clock.now()), this.#rest.signal)
        .catch(() => undefined);
      const now = clock.now();
      for (const attempt of this.#attempts) {
        if (attempt.leaseUntil <= now) attempt.abort('lease-lost');
        else if (attempt.deadline <= now) attempt.abort('timeout');
      }
      if (now < nextBeat) continue;
      nextBeat = now + beat;
      if (!this.#extending) void this.#extend();
    }
  }

  async #extend(): Promise<void> {
    const held = [...this.#attempts].filter(({ isLost }) => !isLost);
    if (held.length === 0) {
      // No lease is in danger any more.
      this.#failure = undefined;
      return;
    }
    this.#extending = true;
    const { driver, clock, run } = this.#host;
    try {
      const leaseUntil = momentAfter(clock.now(), this.#lease);
      const results = await run(
        'extend',
        { count: held.length },
        async (signal) =>
          await driver.extend(
            held.map(({ claimed }) => claimed),
            leaseUntil,
            signal,
          ),
      );
      this.#failure = undefined;
      for (const [index, attempt] of held.entries()) {
        if (results[index]) attempt.leaseUntil = leaseUntil;
        // One that was settled in the meantime has left the set, and no lease to lose.
        else if (this.#attempts.has(attempt)) attempt.abort('lease-lost');
      }
    } catch (error) {
      this.#failure = wrapError(error, { component: 'queue' });
    } finally {
      this.#extending = false;
    }
  }
}
