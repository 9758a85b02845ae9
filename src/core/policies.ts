import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  DelegateBackoff,
  handleWhen,
  type IPolicy,
  type IRetryBackoffContext,
  noop,
  retry,
  TaskCancelledError,
  timeout,
  TimeoutStrategy,
} from 'cockatiel';

import { type ErrorOrigin, InfrastructureError } from './errors.ts';
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
 * Throws `invalid-argument` for a count below one or a bad duration.
 *
 * @example
 * const external = definePolicy('external', { timeout: '10s', retry: { attempts: 2 }, attemptTimeout: '3s' });
 */
export function definePolicy(name: string, options: PolicyOptions): Policy {
  const { limit, retry: retrying, circuitBreaker: breaker } = options;
  const counts = {
    'limit.concurrency': limit?.concurrency,
    'retry.attempts': retrying?.attempts,
    'circuitBreaker.failures': breaker?.failures,
  };
  for (const [option, count] of Object.entries({
    ...counts,
    'limit.queue': limit && limit.queue + 1,
  })) {
    if (count !== undefined && !(Number.isInteger(count) && count >= 1)) {
      throw new InfrastructureError({
        code: 'invalid-argument',
        component: 'core',
        message: `policy "${name}": ${option} is not a whole number of the least value it can have`,
      });
    }
  }
  return Object.freeze({
    name,
    ...(limit && { limit }),
    ...(options.timeout !== undefined && { timeout: toMilliseconds(options.timeout) }),
    ...(retrying && {
      retry: {
        attempts: retrying.attempts,
        initialDelay: toMilliseconds(retrying.initialDelay ?? 100),
        maxDelay: toMilliseconds(retrying.maxDelay ?? 10_000),
      },
    }),
    ...(breaker && {
      circuitBreaker: {
        failures: breaker.failures,
        halfOpenAfter: toMilliseconds(breaker.halfOpenAfter ?? 10_000),
      },
    }),
    ...(options.attemptTimeout !== undefined && {
      attemptTimeout: toMilliseconds(options.attemptTimeout),
    }),
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
  /** Maps what an attempt threw to the one error model, so that retry can decide on its outcome. */
  readonly wrap: (error: unknown) => InfrastructureError;
}

/** Runs calls under a policy, with a circuit breaker and a limit of its own. */
export class PolicyExecutor {
  readonly policy: Policy;
  readonly #limit: IPolicy;
  readonly #breaker: IPolicy;
  readonly #retryAny: IPolicy;
  readonly #retryNotApplied: IPolicy;

  /** `random` gives the jitter, from 0 to 1; default `Math.random`. */
  constructor(policy: Policy, random: () => number = Math.random) {
    this.policy = policy;
    this.#limit = policy.limit ? bulkhead(policy.limit.concurrency, policy.limit.queue) : noop;
    this.#breaker = policy.circuitBreaker
      ? circuitBreaker(handleWhen(breaksCircuit), {
          breaker: new ConsecutiveBreaker(policy.circuitBreaker.failures),
          halfOpenAfter: policy.circuitBreaker.halfOpenAfter,
        })
      : noop;
    this.#retryAny = retryPolicy(policy, random, () => true);
    this.#retryNotApplied = retryPolicy(policy, random, (error) => error.outcome === 'not-applied');
  }

  async execute<Result>(
    call: PolicyCall,
    attempt: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { timeout: total, attemptTimeout } = this.policy;
    const retrying = call.repeatable ? this.#retryAny : this.#retryNotApplied;
    const guarded = this.#limit.execute(
      async ({ signal: admitted }) =>
        await within(
          total,
          call,
          admitted,
          async (inTime) =>
            await retrying.execute(
              async ({ signal: current }) =>
                await this.#breaker.execute(
                  async ({ signal: allowed }) =>
                    await within(attemptTimeout, call, allowed, attempt),
                  current,
                ),
              inTime,
            ),
        ),
      call.signal,
    );
    try {
      return await (call.signal ? abortable(guarded, call.signal) : guarded);
    } catch (error) {
      throw describeRefusal(error, call, this.policy) ?? call.wrap(error);
    }
  }
}

const circuitCodes: ReadonlySet<string> = new Set(['unavailable', 'deadline-exceeded', 'internal']);

function breaksCircuit(error: unknown): boolean {
  return InfrastructureError.is(error) && circuitCodes.has(error.code);
}

function retryPolicy(
  policy: Policy,
  random: () => number,
  isSafe: (error: InfrastructureError) => boolean,
): IPolicy {
  if (!policy.retry) return noop;
  const { attempts, initialDelay, maxDelay } = policy.retry;
  const isRetried = (error: unknown): boolean =>
    InfrastructureError.is(error) &&
    error.retryable &&
    (error.retryAfterMs ?? 0) <= maxDelay &&
    isSafe(error);
  return retry(handleWhen(isRetried), {
    maxAttempts: attempts,
    backoff: new DelegateBackoff(({ attempt, result }: IRetryBackoffContext<unknown>) => {
      const jittered = random() * Math.min(maxDelay, initialDelay * 2 ** (attempt - 1));
      const asked =
        'error' in result && InfrastructureError.is(result.error)
          ? (result.error.retryAfterMs ?? 0)
          : 0;
      return Math.max(jittered, asked);
    }),
  });
}

async function within<Result>(
  milliseconds: number | undefined,
  call: PolicyCall,
  signal: AbortSignal,
  fn: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  try {
    if (milliseconds === undefined) return await fn(signal);
    // A result may be a stream that goes on after the call: its signal must not be aborted when the call returns.
    const limit = timeout(milliseconds, {
      strategy: TimeoutStrategy.Aggressive,
      abortOnReturn: false,
    });
    return await limit.execute(async ({ signal: inTime }) => await fn(inTime), signal);
  } catch (error) {
    if (error instanceof BrokenCircuitError) throw error;
    if (error instanceof TaskCancelledError && !signal.aborted) {
      throw new InfrastructureError({
        code: 'deadline-exceeded',
        ...call.origin,
        message: `no answer within ${milliseconds} ms`,
        cause: error,
      });
    }
    throw call.wrap(error);
  }
}

function describeRefusal(
  error: unknown,
  call: PolicyCall,
  policy: Policy,
): InfrastructureError | undefined {
  const cause = InfrastructureError.is(error) ? error.cause : error;
  if (cause instanceof BrokenCircuitError) {
    return new InfrastructureError({
      code: 'unavailable',
      ...call.origin,
      message: `the circuit of policy "${policy.name}" is open after ${policy.circuitBreaker?.failures} failures in a row; it is tried again after ${policy.circuitBreaker?.halfOpenAfter} ms`,
      outcome: 'not-applied',
      cause,
    });
  }
  if (cause instanceof BulkheadRejectedError) {
    return new InfrastructureError({
      code: 'resource-exhausted',
      ...call.origin,
      message: `policy "${policy.name}" runs ${policy.limit?.concurrency} calls at once and lets ${policy.limit?.queue} wait, and both are full`,
      cause,
    });
  }
  return undefined;
}

/** Settles as the promise does, or rejects with the signal's reason as soon as it is aborted. */
export async function abortable<Result>(
  promise: Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
