import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  type FakeClock,
  fakeClock,
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import { note } from './conformance/scene.ts';
import { MemoryQueueDriver } from './memory.ts';
import { JobQueue } from './queue.ts';
import type { Worker } from './worker.ts';

type Method = 'claim' | 'settle' | 'extend';

/** A memory driver whose methods fail while they are told to, as an engine that is down does. */
class FailingDriver extends MemoryQueueDriver {
  readonly failing = new Set<Method>();

  override claim: MemoryQueueDriver['claim'] = async (...parameters) => {
    this.#check('claim');
    return await super.claim(...parameters);
  };
  override settle: MemoryQueueDriver['settle'] = async (...parameters) => {
    this.#check('settle');
    return await super.settle(...parameters);
  };
  override extend: MemoryQueueDriver['extend'] = async (...parameters) => {
    this.#check('extend');
    return await super.extend(...parameters);
  };

  #check(method: Method): void {
    if (!this.failing.has(method)) return;
    throw Object.assign(new Error(`no answer to ${method}`), { code: 'ECONNREFUSED' });
  }
}

async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await nextTurn();
}

describe('worker', () => {
  let clock: FakeClock;
  let driver: FailingDriver;
  let queue: JobQueue;
  let worker: Worker | undefined;

  beforeEach(() => {
    clock = fakeClock();
    driver = new FailingDriver();
    queue = new JobQueue(driver, { clock, random: () => 0.5 });
  });

  afterEach(async () => {
    driver.failing.clear();
    await Promise.all([worker?.close(), clock.advance(10_000)]);
    await queue.close();
  });

  async function start(handler: () => unknown, lease: '1m' | '3s' = '1m'): Promise<Worker> {
    worker = queue.worker([note.handle(handler)], { lease });
    await worker.start();
    await turns();
    return worker;
  }

  it('goes on when claims fail, ever more slowly, and tells of it', async () => {
    const handler = vi.fn<() => void>();
    const failures: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => void (event.operation === 'claim' && event.error && failures.push(event)),
    });
    driver.failing.add('claim');
    const started = await start(handler);
    await queue.enqueue(note, { text: 'a' });
    await turns();
    expect(await started.checkHealth()).toEqual({
      status: 'degraded',
      message: 'the queue fails: no answer to claim',
    });
    await clock.advance(60_000);
    // 75 ms, 150 ms, … up to 7.5 s: 6 doublings and then one every 7.5 s.
    expect(failures.length).toBeGreaterThan(8);
    expect(failures.length).toBeLessThan(20);
    driver.failing.clear();
    await clock.advance(10_000);
    await turns();
    unsubscribe();
    expect(handler).toHaveBeenCalledTimes(1);
    expect(await started.checkHealth()).toEqual({ status: 'ok' });
  });

  it('settles a job once the engine works again, and runs it once', async () => {
    const handler = vi.fn<() => void>();
    driver.failing.add('settle');
    const started = await start(handler);
    const { id } = await queue.enqueue(note, { text: 'a' });
    await turns();
    await clock.advance(30_000);
    expect(await started.checkHealth()).toMatchObject({ status: 'degraded' });
    expect((await queue.find(id))?.state).toBe('active');
    driver.failing.clear();
    await clock.advance(10_000);
    await turns();
    expect(await queue.find(id)).toBeUndefined();
    expect(handler).toHaveBeenCalledTimes(1);
  });

  it('aborts a handler whose lease cannot be extended any more, before another worker can have the job', async () => {
    const aborted = vi.fn<(reason: unknown) => void>();
    const handled = note.handle(
      async (_, { signal }) =>
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            aborted(signal.reason);
            resolve();
          });
        }),
    );
    driver.failing.add('extend');
    worker = queue.worker([handled], { lease: '3s' });
    await worker.start();
    await clock.advance(500);
    await queue.enqueue(note, { text: 'a' });
    await turns();
    await clock.advance(2999);
    expect(aborted).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(aborted).toHaveBeenCalledTimes(1);
  });

  it('says that a handler ignores its signal, and does not wait for it for ever', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const started = await start(async () => {
      await promise;
    });
    await queue.enqueue(note, { text: 'a' });
    await turns();
    await clock.advance(16_000);
    expect(await started.checkHealth()).toMatchObject({
      status: 'degraded',
      message: expect.stringContaining('goes on though its signal was aborted') as string,
    });
    const closed = started.close().catch((error: unknown) => error);
    await turns();
    await clock.advance(5000);
    expect(InfrastructureError.is(await closed, 'deadline-exceeded')).toBe(true);
    worker = undefined;
    resolve();
    await turns();
    // Not given back while its handler ran: another worker would have overlapped it.
    expect((await queue.counts()).active).toBe(1);
  });

  it('says that the engine fails, and blames no handler, when it cannot give its jobs back', async () => {
    driver.failing.add('settle');
    const started = await start(() => undefined);
    await queue.enqueue(note, { text: 'a' });
    await turns();
    const closed = started.close().catch((error: unknown) => error);
    await turns();
    await clock.advance(5000);
    worker = undefined;
    expect(await closed).toMatchObject({
      code: 'deadline-exceeded',
      message: expect.stringMatching(
        /did not take .* 1 jobs \("note"\).*no answer to settle/,
      ) as string,
    });
  });

  it('refuses options that make no sense', () => {
    const handled = note.handle(() => undefined);
    for (const options of [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { prefetch: -1 },
      { lease: 99 },
      { pollInterval: 0 },
    ]) {
      expect(() => queue.worker([handled], options)).toThrow(/is (not|shorter)/);
    }
    expect(() => queue.worker([])).toThrow(/at least one handler/);
    expect(() => queue.worker([handled, handled])).toThrow(/two handlers/);
  });
});
