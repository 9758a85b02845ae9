import { describe, expect, it } from 'vitest';

import { registerConformance } from '../core/index.ts';
import { queueConformance } from './conformance/index.ts';
import { MemoryQueueDriver, memoryQueue } from './memory.ts';

registerConformance(
  queueConformance,
  {
    adapter: 'memory',
    capabilities: { transactions: false },
    create: async () => ({ driver: new MemoryQueueDriver() }),
    dispose: async ({ driver }) => {
      await driver.close();
    },
  },
  { describe, it },
);

describe('memoryQueue', () => {
  it('has its own jobs, which no other memory queue sees', async () => {
    await using one = memoryQueue();
    await using other = memoryQueue();
    expect([one.adapter, one.capabilities, one.native]).toEqual([
      'memory',
      { transactions: false },
      undefined,
    ]);
    expect(await one.counts()).toEqual(await other.counts());
  });
});
