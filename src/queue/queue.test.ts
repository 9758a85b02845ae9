import { describe, expect, it } from 'vitest';

import { definePolicy } from '../core/index.ts';
import { note } from './conformance/scene.ts';
import { MemoryQueueDriver } from './memory.ts';
import { JobQueue } from './queue.ts';

/** Adds the jobs, and loses its first answer, as a connection that breaks does. */
class ForgetfulDriver extends MemoryQueueDriver {
  #hasForgotten = false;

  override enqueue: MemoryQueueDriver['enqueue'] = async (...parameters) => {
    const added = await super.enqueue(...parameters);
    if (this.#hasForgotten) return added;
    this.#hasForgotten = true;
    throw Object.assign(new Error('the answer was lost'), { code: 'ECONNRESET' });
  };
}

const retrying = definePolicy('retrying', { retry: { attempts: 2, initialDelay: 1 } });

describe('queue › enqueue › a retry after a lost answer adds no second job', () => {
  it('of one', async () => {
    await using queue = new JobQueue(new ForgetfulDriver(), { policy: retrying });
    const { id, isDuplicate } = await queue.enqueue(note, { text: 'a' });
    expect(isDuplicate).toBe(false);
    expect((await queue.list()).jobs.map((job) => job.id)).toEqual([id]);
  });

  it('of many', async () => {
    await using queue = new JobQueue(new ForgetfulDriver(), { policy: retrying });
    const added = await queue.enqueueMany(note, [{ text: 'a' }, { text: 'b' }]);
    expect((await queue.list()).jobs.map((job) => job.id)).toEqual(added.map(({ id }) => id));
  });
});
