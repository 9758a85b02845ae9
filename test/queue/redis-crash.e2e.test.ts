import { describe, expect, it } from 'vitest';

import { type JobQueue } from '../../src/queue/index.ts';
import { type RedisQueueDriver, redisQueue } from '../../src/queue/redis/index.ts';
import { makeKeyspace } from '../services/keyspaces.ts';
import { service } from '../services/services.ts';
import { plainJob } from './jobs.ts';
import { WorkerProcesses } from './worker-processes.ts';

const { missing } = await service('redis');
const numbers = Array.from({ length: 60 }, (_, number) => number);

interface Effect {
  readonly number: number;
  readonly attempt: number;
}

async function withQueue(
  fn: (
    queue: JobQueue<RedisQueueDriver>,
    workers: WorkerProcesses,
    effects: () => Promise<Effect[]>,
  ) => Promise<void>,
): Promise<void> {
  const { url, prefix, remove } = await makeKeyspace();
  try {
    await using queue = redisQueue({ url });
    await queue.enqueueMany(
      plainJob,
      numbers.map((number) => ({ number })),
    );
    await fn(queue, new WorkerProcesses('redis-worker-process.ts', url), async () => {
      const command = ['LRANGE', `${prefix}:effects`, '0', '-1'];
      const lines = (await queue.native?.sendCommand(command)) as string[];
      return lines.map((line) => {
        const [number = NaN, attempt = NaN] = line.split(' ').map(Number);
        return { number, attempt };
      });
    });
  } finally {
    await remove();
  }
}

describe.skipIf(missing)('redisQueue', () => {
  it('workers killed again and again in the midst of jobs lose none', async () => {
    await withQueue(async (queue, workers, effects) => {
      for (const starts of [1, 7, 20]) await workers.killAfter(starts);
      // And two at once, while others work.
      await Promise.all([workers.killAfter(5), workers.killAfter(9)]);
      await workers.finish(300);

      expect(await queue.counts()).toEqual({ waiting: 0, active: 0, completed: 0, dead: 0 });
      const done = await effects();
      expect([...new Set(done.map(({ number }) => number))].toSorted((a, b) => a - b)).toEqual(
        numbers,
      );
      // The kills were felt: some jobs took more than one attempt.
      expect(done.some(({ attempt }) => attempt > 1)).toBe(true);
    });
  });

  it('workers of several processes share the jobs, and each job runs once', async () => {
    await withQueue(async (_queue, workers, effects) => {
      await Promise.all([workers.finish(10_000), workers.finish(10_000)]);
      const done = await effects();
      expect(done.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(numbers);
    });
  });
});
