import assert from 'node:assert/strict';

import { InfrastructureError } from '../../core/index.ts';
import {
  note,
  type QueueCase,
  type QueueTransactions,
  type Scene,
  setUp,
  settleDown,
  until,
} from './scene.ts';

/** The inverse rule: without transactions an atomic handler is refused, never run as if it were one. */
async function refusesAtomicHandlers({ queue }: Scene): Promise<void> {
  assert.throws(
    () => queue.worker([note.handle(() => undefined, { atomic: true })]),
    (error) =>
      InfrastructureError.is(error, 'unimplemented') &&
      error.details['capability'] === 'transactions',
  );
}

function transactionCase(
  id: string,
  run: (scene: Scene, transactions: QueueTransactions) => Promise<void>,
): QueueCase {
  return {
    id,
    requires: ['transactions'],
    run: async (subject) => {
      assert.ok(
        subject.transactions,
        'an adapter with transactions brings its database to the suite',
      );
      await run(await setUp(subject), subject.transactions);
    },
    unsupported: async (subject) => {
      await refusesAtomicHandlers(await setUp(subject));
    },
  };
}

/** Jobs and the application's own data in one transaction. */
export const transactionCases: readonly QueueCase[] = [
  transactionCase(
    'transactions › a job enqueued in one is there with its commit, and wakes the worker then',
    async ({ queue, withWorker, clock }, transactions) => {
      const seen: (readonly string[])[] = [];
      await withWorker(
        [note.handle(async () => void seen.push(await transactions.read()))],
        {},
        async () => {
          await until(() => clock.sleepers >= 2, 'the worker rests');
          await transactions.run(async () => {
            await queue.enqueue(note, { text: 'a' });
            await transactions.write('row');
            await settleDown();
            assert.equal(seen.length, 0);
          });
          await until(() => seen.length === 1, 'the handler runs');
          assert.deepEqual(seen, [['row']]);
        },
      );
    },
  ),
  transactionCase(
    'transactions › a job enqueued in one that rolls back never was',
    async ({ queue, claim }, transactions) => {
      const rolledBack = transactions.run(async () => {
        await queue.enqueue(note, { text: 'a' });
        await queue.enqueueMany(note, [{ text: 'b' }, { text: 'c' }]);
        await transactions.write('row');
        throw new Error('back');
      });
      await assert.rejects(rolledBack, /back/);
      assert.deepEqual(await queue.counts(), { waiting: 0, active: 0, completed: 0, dead: 0 });
      assert.equal((await claim()).length, 0);
      assert.deepEqual(await transactions.read(), []);
    },
  ),
  transactionCase(
    'transactions › a deduplication key taken in one that rolls back is free',
    async ({ queue }, transactions) => {
      const rolledBack = transactions.run(async () => {
        await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
        throw new Error('back');
      });
      await assert.rejects(rolledBack, /back/);
      assert.equal(
        (await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' })).isDuplicate,
        false,
      );
    },
  ),
  transactionCase(
    'transactions › the work of an atomic handler and its acknowledgement are committed together',
    async ({ queue, withWorker }, transactions) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const handled = note.handle(
        async ({ text }) => {
          await transactions.write(text);
          await queue.enqueue(note, { text: 'follow-up' }, { delay: '1h' });
        },
        { atomic: true },
      );
      await withWorker([handled], {}, async () => {
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
      });
      assert.deepEqual(await transactions.read(), ['a']);
      assert.deepEqual(
        (await queue.list()).jobs.map(({ payload }) => payload),
        [{ text: 'follow-up' }],
      );
    },
  ),
  transactionCase(
    'transactions › the work of an atomic handler that fails is undone, and the job is tried again',
    async ({ queue, withWorker, clock }, transactions) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const handled = note.handle(
        async (_, { attempt }) => {
          await transactions.write(`attempt ${attempt}`);
          await queue.enqueue(note, { text: `of attempt ${attempt}` }, { delay: '1h' });
          if (attempt === 1) throw new Error('not yet');
        },
        { atomic: true },
      );
      await withWorker([handled], {}, async () => {
        await until(
          async () => (await queue.find(id))?.failure !== undefined,
          'the first attempt fails',
        );
        assert.deepEqual(await transactions.read(), []);
        await settleDown();
        await clock.advance(750);
        await until(async () => (await queue.find(id)) === undefined, 'the job is completed');
      });
      assert.deepEqual(await transactions.read(), ['attempt 2']);
      assert.deepEqual(
        (await queue.list()).jobs.map(({ payload }) => payload),
        [{ text: 'of attempt 2' }],
      );
    },
  ),
  transactionCase(
    'transactions › the work of an atomic handler that lost its lease is undone',
    async ({ queue, driver, withWorker, clock }, transactions) => {
      const { promise: released, resolve: goOn } = Promise.withResolvers<void>();
      const { id } = await queue.enqueue(note, { text: 'a' });
      let runs = 0;
      const handled = note.handle(
        async () => {
          runs += 1;
          // The lease is lost inside the transaction itself: nobody else can reach a database with one writer.
          await driver.maintain(clock.now() + 7_200_000);
          await transactions.write('row');
          await released;
        },
        { atomic: true },
      );
      await withWorker([handled], { lease: '1h' }, async () => {
        await until(() => runs === 1, 'the handler runs');
        goOn();
        await settleDown();
      });
      assert.deepEqual(await transactions.read(), []);
      assert.notEqual(await queue.find(id), undefined);
    },
  ),
];
