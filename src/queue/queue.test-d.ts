import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import { defineJob, type JobContext, type JobQueue } from './index.ts';
import type { MemoryQueueDriver } from './memory.ts';
import type { SqlQueueDriver } from './sql/index.ts';

const resize = defineJob({
  name: 'resize',
  payload: z.object({ key: z.string(), width: z.coerce.number().default(100) }),
});

declare const memory: JobQueue<MemoryQueueDriver>;
declare const sql: JobQueue<SqlQueueDriver>;
declare const any: JobQueue;

describe('types of the queue', () => {
  it("a job takes the schema's input and its handler gets the output", () => {
    type Sent = Parameters<typeof memory.enqueue<{ key: string; width?: unknown }, unknown>>[1];
    expectTypeOf<Sent>().toEqualTypeOf<{ key: string; width?: unknown }>();
    resize.handle((payload, context) => {
      expectTypeOf(payload).toEqualTypeOf<{ key: string; width: number }>();
      expectTypeOf(context).toEqualTypeOf<JobContext>();
    });
    void memory.enqueue(resize, { key: 'a' });
    // @ts-expect-error a payload without its key
    void memory.enqueue(resize, { width: 1 });
    // @ts-expect-error a payload of another job
    void memory.enqueueMany(resize, [{ key: 1 }]);
  });

  it('an atomic handler needs an adapter with transactions', () => {
    const plain = resize.handle(() => undefined);
    const atomic = resize.handle(() => undefined, { atomic: true });
    memory.worker([plain]);
    sql.worker([plain, atomic]);
    any.worker([plain, atomic]);
    // @ts-expect-error the memory adapter has no transactions
    memory.worker([atomic]);
  });
});
