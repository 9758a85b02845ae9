import assert from 'node:assert/strict';

import {
  bury,
  complete,
  note,
  type QueueCase,
  refuses,
  sceneCase,
  type Scene,
  single,
} from './scene.ts';

/** Buries all jobs that can be claimed now. */
async function buryAll({ claim, settle }: Scene): Promise<void> {
  await settle(...(await claim()).map((claimed) => bury(claimed)));
}

/** Looking at jobs, redriving and removing them. */
export const inspectionCases: readonly QueueCase[] = [
  sceneCase('find › an unknown id is undefined', async ({ queue }) => {
    assert.equal(await queue.find('nobody'), undefined);
  }),
  sceneCase(
    'list › gives jobs by state and name, oldest first, page by page',
    async ({ queue, claim, settle }) => {
      const notes = await queue.enqueueMany(
        note,
        ['a', 'b', 'c', 'd', 'e'].map((text) => ({ text })),
      );
      const other = await queue.enqueue(single, { text: 'z' });
      const [first] = await claim({ names: ['note'], limit: 1 });
      assert.ok(first);
      await settle(bury(first));

      const pageOne = await queue.list({ state: 'waiting', name: 'note', limit: 2 });
      assert.deepEqual(
        pageOne.jobs.map(({ id }) => id),
        [notes[1]?.id, notes[2]?.id],
      );
      assert.ok(pageOne.next);
      const pageTwo = await queue.list({
        state: 'waiting',
        name: 'note',
        limit: 2,
        after: pageOne.next,
      });
      assert.deepEqual(
        pageTwo.jobs.map(({ id }) => id),
        [notes[3]?.id, notes[4]?.id],
      );
      assert.equal(pageTwo.next, undefined);
      assert.deepEqual(
        (await queue.list({ state: 'dead' })).jobs.map(({ id }) => id),
        [first.id],
      );
      assert.deepEqual(
        (await queue.list()).jobs.map(({ id }) => id),
        [...notes, other].map(({ id }) => id),
      );
    },
  ),
  sceneCase('list › a limit that is not from 1 to 1000 is invalid-argument', async ({ queue }) => {
    for (const limit of [0, -1, 1.5, 1001, Number.NaN])
      await refuses(queue.list({ limit }), 'invalid-argument');
  }),
  sceneCase(
    'counts › counts the jobs of each state, of one name when asked',
    async ({ queue, claim, settle, clock }) => {
      await queue.enqueueMany(
        note,
        ['a', 'b', 'c', 'd'].map((text) => ({ text })),
      );
      await queue.enqueue(single, { text: 'z' });
      const [a, b, c] = await claim({ names: ['note'], limit: 3 });
      assert.ok(a && b && c);
      await settle(bury(a), complete(b, clock.now() + 1000));
      assert.deepEqual(await queue.counts(), { waiting: 2, active: 1, completed: 1, dead: 1 });
      assert.deepEqual(await queue.counts({ name: 'single' }), {
        waiting: 1,
        active: 0,
        completed: 0,
        dead: 0,
      });
    },
  ),
  sceneCase('redrive › a dead job waits again with all its attempts', async (scene) => {
    const { queue, clock, claimOne } = scene;
    const { id } = await queue.enqueue(single, { text: 'a' });
    await buryAll(scene);
    await clock.advance(1000);
    assert.equal(await queue.redrive({ ids: [id] }), 1);
    const found = await queue.find(id);
    assert.deepEqual(
      [found?.state, found?.attempts, found?.availableAt, found?.finishedAt],
      ['waiting', 0, new Date(clock.now()), undefined],
    );
    assert.equal((await claimOne()).attempt, 1);
  }),
  sceneCase(
    'redrive › takes the ids, the name or all, and no more than the limit',
    async (scene) => {
      const { queue } = scene;
      const notes = await queue.enqueueMany(
        note,
        ['a', 'b', 'c', 'd'].map((text) => ({ text })),
      );
      const other = await queue.enqueue(single, { text: 'z' });
      await buryAll(scene);
      assert.equal(await queue.redrive({ ids: [notes[0]?.id ?? '', 'nobody'] }), 1);
      assert.equal(await queue.redrive({ ids: [] }), 0);
      assert.equal(await queue.redrive({ name: 'note', limit: 1 }), 1);
      assert.equal((await queue.find(other.id))?.state, 'dead');
      assert.equal(await queue.redrive(), 3);
      assert.deepEqual(await queue.counts(), { waiting: 5, active: 0, completed: 0, dead: 0 });
    },
  ),
  sceneCase('redrive › a job that is not dead is left alone', async ({ queue, claimOne }) => {
    const active = await queue.enqueue(note, { text: 'a' });
    await claimOne();
    const waiting = await queue.enqueue(note, { text: 'b' }, { delay: 1000 });
    assert.equal(await queue.redrive({ ids: [active.id, waiting.id] }), 0);
    assert.equal((await queue.find(active.id))?.state, 'active');
  }),
  sceneCase('redrive › a job whose key another job has taken stays dead', async (scene) => {
    const { queue } = scene;
    const { id } = await queue.enqueue(note, { text: 'a' }, { deduplicationKey: 'k' });
    await buryAll(scene);
    const successor = await queue.enqueue(note, { text: 'b' }, { deduplicationKey: 'k' });
    assert.equal(await queue.redrive({ ids: [id] }), 0);
    assert.equal((await queue.find(id))?.state, 'dead');
    await queue.remove(successor.id);
    assert.equal(await queue.redrive({ ids: [id] }), 1);
    assert.equal((await queue.enqueue(note, { text: 'c' }, { deduplicationKey: 'k' })).id, id);
  }),
  sceneCase('redrive › of several dead jobs with one key, one waits again', async (scene) => {
    const { queue } = scene;
    for (const text of ['a', 'b']) {
      await queue.enqueue(note, { text }, { deduplicationKey: 'k' });
      await buryAll(scene);
    }
    const other = await queue.enqueue(note, { text: 'c' });
    await buryAll(scene);
    assert.equal(await queue.redrive({ limit: 2 }), 2);
    assert.equal((await queue.find(other.id))?.state, 'waiting');
    assert.deepEqual(await queue.counts(), { waiting: 2, active: 0, completed: 0, dead: 1 });
  }),
  sceneCase('remove › a waiting or a dead job is gone and never runs', async (scene) => {
    const { queue, claim } = scene;
    const dead = await queue.enqueue(note, { text: 'a' });
    await buryAll(scene);
    const waiting = await queue.enqueue(note, { text: 'b' });
    assert.deepEqual([await queue.remove(dead.id), await queue.remove(waiting.id)], [true, true]);
    assert.equal((await claim()).length, 0);
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 0, completed: 0, dead: 0 });
    assert.equal(await queue.remove(waiting.id), false);
  }),
  sceneCase('remove › an active job is left alone', async ({ queue, claimOne, settle }) => {
    const { id } = await queue.enqueue(note, { text: 'a' });
    const claimed = await claimOne();
    assert.equal(await queue.remove(id), false);
    assert.deepEqual(await settle(complete(claimed)), [true]);
  }),
];
