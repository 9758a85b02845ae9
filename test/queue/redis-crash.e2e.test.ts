import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { describe, expect, it } from 'vitest';

import { type JobQueue } from '../../src/queue/index.ts';
import { type RedisQueueDriver, redisQueue } from '../../src/queue/redis/index.ts';
import { makeKeyspace } from '../services/keyspaces.ts';
import { service } from '../services/services.ts';
import { plainJob } from './jobs.ts';

const { missing } = await service('redis');
const numbers = Array.from({ length: 60 }, (_, number) => number);

function startWorker(url: string, lease: number): ChildProcessByStdio<null, Readable, null> {
  const script = path.join(import.meta.dirname, 'redis-worker-process.ts');
  const args = ['--conditions=underpin-source', script, url, String(lease)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Starts a worker and kills it, without any warning, once so many handlers have started. */
async function killAfter(starts: number, url: string): Promise<void> {
  const worker = startWorker(url, 300);
  const ended = once(worker, 'exit');
  let seen = 0;
  for await (const _ of createInterface({ input: worker.stdout })) {
    seen += 1;
    if (seen === starts) worker.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
}

/** Lets a worker do all that is left. */
async function finish(url: string, lease: number): Promise<void> {
  const worker = startWorker(url, lease);
  worker.stdout.resume();
  expect(await once(worker, 'exit')).toEqual([0, null]);
}

interface Effect {
  readonly number: number;
  readonly attempt: number;
}

async function withQueue(
  fn: (
    queue: JobQueue<RedisQueueDriver>,
    url: string,
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
    await fn(queue, url, async () => {
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
    await withQueue(async (queue, url, effects) => {
      for (const starts of [1, 7, 20]) await killAfter(starts, url);
      // And two at once, while others work.
      await Promise.all([killAfter(5, url), killAfter(9, url)]);
      await finish(url, 300);

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
    await withQueue(async (_queue, url, effects) => {
      await Promise.all([finish(url, 10_000), finish(url, 10_000)]);
      const done = await effects();
      expect(done.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(numbers);
    });
  });
});
