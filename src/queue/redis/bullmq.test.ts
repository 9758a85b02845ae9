// What BullMQ's own classes see of our jobs, and what we make of theirs.
import { setTimeout as sleep } from 'node:timers/promises';

import { Queue, QueueEvents, Worker } from 'bullmq';
import { createClient } from 'redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { type Keyspace, makeKeyspace } from '../../../test/services/keyspaces.ts';
import { service } from '../../../test/services/services.ts';
import { runWithContext } from '../../core/index.ts';
import { defineJob } from '../job.ts';
import type { JobQueue } from '../queue.ts';
import { redisQueue } from './index.ts';

const { missing } = await service('redis');

const resize = defineJob({
  name: 'resize',
  payload: z.object({ key: z.string() }),
  attempts: 2,
  backoff: { initialDelay: 1 },
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5);
}

function clientOf({ url }: Keyspace) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  return client;
}

type Client = ReturnType<typeof clientOf>;

describe.skipIf(missing)('redisQueue with BullMQ', () => {
  let keyspace: Keyspace;
  let queue: JobQueue;
  let bullmq: Queue;
  const ends: (() => Promise<unknown>)[] = [];

  const connect = async (): Promise<Client> => {
    const client = clientOf(keyspace);
    await client.connect();
    ends.unshift(async () => {
      if (client.isOpen) client.destroy();
    });
    return client;
  };
  const optionsOf = async (): Promise<{
    connection: Client;
    prefix: string;
  }> => ({ connection: await connect(), prefix: keyspace.prefix });
  const untilState = async (id: string, state: string): Promise<void> => {
    await until(async () => (await bullmq.getJobState(id)) === state);
  };

  beforeEach(async () => {
    keyspace = await makeKeyspace();
    ends.push(keyspace.remove);
    queue = redisQueue({ url: keyspace.url });
    ends.unshift(async () => await queue.close());
    bullmq = new Queue('resize', await optionsOf());
    ends.unshift(async () => await bullmq.close());
  });

  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  it('BullMQ sees a waiting job with its name, data, attempts and deduplication key', async () => {
    const { id } = await queue.enqueue(resize, { key: 'a' }, { deduplicationKey: 'k' });
    const job = await bullmq.getJob(id);
    expect(job).toMatchObject({
      id,
      name: 'resize',
      data: { key: 'a' },
      opts: { attempts: 2 },
      attemptsMade: 0,
      deduplicationId: 'k',
    });
    expect(await job?.getState()).toBe('waiting');
    expect(await bullmq.getDeduplicationJobId('k')).toBe(id);
    expect((await bullmq.getJobs(['waiting'])).map((each) => each.id)).toEqual([id]);
  });

  it('BullMQ sees a delayed job, and its delay', async () => {
    const { id } = await queue.enqueue(resize, { key: 'a' }, { delay: '1h' });
    expect(await bullmq.getJobState(id)).toBe('delayed');
    expect((await bullmq.getJob(id))?.delay).toBe(3_600_000);
    expect(await bullmq.getDelayedCount()).toBe(1);
  });

  it('BullMQ sees which jobs run, which failed and why, and which are kept', async () => {
    const kept = defineJob({
      name: 'resize',
      payload: z.object({ key: z.string() }),
      retention: '1h',
    });
    const gate = Promise.withResolvers<void>();
    await using worker = queue.worker([kept.handle(async () => await gate.promise)]);
    const { id } = await queue.enqueue(kept, { key: 'a' });
    await worker.start();
    await untilState(id, 'active');
    expect(await bullmq.getJobCounts()).toMatchObject({ active: 1, waiting: 0 });
    gate.resolve();
    await untilState(id, 'completed');
    expect((await bullmq.getJob(id))?.finishedOn).toBeTypeOf('number');
    await worker.close();

    await using failing = queue.worker([
      resize.handle(() => {
        throw new Error('no such picture');
      }),
    ]);
    await failing.start();
    const { id: dead } = await queue.enqueue(resize, { key: 'b' });
    await untilState(dead, 'failed');
    expect(await bullmq.getJob(dead)).toMatchObject({
      failedReason: 'no such picture',
      attemptsMade: 2,
      attemptsStarted: 2,
    });
  });

  it('its events tell of a job from its enqueue to its end', async () => {
    const events = new QueueEvents('resize', await optionsOf());
    ends.unshift(async () => await events.close());
    await events.waitUntilReady();
    const seen: string[] = [];
    for (const event of ['added', 'waiting', 'active', 'completed'] as const)
      events.on(event, () => seen.push(event));
    const { id } = await queue.enqueue(resize, { key: 'a' });
    const job = await bullmq.getJob(id);
    const finished = job?.waitUntilFinished(events, 10_000);
    await using worker = queue.worker([resize.handle(() => undefined)]);
    await worker.start();
    expect(await finished).toBe(null);
    await until(() => seen.length === 4);
    expect(seen).toEqual(['added', 'waiting', 'active', 'completed']);
  });

  it('a job that BullMQ adds is run, with its own id, attempts and trace', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await bullmq.add(
      'any name',
      { key: 'theirs' },
      {
        jobId: 'their-own',
        attempts: 5,
        telemetry: { metadata: JSON.stringify({ traceparent, tracestate: 'x=y' }) },
      },
    );
    const seen = Promise.withResolvers<unknown>();
    await using worker = queue.worker([
      resize.handle(({ key }, { id, attempt, maxAttempts }) => {
        seen.resolve({ key, id, attempt, maxAttempts });
      }),
    ]);
    await worker.start();
    expect(await seen.promise).toEqual({
      key: 'theirs',
      id: 'their-own',
      attempt: 1,
      maxAttempts: 5,
    });
    await until(async () => (await bullmq.getJob('their-own')) === undefined);
  });

  it('a delayed job of BullMQ waits for its time, and a promoted one does not', async () => {
    const added = await bullmq.add('resize', { key: 'a' }, { delay: 3_600_000, jobId: 'later' });
    const ran = Promise.withResolvers<void>();
    await using worker = queue.worker([resize.handle(() => ran.resolve())], {
      pollInterval: '20ms',
    });
    await worker.start();
    await queue.enqueue(resize, { key: 'b' });
    await ran.promise;
    expect(await bullmq.getJobState('later')).toBe('delayed');
    await added.promote();
    await until(async () => (await bullmq.getJob('later')) === undefined);
  });

  it("BullMQ's own worker runs our jobs, and its failures are ours", async () => {
    const { id } = await runWithContext({ requestId: 'r' }, async () => {
      return await queue.enqueue(resize, { key: 'a' });
    });
    const { id: bad } = await queue.enqueue(resize, { key: 'bad' });
    const seen: unknown[] = [];
    const worker = new Worker(
      'resize',
      async (job) => {
        seen.push(job.data);
        if (job.data.key === 'bad') throw new Error('bad picture');
      },
      await optionsOf(),
    );
    ends.unshift(async () => await worker.close());
    await until(async () => (await queue.find(bad))?.state === 'dead');
    await until(async () => (await queue.find(id)) === undefined);
    expect(seen).toEqual([{ key: 'a' }, { key: 'bad' }, { key: 'bad' }]);
    expect(await queue.find(bad)).toMatchObject({
      attempts: 2,
      failure: { message: 'bad picture', code: 'Error' },
    });
    expect(await queue.redrive()).toBe(1);
    await until(async () => seen.length === 5);
  });

  it('BullMQ cannot remove a job that runs, and what it does remove is gone', async () => {
    const { id } = await queue.enqueue(resize, { key: 'a' }, { deduplicationKey: 'k' });
    const gate = Promise.withResolvers<void>();
    await using worker = queue.worker([resize.handle(async () => await gate.promise)]);
    await worker.start();
    await untilState(id, 'active');
    expect(await bullmq.remove(id)).toBe(0);
    gate.resolve();
    await until(async () => (await queue.find(id)) === undefined);
    await worker.close();
    const { id: next } = await queue.enqueue(resize, { key: 'b' }, { deduplicationKey: 'k' });
    expect(await bullmq.remove(next)).toBe(1);
    expect(await queue.counts()).toEqual({ waiting: 0, active: 0, completed: 0, dead: 0 });
    expect((await queue.enqueue(resize, { key: 'c' }, { deduplicationKey: 'k' })).isDuplicate).toBe(
      false,
    );
  });

  it('a dead job that BullMQ retries runs once more', async () => {
    const outcomes: string[] = [];
    await using worker = queue.worker(
      [
        resize.handle((_, { attempt }) => {
          outcomes.push(`attempt ${attempt}`);
          if (attempt < 3) throw new Error('not yet');
        }),
      ],
      { pollInterval: '20ms' },
    );
    await worker.start();
    const { id } = await queue.enqueue(resize, { key: 'a' });
    await until(async () => (await queue.find(id))?.state === 'dead');
    await (await bullmq.getJob(id))?.retry('failed');
    await until(async () => (await queue.find(id)) === undefined);
    expect(outcomes).toEqual(['attempt 1', 'attempt 2', 'attempt 3']);
  });

  it('a queue that BullMQ paused gives no jobs until it is resumed', async () => {
    await bullmq.pause();
    let runs = 0;
    await using worker = queue.worker([resize.handle(() => (runs += 1))], { pollInterval: '10ms' });
    await worker.start();
    const { id } = await queue.enqueue(resize, { key: 'a' });
    await sleep(100);
    expect([runs, (await queue.find(id))?.state]).toEqual([0, 'waiting']);
    await bullmq.resume();
    await until(() => runs === 1);
  });

  it("keeps to BullMQ's global concurrency", async () => {
    await bullmq.setGlobalConcurrency(2);
    let running = 0;
    let most = 0;
    let done = 0;
    await using worker = queue.worker(
      [
        resize.handle(async () => {
          running += 1;
          most = Math.max(most, running);
          await sleep(5);
          running -= 1;
          done += 1;
        }),
      ],
      { pollInterval: '10ms', concurrency: 10 },
    );
    await queue.enqueueMany(
      resize,
      Array.from({ length: 10 }, () => ({ key: 'a' })),
    );
    await worker.start();
    await until(() => done === 10);
    expect(most).toBe(2);
  });

  it('what BullMQ wipes out leaves nothing of ours that runs or is counted', async () => {
    await queue.enqueueMany(resize, [{ key: 'a' }, { key: 'b' }, { key: 'c' }], {
      deduplicationKey: ({ key }) => key,
    });
    const [claimed] = await bullmq.getJobs(['waiting'], 0, 0, true);
    expect(claimed).toBeDefined();
    await bullmq.obliterate({ force: true });
    expect(await queue.counts()).toEqual({ waiting: 0, active: 0, completed: 0, dead: 0 });
    expect(await queue.list()).toEqual({ jobs: [], next: undefined });
    const again = await queue.enqueueMany(resize, [{ key: 'a' }], {
      deduplicationKey: ({ key }) => key,
    });
    expect(again[0]?.isDuplicate).toBe(false);
  });
});
