import { LRUCache } from 'lru-cache';

import { type ByteSize, type Clock, invalidArgument, systemClock, toBytes } from '../core/index.ts';
import { Cache } from './cache.ts';
import type {
  CacheDriver,
  CacheEntry,
  CacheLease,
  CacheWrite,
  CounterStep,
  StoredEntry,
} from './driver.ts';
import type { CacheOptions } from './options.ts';

/** Options of {@link memoryCache}. */
export interface MemoryCacheOptions extends CacheOptions {
  /** The most entries to keep; beyond it the least recently used goes. Default 10,000. */
  readonly maxEntries?: number;
  /** The most bytes of keys and values to keep, estimated. A value that is larger by itself is not kept. Default 64 MiB. */
  readonly maxSize?: ByteSize;
}

/**
 * A cache in this process. It holds at most `maxEntries` entries and `maxSize` bytes, and loses what was used longest ago.
 *
 * @example
 * const cache = memoryCache({ ttl: '5m' });
 * const article = await cache.getOrSet('article:1', () => articles.findById('1'));
 */
export function memoryCache(options: MemoryCacheOptions = {}): Cache<MemoryCacheDriver> {
  return new Cache(new MemoryCacheDriver(options), options);
}

/** A point in the order of writes, leases and invalidations. What was begun at or before `barrier` is void. */
interface Fence {
  barrier: number;
  /** How many entries and leases look at it; without any it is forgotten. */
  references: number;
}

class MemoryEntry implements StoredEntry {
  readonly value: unknown;
  readonly isMutable: boolean;
  readonly size: number;
  readonly freshUntil: number;
  readonly refreshAt: number;
  readonly expiresAt: number;
  readonly tags: readonly string[];
  /** When the write, or the lease it was made under, took its place in the order. */
  readonly stamp: number;
  readonly fences: readonly Fence[];

  constructor(entry: CacheEntry, stamp: number, fences: readonly Fence[]) {
    this.value = entry.value;
    this.isMutable = entry.isMutable;
    this.size = entry.size;
    this.freshUntil = entry.freshUntil;
    this.refreshAt = entry.refreshAt;
    this.expiresAt = entry.expiresAt;
    this.tags = entry.tags;
    this.stamp = stamp;
    this.fences = fences;
  }

  get version(): string {
    return String(this.stamp);
  }
}

/** The memory driver's {@link CacheLease}. */
class MemoryLease implements CacheLease {
  readonly key: string;
  readonly entry: StoredEntry | undefined;
  readonly tags: readonly string[];
  readonly stamp: number;
  readonly keyFence: Fence;
  readonly fences: readonly Fence[];
  isSpent = false;

  constructor(at: {
    readonly key: string;
    readonly entry: StoredEntry | undefined;
    readonly stamp: number;
    readonly keyFence: Fence;
    readonly tags: readonly string[];
    readonly fences: readonly Fence[];
  }) {
    this.key = at.key;
    this.entry = at.entry;
    this.stamp = at.stamp;
    this.keyFence = at.keyFence;
    this.tags = at.tags;
    this.fences = at.fences;
  }
}

const noFences: readonly Fence[] = Object.freeze([]);

/** The driver of {@link memoryCache}. */
export class MemoryCacheDriver implements CacheDriver {
  readonly adapter = 'memory';
  readonly capabilities = { counters: true, compareAndSet: true, shared: false } as const;
  readonly #entries: LRUCache<string, MemoryEntry>;
  readonly #clock: Clock;
  readonly #maxSize: number;
  readonly #tagFences = new Map<string, Fence>();
  /** Only of keys that are leased. */
  readonly #keyFences = new Map<string, Fence>();
  #order = 0;
  #clearedAt = 0;

  constructor({
    maxEntries = 10_000,
    maxSize = '64MiB',
    clock = systemClock,
  }: MemoryCacheOptions = {}) {
    const bytes = toBytes(maxSize);
    if (!(Number.isSafeInteger(maxEntries) && maxEntries >= 1 && bytes >= 1)) {
      throw invalidArgument(
        { component: 'cache', adapter: 'memory' },
        'maxEntries and maxSize are whole numbers of at least 1',
      );
    }
    this.#clock = clock;
    this.#maxSize = bytes;
    this.#entries = new LRUCache<string, MemoryEntry>({
      max: maxEntries,
      maxSize: bytes,
      sizeCalculation: sizeOf,
      dispose: (entry) => {
        this.#forgetTags(entry);
      },
    });
  }

  /** There is no client behind it. */
  get native(): undefined {
    return undefined;
  }

  /** What it holds, invalid entries that nothing has touched yet included. */
  get entryCount(): number {
    return this.#entries.size;
  }

  /** The estimated bytes it holds. */
  get byteSize(): number {
    return this.#entries.calculatedSize;
  }

  /** How many tags and leased keys it keeps track of: none that is not in use. */
  get trackedCount(): number {
    return this.#tagFences.size + this.#keyFences.size;
  }

  classify(): undefined {
    return undefined;
  }

  peek(key: string): StoredEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || isCurrent(entry)) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  async get(keys: readonly string[]): Promise<readonly (StoredEntry | undefined)[]> {
    return keys.map((key) => this.peek(key));
  }

  async set(writes: readonly CacheWrite[]): Promise<readonly boolean[]> {
    return writes.map((write) => this.#set(write));
  }

  async lease(keys: readonly string[], tags: readonly string[]): Promise<readonly CacheLease[]> {
    return keys.map((key) => {
      const entry = this.peek(key);
      const keyFence = refer(this.#keyFences, key);
      return new MemoryLease({
        key,
        entry,
        stamp: ++this.#order,
        keyFence,
        tags,
        fences: this.#referToTags(tags),
      });
    });
  }

  async release(leases: readonly CacheLease[]): Promise<void> {
    for (const lease of leases) this.#spend(lease as MemoryLease);
  }

  async delete(keys: readonly string[]): Promise<number> {
    let count = 0;
    for (const key of keys) {
      if (this.#fresh(key) !== undefined) count += 1;
      this.#entries.delete(key);
      this.#voidLeases(key);
    }
    return count;
  }

  async deleteByTags(tags: readonly string[]): Promise<void> {
    const barrier = ++this.#order;
    for (const tag of tags) {
      const fence = this.#tagFences.get(tag);
      if (fence) fence.barrier = barrier;
    }
  }

  async clear(): Promise<void> {
    this.#clearedAt = ++this.#order;
    this.#entries.clear();
  }

  async increment(key: string, { by, initial }: CounterStep): Promise<number | undefined> {
    const current = this.#fresh(key);
    if (current !== undefined && !Number.isSafeInteger(current.value)) return undefined;
    const sum = current === undefined ? by : (current.value as number) + by;
    if (!Number.isSafeInteger(sum)) return undefined;
    this.#write(key, current === undefined ? initial : { ...current, value: sum }, ++this.#order);
    return sum;
  }

  async close(): Promise<void> {
    this.#entries.clear();
  }

  #set({ key, entry, condition }: CacheWrite): boolean {
    if (condition === undefined) {
      this.#write(key, entry, ++this.#order);
      return true;
    }
    if ('version' in condition) {
      if (this.#fresh(key)?.version !== condition.version) return false;
      this.#write(key, entry, ++this.#order);
      return true;
    }
    const lease = condition.lease as MemoryLease;
    const holds =
      !lease.isSpent &&
      lease.stamp > this.#clearedAt &&
      lease.stamp > lease.keyFence.barrier &&
      isCurrent(lease);
    // Under the lease's own stamp: an invalidation during the load is later than that.
    if (holds) this.#write(key, entry, lease.stamp);
    this.#spend(lease);
    return holds;
  }

  #write(key: string, entry: CacheEntry, stamp: number): void {
    this.#voidLeases(key);
    if (sizeOf(entry, key) > this.#maxSize) {
      this.#entries.delete(key);
      return;
    }
    this.#entries.set(key, new MemoryEntry(entry, stamp, this.#referToTags(entry.tags)));
  }

  #voidLeases(key: string): void {
    const fence = this.#keyFences.get(key);
    if (fence) fence.barrier = ++this.#order;
  }

  #spend(lease: MemoryLease): void {
    if (lease.isSpent) return;
    lease.isSpent = true;
    forget(this.#keyFences, lease.key, lease.keyFence);
    this.#forgetTags(lease);
  }

  #fresh(key: string): StoredEntry | undefined {
    const entry = this.peek(key);
    return entry !== undefined && this.#clock.now() < entry.freshUntil ? entry : undefined;
  }

  #referToTags(tags: readonly string[]): readonly Fence[] {
    return tags.length === 0 ? noFences : tags.map((tag) => refer(this.#tagFences, tag));
  }

  #forgetTags({ tags, fences }: Tagged): void {
    for (const [index, fence] of fences.entries())
      forget(this.#tagFences, tags[index] as string, fence);
  }
}

/** What was begun at a point in the order, and is void once one of its tags was invalidated after that. */
interface Tagged {
  readonly stamp: number;
  readonly tags: readonly string[];
  /** Of each tag, in the same order. */
  readonly fences: readonly Fence[];
}

function sizeOf({ size }: CacheEntry, key: string): number {
  return size + key.length * 2 + 1;
}

function isCurrent({ stamp, fences }: Tagged): boolean {
  for (const fence of fences) if (fence.barrier > stamp) return false;
  return true;
}

function refer(fences: Map<string, Fence>, name: string): Fence {
  let fence = fences.get(name);
  if (fence === undefined) fences.set(name, (fence = { barrier: 0, references: 0 }));
  fence.references += 1;
  return fence;
}

function forget(fences: Map<string, Fence>, name: string, fence: Fence): void {
  fence.references -= 1;
  if (fence.references === 0) fences.delete(name);
}
