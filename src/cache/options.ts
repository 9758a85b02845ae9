import {
  type CallOptions,
  type Clock,
  type ComponentOptions,
  type Duration,
  invalidArgument,
  toMilliseconds,
} from '../core/index.ts';
import type { CacheEntry } from './driver.ts';
import type { SealedValue } from './values.ts';

/** How long an entry is kept. */
export interface CacheLifetime {
  /** How long it is a hit. Default that of the cache, which is 5 minutes unless given. */
  readonly ttl?: Duration | 'forever';
  /** How long after its `ttl` it may still stand in for a load that failed or is slow. Default that of the cache: none. */
  readonly grace?: Duration;
}

/** How values are loaded. */
export interface CacheLoading {
  /** The `ttl` of a loaded `null`, which says that there is nothing. Default: the same as any value's. */
  readonly negativeTtl?: Duration | 'forever';
  /** How long a caller waits for the load while a value in its grace is at hand; then it gets that, and the load goes on. Default: until it ends. */
  readonly softTimeout?: Duration;
  /** How long a load may take; then its signal is aborted and it has failed. Default: until it ends. */
  readonly hardTimeout?: Duration;
  /** The part of the `ttl` (above 0, below 1) after which a hit also starts a load behind the scenes. Default: off. */
  readonly eagerRefresh?: number;
  /** How long a value in its grace is a hit again after a load failed, so that a broken source is left in peace. Default 5 s. */
  readonly graceBackoff?: Duration;
}

/** Options of {@link Cache.set}. */
export interface CacheSetOptions extends CallOptions, CacheLifetime {
  /** Names under which it can be invalidated together with others. */
  readonly tags?: readonly string[];
}

/** Options of {@link Cache.getOrSet}. */
export interface CacheLoadOptions extends CacheSetOptions, CacheLoading {}

/** Options of every cache: how its engine is guarded, and what calls leave out. */
export interface CacheOptions extends ComponentOptions, CacheLifetime, CacheLoading {
  /** Shortens each `ttl` by a random part of up to this fraction (0 to 1), so that what was written together does not expire together. Default 0. */
  readonly jitter?: number;
  readonly clock?: Clock;
  /** Gives the jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: () => number;
}

/** The options of one call with every default filled in, in milliseconds. `Infinity` is never. */
export interface CacheSettings {
  readonly ttl: number;
  readonly grace: number;
  readonly negativeTtl: number | undefined;
  readonly softTimeout: number;
  readonly hardTimeout: number;
  readonly eagerRefresh: number | undefined;
  readonly graceBackoff: number;
  readonly tags: readonly string[];
}

const noTags: readonly string[] = Object.freeze([]);

const builtIn: CacheSettings = {
  ttl: 300_000,
  grace: 0,
  negativeTtl: undefined,
  softTimeout: Number.POSITIVE_INFINITY,
  hardTimeout: Number.POSITIVE_INFINITY,
  eagerRefresh: undefined,
  graceBackoff: 5000,
  tags: noTags,
};

/** Fills in what the options leave out. Throws `invalid-argument` for a bad one. */
export function resolveSettings(
  options: CacheLoadOptions | undefined,
  defaults: CacheSettings = builtIn,
): CacheSettings {
  if (options === undefined) return defaults;
  const { ttl, grace, negativeTtl, softTimeout, hardTimeout, eagerRefresh, graceBackoff, tags } =
    options;
  if (eagerRefresh !== undefined && !(eagerRefresh > 0 && eagerRefresh < 1)) {
    throw invalidArgument(
      { component: 'cache' },
      `eagerRefresh is the part of the ttl after which to refresh, between 0 and 1, such as 0.8; got ${eagerRefresh}`,
    );
  }
  tags?.forEach(checkTag);
  return {
    ttl: ttl === undefined ? defaults.ttl : lifetime(ttl),
    grace: grace === undefined ? defaults.grace : toMilliseconds(grace),
    negativeTtl: negativeTtl === undefined ? defaults.negativeTtl : lifetime(negativeTtl),
    softTimeout: softTimeout === undefined ? defaults.softTimeout : toMilliseconds(softTimeout),
    hardTimeout: hardTimeout === undefined ? defaults.hardTimeout : toMilliseconds(hardTimeout),
    eagerRefresh: eagerRefresh ?? defaults.eagerRefresh,
    graceBackoff: graceBackoff === undefined ? defaults.graceBackoff : toMilliseconds(graceBackoff),
    tags: tags === undefined || tags.length === 0 ? defaults.tags : [...new Set(tags)],
  };
}

function lifetime(ttl: Duration | 'forever'): number {
  return ttl === 'forever' ? Number.POSITIVE_INFINITY : toMilliseconds(ttl);
}

/** Longest key or tag, in UTF-16 units. Longer ones are most often a value put in the wrong place. */
const MAX_NAME_LENGTH = 1024;

/** Throws `invalid-argument` for what is no key. */
export function checkKey(key: string): void {
  checkName(key, 'key');
}

/** Throws `invalid-argument` for what is no tag. */
export function checkTag(tag: string): void {
  checkName(tag, 'tag');
}

function checkName(name: unknown, what: string): void {
  // A lone surrogate has no UTF-8: two different keys would become one on an engine behind a wire.
  if (
    typeof name === 'string' &&
    name.length > 0 &&
    name.length <= MAX_NAME_LENGTH &&
    name.isWellFormed()
  )
    return;
  throw invalidArgument(
    { component: 'cache' },
    `a ${what} is a well-formed string of 1 to ${MAX_NAME_LENGTH} characters`,
  );
}

/** Turns settings into the times of entries. */
export class Lifetimes {
  readonly #jitter: number;
  readonly #random: () => number;

  constructor({ jitter = 0, random = Math.random }: CacheOptions) {
    if (!(jitter >= 0 && jitter <= 1)) {
      throw invalidArgument(
        { component: 'cache' },
        `jitter is the part of each ttl to take away at most, from 0 to 1; got ${jitter}`,
      );
    }
    this.#jitter = jitter;
    this.#random = random;
  }

  /** The entry of a value written now. */
  entry(
    sealed: SealedValue,
    settings: CacheSettings,
    { now, ttl = settings.ttl }: { readonly now: number; readonly ttl?: number | undefined },
  ): CacheEntry {
    const jittered = this.#jitter === 0 ? ttl : ttl * (1 - this.#jitter * this.#random());
    const freshUntil = now + jittered;
    return {
      value: sealed.value,
      isMutable: sealed.isMutable,
      size: sealed.size,
      freshUntil,
      refreshAt:
        settings.eagerRefresh === undefined ? freshUntil : now + jittered * settings.eagerRefresh,
      expiresAt: freshUntil + settings.grace,
      tags: settings.tags,
    };
  }
}
