import { setImmediate } from 'node:timers/promises';

import { Component, definePolicy, type Driver, noPolicy, type Policy } from 'underpin/core';

import type { Bench, BenchCase } from './harness.ts';

const driver: Driver = {
  adapter: 'bench',
  capabilities: {},
  native: undefined,
  classify: () => undefined,
  close: async () => undefined,
};

let answered = 0;

/** An engine that answers at once, and heeds its signal meanwhile. */
async function answer(signal: AbortSignal | undefined): Promise<void> {
  const stop = (): void => {
    throw signal?.reason;
  };
  signal?.addEventListener('abort', stop, { once: true });
  await Promise.resolve();
  answered += 1;
  signal?.removeEventListener('abort', stop);
}

class Asked extends Component {
  constructor(policy: Policy) {
    super('bench', driver, { policy });
  }

  async ask(signal?: AbortSignal): Promise<void> {
    await this.run('ask', {}, { repeatable: true, signal }, answer);
  }
}

const retry = { attempts: 3 };
const circuitBreaker = { failures: 5 };
const everything = definePolicy('everything', {
  limit: { concurrency: 10, queue: 10 },
  timeout: '10s',
  retry,
  circuitBreaker,
  attemptTimeout: '1s',
});

/** One call after another under a policy, against the same calls without. */
function policyCase(id: string, policy: Policy, signal?: AbortSignal): BenchCase {
  return {
    id,
    unit: 'ns',
    count: 50_000,
    goals: [{ against: 'bare', moreAtMost: 5000 }],
    async open() {
      const components = { bare: new Asked(noPolicy), underpin: new Asked(policy) };
      for (const component of Object.values(components)) await component.start();
      return {
        variants: Object.entries(components).map(([variant, component]) => ({
          id: variant,
          async run(count) {
            for (let index = 0; index < count; index += 1) {
              await component.ask(signal);
              // As real engines answer in turns of the event loop: within one turn no weak reference is ever let go.
              if (index % 100 === 0) await setImmediate();
            }
          },
        })),
        close() {
          if (answered === 0) throw new Error('nothing was asked');
        },
      };
    },
  };
}

const { signal } = new AbortController();

const bench: Bench = {
  component: 'policies',
  notes: [
    '`bare` is a call of a component without a policy, `underpin` the same call under one; the engine answers at once. The difference is what a policy costs a call that succeeds.',
  ],
  cases: [
    policyCase('retry', definePolicy('retry', { retry })),
    policyCase('retry-timeout', definePolicy('retry-timeout', { timeout: '10s', retry })),
    policyCase(
      'retry-breaker-attempt-timeout',
      definePolicy('retry-breaker-attempt-timeout', {
        retry,
        circuitBreaker,
        attemptTimeout: '1s',
      }),
    ),
    policyCase('everything', everything),
    policyCase('retry-of-a-caller-with-a-signal', definePolicy('retry', { retry }), signal),
    policyCase('everything-of-a-caller-with-a-signal', everything, signal),
  ],
};

export default bench;
