import type { Driver } from '../core/index.ts';
import type { SealedValue } from './values.ts';

/** What a driver keeps under a key. Times are in milliseconds since the Unix epoch; `Infinity` is never. */
export interface CacheEntry extends SealedValue {
  /** Until then it is a hit. */
  readonly freshUntil: number;
  /** From then on a hit also starts a load behind the scenes. */
  readonly refreshAt: number;
  /** The end of its grace: until then it may stand in for a load that failed. */
  readonly expiresAt: number;
  readonly tags: readonly string[];
}

/** An entry as a driver gives it back. */
export interface StoredEntry extends CacheEntry {
  /** Differs for every write that was ever made under the key. */
  readonly version: string;
}

/**
 * The right to write what is about to be loaded. Every change of its key after it was taken (by `set`, `delete`, `increment`),
 * every `deleteByTags` that names one of its tags, and every `clear` makes it void, in whatever process it was made.
 */
export interface CacheLease {
  readonly key: string;
  /** What is under the key at the moment the lease was taken. */
  readonly entry: StoredEntry | undefined;
}

/** When a write is made at all. */
export type CacheCondition =
  /** The lease is not void. Writing uses it up. */
  | { readonly lease: CacheLease }
  /** The key holds this version, and it is fresh; with `undefined`, it holds nothing fresh. */
  | { readonly version: string | undefined };

/** One entry to write. */
export interface CacheWrite {
  readonly key: string;
  readonly entry: CacheEntry;
  readonly condition?: CacheCondition | undefined;
}

/** The number to add to a counter, and what a new counter starts with. */
export interface CounterStep {
  readonly by: number;
  /** Written, with `by` as its value, when the key holds nothing fresh. */
  readonly initial: CacheEntry;
}

/** What a cache driver can do beyond the port's core. */
export type CacheCapabilities = {
  /** `increment`. */
  readonly counters: boolean;
  /** Writes under a `version` condition. */
  readonly compareAndSet: boolean;
  /** Caches of several processes hold the same entries. */
  readonly shared: boolean;
};

/**
 * What an adapter implements. Single flight, grace, timeouts and freshness are the portable class's affair; a driver keeps
 * entries, and is the one place where the order of writes and invalidations is decided.
 *
 * - It MUST give a value back as it got it: deeply frozen, and with its `isMutable` and `size`.
 * - It MUST NOT give back an entry after `delete`, after `deleteByTags` of one of its tags, or after `clear` was answered.
 * - It MAY give back an entry past `expiresAt` (the portable class drops it), and MAY drop any entry early to make room.
 * - Each write, and each lease, MUST be atomic by itself. Several in one call need not be.
 */
export interface CacheDriver extends Driver {
  readonly capabilities: CacheCapabilities;

  /**
   * {@link CacheDriver.get} of one key without a promise, for an engine in this process: the hot path of a hit. A driver of a
   * remote engine leaves it out.
   */
  peek?(key: string): StoredEntry | undefined;

  /** The entries in the order of the keys. */
  get(keys: readonly string[], signal?: AbortSignal): Promise<readonly (StoredEntry | undefined)[]>;

  /** Tells for each write whether it was made: `false` only where its condition did not hold. */
  set(writes: readonly CacheWrite[], signal?: AbortSignal): Promise<readonly boolean[]>;

  /**
   * Takes a lease on each key, for entries with these tags, and reads the key in the same step. A driver whose process can
   * die MUST let a lease end by itself some time; what is written under it then is refused.
   */
  lease(
    keys: readonly string[],
    tags: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly CacheLease[]>;

  /**
   * Tells for each lease whether it is still not void. A driver whose entries no other process can change leaves it out: then
   * the portable class knows by itself.
   */
  holds?(leases: readonly CacheLease[], signal?: AbortSignal): Promise<readonly boolean[]>;

  /** Gives up leases that were not used. MUST NOT throw for one that is void. */
  release(leases: readonly CacheLease[]): Promise<void>;

  /** Tells how many of the keys held a fresh entry. */
  delete(keys: readonly string[], signal?: AbortSignal): Promise<number>;

  /** Removes every entry that has one of the tags. MUST leave nothing behind that grows with the number of tags ever used. */
  deleteByTags(tags: readonly string[], signal?: AbortSignal): Promise<void>;

  /** Removes everything. */
  clear(signal?: AbortSignal): Promise<void>;

  /**
   * Adds to the counter and gives the sum. Keeps the times and tags of a fresh counter. Gives `undefined`, and changes nothing, where the
   * key holds something fresh that is not a safe integer, or the sum would not be one.
   */
  increment(key: string, step: CounterStep, signal?: AbortSignal): Promise<number | undefined>;
}
