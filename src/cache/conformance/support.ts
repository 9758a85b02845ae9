import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import {
  type ConformanceCase,
  type ErrorCode,
  type FakeClock,
  InfrastructureError,
} from '../../core/index.ts';
import type { Cache } from '../cache.ts';
import type { CacheCapabilities } from '../driver.ts';

/** What each case gets: an empty cache with default options, and the clock that it goes by. */
export interface CacheSubject {
  readonly cache: Cache;
  readonly clock: FakeClock;
  /** Of an adapter with `shared`: another cache on the same entries, as another process has one. The case closes it. */
  readonly another?: () => Cache;
}

/** One rule of the cache port. */
export type CacheCase = ConformanceCase<CacheSubject, keyof CacheCapabilities>;

/** Asserts that a call is refused with this code, and gives the error. */
export async function refused(
  code: ErrorCode,
  promise: Promise<unknown>,
): Promise<InfrastructureError> {
  const error = await failure(promise);
  assert.ok(InfrastructureError.is(error), `not an InfrastructureError: ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** Asserts that a promise rejects, and gives what it rejects with. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  const { error, failed } = await promise.then(
    () => ({ error: undefined, failed: false }),
    (error: unknown) => ({ error, failed: true }),
  );
  assert.ok(failed, 'it succeeded');
  return error;
}

/** The promise itself, which may reject before it is awaited. */
export function begun<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}

/** Gives what the promise gives. What never comes fails the case after 2 s rather than hang the suite. */
export async function promptly<Value>(promise: Promise<Value>): Promise<Value> {
  const done = new AbortController();
  const late = delay(2000, undefined, { signal: done.signal }).then(() =>
    assert.fail('it did not happen within 2 s'),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    done.abort();
  }
}

/** A loader that ends when told to, and knows how often it ran. */
export class HeldLoad<Value> {
  runs = 0;
  signal: AbortSignal | undefined;
  readonly #started = Promise.withResolvers<void>();
  readonly #result = Promise.withResolvers<Value>();

  readonly load = async ({ signal }: { readonly signal: AbortSignal }): Promise<Value> => {
    this.runs += 1;
    this.signal = signal;
    this.#started.resolve();
    return await this.#result.promise;
  };

  /** Resolves once it runs. */
  get started(): Promise<void> {
    return promptly(this.#started.promise);
  }

  give(value: Value): void {
    this.#result.resolve(value);
  }

  fail(error: unknown): void {
    // It may not have begun: a remote engine is asked for a lease before.
    void begun(this.#result.promise);
    this.#result.reject(error);
  }
}

/** A loader for a call that must not load. */
export function mustNotLoad(): never {
  assert.fail('it loaded');
}

/** A loader that fails. */
export async function failingLoad(): Promise<never> {
  throw new Error('the source is down');
}
