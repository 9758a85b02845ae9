import { getEventListeners } from 'node:events';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type ErrorCode, InfrastructureError, type Outcome, wrapError } from './errors.ts';
import { abortable, definePolicy, noPolicy, type PolicyCall, PolicyExecutor } from './policies.ts';

const origin = { component: 'storage', adapter: 'test', operation: 'get' };

function failure(code: ErrorCode, outcome?: Outcome, retryAfterMs?: number): InfrastructureError {
  return new InfrastructureError({
    code,
    ...origin,
    message: code,
    ...(outcome === undefined ? {} : { outcome }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function callWith(
  options: { repeatable?: boolean; outlived?: boolean; signal?: AbortSignal } = {},
): PolicyCall {
  return { origin, wrap: (error) => wrapError(error, origin), ...options };
}

/** Attempts that throw or give back what they are told, in order, and count themselves. */
function attempts(...answers: (Error | string)[]): { (): Promise<string>; count: number } {
  const run = async (): Promise<string> => {
    const answer = answers[run.count];
    run.count += 1;
    if (answer instanceof Error) throw answer;
    return answer ?? 'done';
  };
  run.count = 0;
  return run;
}

/** What a promise settles to, watched from the start so that no rejection is unhandled. */
function watch<Result>(promise: Promise<Result>): {
  settled: () => boolean;
  error: () => InfrastructureError;
  result: () => Result | undefined;
} {
  let state: { error?: InfrastructureError; result?: Result } | undefined;
  promise.then(
    (result) => (state = { result }),
    (error: unknown) => (state = { error: error as InfrastructureError }),
  );
  return {
    settled: () => state !== undefined,
    error: () => state?.error as InfrastructureError,
    result: () => state?.result,
  };
}

const never = async (): Promise<never> => await new Promise<never>(() => undefined);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  const left = vi.getTimerCount();
  vi.useRealTimers();
  if (left > 0) throw new Error(`${left} timers were left`);
});

describe('definePolicy', () => {
  it('fills in every default, in milliseconds', () => {
    expect(
      definePolicy('p', {
        retry: { attempts: 2 },
        circuitBreaker: { failures: 3 },
        timeout: '10s',
        attemptTimeout: 5,
        limit: { concurrency: 1, queue: 0 },
      }),
    ).toEqual({
      name: 'p',
      limit: { concurrency: 1, queue: 0 },
      timeout: 10_000,
      retry: { attempts: 2, initialDelay: 100, maxDelay: 10_000 },
      circuitBreaker: { failures: 3, halfOpenAfter: 10_000 },
      attemptTimeout: 5,
    });
  });

  it.each([
    [
      { limit: { concurrency: 0, queue: 0 } },
      'limit.concurrency must be a whole number of at least 1',
    ],
    [{ limit: { concurrency: 1, queue: -1 } }, 'limit.queue must be a whole number of at least 0'],
    [{ retry: { attempts: 1.5 } }, 'retry.attempts must be a whole number of at least 1'],
    [
      { circuitBreaker: { failures: Number.NaN } },
      'circuitBreaker.failures must be a whole number of at least 1',
    ],
    [{ timeout: '25d' }, 'timeout must not be longer than 24 days'],
    [{ attemptTimeout: -1 }, 'is not a duration'],
  ] as const)('%j is refused', (options, message) => {
    expect(() => definePolicy('p', options)).toThrow(message);
  });
});

describe('retry', () => {
  const policy = definePolicy('p', { retry: { attempts: 3, initialDelay: 100, maxDelay: 1000 } });

  it('waits between attempts: the random share of a bound that doubles', async () => {
    const attempt = attempts(
      failure('unavailable'),
      failure('unavailable'),
      failure('unavailable'),
      'fourth',
    );
    const call = watch(
      new PolicyExecutor(policy, () => 0.5).execute(callWith({ repeatable: true }), attempt),
    );
    const seen: number[] = [];
    for (let time = 0; time < 400; time += 1) {
      const before = attempt.count;
      await vi.advanceTimersByTimeAsync(1);
      if (attempt.count > before) seen.push(time);
    }
    expect(call.result()).toBe('fourth');
    const [second = 0, third = 0, fourth = 0] = seen.slice(-3);
    expect([third - second, fourth - third]).toEqual([
      expect.closeTo(100, -1),
      expect.closeTo(200, -1),
    ]);
    expect(second).toBeGreaterThanOrEqual(49);
  });

  it('never waits longer than maxDelay for its own reasons', async () => {
    const long = definePolicy('p', { retry: { attempts: 1, initialDelay: '1h', maxDelay: 500 } });
    const call = watch(
      new PolicyExecutor(long, () => 1).execute(
        callWith({ repeatable: true }),
        attempts(failure('unavailable'), 'second'),
      ),
    );
    await vi.advanceTimersByTimeAsync(499);
    expect(call.settled()).toBe(false);
    await vi.advanceTimersByTimeAsync(10);
    expect(call.result()).toBe('second');
  });

  it('waits as long as the engine asked for', async () => {
    const call = watch(
      new PolicyExecutor(policy, () => 0).execute(
        callWith({ repeatable: true }),
        attempts(failure('resource-exhausted', 'not-applied', 900), 'second'),
      ),
    );
    await vi.advanceTimersByTimeAsync(890);
    expect(call.settled()).toBe(false);
    await vi.advanceTimersByTimeAsync(20);
    expect(call.result()).toBe('second');
  });

  it('gives up at once when the engine asks for more than maxDelay', async () => {
    const attempt = attempts(failure('resource-exhausted', 'not-applied', 1001));
    await expect(
      new PolicyExecutor(policy).execute(callWith({ repeatable: true }), attempt),
    ).rejects.toMatchObject({ code: 'resource-exhausted', retryAfterMs: 1001 });
    expect(attempt.count).toBe(1);
  });

  it('throws the last error after the last attempt', async () => {
    const attempt = attempts(...Array.from({ length: 9 }, () => failure('unavailable')));
    const call = watch(
      new PolicyExecutor(policy, () => 0).execute(callWith({ repeatable: true }), attempt),
    );
    await vi.advanceTimersByTimeAsync(100);
    expect(call.error().code).toBe('unavailable');
    expect(attempt.count).toBe(4);
  });

  it.each<[string, boolean, InfrastructureError, number]>([
    [
      'an unknown outcome of a call that is not repeatable is not retried',
      false,
      failure('unavailable', 'unknown'),
      1,
    ],
    [
      'an unknown outcome of a repeatable call is retried',
      true,
      failure('unavailable', 'unknown'),
      2,
    ],
    [
      'a call that was certainly not applied is retried',
      false,
      failure('unavailable', 'not-applied'),
      2,
    ],
    ['an applied one is not retried', false, failure('unavailable', 'applied'), 1],
    ['an error that is not retryable is not retried', true, failure('invalid-argument'), 1],
    ['a cancelled one is not retried', true, failure('cancelled'), 1],
  ])('%s', async (_rule, repeatable, error, count) => {
    const attempt = attempts(error, 'second');
    const call = watch(
      new PolicyExecutor(policy, () => 0).execute(callWith({ repeatable }), attempt),
    );
    await vi.advanceTimersByTimeAsync(50);
    expect(call.settled()).toBe(true);
    expect(attempt.count).toBe(count);
  });

  it('an outcome in doubt stays in doubt, whatever a later attempt says', async () => {
    const attempt = attempts(
      failure('unavailable', 'unknown'),
      failure('already-exists', 'not-applied'),
    );
    const call = watch(
      new PolicyExecutor(policy, () => 0).execute(callWith({ repeatable: true }), attempt),
    );
    await vi.advanceTimersByTimeAsync(50);
    expect(call.error()).toMatchObject({ code: 'already-exists', outcome: 'unknown' });
  });

  it('an abort between attempts ends the wait: no attempt follows, and no timer is left', async () => {
    const controller = new AbortController();
    const attempt = attempts(failure('unavailable', 'not-applied'), 'second');
    const call = watch(
      new PolicyExecutor(policy, () => 1).execute(callWith({ signal: controller.signal }), attempt),
    );
    await vi.advanceTimersByTimeAsync(50);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(call.error()).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(5000);
    expect(attempt.count).toBe(1);
  });
});

describe('timeouts', () => {
  it('the attempt timeout ends an attempt that ignores its signal, and the next is tried', async () => {
    const policy = definePolicy('p', {
      attemptTimeout: 100,
      retry: { attempts: 1, initialDelay: 0 },
    });
    let count = 0;
    const call = watch(
      new PolicyExecutor(policy).execute(callWith({ repeatable: true }), async () => {
        count += 1;
        return count === 1 ? await never() : 'second';
      }),
    );
    await vi.advanceTimersByTimeAsync(99);
    expect(count).toBe(1);
    await vi.advanceTimersByTimeAsync(10);
    expect(call.result()).toBe('second');
  });

  it('an attempt that heeds its signal at once still counts as late, not as cancelled', async () => {
    const policy = definePolicy('p', { attemptTimeout: 100 });
    const call = watch(
      new PolicyExecutor(policy).execute(
        callWith(),
        async (signal) =>
          await new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => {
              reject(new DOMException('aborted', 'AbortError'));
            });
          }),
      ),
    );
    await vi.advanceTimersByTimeAsync(100);
    expect(call.error()).toMatchObject({
      code: 'deadline-exceeded',
      outcome: 'unknown',
      message: 'no answer within 100 ms',
    });
  });

  it('an attempt that heeds its signal may say that it did nothing, however many promises that takes', async () => {
    const call = watch(
      new PolicyExecutor(definePolicy('p', { timeout: 100 })).execute(
        callWith(),
        async (signal) => {
          try {
            return await abortable(never(), signal ?? new AbortController().signal);
          } catch {
            for (let hop = 0; hop < 50; hop += 1) await Promise.resolve();
            throw failure('unavailable', 'not-applied');
          }
        },
      ),
    );
    await vi.advanceTimersByTimeAsync(100);
    expect(call.error()).toMatchObject({ code: 'deadline-exceeded', outcome: 'not-applied' });
  });

  it('the total timeout counts the waits between attempts', async () => {
    const policy = definePolicy('p', {
      timeout: 250,
      retry: { attempts: 9, initialDelay: 100, maxDelay: 100 },
    });
    const attempt = attempts(
      ...Array.from({ length: 9 }, () => failure('unavailable', 'not-applied')),
    );
    const call = watch(new PolicyExecutor(policy, () => 1).execute(callWith(), attempt));
    await vi.advanceTimersByTimeAsync(250);
    expect(call.error()).toMatchObject({
      code: 'deadline-exceeded',
      outcome: 'not-applied',
      message: 'no answer within 250 ms',
    });
    const { count } = attempt;
    await vi.advanceTimersByTimeAsync(5000);
    expect(attempt.count).toBe(count);
  });

  it('the signal of a result stream outlives its call: no timeout aborts it, the caller still can', async () => {
    const policy = definePolicy('p', { timeout: 200, attemptTimeout: 100 });
    const controller = new AbortController();
    const signal = await new PolicyExecutor(policy).execute(
      callWith({ signal: controller.signal, outlived: true }),
      async (inTime) => inTime,
    );
    await vi.advanceTimersByTimeAsync(10_000);
    expect(signal?.aborted).toBe(false);
    controller.abort('stop');
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toBe('stop');
  });

  it.each([
    ['by the caller', 0, 'stop'],
    ['by the attempt timeout', 100, 'no answer within 100 ms'],
  ])('the signal of an attempt is aborted %s, with the reason', async (_by, after, reason) => {
    const policy = definePolicy('p', { timeout: 200, attemptTimeout: 100 });
    const controller = new AbortController();
    let seen: AbortSignal | undefined;
    const call = watch(
      new PolicyExecutor(policy).execute(callWith({ signal: controller.signal }), (signal) => {
        seen = signal;
        return never();
      }),
    );
    await vi.advanceTimersByTimeAsync(after);
    if (after === 0) controller.abort(new Error(reason));
    expect(seen?.reason).toMatchObject({ message: reason });
    await vi.advanceTimersByTimeAsync(0);
    expect(call.settled()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('the total timeout aborts the attempt under way, which is not retried', async () => {
    const policy = definePolicy('p', {
      timeout: 50,
      attemptTimeout: 100,
      retry: { attempts: 3, initialDelay: 0 },
    });
    const signals: (AbortSignal | undefined)[] = [];
    const call = watch(
      new PolicyExecutor(policy).execute(callWith({ repeatable: true }), (signal) => {
        signals.push(signal);
        return never();
      }),
    );
    await vi.advanceTimersByTimeAsync(1000);
    expect(call.error()).toMatchObject({ message: 'no answer within 50 ms', outcome: 'unknown' });
    expect(signals).toMatchObject([{ reason: { name: 'TimeoutError' } }]);
  });

  it.each([
    ['succeeds', async () => 'done'],
    ['fails', async () => await Promise.reject(failure('not-found'))],
    ['is late', never],
  ])('leaves no listener on the caller’s signal when the call %s', async (_how, attempt) => {
    const { signal } = new AbortController();
    const policy = definePolicy('p', {
      limit: { concurrency: 1, queue: 0 },
      timeout: 200,
      attemptTimeout: 100,
    });
    const call = watch(new PolicyExecutor(policy).execute<unknown>(callWith({ signal }), attempt));
    await vi.advanceTimersByTimeAsync(200);
    expect(call.settled()).toBe(true);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('a late failure of an attempt that was given up is nobody’s unhandled rejection', async () => {
    const policy = definePolicy('p', { attemptTimeout: 10 });
    const { promise, reject } = Promise.withResolvers<never>();
    const call = watch(new PolicyExecutor(policy).execute(callWith(), async () => await promise));
    await vi.advanceTimersByTimeAsync(10);
    expect(call.error().code).toBe('deadline-exceeded');
    reject(new Error('late'));
    await vi.advanceTimersByTimeAsync(10);
  });

  it('a late certain failure of one attempt does not clear the doubt that another left', async () => {
    const policy = definePolicy('p', {
      attemptTimeout: 100,
      retry: { attempts: 1, initialDelay: 0 },
    });
    const first = Promise.withResolvers<never>();
    const second = Promise.withResolvers<never>();
    let count = 0;
    const call = watch(
      new PolicyExecutor(policy).execute(
        callWith({ repeatable: true }),
        async () => await (count++ === 0 ? first : second).promise,
      ),
    );
    await vi.advanceTimersByTimeAsync(110);
    expect(count).toBe(2);
    first.reject(failure('unavailable', 'not-applied'));
    await vi.advanceTimersByTimeAsync(1);
    second.reject(failure('not-found', 'unknown'));
    await vi.advanceTimersByTimeAsync(1);
    expect(call.error()).toMatchObject({ code: 'not-found', outcome: 'unknown' });
  });
});

describe('limit', () => {
  const policy = definePolicy('narrow', { limit: { concurrency: 1, queue: 1 } });

  it('runs so many at once, lets so many wait, and refuses the rest', async () => {
    const executor = new PolicyExecutor(policy);
    const first = Promise.withResolvers<string>();
    const running = watch(executor.execute(callWith(), async () => await first.promise));
    const second = attempts('second');
    const waiting = watch(executor.execute(callWith(), second));
    const third = attempts('third');
    await expect(executor.execute(callWith(), third)).rejects.toMatchObject({
      code: 'resource-exhausted',
      outcome: 'not-applied',
      message: 'policy "narrow" runs 1 calls at once and lets 1 wait, and both are full',
    });
    expect([second.count, third.count]).toEqual([0, 0]);
    first.resolve('first');
    await vi.advanceTimersByTimeAsync(0);
    expect([running.result(), waiting.result()]).toEqual(['first', 'second']);
  });

  it('a call aborted while it waits fails at once, never runs, and was not applied', async () => {
    const executor = new PolicyExecutor(policy);
    const first = Promise.withResolvers<string>();
    const running = watch(executor.execute(callWith(), async () => await first.promise));
    const controller = new AbortController();
    const second = attempts('second');
    const waiting = watch(executor.execute(callWith({ signal: controller.signal }), second));
    await vi.advanceTimersByTimeAsync(0);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(waiting.error()).toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    first.resolve('first');
    await vi.advanceTimersByTimeAsync(0);
    expect(running.result()).toBe('first');
    expect(second.count).toBe(0);
    await expect(executor.execute(callWith(), attempts('third'))).resolves.toBe('third');
  });
});

describe('abort', () => {
  it('releases the caller of an attempt that ignores its signal; the outcome is unknown', async () => {
    const controller = new AbortController();
    const call = watch(
      new PolicyExecutor(definePolicy('p', { timeout: 1000 })).execute(
        callWith({ signal: controller.signal }),
        never,
      ),
    );
    await vi.advanceTimersByTimeAsync(0);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(call.error()).toMatchObject({ code: 'cancelled', outcome: 'unknown' });
  });

  it('of a signal that was aborted before leaves no attempt and no unhandled rejection', async () => {
    const attempt = attempts('first');
    const policy = definePolicy('p', {
      timeout: 1000,
      limit: { concurrency: 1, queue: 1 },
      retry: { attempts: 1 },
    });
    await expect(
      new PolicyExecutor(policy).execute(callWith({ signal: AbortSignal.abort() }), attempt),
    ).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(attempt.count).toBe(0);
    await vi.advanceTimersByTimeAsync(0);
  });

  it('with a retryable InfrastructureError as its reason is not retried', async () => {
    const controller = new AbortController();
    const reason = failure('unavailable', 'not-applied');
    let count = 0;
    const call = watch(
      new PolicyExecutor(definePolicy('p', { retry: { attempts: 5, initialDelay: 0 } })).execute(
        callWith({ signal: controller.signal, repeatable: true }),
        async (signal) => {
          count += 1;
          controller.abort(reason);
          signal?.throwIfAborted();
        },
      ),
    );
    await vi.advanceTimersByTimeAsync(50);
    expect(call.settled()).toBe(true);
    expect(count).toBe(1);
  });
});

describe('circuit breaker', () => {
  const policy = definePolicy('fragile', { circuitBreaker: { failures: 2, halfOpenAfter: 1000 } });
  const fail = async (executor: PolicyExecutor, code: ErrorCode): Promise<void> => {
    await expect(executor.execute(callWith(), attempts(failure(code)))).rejects.toMatchObject({
      code,
    });
  };
  const isOpen = async (executor: PolicyExecutor): Promise<boolean> => {
    const attempt = attempts('answer');
    await executor.execute(callWith(), attempt).catch(() => undefined);
    return attempt.count === 0;
  };

  it('opens after failures in a row, refuses without an attempt, and says why', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'internal');
    const attempt = attempts('answer');
    await expect(executor.execute(callWith(), attempt)).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
      retryable: true,
      message:
        'the circuit of policy "fragile" is open after 2 failures in a row; it is tried again after 1000 ms',
      ...origin,
    });
    expect(attempt.count).toBe(0);
  });

  it('closes again when a trial after halfOpenAfter succeeds', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'unavailable');
    vi.advanceTimersByTime(1000);
    await expect(executor.execute(callWith(), attempts('answer'))).resolves.toBe('answer');
    await fail(executor, 'unavailable');
    expect(await isOpen(executor)).toBe(false);
  });

  it('stays open when the trial fails', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'unavailable');
    vi.advanceTimersByTime(1000);
    await fail(executor, 'unavailable');
    expect(await isOpen(executor)).toBe(true);
  });

  it('stays open when the trial is cancelled, which shows nothing', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'unavailable');
    vi.advanceTimersByTime(1000);
    await fail(executor, 'cancelled');
    expect(await isOpen(executor)).toBe(true);
    vi.advanceTimersByTime(1000);
    expect(await isOpen(executor)).toBe(false);
  });

  it('stays open when the trial is given up, by its caller or for the total timeout', async () => {
    const executor = new PolicyExecutor(
      definePolicy('p', {
        timeout: 100,
        circuitBreaker: { failures: 1, halfOpenAfter: 1000 },
        attemptTimeout: 200,
      }),
    );
    await fail(executor, 'unavailable');
    const controller = new AbortController();
    const cancel = (): void => controller.abort();
    const wait = (): void => void vi.advanceTimersByTime(100);
    for (const [giveUp, signal] of [
      [cancel, controller.signal],
      [wait, new AbortController().signal],
    ] as const) {
      vi.advanceTimersByTime(1000);
      const trial = watch(executor.execute(callWith({ signal }), never));
      await vi.advanceTimersByTimeAsync(0);
      giveUp();
      await vi.advanceTimersByTimeAsync(0);
      expect(trial.settled()).toBe(true);
      expect(await isOpen(executor)).toBe(true);
    }
  });

  it('an engine that refuses has answered: it ends the row of failures', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'not-found');
    await fail(executor, 'unavailable');
    expect(await isOpen(executor)).toBe(false);
  });

  it('a cancelled call neither counts as a failure nor ends the row', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'cancelled');
    await fail(executor, 'unavailable');
    expect(await isOpen(executor)).toBe(true);
  });

  it('counts attempts that took too long', async () => {
    const executor = new PolicyExecutor(
      definePolicy('p', { attemptTimeout: 10, circuitBreaker: { failures: 1 } }),
    );
    const call = watch(executor.execute(callWith(), never));
    await vi.advanceTimersByTimeAsync(10);
    expect(call.error().code).toBe('deadline-exceeded');
    expect(await isOpen(executor)).toBe(true);
  });

  it('each executor of one policy has a circuit of its own', async () => {
    const executor = new PolicyExecutor(policy);
    await fail(executor, 'unavailable');
    await fail(executor, 'unavailable');
    expect(await isOpen(new PolicyExecutor(policy))).toBe(false);
  });

  it('the refusal of a component beneath, with a circuit of its own, keeps its words', async () => {
    const inner = new PolicyExecutor(definePolicy('inner', { circuitBreaker: { failures: 1 } }));
    await fail(inner, 'unavailable');
    const outer = new PolicyExecutor(definePolicy('outer', { timeout: 1000 }));
    await expect(
      outer.execute(callWith(), async () => await inner.execute(callWith(), attempts('answer'))),
    ).rejects.toThrow(/policy "inner" is open after 1 failures/);
  });
});

describe('order', () => {
  it('a retried call holds its place in the limit, and the breaker sees each attempt', async () => {
    const policy = definePolicy('p', {
      limit: { concurrency: 1, queue: 0 },
      retry: { attempts: 5, initialDelay: 100, maxDelay: 100 },
      circuitBreaker: { failures: 2 },
    });
    const executor = new PolicyExecutor(policy, () => 1);
    const attempt = attempts(
      ...Array.from({ length: 9 }, () => failure('unavailable', 'not-applied')),
    );
    const call = watch(executor.execute(callWith(), attempt));
    await vi.advanceTimersByTimeAsync(50);
    await expect(executor.execute(callWith(), attempts('other'))).rejects.toMatchObject({
      code: 'resource-exhausted',
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(attempt.count).toBe(2);
    expect(call.error().message).toMatch(/is open after 2 failures/);
  });

  it('without a policy the attempt runs as it is', async () => {
    await expect(new PolicyExecutor(noPolicy).execute(callWith(), attempts('done'))).resolves.toBe(
      'done',
    );
    await expect(
      new PolicyExecutor(noPolicy).execute(callWith(), attempts(new Error('raw'))),
    ).rejects.toMatchObject({ code: 'internal', outcome: 'unknown' });
  });
});

describe('abortable', () => {
  it('settles as the promise does', async () => {
    const { signal } = new AbortController();
    await expect(abortable(Promise.resolve(1), signal)).resolves.toBe(1);
    await expect(abortable(Promise.reject(new Error('own')), signal)).rejects.toThrow('own');
  });

  it.each(['text', undefined, new Error('why'), { any: 'thing' }])(
    'rejects with the reason %j as soon as it is aborted',
    async (reason) => {
      const controller = new AbortController();
      const waiting = abortable(never(), controller.signal);
      controller.abort(reason);
      await expect(waiting).rejects.toBe(controller.signal.reason);
    },
  );

  it('a promise that fails after the abort is handled', async () => {
    await expect(
      abortable(Promise.reject(new Error('late')), AbortSignal.abort('early')),
    ).rejects.toBe('early');
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const add = vi.spyOn(signal, 'addEventListener');
    await abortable(Promise.resolve(), signal);
    expect(remove.mock.calls[0]?.[1]).toBe(add.mock.calls[0]?.[1]);
  });
});
