import { describe, expect, it } from 'vitest';

import { type CallOptions, Component, type Driver, type RunOptions } from './component.ts';
import { runWithContext } from './context.ts';
import { InfrastructureError } from './errors.ts';
import { subscribeToOperations } from './operation.ts';
import { abortable, definePolicy, type Policy } from './policies.ts';

class Thing extends Component {
  async call<Result>(
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
    options: RunOptions = {},
  ): Promise<Result> {
    return await this.run('call', {}, options, fn);
  }
}

interface Fixture {
  readonly thing: Thing;
  readonly log: string[];
}

function make(overrides: Partial<Driver> = {}, policy?: Policy): Fixture {
  const log: string[] = [];
  const driver: Driver = {
    adapter: 'test',
    capabilities: { signedUrls: false },
    native: 'engine',
    classify: (error) => (error === 'engine' ? { code: 'not-found' } : undefined),
    start: async () => void log.push('start'),
    drain: async () => void log.push('drain'),
    checkHealth: async () => void log.push('checkHealth'),
    close: async () => void log.push('close'),
    ...overrides,
  };
  return { thing: new Thing('thing', driver, { policy }), log };
}

describe('start', () => {
  it('happens once, before the first call, however many come together', async () => {
    const { thing, log } = make();
    await Promise.all([
      thing.call(async () => log.push('a')),
      thing.call(async () => log.push('b')),
      thing.start(),
    ]);
    expect(log).toEqual(['start', 'a', 'b']);
  });

  it('can be tried again after it failed', async () => {
    let tries = 0;
    const { thing } = make({
      start: async () => {
        tries += 1;
        if (tries === 1) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      },
    });
    await expect(thing.call(async () => 1)).rejects.toMatchObject({
      code: 'unavailable',
      component: 'thing',
      adapter: 'test',
      operation: 'start',
    });
    await expect(thing.call(async () => 1)).resolves.toBe(1);
    expect(tries).toBe(2);
  });

  it('a call whose signal is aborted does not wait for it, and nothing was applied', async () => {
    const gate = Promise.withResolvers<void>();
    const { thing } = make({ start: async () => await gate.promise });
    const controller = new AbortController();
    const call = thing.call(async () => 'ran', { signal: controller.signal });
    const other = thing.call(async () => 'other');
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    gate.resolve();
    expect(await other).toBe('other');
  });

  it('takes part in the timeouts and retries of the call that waits for it', async () => {
    let tries = 0;
    const start = async (): Promise<void> => {
      tries += 1;
      if (tries === 1) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    };
    const retrying = make(
      { start },
      definePolicy('x', { retry: { attempts: 1, initialDelay: 0 } }),
    );
    // Not repeatable, but no call was made yet.
    expect(await retrying.thing.call(async () => 'done')).toBe('done');
    const hanging = make(
      { start: async () => await new Promise<never>(() => undefined) },
      definePolicy('y', { timeout: 5 }),
    );
    await expect(hanging.thing.call(async () => 1)).rejects.toMatchObject({
      code: 'deadline-exceeded',
      outcome: 'not-applied',
    });
  });

  it('one caller that gives it up leaves it to the others', async () => {
    const gate = Promise.withResolvers<void>();
    const { thing } = make({
      start: async (signal) =>
        await abortable(gate.promise, signal ?? new AbortController().signal),
    });
    const controller = new AbortController();
    const first = thing.start({ signal: controller.signal });
    const second = thing.start();
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    gate.resolve();
    await second;
  });

  it('of a closed one is refused', async () => {
    const { thing } = make();
    await thing.close();
    await expect(thing.start()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('closed') as string,
    });
  });

  it('a health check that is overdue does not end the start that calls wait for', async () => {
    const gate = Promise.withResolvers<void>();
    const { thing } = make({ start: async () => await gate.promise });
    const controller = new AbortController();
    const health = thing.checkHealth({ signal: controller.signal });
    const call = thing.call(async () => 'done');
    controller.abort(new DOMException('late', 'TimeoutError'));
    expect(await health).toEqual({
      status: 'down',
      message: 'the deadline passed before the operation finished',
    });
    gate.resolve();
    expect(await call).toBe('done');
  });
});

describe('close', () => {
  it('happens once, and later calls are refused', async () => {
    const { thing, log } = make();
    await thing.start();
    await Promise.all([thing.close(), thing.close(), thing[Symbol.asyncDispose]()]);
    expect(log).toEqual(['start', 'close']);
    await expect(thing.call(async () => 1)).rejects.toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
    });
    expect(await thing.checkHealth()).toMatchObject({ status: 'down' });
  });

  it('waits for a start under way, and the call that caused it does not run', async () => {
    const gate = Promise.withResolvers<void>();
    const { thing, log } = make({ start: async () => await gate.promise });
    const call = thing.call(async () => log.push('ran'));
    const closing = thing.close();
    gate.resolve();
    await expect(call).rejects.toMatchObject({ code: 'failed-precondition' });
    await closing;
    expect(log).toEqual(['close']);
  });

  it('aborts a start under way', async () => {
    const { thing, log } = make({
      start: async (signal) =>
        await abortable(new Promise<never>(() => undefined), signal ?? AbortSignal.timeout(1e9)),
    });
    const call = thing.call(async () => log.push('ran'));
    await Promise.all([
      expect(call).rejects.toMatchObject({ outcome: 'not-applied' }),
      thing.close(),
    ]);
    expect(log).toEqual(['close']);
  });

  it('releases the driver also after a failed start', async () => {
    const { thing, log } = make({
      start: async () => {
        throw new Error('no');
      },
    });
    await expect(thing.start()).rejects.toThrow('no');
    await thing.close();
    expect(log).toEqual(['close']);
  });

  it('and drain wrap what the driver throws', async () => {
    const fail = async (): Promise<never> => await Promise.reject(new Error('engine'));
    const { thing } = make({ close: fail, drain: fail });
    await thing.start();
    await expect(thing.drain()).rejects.toMatchObject({
      name: 'InfrastructureError',
      operation: 'drain',
    });
    await expect(thing.close()).rejects.toMatchObject({
      name: 'InfrastructureError',
      operation: 'close',
    });
  });
});

describe('run', () => {
  it('wraps what the driver throws, once, with where it arose', async () => {
    const { thing } = make();
    const failing = thing.call(async () => {
      // oxlint-disable-next-line typescript/only-throw-error -- engines do
      throw 'engine';
    });
    await expect(failing).rejects.toMatchObject({
      code: 'not-found',
      component: 'thing',
      adapter: 'test',
      operation: 'call',
    });
  });

  it('publishes one event, with the adapter', async () => {
    const { thing } = make();
    const seen: unknown[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) =>
        event.component === 'thing' &&
        seen.push([event.operation, event.attributes, InfrastructureError.is(event.error)]),
    });
    await thing.call(async () => 1);
    await thing.call(async () => await Promise.reject(new Error('x'))).catch(() => undefined);
    unsubscribe();
    expect(seen).toEqual([
      ['call', { adapter: 'test' }, false],
      ['call', { adapter: 'test' }, true],
    ]);
  });

  const policies: readonly (readonly [string, Policy | undefined])[] = [
    ['without a policy', undefined],
    [
      'under a policy',
      definePolicy('p', { timeout: '1h', retry: { attempts: 2, initialDelay: 0 } }),
    ],
  ];

  describe.each(policies)('%s', (_name, policy) => {
    it.each<[string, unknown, string]>([
      ['nothing', undefined, 'cancelled'],
      ['a string', 'stop', 'cancelled'],
      ['null', null, 'cancelled'],
      ['an object', { why: 'stop' }, 'cancelled'],
      ['an error', new Error('stop'), 'cancelled'],
      [
        'an InfrastructureError',
        new InfrastructureError({ code: 'unavailable', component: 'x', message: 'x' }),
        'cancelled',
      ],
      ['a timeout', new DOMException('late', 'TimeoutError'), 'deadline-exceeded'],
    ])(
      'an abort with %s as its reason before the call does nothing, and says so',
      async (_what, reason, code) => {
        const { thing, log } = make({}, policy);
        const call = thing.call(async () => log.push('ran'), { signal: AbortSignal.abort(reason) });
        await expect(call).rejects.toMatchObject({
          name: 'InfrastructureError',
          code,
          outcome: 'not-applied',
          component: 'thing',
          operation: 'call',
        });
        expect(log).toEqual([]);
      },
    );

    it.each<[string, unknown, string]>([
      ['nothing', undefined, 'cancelled'],
      ['a string', 'stop', 'cancelled'],
      [
        'an InfrastructureError',
        new InfrastructureError({ code: 'unavailable', component: 'x', message: 'x' }),
        'cancelled',
      ],
      ['a timeout', new DOMException('late', 'TimeoutError'), 'deadline-exceeded'],
    ])(
      'an abort with %s as its reason during the call is in doubt',
      async (_what, reason, code) => {
        const { thing } = make({}, policy);
        const controller = new AbortController();
        let tries = 0;
        const call = thing.call(
          async (signal) => {
            tries += 1;
            controller.abort(reason);
            signal?.throwIfAborted();
          },
          { signal: controller.signal, repeatable: true },
        );
        await expect(call).rejects.toMatchObject({
          name: 'InfrastructureError',
          code,
          outcome: 'unknown',
          component: 'thing',
        });
        expect(tries).toBe(1);
      },
    );

    it('takes the signal of the context, and one of its own before that', async () => {
      const { thing } = make({}, policy);
      const own = new AbortController();
      const aborted = { signal: AbortSignal.abort() };
      await runWithContext(aborted, async () => {
        await expect(thing.call(async () => 1)).rejects.toMatchObject({ code: 'cancelled' });
        await expect(thing.call(async () => 1, { signal: own.signal })).resolves.toBe(1);
      });
    });
  });

  it('retries a repeatable call and not another, and one event covers the attempts', async () => {
    const { thing } = make({}, definePolicy('p', { retry: { attempts: 1, initialDelay: 0 } }));
    let tries = 0;
    const flaky = async (): Promise<number> => {
      tries += 1;
      if (tries % 2 === 1) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
      return tries;
    };
    let events = 0;
    const unsubscribe = subscribeToOperations({
      end: (event) => event.component === 'thing' && (events += 1),
    });
    await expect(thing.call(flaky, { repeatable: true })).resolves.toBe(2);
    await expect(thing.call(flaky)).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'unknown',
    });
    unsubscribe();
    expect([tries, events]).toEqual([3, 2]);
  });

  it('a call made of guarded calls takes no place of its own in the limit, and is not repeated', async () => {
    const policy = definePolicy('narrow', {
      limit: { concurrency: 1, queue: 1 },
      retry: { attempts: 3, initialDelay: 0, maxDelay: 0 },
    });
    const { thing } = make({}, policy);
    let outer = 0;
    const calling = thing.call(
      async () => {
        outer += 1;
        await thing.call(async () => await Promise.resolve());
        throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      },
      { guarded: false, repeatable: true },
    );
    await expect(calling).rejects.toMatchObject({ code: 'unavailable', operation: 'call' });
    expect(outer).toBe(1);
  });

  it('shows its adapter, capabilities, native client and policy', () => {
    const policy = definePolicy('p', { timeout: 1 });
    const { thing } = make({}, policy);
    expect([
      thing.component,
      thing.adapter,
      thing.capabilities,
      thing.native,
      thing.policy,
    ]).toEqual(['thing', 'test', { signedUrls: false }, 'engine', policy]);
  });

  it('checkHealth asks the engine, and says what is wrong without secrets', async () => {
    const options: CallOptions = {};
    const { thing, log } = make();
    expect(await thing.checkHealth(options)).toEqual({ status: 'ok' });
    expect(log).toEqual(['start', 'checkHealth']);
    const { thing: broken } = make({
      checkHealth: async () => await Promise.reject(new Error('no redis://:hunter2@h')),
    });
    expect(await broken.checkHealth()).toEqual({
      status: 'down',
      message: 'no redis://[redacted]@h',
    });
  });

  it('checkHealth gives what the driver says of an engine that serves, but not as it should', async () => {
    const health = { status: 'degraded', message: 'a replica is gone' } as const;
    const { thing } = make({ checkHealth: async () => health });
    expect(await thing.checkHealth()).toEqual(health);
  });
});
