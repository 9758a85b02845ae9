import assert from 'node:assert/strict';

import {
  currentContext,
  InfrastructureError,
  type OperationEvent,
  runWithContext,
  type Schema,
  subscribeToOperations,
} from '../../core/index.ts';
import { defineJob, type JobContext } from '../job.ts';
import {
  anySchema,
  note,
  type Note,
  noteSchema,
  type QueueCase,
  refuses,
  sceneCase,
  settleDown,
  single,
  until,
  yieldTurns,
} from './scene.ts';

const trimming: Schema<{ text: string; length: number }, Note> = {
  '~standard': {
    version: 1,
    vendor: 'underpin',
    validate: (value) => {
      const { text } = value as Note;
      return typeof text === 'string'
        ? { value: { text: text.trim(), length: text.length } }
        : { issues: [{ message: 'no text' }] };
    },
  },
};

/** A handler that ends when told to, or with its signal's reason when that is aborted. */
function gate(): {
  readonly contexts: JobContext[];
  readonly open: () => void;
  readonly handler: (payload: unknown, context: JobContext) => Promise<void>;
} {
  const { promise, resolve } = Promise.withResolvers<void>();
  const contexts: JobContext[] = [];
  return {
    contexts,
    open: resolve,
    handler: async (_, context) => {
      contexts.push(context);
      const aborted = new Promise<never>((_resolve, reject) => {
        context.signal.addEventListener('abort', () => {
          reject(context.signal.reason as Error);
        });
      });
      await Promise.race([promise, aborted]);
    },
  };
}

/** The worker: running, retrying, timing out, leases, draining. */
export const workerCases: readonly QueueCase[] = [
  sceneCase(
    "worker › a handler gets the schema's output, and who the job is",
    async ({ queue, withWorker, clock }) => {
      const job = defineJob({ name: 'note', payload: trimming, attempts: 4 });
      const createdAt = new Date(clock.now());
      const { id } = await queue.enqueue(job, { text: ' a ' });
      const seen: unknown[] = [];
      const handled = job.handle((payload, { signal, ...context }) =>
        seen.push(payload, context, signal.aborted),
      );
      await withWorker([handled], {}, async () => {
        await until(() => seen.length > 0, 'the handler runs');
        assert.deepEqual(seen, [
          { text: 'a', length: 3 },
          { id, attempt: 1, maxAttempts: 4, createdAt },
          false,
        ]);
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
      });
    },
  ),
  sceneCase(
    'worker › a job enqueued while it rests starts without any time passing',
    async ({ queue, withWorker, clock }) => {
      let runs = 0;
      await withWorker([note.handle(() => (runs += 1))], {}, async () => {
        await until(() => clock.sleepers >= 2, 'the worker rests');
        await queue.enqueue(note, { text: 'a' });
        await until(() => runs === 1, 'the handler runs');
      });
    },
  ),
  sceneCase(
    'worker › a delayed job starts when it is due, and not before',
    async ({ queue, withWorker, clock }) => {
      const startedAt: number[] = [];
      const due = clock.now() + 4321;
      await withWorker([note.handle(() => startedAt.push(clock.now()))], {}, async () => {
        await until(() => clock.sleepers >= 2, 'the worker rests');
        await queue.enqueue(note, { text: 'a' }, { delay: 4321 });
        await settleDown();
        await clock.advance(4320);
        await settleDown();
        assert.deepEqual(startedAt, []);
        await clock.advance(1);
        await until(() => startedAt.length > 0, 'the handler runs');
        assert.deepEqual(startedAt, [due]);
      });
    },
  ),
  sceneCase(
    'worker › as many jobs run at once as the concurrency says, and no more',
    async ({ queue, withWorker }) => {
      let running = 0;
      let most = 0;
      let done = 0;
      const handled = note.handle(async () => {
        most = Math.max(most, (running += 1));
        await settleDown();
        running -= 1;
        done += 1;
      });
      await queue.enqueueMany(
        note,
        Array.from({ length: 20 }, () => ({ text: 'a' })),
      );
      await withWorker([handled], { concurrency: 3, prefetch: 2 }, async () => {
        await until(() => done === 20, 'all jobs run');
        assert.equal(most, 3);
      });
    },
  ),
  sceneCase(
    'worker › jobs of other names stay for other workers',
    async ({ queue, withWorker }) => {
      const { id } = await queue.enqueue(single, { text: 'a' });
      await queue.enqueue(note, { text: 'b' });
      let runs = 0;
      await withWorker([note.handle(() => (runs += 1))], {}, async () => {
        await until(() => runs === 1, 'its own job runs');
        await settleDown();
      });
      const found = await queue.find(id);
      assert.deepEqual([found?.state, found?.attempts], ['waiting', 0]);
    },
  ),
  sceneCase(
    'worker › two workers share the jobs, and each job runs once',
    async ({ queue, withWorker }) => {
      const added = await queue.enqueueMany(
        note,
        Array.from({ length: 50 }, () => ({ text: 'a' })),
      );
      const ran: string[] = [];
      const handled = note.handle(async (_, { id }) => {
        ran.push(id);
        await yieldTurns();
      });
      await withWorker([handled], { concurrency: 2 }, async () => {
        await withWorker([handled], { concurrency: 2 }, async () => {
          await until(
            async () => (await queue.counts()).waiting + (await queue.counts()).active === 0,
            'all jobs are done',
          );
        });
      });
      assert.deepEqual(ran.toSorted(), added.map(({ id }) => id).toSorted());
    },
  ),
  sceneCase(
    'worker › the handler runs in the context of the one who enqueued',
    async ({ queue, withWorker }) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      await runWithContext(
        { requestId: 'r', tenant: 't' },
        async () => await queue.enqueue(note, { text: 'a' }),
      );
      const handled = note.handle(() => {
        const { signal, ...context } = currentContext();
        resolve({ ...context, hasSignal: signal !== undefined });
      });
      await runWithContext(
        { requestId: 'of the one who started the worker', traceparent: 'too' },
        async () => {
          await withWorker([handled], {}, async () => {
            assert.deepEqual(await promise, { requestId: 'r', tenant: 't', hasSignal: true });
          });
        },
      );
    },
  ),
  sceneCase(
    'worker › a completed job is kept for the retention of its definition',
    async ({ queue, withWorker, clock }) => {
      const kept = defineJob({ name: 'note', payload: noteSchema, retention: '5s' });
      const { id } = await queue.enqueue(kept, { text: 'a' });
      await withWorker([kept.handle(() => undefined)], {}, async () => {
        await until(
          async () => (await queue.find(id))?.state === 'completed',
          'the job is completed',
        );
        await clock.advance(4000);
        await settleDown();
        assert.equal((await queue.find(id))?.state, 'completed');
        await clock.advance(3000);
        await until(async () => (await queue.find(id)) === undefined, 'the record is removed');
      });
    },
  ),
  sceneCase(
    'worker › leases and retentions of parts of a millisecond are kept as whole ones',
    async ({ queue, withWorker, clock }) => {
      const kept = defineJob({ name: 'note', payload: noteSchema, retention: 0.25 });
      const { id } = await queue.enqueue(kept, { text: 'a' });
      const now = clock.now();
      await withWorker([kept.handle(() => undefined)], { lease: 300.25 }, async () => {
        const isCompleted = async (): Promise<boolean> =>
          (await queue.find(id))?.state === 'completed';
        await until(isCompleted, 'the job is completed');
      });
      assert.deepEqual((await queue.find(id))?.finishedAt, new Date(now));
    },
  ),
  sceneCase(
    'drain › gives back what waits for its turn also when its caller is cancelled',
    async ({ queue, withWorker }) => {
      await queue.enqueueMany(note, [{ text: 'a' }, { text: 'b' }]);
      const { contexts, handler, open } = gate();
      await withWorker([note.handle(handler)], { concurrency: 1, prefetch: 1 }, async (worker) => {
        await until(() => contexts.length === 1, 'the first job runs');
        let isDrained = false;
        void runWithContext({ signal: AbortSignal.abort() }, async () => {
          await worker.drain();
          isDrained = true;
        });
        open();
        await until(() => isDrained, 'the worker is drained');
        const { waiting, active } = await queue.counts();
        assert.deepEqual({ waiting, active }, { waiting: 1, active: 0 });
      });
    },
  ),
  sceneCase(
    'worker › each attempt is one operation event, which tells how it ended',
    async ({ queue, withWorker, clock, driver }) => {
      const events: OperationEvent[] = [];
      const { id } = await queue.enqueue(note, { text: 'a' });
      const unsubscribe = subscribeToOperations({
        end: (event) =>
          void (event.component === 'queue' && event.operation === 'process' && events.push(event)),
      });
      try {
        const handled = note.handle((_, { attempt }) => {
          if (attempt === 1) throw new Error('not yet');
        });
        await withWorker([handled], {}, async () => {
          await until(() => events.length === 1, 'the first attempt ends');
          await settleDown();
          await clock.advance(750);
          await until(() => events.length === 2, 'the second attempt ends');
        });
      } finally {
        unsubscribe();
      }
      const facts = { adapter: driver.adapter, job: 'note', id, maxAttempts: 3 };
      assert.deepEqual(
        events.map(({ attributes }) => attributes),
        [
          { ...facts, attempt: 1, outcome: 'retry' },
          { ...facts, attempt: 2, outcome: 'complete' },
        ],
      );
      assert.match(String(events[0]?.error), /not yet/);
    },
  ),

  sceneCase(
    'retry › a failed job runs again after its backoff, which doubles',
    async ({ queue, withWorker, clock }) => {
      const startedAt: number[] = [];
      const start = clock.now();
      const handled = note.handle((_, { attempt }) => {
        startedAt.push(clock.now() - start);
        if (attempt < 3) throw new Error('not yet');
      });
      const { id } = await queue.enqueue(note, { text: 'a' });
      await withWorker([handled], {}, async () => {
        for (const [index, wait] of [750, 1500].entries()) {
          const runs = index + 1;
          await until(
            async () => startedAt.length === runs && (await queue.find(id))?.state === 'waiting',
            'the attempt fails',
          );
          await clock.advance(wait - 1);
          await settleDown();
          assert.equal(startedAt.length, runs);
          await clock.advance(1);
        }
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
        assert.deepEqual(startedAt, [0, 750, 2250]);
      });
    },
  ),
  sceneCase(
    'retry › after its last attempt a job is dead, with the failure and without credentials',
    async ({ queue, withWorker }) => {
      let runs = 0;
      const { id } = await queue.enqueue(single, { text: 'a' });
      const handled = single.handle(() => {
        runs += 1;
        throw new TypeError('no answer from https://user:hunter2@example.com/x?token=hunter3');
      });
      await withWorker([handled], {}, async () => {
        await until(async () => (await queue.find(id))?.state === 'dead', 'the job is dead');
      });
      const found = await queue.find(id);
      assert.equal(runs, 1);
      assert.equal(found?.failure?.code, 'TypeError');
      assert.match(found.failure.message, /no answer/);
      assert.doesNotMatch(found.failure.message, /hunter/);
    },
  ),
  sceneCase(
    'retry › a handler that throws what is no error fails its attempt all the same',
    async ({ queue, withWorker }) => {
      const { id } = await queue.enqueue(single, { text: 'a' });
      const handled = single.handle(async () => await Promise.reject('a string'));
      await withWorker([handled], {}, async () => {
        await until(async () => (await queue.find(id))?.state === 'dead', 'the job is dead');
      });
      assert.equal((await queue.find(id))?.failure?.message, 'a string');
    },
  ),
  sceneCase(
    'retry › a handler that throws what is not even text is settled like any other',
    async ({ queue, withWorker }) => {
      const { id } = await queue.enqueue(single, { text: 'a' });
      const handled = single.handle(async () => await Promise.reject(Object.create(null)));
      await withWorker([handled], {}, async () => {
        await until(async () => (await queue.find(id))?.state === 'dead', 'the job is dead');
      });
    },
  ),
  sceneCase(
    'retry › waits as long as the failing engine asked for',
    async ({ queue, withWorker, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const handled = note.handle(() => {
        throw new InfrastructureError({
          code: 'resource-exhausted',
          component: 'mail',
          message: 'slow down',
          retryAfterMs: 90_000,
        });
      });
      const now = clock.now();
      await withWorker([handled], {}, async () => {
        await until(async () => (await queue.find(id))?.failure !== undefined, 'the attempt fails');
      });
      const found = await queue.find(id);
      assert.deepEqual(
        [found?.availableAt, found?.failure?.code],
        [new Date(now + 90_000), 'resource-exhausted'],
      );
    },
  ),

  sceneCase(
    'retry › what is asked for need not be whole, nor make sense, to be settled',
    async ({ queue, withWorker, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const asked = [90_000.25, Number.NaN, Number.POSITIVE_INFINITY];
      const handled = note.handle((_, { attempt }) => {
        throw new InfrastructureError({
          code: 'resource-exhausted',
          component: 'mail',
          message: 'slow down',
          retryAfterMs: asked[attempt - 1] ?? 0,
        });
      });
      const now = clock.now();
      await withWorker([handled], {}, async () => {
        const failedTimes = async (attempts: number): Promise<boolean> => {
          const found = await queue.find(id);
          return found?.state === 'waiting' && found.attempts === attempts;
        };
        await until(() => failedTimes(1), 'the first fails');
        assert.deepEqual((await queue.find(id))?.availableAt, new Date(now + 90_001));
        await clock.advance(90_001);
        // Its own wait before the third, as if nothing had been asked for.
        await until(() => failedTimes(2), 'the second fails');
        assert.deepEqual((await queue.find(id))?.availableAt, new Date(now + 91_501));
        await clock.advance(1500);
        await until(async () => (await queue.find(id))?.state === 'dead', 'the third fails');
      });
    },
  ),

  sceneCase(
    'payload › one that the schema no longer takes is dead at once, and its handler never runs',
    async ({ queue, withWorker }) => {
      const loose = defineJob({ name: 'note', payload: anySchema });
      const { id } = await queue.enqueue(loose, { secret: 'body' });
      let runs = 0;
      await withWorker([note.handle(() => (runs += 1))], {}, async () => {
        await until(async () => (await queue.find(id))?.state === 'dead', 'the job is dead');
      });
      const failure = (await queue.find(id))?.failure;
      assert.equal(runs, 0);
      assert.equal(failure?.code, 'data-loss');
      assert.match(failure.message, /text is missing/);
      assert.doesNotMatch(failure.message, /body/);
    },
  ),
  sceneCase(
    'payload › one of an older version is brought up version by version',
    async ({ queue, withWorker }) => {
      await queue.enqueue(defineJob({ name: 'note', payload: anySchema }), 'one');
      const upcast = {
        1: (text: unknown) => ({ words: text }),
        2: (old: unknown) => ({ text: `${(old as { words: string }).words}!` }),
      };
      const current = defineJob({ name: 'note', payload: noteSchema, version: 3, upcast });
      const { promise, resolve } = Promise.withResolvers<Note>();
      await withWorker([current.handle(resolve)], {}, async () => {
        assert.deepEqual(await promise, { text: 'one!' });
      });
    },
  ),
  sceneCase(
    'payload › one of a newer version waits for a newer worker, and no attempt is lost',
    async ({ queue, withWorker, clock }) => {
      const newer = defineJob({
        name: 'single',
        payload: noteSchema,
        version: 2,
        upcast: { 1: (payload) => payload },
        attempts: 1,
      });
      const { id } = await queue.enqueue(newer, { text: 'a' });
      const runs: string[] = [];
      await withWorker([single.handle(() => runs.push('old'))], {}, async () => {
        await until(
          async () => ((await queue.find(id))?.availableAt.getTime() ?? 0) > clock.now(),
          'the job is put off',
        );
      });
      const found = await queue.find(id);
      assert.deepEqual([found?.state, found?.attempts], ['waiting', 0]);
      await clock.advance(60_000);
      await withWorker([newer.handle(() => runs.push('new'))], {}, async () => {
        await until(() => runs.length > 0, 'the newer worker runs it');
      });
      assert.deepEqual(runs, ['new']);
    },
  ),

  sceneCase(
    'timeout › aborts the signal and waits for the handler, and the retry never overlaps it',
    async ({ queue, withWorker, clock }) => {
      const { promise: cleanedUp, resolve: cleanUp } = Promise.withResolvers<void>();
      const log: string[] = [];
      const handled = note.handle(async (_, { attempt, signal }) => {
        log.push(`start ${attempt}`);
        if (attempt > 1) return;
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
        log.push((signal.reason as Error).name);
        await cleanedUp;
        log.push('end 1');
        signal.throwIfAborted();
      });
      const { id } = await queue.enqueue(note, { text: 'a' });
      await withWorker([handled], {}, async () => {
        await until(() => log.length === 1, 'the handler runs');
        await clock.advance(9_999);
        assert.deepEqual(log, ['start 1']);
        await clock.advance(1);
        await until(() => log.length === 2, 'the signal is aborted');
        await clock.advance(300_000);
        await settleDown();
        assert.equal((await queue.find(id))?.state, 'active');
        assert.deepEqual(log, ['start 1', 'TimeoutError']);
        cleanUp();
        await until(async () => (await queue.find(id))?.state === 'waiting', 'the attempt ends');
        assert.equal((await queue.find(id))?.failure?.code, 'deadline-exceeded');
        await clock.advance(750);
        await until(
          async () => (await queue.find(id)) === undefined,
          'the retry completes the job',
        );
        assert.deepEqual(log, ['start 1', 'TimeoutError', 'end 1', 'start 2']);
      });
    },
  ),
  sceneCase(
    'timeout › a handler that finishes its work all the same has done its job',
    async ({ queue, withWorker, clock }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      let runs = 0;
      const { id } = await queue.enqueue(note, { text: 'a' });
      const handled = note.handle(async () => {
        runs += 1;
        await promise;
      });
      await withWorker([handled], {}, async () => {
        await until(() => runs === 1, 'the handler runs');
        await clock.advance(20_000);
        resolve();
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
        assert.equal(runs, 1);
      });
    },
  ),

  sceneCase(
    'lease › is extended for as long as the handler runs',
    async ({ queue, withWorker, clock }) => {
      const slow = defineJob({ name: 'note', payload: noteSchema, timeout: '1h' });
      const { contexts, handler, open } = gate();
      const { id } = await queue.enqueue(slow, { text: 'a' });
      await withWorker([slow.handle(handler)], { lease: 3000, pollInterval: 500 }, async () => {
        await until(() => contexts.length === 1, 'the handler runs');
        for (let second = 0; second < 20; second += 1) {
          await clock.advance(1000);
          await settleDown();
        }
        const found = await queue.find(id);
        assert.deepEqual(
          [found?.state, found?.attempts, contexts.length, contexts[0]?.signal.aborted],
          ['active', 1, 1, false],
        );
        open();
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
      });
    },
  ),
  sceneCase(
    'lease › a job that another worker took over is aborted here, and its result does not count',
    async ({ queue, driver, withWorker, clock }) => {
      const { contexts, handler } = gate();
      const { id } = await queue.enqueue(note, { text: 'a' });
      await withWorker([note.handle(handler)], { lease: 3000, concurrency: 1 }, async () => {
        await until(() => contexts.length === 1, 'the handler runs');
        await driver.maintain(clock.now() + 3000);
        const taken = await driver.claim({
          names: ['note'],
          limit: 1,
          now: clock.now() + 3000,
          leaseUntil: clock.now() + 90_000,
        });
        assert.equal(taken.length, 1);
        await clock.advance(1000);
        await until(() => contexts[0]?.signal.aborted === true, 'the signal is aborted');
        await settleDown();
        const found = await queue.find(id);
        assert.deepEqual([found?.state, found?.attempts], ['active', 2]);
      });
    },
  ),
  sceneCase(
    "lease › a crashed worker's job runs again when its lease ends",
    async ({ queue, withWorker, clock, claimOne }) => {
      await queue.enqueue(note, { text: 'a' });
      await claimOne({ lease: 60_000 });
      const attempts: number[] = [];
      await withWorker([note.handle((_, { attempt }) => attempts.push(attempt))], {}, async () => {
        await clock.advance(59_999);
        await settleDown();
        assert.deepEqual(attempts, []);
        for (let step = 0; step < 20 && attempts.length === 0; step += 1) {
          await clock.advance(100);
          await settleDown();
        }
        assert.deepEqual(attempts, [2]);
      });
    },
  ),

  sceneCase('drain › running jobs finish, and no other starts', async ({ queue, withWorker }) => {
    const { contexts, handler, open } = gate();
    await queue.enqueueMany(
      note,
      ['a', 'b', 'c'].map((text) => ({ text })),
    );
    await withWorker([note.handle(handler)], { concurrency: 1 }, async (worker) => {
      await until(() => contexts.length === 1, 'the first job runs');
      let isDrained = false;
      const drained = worker.drain().then(() => (isDrained = true));
      await settleDown();
      assert.equal(isDrained, false);
      open();
      await drained;
      assert.equal(contexts.length, 1);
      assert.equal(contexts[0]?.signal.aborted, false);
      assert.deepEqual(await queue.counts(), { waiting: 2, active: 0, completed: 0, dead: 0 });
    });
  }),
  sceneCase(
    'drain › jobs whose turn has not come are given back, and no attempt is lost',
    async ({ queue, withWorker }) => {
      const { contexts, handler, open } = gate();
      await queue.enqueueMany(
        single,
        ['a', 'b', 'c', 'd'].map((text) => ({ text })),
      );
      await withWorker(
        [single.handle(handler)],
        { concurrency: 1, prefetch: 2 },
        async (worker) => {
          await until(
            async () => contexts.length === 1 && (await queue.counts()).active === 3,
            'two are claimed ahead',
          );
          const drained = worker.drain();
          await until(async () => (await queue.counts()).active === 1, 'they are given back');
          open();
          await drained;
        },
      );
      const { jobs } = await queue.list();
      assert.deepEqual(
        jobs.map(({ state, attempts }) => [state, attempts]),
        [
          ['waiting', 0],
          ['waiting', 0],
          ['waiting', 0],
        ],
      );
    },
  ),
  sceneCase(
    'drain › past its deadline running jobs are aborted and given back, and no attempt is lost',
    async ({ queue, withWorker }) => {
      const { contexts, handler } = gate();
      const { id } = await queue.enqueue(single, { text: 'a' });
      await withWorker([single.handle(handler)], {}, async (worker) => {
        await until(() => contexts.length === 1, 'the job runs');
        const deadline = new AbortController();
        const drained = worker.drain({ signal: deadline.signal });
        await settleDown();
        assert.equal(contexts[0]?.signal.aborted, false);
        deadline.abort();
        await drained;
        assert.equal(contexts[0]?.signal.aborted, true);
      });
      const found = await queue.find(id);
      assert.deepEqual([found?.state, found?.attempts, found?.failure], ['waiting', 0, undefined]);
    },
  ),
  sceneCase(
    'close › without a drain aborts what runs and gives it back',
    async ({ queue, withWorker }) => {
      const { contexts, handler } = gate();
      const { id } = await queue.enqueue(single, { text: 'a' });
      await withWorker([single.handle(handler)], {}, async () => {
        await until(() => contexts.length === 1, 'the job runs');
      });
      assert.equal(contexts[0]?.signal.aborted, true);
      assert.equal((await queue.find(id))?.attempts, 0);
    },
  ),
  sceneCase(
    'close › a closed worker takes no more jobs, and cannot be started again',
    async ({ queue, withWorker, clock }) => {
      let runs = 0;
      await withWorker([note.handle(() => (runs += 1))], {}, async (worker) => {
        await worker.close();
        await worker.close();
        await queue.enqueue(note, { text: 'a' });
        await clock.advance(10_000);
        await settleDown();
        assert.equal(runs, 0);
        await refuses(worker.start(), 'failed-precondition');
        assert.equal((await worker.checkHealth()).status, 'down');
        assert.equal(clock.sleepers, 0, 'nothing of the worker is left asleep');
      });
    },
  ),
];
