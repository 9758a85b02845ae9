import {
  abortable,
  type CallOptions,
  type Clock,
  Component,
  currentContext,
  InfrastructureError,
  invalidArgument,
  operation,
  type OperationAttributes,
  operationChannel,
  requireCapability,
  systemClock,
} from '../core/index.ts';
import type { CacheDriver, CacheWrite, StoredEntry } from './driver.ts';
import { type Flight, Flights, type Landing, type LoadContext } from './flights.ts';
import { type BatchLoader, isEngineTrouble, Loads } from './loads.ts';
import {
  type CacheLoadOptions,
  type CacheOptions,
  type CacheSetOptions,
  type CacheSettings,
  checkKey,
  checkTag,
  Lifetimes,
  resolveSettings,
} from './options.ts';
import { openValue, sealValue } from './values.ts';

/** Anything but `undefined`, which means a miss. {@link Cache} says which values are data. */
export type CacheValue = object | string | number | bigint | boolean | null;

/** A value with the mark of the write it came from, for {@link Cache.compareAndSet}. */
export interface VersionedValue<Value> {
  readonly value: Value;
  readonly version: string;
}

/** Options of {@link Cache.compareAndSet}. */
export interface CompareAndSetOptions extends CacheSetOptions {
  /** What {@link Cache.getVersioned} gave; `undefined` to write only where nothing is. */
  readonly version: string | undefined;
}

/** Options of {@link Cache.increment}. */
export interface IncrementOptions extends CacheSetOptions {
  /** A safe integer, which may be negative. Default 1. */
  readonly by?: number;
}

/** Loads the value of one key. `undefined` is handed to the caller and not cached; `null` is cached. */
export type Loader<Value> = (context: LoadContext) => Value | Promise<Value>;

// A load belongs to everybody who waits for it: no caller's signal, given or from its context, may cancel the driver's part of it.
const untouched: AbortSignal = new AbortController().signal;

const getChannel = operationChannel('cache', 'get');
const getOrSetChannel = operationChannel('cache', 'getOrSet');

/**
 * A cache of plain data: `null`, booleans, numbers, bigints, strings, plain objects, arrays, `Map`, `Set`, `Date` and
 * `Uint8Array`, nested as you like. Anything else is refused as `invalid-argument`, alike on every adapter.
 *
 * What comes out is read-only: objects and arrays are frozen and shared by all readers, so a hit copies nothing; a value
 * that holds a `Map`, `Set`, `Date` or bytes is copied for each reader. What the caller put in stays the caller's own.
 */
export class Cache<AnyDriver extends CacheDriver = CacheDriver> extends Component<AnyDriver> {
  readonly #clock: Clock;
  readonly #defaults: CacheSettings;
  readonly #lifetimes: Lifetimes;
  readonly #flights = new Flights();
  readonly #loads: Loads;

  constructor(driver: AnyDriver, options: CacheOptions = {}) {
    super('cache', driver, options);
    this.#clock = options.clock ?? systemClock;
    this.#defaults = resolveSettings({ ...options, tags: [] });
    this.#lifetimes = new Lifetimes(options);
    this.#loads = new Loads({
      driver,
      clock: this.#clock,
      lifetimes: this.#lifetimes,
      flights: this.#flights,
      guard: async (fn, signal = untouched) =>
        this.isDirect
          ? await fn(signal).catch((error: unknown) => {
              throw this.wrap(error, 'getOrSet', signal);
            })
          : await this.guard('getOrSet', { signal }, fn),
    });
  }

  /** The value under a key, or `undefined`. A value past its `ttl` is not given, also while in its grace. */
  get<Value = unknown>(key: string, options?: CallOptions): Promise<Value | undefined> {
    const entry = getChannel.hasSubscribers ? undefined : this.#peek(key, options);
    if (entry !== undefined && this.#clock.now() < entry.freshUntil)
      return Promise.resolve(openValue(entry) as Value);
    const attributes: OperationAttributes = { key };
    return this.run(
      'get',
      attributes,
      { signal: options?.signal, repeatable: true },
      async (signal) => {
        const [fresh] = await this.#readFresh([key], signal);
        attributes['hit'] = fresh !== undefined;
        return fresh && (openValue(fresh) as Value);
      },
    );
  }

  /** The values that are there, by key, in the order of the keys. */
  getMany<Value = unknown>(
    keys: readonly string[],
    options: CallOptions = {},
  ): Promise<Map<string, Value>> {
    const attributes: OperationAttributes = { count: keys.length };
    return this.run('getMany', attributes, { ...options, repeatable: true }, async (signal) => {
      const entries = await this.#readFresh(keys, signal);
      const values = new Map<string, Value>();
      for (const [index, entry] of entries.entries()) {
        if (entry) values.set(keys[index] as string, openValue(entry) as Value);
      }
      attributes['hits'] = values.size;
      return values;
    });
  }

  /** The value with its version, for {@link Cache.compareAndSet}. */
  getVersioned<Value = unknown>(
    key: string,
    options: CallOptions = {},
  ): Promise<VersionedValue<Value> | undefined> {
    return this.run('getVersioned', { key }, { ...options, repeatable: true }, async (signal) => {
      const [entry] = await this.#readFresh([key], signal);
      return entry && { value: openValue(entry) as Value, version: entry.version };
    });
  }

  /** Writes a value. A load of the key that is under way will not overwrite it. */
  set(key: string, value: CacheValue, options: CacheSetOptions = {}): Promise<void> {
    return this.run(
      'set',
      { key },
      { signal: options.signal, repeatable: true },
      async (signal) => {
        await this.#write([[key, value]], options, signal);
      },
    );
  }

  /** Writes many values with the same options. All are checked before the first is written. */
  setMany(
    values: Iterable<readonly [key: string, value: CacheValue]>,
    options: CacheSetOptions = {},
  ): Promise<void> {
    const entries = [...values];
    return this.run(
      'setMany',
      { count: entries.length },
      { signal: options.signal, repeatable: true },
      async (signal) => {
        await this.#write(entries, options, signal);
      },
    );
  }

  /**
   * Writes a value if the key still holds the version that was read, or still holds nothing. Tells whether it did.
   *
   * @example
   * const current = await cache.getVersioned<number[]>('queue');
   * await cache.compareAndSet('queue', [...(current?.value ?? []), 7], { version: current?.version });
   */
  compareAndSet(
    this: AnyDriver['capabilities']['compareAndSet'] extends false ? never : Cache<AnyDriver>,
    key: string,
    value: CacheValue,
    options: CompareAndSetOptions,
  ): Promise<boolean> {
    return this.run('compareAndSet', { key }, { signal: options.signal }, async (signal) => {
      requireCapability(this.capabilities, 'compareAndSet', {
        component: 'cache',
        adapter: this.adapter,
        operation: 'compareAndSet',
      });
      checkKey(key);
      const write = this.#writeOf(key, value, resolveSettings(options, this.#defaults));
      let isMade = true;
      try {
        [isMade = false] = await this.driver.set(
          [{ ...write, condition: { version: options.version } }],
          signal,
        );
        return isMade;
      } finally {
        // Also when the answer was lost.
        if (isMade) this.#flights.detach([key]);
      }
    });
  }

  /**
   * Adds to a counter and gives the sum; one that is not there starts at 0. `ttl` and `tags` are those of its first
   * increment. {@link Cache.get} reads it. Fails with `failed-precondition` where the key holds something else than a safe
   * integer, or the sum would not be one.
   */
  increment(
    this: AnyDriver['capabilities']['counters'] extends false ? never : Cache<AnyDriver>,
    key: string,
    options: IncrementOptions = {},
  ): Promise<number> {
    return this.run('increment', { key }, { signal: options.signal }, async (signal) => {
      requireCapability(this.capabilities, 'counters', {
        component: 'cache',
        adapter: this.adapter,
        operation: 'increment',
      });
      checkKey(key);
      const { by = 1 } = options;
      if (!Number.isSafeInteger(by))
        throw invalidArgument({ component: 'cache' }, 'by is not a safe integer');
      const { entry: initial } = this.#writeOf(key, by, resolveSettings(options, this.#defaults));
      let sum: number | undefined;
      try {
        sum = await this.driver.increment(key, { by, initial }, signal);
      } finally {
        this.#flights.detach([key]);
      }
      if (sum !== undefined) return sum;
      throw new InfrastructureError({
        code: 'failed-precondition',
        component: 'cache',
        adapter: this.adapter,
        operation: 'increment',
        message: `${JSON.stringify(key)} cannot be incremented by ${by}: it holds something else than a safe integer, or the sum is none; delete it first`,
      });
    });
  }

  /**
   * The value under a key, or the one that `load` gives, which is then cached. However many ask at once, `load` runs once, and all get
   * what it gave. A load that began before its key was written, deleted or cleared, or one of its tags invalidated, is never cached.
   *
   * What `load` throws is thrown unchanged, unless a value in its grace can stand in. When the engine is in trouble,
   * `load` is called and nothing is cached: a cache that is down costs speed, not answers.
   *
   * @example
   * const article = await cache.getOrSet(`article:${id}`, ({ signal }) => articles.findById(id, { signal }), { ttl: '10m', tags: ['articles'] });
   */
  getOrSet<Value>(key: string, load: Loader<Value>, options?: CacheLoadOptions): Promise<Value> {
    const entry = getOrSetChannel.hasSubscribers ? undefined : this.#peek(key, options);
    if (entry !== undefined && this.#clock.now() < entry.refreshAt)
      return Promise.resolve(openValue(entry) as Value);
    const attributes: OperationAttributes = { adapter: this.adapter, key };
    return operation('cache', 'getOrSet', attributes, async () => {
      const loadOne: BatchLoader<Value> = async (_, context) =>
        new Map([[key, await load(context)]]);
      const [landing] = await this.#getOrSet([key], loadOne, options, attributes);
      attributes['source'] = landing?.source;
      return (landing?.sealed && openValue(landing.sealed)) as Value;
    });
  }

  /**
   * {@link Cache.getOrSet} of many keys: `load` is called once, with the keys that are neither cached nor being loaded by somebody else.
   * Gives the values by key, in the order of the keys, without those that `load` did not give.
   */
  getOrSetMany<Value>(
    keys: readonly string[],
    load: BatchLoader<Value>,
    options?: CacheLoadOptions,
  ): Promise<Map<string, Value>> {
    const attributes: OperationAttributes = { adapter: this.adapter, count: keys.length };
    return operation('cache', 'getOrSetMany', attributes, async () => {
      const unique = [...new Set(keys)];
      const landings =
        unique.length === 0 ? [] : await this.#getOrSet(unique, load, options, attributes);
      attributes['hits'] = landings.filter(({ source }) => source === 'hit').length;
      const values = new Map<string, Value>();
      for (const [index, { sealed }] of landings.entries()) {
        if (sealed) values.set(unique[index] as string, openValue(sealed) as Value);
      }
      return values;
    });
  }

  /** Removes a key, its value in its grace included. Tells whether it held a fresh value. */
  async delete(key: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.#delete('delete', [key], options)) > 0;
  }

  /** Removes many keys. Tells how many held a fresh value. */
  async deleteMany(keys: readonly string[], options: CallOptions = {}): Promise<number> {
    return await this.#delete('deleteMany', [...new Set(keys)], options);
  }

  /** Removes everything that was written with this tag, or with one of these. */
  deleteByTag(tag: string | readonly string[], options: CallOptions = {}): Promise<void> {
    const tags = typeof tag === 'string' ? [tag] : [...tag];
    return this.run('deleteByTag', { tags }, { ...options, repeatable: true }, async (signal) => {
      tags.forEach(checkTag);
      try {
        if (tags.length > 0) await this.driver.deleteByTags(tags, signal);
      } finally {
        this.#flights.detachTagged(tags);
      }
    });
  }

  /** Removes everything. */
  clear(options: CallOptions = {}): Promise<void> {
    return this.run('clear', {}, { ...options, repeatable: true }, async (signal) => {
      try {
        await this.driver.clear(signal);
      } finally {
        this.#flights.detachAll();
      }
    });
  }

  /** Waits for the loads under way. */
  override async drain({ signal }: CallOptions = {}): Promise<void> {
    const ended = this.#flights.ended();
    await (signal ? abortable(ended, signal) : ended);
    await super.drain({ signal });
  }

  /** Aborts the loads under way, and releases everything. */
  override async close(): Promise<void> {
    this.#flights.abortAll(new DOMException('the cache was closed', 'AbortError'));
    await super.close();
  }

  // The whole way of a hit: no promise but the caller's, no options read but the signal.
  #peek(key: string, options: CallOptions | undefined): StoredEntry | undefined {
    if (!this.isDirect || this.driver.peek === undefined) return undefined;
    const signal = options?.signal ?? currentContext().signal;
    return signal?.aborted ? undefined : this.driver.peek(key);
  }

  async #readFresh(
    keys: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly (StoredEntry | undefined)[]> {
    keys.forEach(checkKey);
    const entries = await this.driver.get(keys, signal);
    const now = this.#clock.now();
    return entries.map((entry) => (entry && now < entry.freshUntil ? entry : undefined));
  }

  async #write(
    values: readonly (readonly [string, CacheValue])[],
    options: CacheSetOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const settings = resolveSettings(options, this.#defaults);
    const keys = values.map(([key]) => key);
    keys.forEach(checkKey);
    const writes = values.map(([key, value]) => this.#writeOf(key, value, settings));
    try {
      if (writes.length > 0) await this.driver.set(writes, signal);
    } finally {
      this.#flights.detach(keys);
    }
  }

  #writeOf(key: string, value: unknown, settings: CacheSettings): CacheWrite {
    return {
      key,
      entry: this.#lifetimes.entry(sealValue(value), settings, { now: this.#clock.now() }),
    };
  }

  #delete(name: string, keys: readonly string[], options: CallOptions): Promise<number> {
    const attributes: OperationAttributes =
      keys.length === 1 ? { key: keys[0] } : { count: keys.length };
    return this.run(name, attributes, { ...options, repeatable: true }, async (signal) => {
      keys.forEach(checkKey);
      try {
        return keys.length === 0 ? 0 : await this.driver.delete(keys, signal);
      } finally {
        this.#flights.detach(keys);
      }
    });
  }

  async #getOrSet<Value>(
    keys: readonly string[],
    load: BatchLoader<Value>,
    options: CacheLoadOptions | undefined,
    attributes: OperationAttributes,
  ): Promise<readonly Landing[]> {
    const signal = options?.signal ?? currentContext().signal;
    const settings = resolveSettings(options, this.#defaults);
    keys.forEach(checkKey);
    const entries = await this.#read(keys, signal, attributes);
    if (this.driver.holds !== undefined)
      await this.#loads.leaveVoid(
        keys.flatMap((key) => this.#flights.get(key) ?? []),
        signal,
      );
    const now = this.#clock.now();
    const landings: (Landing | undefined)[] = [];
    const missing: string[] = [];
    const ageing: string[] = [];
    const joined = new Set<string>();
    for (const [index, key] of keys.entries()) {
      const entry = entries[index];
      const isHit = entry !== undefined && now < entry.freshUntil;
      if (isHit) landings[index] = { sealed: entry, source: 'hit' };
      if (this.#flights.get(key) !== undefined) {
        joined.add(key);
        continue;
      }
      if (!isHit) missing.push(key);
      else if (now >= entry.refreshAt) ageing.push(key);
    }
    if (ageing.length > 0) this.#loads.start(ageing, load, { settings, isRefresh: true });
    if (missing.length > 0) this.#loads.start(missing, load, { settings, isRefresh: false });
    const land = async (key: string, index: number): Promise<Landing> => {
      const hit = landings[index];
      if (hit !== undefined) return hit;
      // Whatever is no hit has a flight: it was joined or started above, in this same turn.
      const flight = this.#flights.get(key) as Flight;
      const landing = await this.#wait(flight, settings, signal);
      // What a lease has found may have been voided by another process before this caller came.
      const isOlder =
        landing.source === 'hit' && joined.has(key) && this.driver.holds !== undefined;
      if (!isOlder) return landing;
      const [again] = await this.#getOrSet([key], load, options, attributes);
      return again ?? landing;
    };
    return await Promise.all(keys.map(land));
  }

  async #read(
    keys: readonly string[],
    signal: AbortSignal | undefined,
    attributes: OperationAttributes,
  ): Promise<readonly (StoredEntry | undefined)[]> {
    const { driver } = this;
    if (driver.peek !== undefined && this.isDirect && !signal?.aborted)
      return keys.map((key) => driver.peek?.(key));
    try {
      return await this.guard(
        'getOrSet',
        { signal, repeatable: true },
        async (inTime) => await driver.get(keys, inTime),
      );
    } catch (error) {
      if (signal?.aborted || !isEngineTrouble(error)) throw error;
      attributes['engineError'] = error.code;
      return [];
    }
  }

  async #wait(
    flight: Flight,
    settings: CacheSettings,
    signal: AbortSignal | undefined,
  ): Promise<Landing> {
    try {
      return await this.#loads.wait(flight, settings.softTimeout, signal);
    } catch (error) {
      throw signal?.aborted && error === signal.reason
        ? this.wrap(error, 'getOrSet', signal)
        : error;
    }
  }
}
