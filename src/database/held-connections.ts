import {
  type Clock,
  type Context,
  currentContext,
  InfrastructureError,
  operation,
  runWithContext,
} from '../core/index.ts';
import type { CallSite } from './call-site.ts';

/** What holds a connection for longer than one statement. */
type Holding = 'transaction' | 'stream';

interface Holder {
  readonly what: Holding;
  readonly site: CallSite;
  readonly since: number;
  readonly context: Context;
  isReported: boolean;
}

/** How many are named in an error. */
const toldHolders = 10;

/** What {@link HeldConnections} is made of. */
export interface HeldConnectionsOptions {
  readonly adapter: string;
  /** After how many milliseconds a connection counts as leaked. */
  readonly leakAfter: number;
  readonly clock: Clock;
  /** Calls it after so many milliseconds, without keeping the process alive. Default: a timer. */
  readonly schedule?: (fn: () => void, milliseconds: number) => void;
}

/**
 * Who holds a connection, since when, and who asked for it. Each that is held for longer than `leakAfter` is told once, as an
 * operation `leak` with a warning.
 */
export class HeldConnections {
  readonly #options: HeldConnectionsOptions;
  readonly #schedule: (fn: () => void, milliseconds: number) => void;
  // In the order of their age.
  readonly #holders = new Set<Holder>();
  #isWatching = false;

  constructor(options: HeldConnectionsOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? scheduleInBackground;
  }

  /** From now on it is held, until the returned function is called. */
  hold(what: Holding, site: CallSite): () => void {
    const since = this.#options.clock.now();
    const holder: Holder = { what, site, since, context: currentContext(), isReported: false };
    this.#holders.add(holder);
    // One timer for all: it is due when the oldest is, and those that came later are seen then.
    if (!this.#isWatching) this.#watch(this.#options.leakAfter);
    return () => {
      this.#holders.delete(holder);
    };
  }

  /** The error, with who holds the connections when it says that there was none in time. */
  explain(error: InfrastructureError): InfrastructureError {
    const { details } = error;
    if (error.code !== 'resource-exhausted' || !('waiting' in details) || 'holders' in details)
      return error;
    const holders = this.#describe();
    if (holders.length === 0) return error;
    const { code, component, adapter, operation: name, outcome, retryable, retryAfterMs } = error;
    return new InfrastructureError({
      code,
      component,
      ...(adapter !== undefined && { adapter }),
      ...(name !== undefined && { operation: name }),
      outcome,
      retryable,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      message: `${error.message}; held by ${holders.join(', ')}`,
      details: { ...details, holders },
      cause: error.cause,
    });
  }

  #watch(milliseconds: number): void {
    this.#isWatching = true;
    this.#schedule(() => {
      this.#isWatching = false;
      const { clock, leakAfter } = this.#options;
      const now = clock.now();
      for (const holder of this.#holders) {
        if (holder.isReported) continue;
        const left = holder.since + leakAfter - now;
        if (left > 0) {
          this.#watch(left);
          return;
        }
        holder.isReported = true;
        this.#report(holder, now);
      }
    }, milliseconds);
  }

  /** In words, the oldest first. */
  #describe(): readonly string[] {
    const now = this.#options.clock.now();
    return [...this.#holders]
      .slice(0, toldHolders)
      .map(({ what, site, since }) => `a ${what} of ${site.toString()} for ${now - since} ms`);
  }

  #report({ what, site, since, context }: Holder, now: number): void {
    const attributes = {
      adapter: this.#options.adapter,
      holder: what,
      site: site.toString(),
      heldMs: now - since,
      warning: `a ${what} of ${site.toString()} has held a connection for ${now - since} ms and still does: end it, or await nothing slow in it (leakAfter is ${this.#options.leakAfter} ms)`,
    };
    void runWithContext(
      context,
      async () => await operation('database', 'leak', attributes, async () => undefined),
    );
  }
}

function scheduleInBackground(fn: () => void, milliseconds: number): void {
  setTimeout(fn, milliseconds).unref();
}
