import {
  abortable,
  type Clock,
  currentContext,
  type ErrorCode,
  InfrastructureError,
  invalidArgument,
  operation,
  type OperationAttributes,
  runWithContext,
} from '../core/index.ts';
import type { CacheDriver, CacheLease, CacheWrite } from './driver.ts';
import { type Flight, type Flights, type Landing, Load, type LoadContext } from './flights.ts';
import type { CacheSettings, Lifetimes } from './options.ts';
import { type SealedValue, sealValue } from './values.ts';

/** Loads the values of many keys. A key that the map lacks is not cached. */
export type BatchLoader<Value> = (
  keys: readonly string[],
  context: LoadContext,
) => ReadonlyMap<string, Value> | Promise<ReadonlyMap<string, Value>>;

/** What {@link Loads} works with. */
export interface LoadsOptions {
  readonly driver: CacheDriver;
  readonly clock: Clock;
  readonly lifetimes: Lifetimes;
  readonly flights: Flights;
  /** Runs a call of the driver under the cache's policy. */
  readonly guard: <Result>(
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
    /** Of the caller that alone waits for it. Default: none. */
    signal?: AbortSignal,
  ) => Promise<Result>;
}

interface LoadOptions {
  readonly settings: CacheSettings;
  readonly isRefresh: boolean;
}

interface Pending {
  readonly flight: Flight;
  /** None when the engine could not give one: then nothing is cached. */
  readonly lease: CacheLease | undefined;
}

const engineTrouble: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unavailable',
  'deadline-exceeded',
  'resource-exhausted',
  'internal',
  'data-loss',
  'aborted',
]);

/** Whether an error says that the engine is in trouble, and not that the caller made a mistake. */
export function isEngineTrouble(error: unknown): error is InfrastructureError {
  return InfrastructureError.is(error) && engineTrouble.has(error.code);
}

/**
 * Runs loaders, once for each key at a time. The order of one flight: lease, load, write under the lease, land. The lease comes before
 * the loader reads its source, so that whatever changes after that voids it.
 */
export class Loads {
  readonly #driver: CacheDriver;
  readonly #clock: Clock;
  readonly #lifetimes: Lifetimes;
  readonly #flights: Flights;
  readonly #guard: LoadsOptions['guard'];

  constructor({ driver, clock, lifetimes, flights, guard }: LoadsOptions) {
    this.#driver = driver;
    this.#clock = clock;
    this.#lifetimes = lifetimes;
    this.#flights = flights;
    this.#guard = guard;
  }

  /** Loads keys that no flight is under way for. With `isRefresh`, behind the scenes. */
  start<Value>(
    keys: readonly string[],
    loader: BatchLoader<Value>,
    { settings, isRefresh }: LoadOptions,
  ): void {
    const load = new Load(keys, settings.tags, isRefresh);
    this.#flights.add(load);
    // The caller's context goes with the load, but not its signal: others wait for the same load.
    if (currentContext().signal === undefined)
      void this.#fly(load, loader, { settings, isRefresh });
    else
      runWithContext(
        { signal: load.signal },
        () => void this.#fly(load, loader, { settings, isRefresh }),
      );
  }

  /** Waits for a flight. Rejects with the signal's reason when that is aborted. */
  async wait(
    flight: Flight,
    softTimeout: number,
    signal: AbortSignal | undefined,
  ): Promise<Landing> {
    flight.load.waiters += 1;
    try {
      const landed =
        softTimeout === Number.POSITIVE_INFINITY
          ? flight.landed
          : this.#withStandIn(flight, softTimeout);
      return await (signal ? abortable(landed, signal) : landed);
    } finally {
      this.#flights.leave(flight);
    }
  }

  // Lands every flight of the load, whatever happens. Never rejects.
  async #fly<Value>(
    load: Load,
    loader: BatchLoader<Value>,
    { settings, isRefresh }: LoadOptions,
  ): Promise<void> {
    let pending: readonly Pending[] = load.flights.map((flight) => ({ flight, lease: undefined }));
    try {
      pending = await this.#take(load, isRefresh);
      if (pending.length === 0) return;
      const values = await this.#runLoader(
        load,
        pending.map(({ flight }) => flight.key),
        loader,
        settings,
      );
      await this.#keep(pending, values, settings);
    } catch (error) {
      await this.#recover(pending, error, settings);
    } finally {
      this.#flights.remove(load);
    }
  }

  // Leases what is to be loaded, and lands what somebody else has loaded meanwhile.
  async #take(load: Load, isRefresh: boolean): Promise<readonly Pending[]> {
    const { flights } = load;
    const keys = flights.map(({ key }) => key);
    let leases: readonly CacheLease[] = [];
    try {
      leases = await this.#guard((signal) =>
        this.#driver.lease(keys, flights[0]?.tags ?? [], signal),
      );
    } catch (error) {
      if (!isEngineTrouble(error)) throw error;
    }
    const now = this.#clock.now();
    const pending: Pending[] = [];
    const unused: CacheLease[] = [];
    for (const [index, flight] of flights.entries()) {
      const lease = leases[index];
      const entry = lease?.entry;
      if (lease && entry && now < (isRefresh ? entry.refreshAt : entry.freshUntil)) {
        unused.push(lease);
        flight.land(entry, 'hit');
        continue;
      }
      flight.lease = lease;
      if (entry && now < entry.expiresAt) flight.stale = entry;
      pending.push({ flight, lease });
    }
    if (unused.length > 0) await this.#release(unused);
    return pending;
  }

  #runLoader<Value>(
    load: Load,
    keys: readonly string[],
    loader: BatchLoader<Value>,
    { hardTimeout }: CacheSettings,
  ): Promise<ReadonlyMap<string, Value>> {
    const attributes: OperationAttributes = {
      adapter: this.#driver.adapter,
      ...(keys.length === 1 ? { key: keys[0] } : { count: keys.length }),
    };
    return operation('cache', 'load', attributes, async () => {
      const values =
        hardTimeout === Number.POSITIVE_INFINITY
          ? await loader(keys, load)
          : await this.#within(hardTimeout, load, async () => await loader(keys, load));
      if (values instanceof Map) return values;
      throw invalidArgument(
        { component: 'cache', operation: 'load' },
        'the loader of getOrSetMany gave no Map from key to value',
      );
    });
  }

  async #within<Result>(
    hardTimeout: number,
    load: Load,
    fn: () => Promise<Result>,
  ): Promise<Result> {
    const done = new AbortController();
    const overdue = async (): Promise<never> => {
      await this.#clock.sleep(hardTimeout, done.signal);
      load.abort(new DOMException(`the load took longer than ${hardTimeout} ms`, 'TimeoutError'));
      throw new InfrastructureError({
        code: 'deadline-exceeded',
        component: 'cache',
        adapter: this.#driver.adapter,
        operation: 'load',
        message: `the load took longer than its hardTimeout of ${hardTimeout} ms`,
      });
    };
    try {
      return await Promise.race([fn(), overdue()]);
    } finally {
      done.abort();
    }
  }

  async #keep<Value>(
    pending: readonly Pending[],
    values: ReadonlyMap<string, Value>,
    settings: CacheSettings,
  ): Promise<void> {
    const now = this.#clock.now();
    const landings: (readonly [Flight, SealedValue | undefined])[] = [];
    const writes: CacheWrite[] = [];
    const unused: CacheLease[] = [];
    for (const { flight, lease } of pending) {
      const value = values.get(flight.key);
      const sealed = value === undefined ? undefined : sealValue(value);
      landings.push([flight, sealed]);
      if (lease === undefined) continue;
      if (sealed !== undefined) {
        const entry = this.#lifetimes.entry(sealed, settings, {
          now,
          ttl: value === null ? settings.negativeTtl : undefined,
        });
        writes.push({ key: flight.key, entry, condition: { lease } });
      } else if (flight.stale !== undefined) {
        // The source has nothing any more: what it had must not stand in later.
        writes.push({
          key: flight.key,
          entry: { ...flight.stale, freshUntil: now, refreshAt: now, expiresAt: now },
          condition: { lease },
        });
      } else {
        unused.push(lease);
      }
    }
    if (unused.length > 0) await this.#release(unused);
    await this.#trySet(writes);
    for (const [flight, sealed] of landings) flight.land(sealed, 'load');
  }

  // A value in its grace stands in, if it is certain that nobody has invalidated it meanwhile.
  async #recover(
    pending: readonly Pending[],
    error: unknown,
    { graceBackoff }: CacheSettings,
  ): Promise<void> {
    const now = this.#clock.now();
    // A value that is no data is a mistake of the program, which nothing should hide.
    const isMistake = InfrastructureError.is(error, 'invalid-argument');
    const standIns = pending.filter(
      ({ flight }) =>
        !isMistake &&
        flight.stale !== undefined &&
        now < flight.stale.expiresAt &&
        this.#flights.isCurrent(flight),
    );
    const writes = standIns.flatMap(({ flight: { key, stale }, lease }): CacheWrite[] => {
      if (stale === undefined || lease === undefined) return [];
      const refreshAt = Math.min(now + graceBackoff, stale.expiresAt);
      return [
        {
          key,
          entry: { ...stale, freshUntil: Math.max(stale.freshUntil, refreshAt), refreshAt },
          condition: { lease },
        },
      ];
    });
    const made = await this.#trySet(writes);
    for (const [index, { flight }] of standIns.entries())
      if (made[index]) flight.land(flight.stale, 'stale');
    const unspent = pending.flatMap(({ lease }) => lease ?? []);
    if (unspent.length > 0) await this.#release(unspent);
    for (const { flight } of pending) if (!flight.hasLanded) flight.fail(error);
  }

  // A value that could not be written is as good as one that could: only the next caller pays.
  async #trySet(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
    if (writes.length === 0) return [];
    try {
      return await this.#guard((signal) => this.#driver.set(writes, signal));
    } catch {
      return [];
    }
  }

  async #release(leases: readonly CacheLease[]): Promise<void> {
    // What cannot be given back now ends by itself.
    await this.#driver.release(leases).catch(() => undefined);
  }

  /** Lets nobody join what another process has voided. */
  async leaveVoid(flights: readonly Flight[], signal: AbortSignal | undefined): Promise<void> {
    const begun = flights.filter(({ lease }) => lease !== undefined);
    let held: readonly boolean[] = [];
    try {
      held = await this.#holds(
        begun.flatMap(({ lease }) => lease ?? []),
        signal,
      );
    } catch (error) {
      if (signal?.aborted || !isEngineTrouble(error)) throw error;
    }
    for (const [index, flight] of begun.entries())
      if (held[index] === false && this.#flights.isCurrent(flight))
        this.#flights.detach([flight.key]);
  }

  /** Whether it is certain that nobody has changed its key since it began, nor one of its tags. */
  async #isUntouched(flight: Flight): Promise<boolean> {
    const { lease } = flight;
    if (lease === undefined) return false;
    try {
      const [isHeld] = await this.#holds([lease]);
      return isHeld === true && this.#flights.isCurrent(flight);
    } catch {
      return false;
    }
  }

  /** Which leases are not void: all of them, as far as anybody else could void one. */
  async #holds(leases: readonly CacheLease[], signal?: AbortSignal): Promise<readonly boolean[]> {
    const driver = this.#driver;
    if (leases.length === 0 || driver.holds === undefined) return leases.map(() => true);
    return await this.#guard(
      async (inTime) => (await driver.holds?.(leases, inTime)) ?? [],
      signal,
    );
  }

  async #withStandIn(flight: Flight, softTimeout: number): Promise<Landing> {
    const done = new AbortController();
    const impatient = async (): Promise<Landing> => {
      await this.#clock.sleep(softTimeout, done.signal);
      if (flight.stale === undefined || !(await this.#isUntouched(flight)))
        return await flight.landed;
      flight.load.isKept = true;
      return { sealed: flight.stale, source: 'stale' };
    };
    try {
      return await Promise.race([flight.landed, impatient()]);
    } finally {
      done.abort();
    }
  }
}
