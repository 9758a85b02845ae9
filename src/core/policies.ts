import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
  type IPolicy,
} from 'cockatiel';

import { longestTimer } from './clock.ts';
import { type ErrorCode, type ErrorOrigin, InfrastructureError, withOutcome } from './errors.ts';
import { type Duration, toMilliseconds } from './quantities.ts';

/**
 * How a component's calls are guarded, from the outside in: `limit -> timeout -> retry -> circuitBreaker ->
 * attemptTimeout`. What is left out is off.
 */
export interface PolicyOptions {
  /** Calls at once, and how many may wait for a place; beyond that a call is refused as `resource-exhausted`. */
  readonly limit?: { readonly concurrency: number; readonly queue: number };
  /** For the whole call, retries included. */
  readonly timeout?: Duration;
  /**
   * Further attempts after the first. Only what is safe is repeated: an error that is `retryable`, of a call that is
   * repeatable or whose outcome is `not-applied`. The wait is full jitter over an exponential bound
   * (random between 0 and `min(maxDelay, initialDelay * 2^n)`), and never shorter than what the engine asked for.
   */
  readonly retry?: {
    readonly attempts: number;
    /** Default 100 ms. */
    readonly initialDelay?: Duration;
    /** Default 10 s. An engine that asks for more is not retried. */
    readonly maxDelay?: Duration;
  };
  /** Opens after this many failures in a row (`unavailable`, `deadline-exceeded`, `internal`), and tries again after `halfOpenAfter` (default 10 s). */
  readonly circuitBreaker?: { readonly failures: number; readonly halfOpenAfter?: Duration };
  /** For each attempt. */
  readonly attemptTimeout?: Duration;
}

/** A policy as it is in force: named, every default filled in, durations in milliseconds. */
export interface Policy {
  readonly name: string;
  readonly limit?: { readonly concurrency: number; readonly queue: number };
  readonly timeout?: number;
  readonly retry?: {
    readonly attempts: number;
    readonly initialDelay: number;
    readonly maxDelay: number;
  };
  readonly circuitBreaker?: { readonly failures: number; readonly halfOpenAfter: number };
  readonly attemptTimeout?: number;
}

/**
 * Names a policy once; give it to as many components as need it. Each gets a circuit breaker and a limit of its own.
 * Throws `invalid-argument` for a count below its least value, or a duration that is none or longer than 24 days.
 *
 * @example
 * const external = definePolicy('external', { timeout: '10s', retry: { attempts: 2 }, attemptTimeout: '3s' });
 */
export function definePolicy(name: string, options: PolicyOptions): Policy {
  const { limit, retry: retrying, circuitBreaker: breaker } = options;
  const count = (option: string, value: number, least: number): number => {
    if (Number.isInteger(value) && value >= least) return value;
    throw refuse(name, `${option} must be a whole number of at least ${least}`);
  };
  const wait = (option: string, duration: Duration): number => {
    const milliseconds = toMilliseconds(duration);
    if (milliseconds <= longestTimer) return milliseconds;
    throw refuse(name, `${option} must not be longer than 24 days`);
  };
  return Object.freeze({
    name,
    ...(limit && {
      limit: {
        concurrency: count('limit.concurrency', limit.concurrency, 1),
        queue: count('limit.queue', limit.queue, 0),
      },
    }),
    ...(options.timeout !== undefined && { timeout: wait('timeout', options.timeout) }),
    ...(retrying && {
      retry: {
        attempts: count('retry.attempts', retrying.attempts, 1),
        initialDelay: wait('retry.initialDelay', retrying.initialDelay ?? 100),
        maxDelay: wait('retry.maxDelay', retrying.maxDelay ?? 10_000),
      },
    }),
    ...(breaker && {
      circuitBreaker: {
        failures: count('circuitBreaker.failures', breaker.failures, 1),
        halfOpenAfter: wait('circuitBreaker.halfOpenAfter', breaker.halfOpenAfter ?? 10_000),
      },
    }),
    ...(options.attemptTimeout !== undefined && {
      attemptTimeout: wait('attemptTimeout', options.attemptTimeout),
    }),
  });
}

function refuse(name: string, problem: string): InfrastructureError {
  return new InfrastructureError({
    code: 'invalid-argument',
    component: 'core',
    message: `policy "${name}": ${problem}`,
  });
}

/** The policy of embedded adapters: nothing stands between the call and the driver. */
export const noPolicy: Policy = definePolicy('none', {});

/** What one guarded call says of itself. */
export interface PolicyCall {
  readonly origin: ErrorOrigin;
  readonly signal?: AbortSignal | undefined;
  /** Whether doing it twice is the same as doing it once. Default: no. */
  readonly repeatable?: boolean | undefined;
  /** Whether its result goes on after it, as a stream does, so that the caller's signal must still reach it. Default: no. */
  readonly outlived?: boolean | undefined;
  /** Maps what an attempt threw to the one error model, so that retry can decide on its outcome. */
  readonly wrap: (error: unknown) => InfrastructureError;
}

type Attempt<Result> = (signal: AbortSignal | undefined) => Promise<Result>;

/**
 * Runs calls under a policy, with a circuit breaker and a limit of its own. What it throws tells the outcome of the whole
 * call: `unknown` as soon as one attempt's is, `not-applied` for a call given up before any attempt could do anything.
 */
export class PolicyExecutor {
  readonly policy: Policy;
  readonly #random: () => number;
  readonly #limit: IPolicy | undefined;
  readonly #breaker: CircuitBreakerPolicy | undefined;

  /** `random` gives the jitter, from 0 to 1; default `Math.random`. */
  constructor(policy: Policy, random: () => number = Math.random) {
    this.policy = policy;
    this.#random = random;
    this.#limit = policy.limit ? bulkhead(policy.limit.concurrency, policy.limit.queue) : undefined;
    this.#breaker = policy.circuitBreaker
      ? circuitBreaker(
          handleWhen((error) => this.#isFailure(error)),
          {
            breaker: new ConsecutiveBreaker(policy.circuitBreaker.failures),
            halfOpenAfter: policy.circuitBreaker.halfOpenAfter,
          },
        )
      : undefined;
  }

  async execute<Result>(call: PolicyCall, attempt: Attempt<Result>): Promise<Result> {
    // How many attempts, those under way included, may have had their effect.
    let inDoubt = 0;
    const tracked: Attempt<Result> = async (signal) => {
      inDoubt += 1;
      try {
        return await attempt(call.outlived ? withSignal(call.signal, signal) : signal);
      } catch (error) {
        const wrapped = call.wrap(error);
        if (wrapped.outcome === 'not-applied') inDoubt -= 1;
        throw wrapped;
      }
    };
    const inTime = (): Promise<Result> =>
      within(this.policy.timeout, call, call.signal, (signal) =>
        this.#attempts(call, signal, tracked),
      );
    const guarded = this.#limit ? this.#limit.execute(inTime, call.signal) : inTime();
    try {
      return await (call.signal ? abortable(guarded, call.signal) : guarded);
    } catch (error) {
      const refused = describeRefusal(error, call.origin, this.policy) ?? call.wrap(error);
      // An attempt that was given up, and heeds its signal at once, can still say in this turn that it did nothing.
      if (inDoubt > 0) await endOfTurn();
      if (inDoubt === 0) throw withOutcome(refused, 'not-applied');
      throw refused.outcome === 'not-applied' ? withOutcome(refused, 'unknown') : refused;
    }
  }

  async #attempts<Result>(
    call: PolicyCall,
    signal: AbortSignal | undefined,
    attempt: Attempt<Result>,
  ): Promise<Result> {
    for (let failures = 0; ;) {
      signal?.throwIfAborted();
      try {
        return await this.#throughBreaker(() =>
          within(this.policy.attemptTimeout, call, signal, attempt),
        );
      } catch (error) {
        failures += 1;
        if (signal?.aborted || !this.#isRetried(error, failures, call)) throw error;
        await pause(this.#delay(failures, error), signal);
      }
    }
  }

  #isRetried(error: unknown, failures: number, { repeatable }: PolicyCall): boolean {
    const { attempts = 0, maxDelay = 0 } = this.policy.retry ?? {};
    return (
      failures <= attempts &&
      InfrastructureError.is(error) &&
      error.retryable &&
      (error.retryAfterMs ?? 0) <= maxDelay &&
      (repeatable === true || error.outcome === 'not-applied')
    );
  }

  #delay(failures: number, failure: unknown): number {
    const { initialDelay = 0, maxDelay = 0 } = this.policy.retry ?? {};
    const jittered = this.#random() * Math.min(maxDelay, initialDelay * 2 ** (failures - 1));
    return Math.max(jittered, InfrastructureError.is(failure) ? (failure.retryAfterMs ?? 0) : 0);
  }

  #throughBreaker<Result>(attempt: () => Promise<Result>): Promise<Result> {
    const breaker = this.#breaker;
    return breaker === undefined ? attempt() : this.#through(breaker, attempt);
  }

  async #through<Result>(
    breaker: CircuitBreakerPolicy,
    attempt: () => Promise<Result>,
  ): Promise<Result> {
    const answer = await breaker.execute(async () => {
      try {
        return { result: await attempt() };
      } catch (error) {
        // An engine that refuses a call has answered, which ends a row of failures as a success does.
        if (hasAnswered(error)) return { error };
        throw error;
      }
    });
    if ('error' in answer) throw answer.error;
    return answer.result;
  }

  #isFailure(error: unknown): boolean {
    // An attempt's own error is wrapped; a raw one is the reason for which it was given up. A trial that was cancelled or given
    // up has shown nothing: the circuit must not close on it.
    if (!InfrastructureError.is(error) || error.code === 'cancelled')
      return this.#breaker?.state === CircuitState.HalfOpen;
    return circuitCodes.has(error.code);
  }
}

const circuitCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unavailable',
  'deadline-exceeded',
  'internal',
]);

function hasAnswered(error: unknown): boolean {
  return (
    InfrastructureError.is(error) && error.code !== 'cancelled' && !circuitCodes.has(error.code)
  );
}

async function endOfTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.nextTick(resolve);
  await promise;
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await (signal ? abortable(promise, signal) : promise);
  } finally {
    clearTimeout(timer);
  }
}

// Not async, as `#throughBreaker`: what a policy does not ask for is to cost its calls no promise.
function within<Result>(
  milliseconds: number | undefined,
  call: PolicyCall,
  outer: AbortSignal | undefined,
  fn: Attempt<Result>,
): Promise<Result> {
  return milliseconds === undefined ? fn(outer) : limited(milliseconds, call, outer, fn);
}

// Not cockatiel's timeout, which says `AbortError` where the reason is a timeout. Its signal follows the outer one by a listener
// while it runs, which costs 0.3 µs; one listener on a signal of `AbortSignal.any` costs 11 µs.
async function limited<Result>(
  milliseconds: number,
  call: PolicyCall,
  outer: AbortSignal | undefined,
  fn: Attempt<Result>,
): Promise<Result> {
  outer?.throwIfAborted();
  const ending = new AbortController();
  const { signal } = ending;
  const follow = (): void => {
    ending.abort(outer?.reason);
  };
  outer?.addEventListener('abort', follow, { once: true });
  const timer = setTimeout(() => {
    ending.abort(new DOMException(`no answer within ${milliseconds} ms`, 'TimeoutError'));
  }, milliseconds);
  try {
    return await abortable(fn(signal), signal);
  } catch (error) {
    if (!signal.aborted || outer?.aborted) throw error;
    throw new InfrastructureError({
      code: 'deadline-exceeded',
      ...call.origin,
      message: `no answer within ${milliseconds} ms`,
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', follow);
  }
}

/** The attempt's signal, which follows the caller's also after the call. Costs 11 µs: for what needs it. */
function withSignal(
  caller: AbortSignal | undefined,
  signal: AbortSignal | undefined,
): AbortSignal | undefined {
  if (caller === undefined || signal === undefined || signal === caller) return signal;
  return AbortSignal.any([caller, signal]);
}

function describeRefusal(
  error: unknown,
  origin: ErrorOrigin,
  { name, circuitBreaker: breaker, limit }: Policy,
): InfrastructureError | undefined {
  if (error instanceof BrokenCircuitError) {
    return new InfrastructureError({
      code: 'unavailable',
      ...origin,
      message: `the circuit of policy "${name}" is open after ${breaker?.failures} failures in a row; it is tried again after ${breaker?.halfOpenAfter} ms`,
      outcome: 'not-applied',
      cause: error,
    });
  }
  if (error instanceof BulkheadRejectedError) {
    return new InfrastructureError({
      code: 'resource-exhausted',
      ...origin,
      message: `policy "${name}" runs ${limit?.concurrency} calls at once and lets ${limit?.queue} wait, and both are full`,
      cause: error,
    });
  }
  return undefined;
}

/** Settles as the promise does, or rejects with the signal's reason as soon as it is aborted. */
export async function abortable<Result>(
  promise: Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  if (signal.aborted) {
    // Nobody else waits for it: its failure must not end the process.
    promise.catch(() => undefined);
    throw signal.reason;
  }
  const { promise: settled, resolve, reject } = Promise.withResolvers<Result>();
  const onAbort = (): void => {
    reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  promise.then(resolve, reject);
  try {
    return await settled;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
