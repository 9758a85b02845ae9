import assert from 'node:assert/strict';

import { runWithContext, type Schema } from '../../core/index.ts';
import { defineJob } from '../job.ts';
import { JobQueue } from '../queue.ts';
import {
  anySchema,
  bury,
  complete,
  note,
  type QueueCase,
  refuses,
  retry,
  sceneCase,
  single,
} from './scene.ts';

const anything = defineJob({ name: 'note', payload: anySchema });

const dateSchema: Schema<{ at: Date }, { at: Date }> = {
  '~standard': {
    version: 1,
    vendor: 'underpin',
    validate: (value) =>
      value instanceof Object && 'at' in value && value.at instanceof Date
        ? { value: { at: value.at } }
        : { issues: [{ message: 'not a date', path: ['at'] }] },
  },
};

/** What goes in: payloads, order, deduplication. */
export const enqueueCases: readonly QueueCase[] = [
  sceneCase('enqueue › a job waits under the id that was given', async ({ queue, clock }) => {
    const { id, isDuplicate } = await queue.enqueue(note, { text: 'a' });
    assert.equal(isDuplicate, false);
    assert.deepEqual(await queue.find(id), {
      id,
      name: 'note',
      version: 1,
      state: 'waiting',
      payload: { text: 'a' },
      attempts: 0,
      maxAttempts: 3,
      createdAt: new Date(clock.now()),
      availableAt: new Date(clock.now()),
      finishedAt: undefined,
      deduplicationKey: undefined,
      failure: undefined,
    });
  }),
  sceneCase('enqueue › ids sort by the order of the calls', async ({ queue }) => {
    const ids: string[] = [];
    for (let index = 0; index < 20; index += 1)
      ids.push((await queue.enqueue(note, { text: String(index) })).id);
    assert.deepEqual(ids, ids.toSorted());
    assert.equal(new Set(ids).size, 20);
  }),
  sceneCase(
    'enqueue › a payload that the schema refuses is invalid-argument and adds nothing',
    async ({ queue }) => {
      const call = queue.enqueue(note, { text: 1 } as unknown as { text: string });
      const error = await refuses(call, 'invalid-argument');
      assert.match(error.message, /payload of job "note".*text/);
      assert.equal((await queue.counts()).waiting, 0);
    },
  ),
  sceneCase('enqueue › the payload is validated as JSON gives it back', async ({ queue }) => {
    const dated = defineJob({ name: 'note', payload: dateSchema });
    await refuses(queue.enqueue(dated, { at: new Date(0) }), 'invalid-argument');
    assert.equal((await queue.counts()).waiting, 0);
  }),
  sceneCase('enqueue › a payload that is not JSON is invalid-argument', async ({ queue }) => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    for (const payload of [1n, undefined, () => 1, cycle])
      await refuses(queue.enqueue(anything, payload), 'invalid-argument');
    assert.equal((await queue.counts()).waiting, 0);
  }),
  sceneCase(
    'enqueue › a payload over the limit is invalid-argument, with its size in UTF-8 and the limit',
    async ({ driver, clock }) => {
      const small = new JobQueue(driver, { clock, maxPayload: 100 });
      const error = await refuses(
        small.enqueue(note, { text: 'é'.repeat(50) }),
        'invalid-argument',
      );
      assert.deepEqual(error.details, { size: 111, limit: 100 });
      await small.enqueue(note, { text: 'é'.repeat(44) });
      assert.equal((await small.counts()).waiting, 1);
    },
  ),
  sceneCase(
    'enqueue › any JSON value comes back unchanged',
    async ({ queue, claimOne, settle }) => {
      const values = [
        null,
        0,
        -0.1e-7,
        1e308,
        '',
        'é \u0000 \u2028 \ud83d\ude00 \ud800 "quoted" \\ \n',
        [],
        [[1], { a: null }],
        { '': { __proto__x: 1, 'a b': [true] } },
        "'; DROP TABLE jobs; --",
      ];
      for (const value of values) {
        await queue.enqueue(anything, value);
        const job = await claimOne();
        assert.deepEqual(JSON.parse(job.payload), value);
        await settle(complete(job));
      }
    },
  ),
  sceneCase('enqueue › a call whose signal is aborted adds nothing', async ({ queue }) => {
    await refuses(queue.enqueue(note, { text: 'a' }, { signal: AbortSignal.abort() }), 'cancelled');
    assert.equal((await queue.counts()).waiting, 0);
  }),
  sceneCase(
    'enqueue › a deduplication key that is empty, over 500 characters, or not to be held by every engine is invalid-argument',
    async ({ queue }) => {
      for (const deduplicationKey of ['', 'k'.repeat(501), 'a\0', 'a\ud83d']) {
        await refuses(queue.enqueue(note, { text: 'a' }, { deduplicationKey }), 'invalid-argument');
      }
      assert.equal((await queue.counts()).waiting, 0);
    },
  ),
  sceneCase(
    'enqueue › the context of the caller rides with the job',
    async ({ queue, claimOne }) => {
      const context = {
        requestId: 'r',
        tenant: 't',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      };
      await runWithContext(context, async () => await queue.enqueue(note, { text: 'a' }));
      assert.deepEqual((await claimOne()).context, context);
    },
  ),
  sceneCase(
    'enqueue › a job given again under its id changes nothing and is no duplicate',
    async ({ queue, driver, claimOne }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const job = await claimOne();
      const again = {
        ...job,
        maxAttempts: 9,
        payload: '{"text":"b"}',
        deduplicationKey: undefined,
      };
      assert.deepEqual(await driver.enqueue([again]), [{ id, isDuplicate: false }]);
      const found = await queue.find(id);
      assert.equal(found?.state, 'active');
      assert.deepEqual(found?.payload, { text: 'a' });
      assert.equal((await queue.counts()).active, 1);
    },
  ),
  sceneCase(
    'enqueueMany › every payload is a job, in the order given',
    async ({ queue, claim }) => {
      const texts = Array.from({ length: 2500 }, (_, index) => `text ${index}`);
      const added = await queue.enqueueMany(
        note,
        texts.map((text) => ({ text })),
      );
      assert.equal(new Set(added.map(({ id }) => id)).size, 2500);
      const claimed = await claim({ limit: 3000 });
      assert.deepEqual(
        claimed.map(({ payload }) => (JSON.parse(payload) as { text: string }).text),
        texts,
      );
      assert.deepEqual(
        claimed.map(({ id }) => id),
        added.map(({ id }) => id),
      );
    },
  ),
  sceneCase('enqueueMany › one payload that is refused adds none', async ({ queue }) => {
    const payloads = [{ text: 'a' }, { text: 1 } as unknown as { text: string }, { text: 'c' }];
    await refuses(queue.enqueueMany(note, payloads), 'invalid-argument');
    assert.equal((await queue.counts()).waiting, 0);
  }),
  sceneCase('enqueueMany › of nothing adds nothing', async ({ queue }) => {
    assert.deepEqual(await queue.enqueueMany(note, []), []);
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 0, completed: 0, dead: 0 });
  }),
  sceneCase(
    'enqueue › a delay of parts of a millisecond, or past all dates, is kept as a whole one',
    async ({ queue, clock }) => {
      const now = clock.now();
      const soon = await queue.enqueue(note, { text: 'a' }, { delay: 0.25 });
      const never = await queue.enqueue(note, { text: 'b' }, { delay: 1e300 });
      assert.deepEqual((await queue.find(soon.id))?.availableAt, new Date(now + 1));
      assert.deepEqual((await queue.find(never.id))?.availableAt, new Date(8.64e15));
    },
  ),
  sceneCase('enqueueMany › the delay is for all of them', async ({ queue, claim, clock }) => {
    await queue.enqueueMany(note, [{ text: 'a' }, { text: 'b' }], { delay: '5s' });
    assert.equal((await claim()).length, 0);
    await clock.advance(5000);
    assert.equal((await claim()).length, 2);
  }),

  sceneCase(
    'deduplication › a job that waits keeps a second one with its key out',
    async ({ queue }) => {
      const first = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
      const second = await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' });
      assert.deepEqual(second, { id: first.id, isDuplicate: true });
      assert.equal((await queue.counts()).waiting, 1);
      assert.deepEqual((await queue.find(first.id))?.payload, { text: 'a' });
    },
  ),
  sceneCase(
    'deduplication › a job that runs keeps a second one with its key out',
    async ({ queue, claimOne }) => {
      const first = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
      await claimOne();
      assert.deepEqual(await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' }), {
        id: first.id,
        isDuplicate: true,
      });
    },
  ),
  sceneCase(
    'deduplication › a job that waits for its retry keeps a second one with its key out',
    async ({ queue, claimOne, settle, clock }) => {
      const first = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
      await settle(retry(await claimOne(), clock.now() + 1000));
      assert.deepEqual(await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' }), {
        id: first.id,
        isDuplicate: true,
      });
    },
  ),
  sceneCase(
    'deduplication › the key is free once the job is completed',
    async ({ queue, claimOne, settle, clock }) => {
      for (const keepUntil of [undefined, clock.now() + 1000]) {
        const first = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
        await settle(complete(await claimOne(), keepUntil));
        const second = await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' });
        assert.equal(second.isDuplicate, false);
        assert.notEqual(second.id, first.id);
        await settle(complete(await claimOne()));
      }
    },
  ),
  sceneCase(
    'deduplication › the key is free once the job is dead',
    async ({ queue, claimOne, settle }) => {
      await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
      await settle(bury(await claimOne()));
      assert.equal(
        (await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' })).isDuplicate,
        false,
      );
    },
  ),
  sceneCase('deduplication › the key is free once the job is removed', async ({ queue }) => {
    const { id } = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
    await queue.remove(id);
    assert.equal(
      (await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' })).isDuplicate,
      false,
    );
  }),
  sceneCase('deduplication › jobs of two names never share a key', async ({ queue }) => {
    await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
    assert.equal(
      (await queue.enqueue(single, { text: 'a' }, { deduplicationKey: 'k' })).isDuplicate,
      false,
    );
  }),
  sceneCase(
    'deduplication › the first of one call wins, and the others get its id',
    async ({ queue }) => {
      const added = await queue.enqueueMany(
        note,
        ['a', 'b', 'a'].map((text) => ({ text })),
        { deduplicationKey: ({ text }) => text },
      );
      assert.deepEqual(
        added.map(({ isDuplicate }) => isDuplicate),
        [false, false, true],
      );
      assert.equal(added[2]?.id, added[0]?.id);
      assert.equal((await queue.counts()).waiting, 2);
    },
  ),
  sceneCase(
    'deduplication › calls at the same time with one key add one job',
    async ({ queue }) => {
      const added = await Promise.all(
        Array.from(
          { length: 10 },
          async () => await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' }),
        ),
      );
      assert.equal(new Set(added.map(({ id }) => id)).size, 1);
      assert.equal(added.filter(({ isDuplicate }) => !isDuplicate).length, 1);
      assert.equal((await queue.counts()).waiting, 1);
    },
  ),
];
