import type { CacheEntry, CacheLease } from './driver.ts';
import type { SealedValue } from './values.ts';

/** Where the value that a caller got came from. */
export type CacheSource = 'hit' | 'load' | 'stale';

/** How a flight ended. */
export interface Landing {
  /** `undefined`: the load found nothing that can be cached. */
  readonly sealed: SealedValue | undefined;
  readonly source: CacheSource;
}

/** What a loader gets. */
export interface LoadContext {
  /** Aborted when the load has run out of time, when every caller that waited for it has gone, and when the cache is closed. */
  readonly signal: AbortSignal;
}

/** One run of a loader, for one key or many. Makes its signal only when the loader asks for it, since most never do. */
export class Load implements LoadContext {
  /** Callers that wait for it. */
  waiters = 0;
  /** Goes on when nobody waits any more: a refresh, or a load whose caller took a value in its grace. */
  isKept: boolean;
  readonly flights: readonly Flight[];
  #controller: AbortController | undefined;
  #reason: unknown;

  constructor(keys: readonly string[], tags: readonly string[], isKept: boolean) {
    this.isKept = isKept;
    this.flights = keys.map((key) => new Flight(key, tags, this));
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(reason);
  }
}

/** The one load of one key that is under way, which everybody who wants the key waits for. */
export class Flight {
  readonly key: string;
  readonly tags: readonly string[];
  readonly load: Load;
  readonly landed: Promise<Landing>;
  /** The right to write what it loads, once it is taken. */
  lease: CacheLease | undefined;
  /** The value in its grace that can stand in, once it is known. */
  stale: CacheEntry | undefined;
  hasLanded = false;
  #resolve: (landing: Landing) => void;
  #reject: (error: unknown) => void;

  constructor(key: string, tags: readonly string[], load: Load) {
    this.key = key;
    this.tags = tags;
    this.load = load;
    const { promise, resolve, reject } = Promise.withResolvers<Landing>();
    // A refresh that fails has nobody who waits for it. Any other load has, and they take its failure.
    if (load.isKept) promise.catch(() => undefined);
    this.landed = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  land(sealed: SealedValue | undefined, source: CacheSource): void {
    this.hasLanded = true;
    this.#resolve({ sealed, source });
  }

  fail(error: unknown): void {
    this.hasLanded = true;
    this.#reject(error);
  }
}

/** The flights under way, by key. */
export class Flights {
  readonly #byKey = new Map<string, Flight>();
  readonly #loads = new Set<Load>();

  /** The flight of a key that can be joined. */
  get(key: string): Flight | undefined {
    const flight = this.#byKey.get(key);
    return flight?.hasLanded ? undefined : flight;
  }

  add(load: Load): void {
    this.#loads.add(load);
    for (const flight of load.flights) this.#byKey.set(flight.key, flight);
  }

  /** Forgets a load that has ended. */
  remove(load: Load): void {
    this.#loads.delete(load);
    for (const flight of load.flights) this.#drop(flight);
  }

  /** Lets nobody join the flights of these keys any more: what they load may be older than a change that was just made. */
  detach(keys: readonly string[]): void {
    for (const key of keys) this.#byKey.delete(key);
  }

  detachTagged(tags: readonly string[]): void {
    for (const flight of this.#byKey.values()) {
      if (flight.tags.some((tag) => tags.includes(tag))) this.#byKey.delete(flight.key);
    }
  }

  detachAll(): void {
    this.#byKey.clear();
  }

  /** Whether its key was not changed since it began, as far as this process knows. */
  isCurrent(flight: Flight): boolean {
    return this.#byKey.get(flight.key) === flight;
  }

  /** Takes note that a caller went away, and aborts a load that nobody waits for any more. */
  leave(flight: Flight): void {
    const { load } = flight;
    load.waiters -= 1;
    if (load.waiters > 0 || load.isKept || flight.hasLanded) return;
    for (const each of load.flights) this.#drop(each);
    load.abort(new DOMException('every caller that waited for this load has gone', 'AbortError'));
  }

  /** Resolves when every load has ended. */
  async ended(): Promise<void> {
    await Promise.allSettled(
      Array.from(this.#loads, (load) =>
        Promise.allSettled(load.flights.map(({ landed }) => landed)),
      ),
    );
  }

  abortAll(reason: Error): void {
    this.#byKey.clear();
    for (const load of this.#loads) load.abort(reason);
  }

  #drop(flight: Flight): void {
    if (this.#byKey.get(flight.key) === flight) this.#byKey.delete(flight.key);
  }
}
