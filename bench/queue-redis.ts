import { Queue, Worker } from 'bullmq';
import { createClient } from 'redis';
import { defineJob } from 'underpin/queue';
import { redisQueue } from 'underpin/queue/redis';
import { z } from 'zod';

import { startServer } from '../test/services/servers.ts';
import type { Bench, BenchCase, Variant } from './harness.ts';

/** A queue in Redis, in the few calls that the cases make. */
interface BenchedQueue {
  readonly id: string;
  readonly add: (number: number) => Promise<unknown>;
  readonly addMany: (numbers: readonly number[]) => Promise<unknown>;
  /** Runs jobs, so many at once, until the function that it gives is called. */
  readonly work: (atOnce: number, handler: () => void) => Promise<() => Promise<unknown>>;
  readonly close: () => Promise<unknown>;
}

const job = defineJob({ name: 'bench', payload: z.object({ number: z.number() }) });

async function underpin(url: string): Promise<BenchedQueue> {
  const queue = redisQueue({ url });
  await queue.start();
  return {
    id: 'underpin',
    add: async (number) => await queue.enqueue(job, { number }),
    addMany: async (numbers) =>
      await queue.enqueueMany(
        job,
        numbers.map((number) => ({ number })),
      ),
    async work(concurrency, handler) {
      const worker = queue.worker([job.handle(handler)], { concurrency });
      await worker.start();
      return async () => {
        await worker.drain();
        await worker.close();
      };
    },
    close: async () => await queue.close(),
  };
}

async function connect(url: string) {
  const client = createClient({ url });
  await client.connect();
  return client;
}

async function bullmq(url: string): Promise<BenchedQueue> {
  const connection = await connect(url);
  const opts = { attempts: 10, removeOnComplete: true };
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  return {
    id: 'bullmq',
    add: async (number) => await queue.add('bench', { number }, opts),
    addMany: async (numbers) =>
      await queue.addBulk(numbers.map((number) => ({ name: 'bench', data: { number }, opts }))),
    async work(concurrency, handler) {
      const own = await connect(url);
      const worker = new Worker('bench', async () => handler(), { connection: own, concurrency });
      await worker.waitUntilReady();
      return async () => {
        await worker.close();
        own.destroy();
      };
    },
    close: async () => {
      await queue.close();
      connection.destroy();
    },
  };
}

/** What one would write by hand: a list, from which as many are taken as run at once. A job that was taken is lost with its process. */
async function limit(url: string): Promise<BenchedQueue> {
  const client = await connect(url);
  const waiting = await connect(url);
  return {
    id: 'limit',
    add: async (number) => await client.lPush('limit', JSON.stringify({ number })),
    addMany: async (numbers) =>
      await client.lPush(
        'limit',
        numbers.map((number) => JSON.stringify({ number })),
      ),
    async work(atOnce, handler) {
      const stop = new AbortController();
      const loop = async (): Promise<void> => {
        while (!stop.signal.aborted) {
          const taken = await waiting.blmPop(0.1, 'limit', 'RIGHT', { COUNT: atOnce });
          for (const text of taken?.[1] ?? []) {
            JSON.parse(text);
            handler();
          }
        }
      };
      const working = loop();
      return async () => {
        stop.abort();
        await working;
      };
    },
    close: async () => {
      client.destroy();
      waiting.destroy();
    },
  };
}

type RunOf = (queue: BenchedQueue) => Pick<Variant, 'run' | 'reset'>;

function redisCase(settings: Omit<BenchCase, 'open'>, runOf: RunOf): BenchCase {
  return {
    ...settings,
    async open() {
      const server = await startServer('redis');
      const queues = await Promise.all(
        [underpin, limit, bullmq].map(async (make) => await make(server.url)),
      );
      return {
        variants: queues.map((queue): Variant => ({ id: queue.id, ...runOf(queue) })),
        async close() {
          for (const queue of queues) await queue.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  };
}

const numbers = Array.from({ length: 1000 }, (_, number) => number);

async function fill(queue: BenchedQueue, count: number): Promise<void> {
  for (let done = 0; done < count; done += numbers.length)
    await queue.addMany(numbers.slice(0, count - done));
}

/** Works until so many jobs have run. */
async function work(queue: BenchedQueue, count: number, atOnce: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  const stop = await queue.work(atOnce, () => {
    left -= 1;
    if (left === 0) resolve();
  });
  await promise;
  await stop();
}

function processing(atOnce: number): BenchCase {
  const count = 10_000;
  return redisCase(
    {
      id: `redis-process-${atOnce}-at-once`,
      unit: 'ops/s',
      count,
      goals: [{ against: 'bullmq', ratioAtLeast: 1 }],
    },
    (queue) => ({
      reset: async () => await fill(queue, count),
      run: async (times) => await work(queue, times, atOnce),
    }),
  );
}

const bench: Bench = {
  component: 'queue-redis',
  notes: [
    'Handlers do nothing: this is what the queue itself costs. All three on node-redis, on a Redis with an append-only file.',
    '`limit` is a list and `BLMPOP`: no delays, attempts, leases, deduplication or recovery. `bullmq` is its own `Queue` and `Worker`, on the same keys.',
  ],
  cases: [
    processing(100),
    processing(10),
    redisCase(
      {
        id: 'redis-enqueue-100-at-once',
        unit: 'ops/s',
        count: 5000,
        goals: [{ against: 'bullmq', ratioAtLeast: 1 }],
      },
      (queue) => ({
        async run(count) {
          for (let done = 0; done < count; done += 100)
            await Promise.all(numbers.slice(0, 100).map(async (number) => await queue.add(number)));
        },
      }),
    ),
    redisCase(
      {
        id: 'redis-enqueue-batch',
        unit: 'ops/s',
        count: 10_000,
        goals: [{ against: 'bullmq', ratioAtLeast: 1 }],
      },
      (queue) => ({ run: async (count) => await fill(queue, count) }),
    ),
  ],
};

export default bench;
