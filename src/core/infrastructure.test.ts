import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

import { describe, expect, it } from 'vitest';

import { InfrastructureError } from './errors.ts';
import { defineInfrastructure, type Managed } from './infrastructure.ts';

type Step = 'start' | 'drain' | 'close';

/** A component that writes down what is asked of it; `steps` replaces what it does then. */
function component(
  name: string,
  log: string[],
  steps: Partial<Record<Step, (signal?: AbortSignal) => Promise<void>>> = {},
): Managed {
  const step =
    (what: Step) =>
    async ({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> => {
      log.push(`${what} ${name}`);
      await steps[what]?.(signal);
    };
  return {
    component: name,
    adapter: 'test',
    start: step('start'),
    drain: step('drain'),
    close: step('close'),
    checkHealth: async () => await Promise.resolve({ status: 'ok' }),
  };
}

const fail = async (): Promise<never> => await Promise.reject(new Error('no'));

describe('start', () => {
  it('starts the components in the order of the definition, and the running object has them by name', async () => {
    const log: string[] = [];
    const infrastructure = defineInfrastructure(() => ({
      a: component('a', log),
      setting: 5,
      b: component('b', log),
    }));
    expect(log).toEqual([]);
    const app = await infrastructure.start({ env: {} });
    expect(log).toEqual(['start a', 'start b']);
    expect(app.setting).toBe(5);
    expect(app.a.component).toBe('a');
    expect(app.health.stage).toBe('started');
    expect(await app.health.check()).toEqual({
      status: 'ok',
      components: { a: { status: 'ok' }, b: { status: 'ok' } },
    });
    await app.stop();
  });

  it('each start builds components of its own', async () => {
    const infrastructure = defineInfrastructure(() => ({ a: component('a', []) }));
    const first = await infrastructure.start({ env: {} });
    const second = await infrastructure.start({ env: {} });
    expect(first.a).not.toBe(second.a);
    await first.stop();
    await second.stop();
  });

  it('a component that fails to start closes all in reverse, and its error is thrown', async () => {
    const log: string[] = [];
    const infrastructure = defineInfrastructure(() => ({
      a: component('a', log),
      b: component('b', log, { start: fail, close: fail }),
      c: component('c', log),
    }));
    await expect(infrastructure.start({ env: {} })).rejects.toMatchObject({
      name: 'InfrastructureError',
      message: 'no',
      operation: 'start',
    });
    expect(log.filter((line) => !line.startsWith('drain'))).toEqual([
      'start a',
      'start b',
      'close c',
      'close b',
      'close a',
    ]);
  });

  it.each([
    ['a string', 'stop', 'cancelled'],
    ['a timeout', new DOMException('late', 'TimeoutError'), 'deadline-exceeded'],
  ])('an abort with %s between two components ends it', async (_what, reason, code) => {
    const log: string[] = [];
    const controller = new AbortController();
    const infrastructure = defineInfrastructure(() => ({
      a: component('a', log, {
        start: async () => {
          controller.abort(reason);
        },
      }),
      b: component('b', log),
    }));
    await expect(
      infrastructure.start({ env: {}, signal: controller.signal }),
    ).rejects.toMatchObject({ code });
    expect(log).not.toContain('start b');
    expect(log).toContain('close a');
  });

  it('what was built is closed also when a name is taken or the environment is wrong', async () => {
    const log: string[] = [];
    const taken = defineInfrastructure(() => ({
      a: component('a', log),
      stop: component('stop', log),
    }));
    await expect(taken.start({ env: {} })).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(log.splice(0)).toEqual(['drain stop', 'drain a', 'close stop', 'close a']);
    const wrong = defineInfrastructure(({ env }) => {
      env.string('MISSING');
      return { b: component('b', log) };
    });
    await expect(wrong.start({ env: {} })).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(log).toEqual(['drain b', 'close b']);
  });

  it('one component under two names is started, drained and closed once', async () => {
    const log: string[] = [];
    const infrastructure = defineInfrastructure(() => {
      const a = component('a', log);
      return { a, alias: a };
    });
    await (await infrastructure.start({ env: {} })).stop();
    expect(log).toEqual(['start a', 'drain a', 'close a']);
  });

  it('the mistakes of the environment are thrown together, and nothing was started', async () => {
    const log: string[] = [];
    const infrastructure = defineInfrastructure(({ env }) => {
      env.string('FIRST');
      env.integer('SECOND');
      return { a: component('a', log) };
    });
    await expect(infrastructure.start({ env: {} })).rejects.toThrow(
      /has 2 mistakes:[\s\S]*FIRST[\s\S]*SECOND/,
    );
    expect(log).not.toContain('start a');
  });

  it('what a factory makes of a wrong variable does not hide the mistake', async () => {
    const infrastructure = defineInfrastructure(({ env }) => {
      env.url('DATABASE_URL', ['sqlite']);
      throw new TypeError('cannot open placeholder');
    });
    await expect(infrastructure.start({ env: {} })).rejects.toThrow(/DATABASE_URL: it is not set/);
  });

  it.each(['health', 'stop', 'stopOnSignals', 'then'])(
    'no component can be called %s',
    async (name) => {
      await expect(
        defineInfrastructure(() => ({ [name]: 1 })).start({ env: {} }),
      ).rejects.toMatchObject({
        code: 'invalid-argument',
        message: new RegExp(`"${name}"`),
      });
    },
  );

  it('waits for a definition that is made later', async () => {
    const app = await defineInfrastructure(async () => await Promise.resolve({ value: 1 })).start({
      env: {},
    });
    expect(app.value).toBe(1);
    await app.stop();
  });
});

describe('stop', () => {
  it('drains all in reverse, then closes all in reverse, once', async () => {
    const log: string[] = [];
    const app = await defineInfrastructure(() => ({
      a: component('a', log),
      b: component('b', log),
    })).start({ env: {} });
    log.length = 0;
    await Promise.all([app.stop(), app.stop()]);
    await app.stop();
    await app[Symbol.asyncDispose]();
    expect(log).toEqual(['drain b', 'drain a', 'close b', 'close a']);
    expect(app.health.stage).toBe('stopped');
  });

  it('makes readiness fail before anything drains', async () => {
    const stages: string[] = [];
    const app = await defineInfrastructure(() => ({
      a: component('a', [], {
        drain: async () => {
          stages.push(
            app.health.stage,
            String((await app.health.handler(new Request('http://h/ready'))).status),
          );
        },
      }),
    })).start({ env: {} });
    await app.stop();
    expect(stages).toEqual(['stopping', '503']);
  });

  it('a drain beyond the deadline is aborted, also one that ignores it, and everything is closed', async () => {
    const log: string[] = [];
    let signal: AbortSignal | undefined;
    const app = await defineInfrastructure(() => ({
      a: component('a', log),
      deaf: component('deaf', log, {
        drain: async (overdue) => {
          signal = overdue;
          await new Promise<never>(() => undefined);
        },
      }),
      late: component('late', log, { drain: fail }),
    })).start({ env: {} });
    await expect(app.stop({ deadline: 5 })).rejects.toMatchObject({
      name: 'InfrastructureError',
      operation: 'stop',
    });
    expect(signal?.reason).toMatchObject({ name: 'TimeoutError' });
    expect(log.slice(-3)).toEqual(['close late', 'close deaf', 'close a']);
  });

  it('a drain that fails after the deadline is nobody’s unhandled rejection', async () => {
    const app = await defineInfrastructure(() => ({
      a: component('a', [], {
        drain: async () =>
          await new Promise((_resolve, reject) => void setImmediate(reject, new Error('late'))),
      }),
      deaf: component('deaf', [], { drain: async () => await new Promise<never>(() => undefined) }),
    })).start({ env: {} });
    await expect(app.stop({ deadline: 1 })).rejects.toThrow('the deadline passed');
    await new Promise((resolve) => void setImmediate(resolve));
  });

  it('every component is closed whatever fails, and the first error is thrown with the others', async () => {
    const log: string[] = [];
    const app = await defineInfrastructure(() => ({
      a: component('a', log, { close: fail }),
      b: component('b', log, {
        close: async () =>
          await Promise.reject(
            new InfrastructureError({ code: 'data-loss', component: 'b', message: 'lost' }),
          ),
      }),
    })).start({ env: {} });
    const error: unknown = await app.stop().catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'data-loss',
      message: '2 components failed to stop; the first said: lost',
    });
    expect(JSON.stringify(error)).toContain('"message":"no"');
    expect(log.slice(-2)).toEqual(['close b', 'close a']);
  });

  it('a deadline longer than the platform’s timers is no deadline that passes at once', async () => {
    const app = await defineInfrastructure(() => ({
      a: component('a', [], {
        drain: async (signal) => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          signal?.throwIfAborted();
        },
      }),
    })).start({ env: {} });
    await expect(app.stop({ deadline: '30d' })).resolves.toBeUndefined();
  });
});

describe('stopOnSignals, in a process of its own', () => {
  const module = new URL('./infrastructure.ts', import.meta.url).href;

  /** Runs an application whose one component drains as `drain` says, until its line `ready`. */
  async function run(drain: string): Promise<{
    child: ChildProcessWithoutNullStreams;
    output: () => string;
    ended: Promise<unknown[]>;
  }> {
    const script = `
      import { defineInfrastructure } from ${JSON.stringify(module)};
      const say = (line) => process.stdout.write(line + '\\n');
      const keepAlive = setInterval(() => {}, 1000);
      const app = await defineInfrastructure(() => ({ a: {
        component: 'a', adapter: 'test', start: async () => {}, checkHealth: async () => ({ status: 'ok' }),
        drain: async () => { say('drain'); ${drain} },
        close: async () => { say('close'); clearInterval(keepAlive); },
      } })).start();
      app.stopOnSignals();
      say('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    const ended = once(child, 'exit');
    await said(child, () => output, 'ready');
    return { child, output: () => output, ended };
  }

  async function said(
    child: ChildProcessWithoutNullStreams,
    output: () => string,
    line: string,
  ): Promise<void> {
    while (!output().includes(`${line}\n`)) await once(child.stdout, 'data');
  }

  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s drains, closes and lets the process end with 0',
    async (signal) => {
      const { child, output, ended } = await run('');
      child.kill(signal);
      expect(await ended).toEqual([0, null]);
      expect(output()).toBe('ready\ndrain\nclose\n');
    },
  );

  it('a second signal ends the process at once with 1', async () => {
    const { child, output, ended } = await run('await new Promise(() => {});');
    child.kill('SIGTERM');
    await said(child, output, 'drain');
    child.kill('SIGINT');
    expect(await ended).toEqual([1, null]);
    expect(output()).toBe('ready\ndrain\n');
  });

  it('a failure to stop shows in the exit code', async () => {
    const { child, ended } = await run(`throw new Error('no');`);
    child.kill('SIGTERM');
    expect(await ended).toEqual([1, null]);
  });
});
