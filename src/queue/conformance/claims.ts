import assert from 'node:assert/strict';

import {
  bury,
  complete,
  note,
  type QueueCase,
  refuses,
  release,
  retry,
  sceneCase,
  single,
} from './scene.ts';

/** Claims, leases, fencing and settlement, at the driver. */
export const claimCases: readonly QueueCase[] = [
  sceneCase(
    'claim › a claimed job carries what was enqueued, under its first attempt',
    async ({ queue, claimOne, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' }, { delay: 500 });
      const createdAt = clock.now();
      await clock.advance(500);
      const { generation, ...job } = await claimOne();
      assert.ok(generation >= 1);
      assert.deepEqual(
        { ...job },
        {
          id,
          name: 'note',
          version: 1,
          payload: '{"text":"a"}',
          context: undefined,
          attempt: 1,
          maxAttempts: 3,
          createdAt,
          availableAt: createdAt + 500,
        },
      );
      assert.equal((await queue.find(id))?.state, 'active');
    },
  ),
  sceneCase(
    'claim › the job that is available longest comes first, then the one enqueued first',
    async ({ queue, claim, clock }) => {
      const late = await queue.enqueue(note, { text: 'late' }, { delay: 20 });
      const early = await queue.enqueue(note, { text: 'early' }, { delay: 10 });
      const other = await queue.enqueue(single, { text: 'other' }, { delay: 10 });
      const now = await queue.enqueue(note, { text: 'now' });
      await clock.advance(20);
      assert.deepEqual(
        (await claim()).map(({ id }) => id),
        [now.id, early.id, other.id, late.id],
      );
    },
  ),
  sceneCase(
    'claim › the first ones are taken when the limit leaves some',
    async ({ queue, claim }) => {
      const added = await queue.enqueueMany(
        note,
        ['a', 'b', 'c', 'd', 'e'].map((text) => ({ text })),
      );
      assert.deepEqual(
        (await claim({ limit: 2 })).map(({ id }) => id),
        added.slice(0, 2).map(({ id }) => id),
      );
      assert.deepEqual(
        (await claim({ limit: 2 })).map(({ id }) => id),
        added.slice(2, 4).map(({ id }) => id),
      );
      assert.equal((await queue.counts()).waiting, 1);
    },
  ),
  sceneCase('claim › no job comes before its delay is over', async ({ queue, claim, clock }) => {
    await queue.enqueue(note, { text: 'a' }, { delay: 1000 });
    await clock.advance(999);
    assert.equal((await claim()).length, 0);
    await clock.advance(1);
    assert.equal((await claim()).length, 1);
  }),
  sceneCase('claim › only jobs of the names asked for are given', async ({ queue, claim }) => {
    await queue.enqueue(note, { text: 'a' });
    await queue.enqueue(single, { text: 'b' });
    assert.deepEqual(
      (await claim({ names: ['single'] })).map(({ name }) => name),
      ['single'],
    );
    assert.deepEqual((await claim({ names: ["it's", 'another'] })).length, 0);
    assert.equal((await queue.counts()).waiting, 1);
  }),
  sceneCase('claim › any number of names may be asked for', async ({ queue, claim }) => {
    await queue.enqueue(note, { text: 'a' });
    await queue.enqueue(single, { text: 'b' });
    const others = Array.from({ length: 1200 }, (_, index) => `other-${index}`);
    const names = ['note', ...others, 'single'];
    assert.deepEqual(
      (await claim({ names })).map(({ name }) => name),
      ['note', 'single'],
    );
  }),
  sceneCase(
    'claim › claims at the same time share no job, and leave none out',
    async ({ queue, claim }) => {
      await queue.enqueueMany(
        note,
        Array.from({ length: 40 }, () => ({ text: 'a' })),
      );
      const claims = await Promise.all(
        Array.from({ length: 10 }, async () => await claim({ limit: 7 })),
      );
      const ids = claims.flat().map(({ id }) => id);
      assert.equal(ids.length, 40);
      assert.equal(new Set(ids).size, 40);
    },
  ),
  sceneCase(
    'claim › an active job is not claimed again while its lease runs',
    async ({ queue, claim, claimOne, clock, driver }) => {
      await queue.enqueue(note, { text: 'a' });
      await claimOne({ lease: 1000 });
      await clock.advance(999);
      const nothing = { recovered: 0, buried: 0, removed: 0 };
      assert.deepEqual(await driver.maintain(clock.now()), nothing);
      assert.equal((await claim()).length, 0);
    },
  ),
  sceneCase(
    'claim › every claim of a job has a higher generation and counts an attempt',
    async ({ queue, claimOne, settle, clock }) => {
      await queue.enqueue(note, { text: 'a' });
      const first = await claimOne();
      await settle(retry(first, clock.now()));
      const second = await claimOne();
      assert.ok(second.generation > first.generation);
      assert.deepEqual([first.attempt, second.attempt], [1, 2]);
    },
  ),
  sceneCase(
    'claim › a call whose signal is aborted claims nothing',
    async ({ queue, driver, clock }) => {
      await queue.enqueue(note, { text: 'a' });
      const request = {
        names: ['note'],
        limit: 1,
        now: clock.now(),
        leaseUntil: clock.now() + 1000,
      };
      await assert.rejects(driver.claim(request, AbortSignal.abort()));
      assert.equal((await queue.counts()).waiting, 1);
    },
  ),

  sceneCase(
    'settle › a completed job without retention is gone',
    async ({ queue, claimOne, settle }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      assert.deepEqual(await settle(complete(await claimOne())), [true]);
      assert.equal(await queue.find(id), undefined);
    },
  ),
  sceneCase(
    'settle › a completed job with retention is kept until it ends',
    async ({ queue, claimOne, settle, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      await settle(complete(await claimOne(), clock.now() + 1000));
      await clock.advance(999);
      assert.equal((await driver.maintain(clock.now())).removed, 0);
      const kept = await queue.find(id);
      assert.equal(kept?.state, 'completed');
      assert.deepEqual(kept.finishedAt, new Date(clock.now() - 999));
      await clock.advance(1);
      assert.equal((await driver.maintain(clock.now())).removed, 1);
      assert.equal(await queue.find(id), undefined);
    },
  ),
  sceneCase(
    'settle › a completed job that is kept is never claimed again',
    async ({ queue, claim, claimOne, settle, clock }) => {
      await queue.enqueue(note, { text: 'a' });
      await settle(complete(await claimOne(), clock.now() + 1_000_000));
      await clock.advance(100_000);
      assert.equal((await claim()).length, 0);
    },
  ),
  sceneCase(
    'settle › a second settlement of one claim is refused and changes nothing',
    async ({ queue, claimOne, settle, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const claimed = await claimOne();
      assert.deepEqual(await settle(retry(claimed, clock.now() + 5000)), [true]);
      assert.deepEqual(
        await settle(complete(claimed), bury(claimed), release(claimed, 0), retry(claimed, 0)),
        [false, false, false, false],
      );
      const found = await queue.find(id);
      assert.equal(found?.state, 'waiting');
      assert.deepEqual(found.availableAt, new Date(clock.now() + 5000));
      assert.equal(found.attempts, 1);
    },
  ),
  sceneCase(
    'settle › the holder of a lost lease is fenced out, whatever it says',
    async ({ queue, claimOne, settle, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const old = await claimOne({ lease: 1000 });
      await clock.advance(1000);
      await driver.maintain(clock.now());
      const current = await claimOne();
      for (const settlement of [complete(old), bury(old), release(old, 0), retry(old, 0)])
        assert.deepEqual(await settle(settlement), [false]);
      assert.deepEqual(await driver.extend([old], clock.now() + 9000), [false]);
      assert.equal((await queue.find(id))?.state, 'active');
      assert.deepEqual(await settle(complete(current)), [true]);
    },
  ),
  sceneCase(
    'settle › a recovered job cannot be settled by the claim that lost it',
    async ({ queue, claimOne, settle, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const old = await claimOne({ lease: 1000 });
      await clock.advance(1000);
      await driver.maintain(clock.now());
      assert.deepEqual(await settle(complete(old)), [false]);
      assert.equal((await queue.find(id))?.state, 'waiting');
    },
  ),
  sceneCase(
    'settle › a lease that ended and that nobody took up still settles',
    async ({ queue, claimOne, settle, clock }) => {
      await queue.enqueue(note, { text: 'a' });
      const claimed = await claimOne({ lease: 1000 });
      await clock.advance(5000);
      assert.deepEqual(await settle(complete(claimed)), [true]);
    },
  ),
  sceneCase(
    'settle › one call settles each claim in its own way and says which took effect',
    async ({ queue, claim, settle, clock }) => {
      await queue.enqueueMany(
        note,
        Array.from({ length: 6 }, () => ({ text: 'a' })),
      );
      const [a, b, c, d, e, f] = await claim();
      assert.ok(a && b && c && d && e && f);
      const stale = { ...e, generation: e.generation - 1 };
      const unknown = { id: 'nobody', generation: 1 };
      const results = await settle(
        bury(a),
        complete(b),
        complete(stale),
        retry(c, clock.now() + 1),
        complete(unknown),
        release(d, clock.now()),
        complete(f, clock.now() + 9),
      );
      assert.deepEqual(results, [true, true, false, true, false, true, true]);
      assert.deepEqual(await queue.counts(), { waiting: 2, active: 1, completed: 1, dead: 1 });
      assert.equal((await queue.find(e.id))?.state, 'active');
    },
  ),
  sceneCase('settle › many claims at once are all settled', async ({ queue, claim, settle }) => {
    await queue.enqueueMany(
      note,
      Array.from({ length: 2500 }, () => ({ text: 'a' })),
    );
    const results = await settle(
      ...(await claim({ limit: 2500 })).map((claimed) => complete(claimed)),
    );
    assert.equal(results.filter(Boolean).length, 2500);
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 0, completed: 0, dead: 0 });
  }),
  sceneCase(
    'settle › a retry waits until its time and keeps the failure',
    async ({ queue, claim, claimOne, settle, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const availableAt = clock.now() + 1000;
      await settle(retry(await claimOne(), availableAt));
      const found = await queue.find(id);
      assert.deepEqual(
        [found?.state, found?.attempts, found?.availableAt],
        ['waiting', 1, new Date(availableAt)],
      );
      assert.deepEqual(found?.failure, { message: 'once more', code: 'Error', at: availableAt });
      await clock.advance(999);
      assert.equal((await claim()).length, 0);
      await clock.advance(1);
      assert.equal((await claimOne()).attempt, 2);
    },
  ),
  sceneCase(
    'settle › a buried job is dead, with its failure, and is not claimed again',
    async ({ queue, claim, claimOne, settle, clock }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      await settle(bury(await claimOne()));
      const found = await queue.find(id);
      assert.deepEqual([found?.state, found?.finishedAt], ['dead', new Date(clock.now())]);
      assert.deepEqual(found?.failure, { message: 'no more', code: 'Error', at: 1 });
      await clock.advance(1_000_000);
      assert.equal((await claim()).length, 0);
    },
  ),
  sceneCase(
    'settle › a released job is back as it was: the attempt does not count',
    async ({ queue, claimOne, settle, clock }) => {
      const { id } = await queue.enqueue(single, { text: 'a' });
      const first = await claimOne();
      await settle(release(first, clock.now()));
      assert.equal((await queue.find(id))?.attempts, 0);
      const second = await claimOne();
      assert.equal(second.attempt, 1);
      assert.ok(second.generation > first.generation);
    },
  ),

  sceneCase(
    'lease › an extended one lasts until its new end',
    async ({ queue, claimOne, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      const claimed = await claimOne({ lease: 1000 });
      assert.deepEqual(
        await driver.extend([claimed, { id: 'nobody', generation: 1 }], clock.now() + 3000),
        [true, false],
      );
      await clock.advance(2999);
      assert.deepEqual(await driver.maintain(clock.now()), { recovered: 0, buried: 0, removed: 0 });
      await clock.advance(1);
      assert.equal((await driver.maintain(clock.now())).recovered, 1);
      assert.equal((await queue.find(id))?.state, 'waiting');
    },
  ),
  sceneCase(
    'lease › a job whose lease ended waits again at once, and the attempt counts',
    async ({ queue, claimOne, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      await claimOne({ lease: 1000 });
      await clock.advance(1000);
      assert.deepEqual(await driver.maintain(clock.now()), { recovered: 1, buried: 0, removed: 0 });
      const found = await queue.find(id);
      assert.deepEqual(
        [found?.state, found?.attempts, found?.availableAt],
        ['waiting', 1, new Date(clock.now())],
      );
      assert.equal(found?.failure?.code, 'aborted');
      assert.match(found.failure.message, /lease/);
      assert.equal((await claimOne()).attempt, 2);
    },
  ),
  sceneCase(
    'lease › a job whose lease ended with its last attempt is dead',
    async ({ queue, claim, claimOne, clock, driver }) => {
      const { id } = await queue.enqueue(note, { text: 'poison' });
      for (let attempt = 1; attempt <= 3; attempt += 1) {
        assert.equal((await claimOne({ lease: 1000 })).attempt, attempt);
        await clock.advance(1000);
        assert.equal((await driver.maintain(clock.now())).buried, attempt === 3 ? 1 : 0);
      }
      assert.equal((await claim()).length, 0);
      const found = await queue.find(id);
      assert.deepEqual(
        [found?.state, found?.attempts, found?.finishedAt],
        ['dead', 3, new Date(clock.now())],
      );
    },
  ),

  sceneCase(
    'nextEventAt › is the earliest job of the names, or the earliest end of a lease',
    async ({ queue, claim, driver, clock }) => {
      const now = clock.now();
      assert.equal(await driver.nextEventAt(['note']), undefined);
      await queue.enqueue(single, { text: 'a' });
      assert.equal(await driver.nextEventAt(['note']), undefined);
      await queue.enqueue(note, { text: 'a' }, { delay: 2000 });
      await queue.enqueue(note, { text: 'a' }, { delay: 1000 });
      assert.equal(await driver.nextEventAt(['note']), now + 1000);
      assert.equal(await driver.nextEventAt(['single', 'note']), now);
      await claim({ names: ['single'], lease: 500 });
      assert.equal(await driver.nextEventAt(['note']), now + 500);
    },
  ),
  sceneCase('listen › hears of an enqueue, until told no longer', async ({ queue, driver }) => {
    let heard = 0;
    const stop = driver.listen(() => {
      heard += 1;
    });
    await queue.enqueue(note, { text: 'a' });
    assert.ok(heard >= 1);
    stop();
    const before = heard;
    await queue.enqueue(note, { text: 'b' });
    assert.equal(heard, before);
  }),
  sceneCase(
    'listen › hears of jobs that wait again',
    async ({ queue, driver, claimOne, settle, clock }) => {
      await queue.enqueue(note, { text: 'a' });
      let claimed = await claimOne();
      let heard = 0;
      const stop = driver.listen(() => {
        heard += 1;
      });
      await settle(retry(claimed, clock.now()));
      assert.ok(heard >= 1, 'a retry is heard of');
      claimed = await claimOne();
      heard = 0;
      await settle(release(claimed, clock.now()));
      assert.ok(heard >= 1, 'a release is heard of');
      claimed = await claimOne();
      await settle(bury(claimed));
      heard = 0;
      await queue.redrive();
      assert.ok(heard >= 1, 'a redrive is heard of');
      stop();
    },
  ),
  sceneCase(
    'close › is safe twice, and every later call is failed-precondition',
    async ({ queue }) => {
      const { id } = await queue.enqueue(note, { text: 'a' });
      await queue.close();
      await queue.close();
      await refuses(queue.enqueue(note, { text: 'a' }), 'failed-precondition');
      await refuses(queue.find(id), 'failed-precondition');
      await refuses(queue.worker([note.handle(() => undefined)]).start(), 'failed-precondition');
    },
  ),
];
