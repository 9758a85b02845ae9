import { operation } from 'underpin/core';

import type { Bench } from './harness.ts';

let done = 0;

async function work(): Promise<void> {
  done += 1;
}

const bench: Bench = {
  component: 'operations',
  notes: [
    '`bare` is one call of an empty async function, `underpin` the same call inside of `operation()` with nobody subscribed.',
  ],
  cases: [
    {
      id: 'no-subscriber',
      unit: 'ns',
      count: 500_000,
      goals: [{ against: 'bare', moreAtMost: 60 }],
      open: () => ({
        variants: [
          {
            id: 'bare',
            async run(count) {
              for (let index = 0; index < count; index += 1) await work();
            },
          },
          {
            id: 'underpin',
            async run(count) {
              for (let index = 0; index < count; index += 1)
                await operation('bench', 'work', { index }, work);
            },
          },
        ],
        close() {
          if (done === 0) throw new Error('nothing was done');
        },
      }),
    },
  ],
};

export default bench;
