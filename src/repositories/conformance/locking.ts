import assert from 'node:assert/strict';

import { type Case, rejectsWith } from './support.ts';

const rules: readonly Pick<Case, 'id' | 'run'>[] = [
  {
    id: 'version › counts from 1 with every write',
    run: async ({ versioned }) => {
      const inserted = await versioned.insert({ id: 'a', name: 'x', version: 0 });
      assert.equal(inserted.version, 1);
      const updated = await versioned.update({ ...inserted, name: 'y' });
      assert.equal(updated.version, 2);
      assert.equal((await versioned.save({ ...updated, name: 'z' })).version, 3);
      assert.deepEqual(await versioned.findById('a'), { id: 'a', name: 'z', version: 3 });
    },
  },
  {
    id: 'version › an insert starts at 1, whatever it is given',
    run: async ({ versioned }) => {
      const [stored] = await versioned.insertMany([{ id: 'a', name: 'x', version: 7 }]);
      assert.equal(stored?.version, 1);
      assert.equal((await versioned.getById('a')).version, 1);
    },
  },
  {
    id: 'version › an update of a stale version is aborted, not retryable, and changes nothing',
    run: async ({ versioned }) => {
      const first = await versioned.insert({ id: 'a', name: 'x', version: 0 });
      await versioned.update({ ...first, name: 'y' });
      for (const write of [
        versioned.update({ ...first, name: 'lost' }),
        versioned.save({ ...first, name: 'lost' }),
      ]) {
        const error = await rejectsWith(write, 'aborted');
        assert.equal(error.retryable, false);
        assert.equal(error.outcome, 'not-applied');
      }
      assert.deepEqual(await versioned.findById('a'), { id: 'a', name: 'y', version: 2 });
    },
  },
  {
    id: 'version › of racing updates of one version, one wins',
    run: async ({ versioned }) => {
      const first = await versioned.insert({ id: 'a', name: 'x', version: 0 });
      const results = await Promise.allSettled(
        [1, 2, 3, 4, 5].map(async (turn) => versioned.update({ ...first, name: `${turn}` })),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal((await versioned.getById('a')).version, 2);
    },
  },
  {
    id: 'version › saving version 0 is an insert',
    run: async ({ versioned }) => {
      assert.equal((await versioned.save({ id: 'a', name: 'x', version: 0 })).version, 1);
      await rejectsWith(versioned.save({ id: 'a', name: 'y', version: 0 }), 'already-exists');
      assert.equal((await versioned.getById('a')).name, 'x');
    },
  },
  {
    id: 'version › saving what was deleted is aborted and does not bring it back; updating it is not-found',
    run: async ({ versioned }) => {
      const stored = await versioned.insert({ id: 'a', name: 'x', version: 0 });
      await versioned.delete('a');
      await rejectsWith(versioned.save(stored), 'aborted');
      await rejectsWith(versioned.update(stored), 'not-found');
      assert.equal(await versioned.count(), 0);
    },
  },
  {
    id: 'version › an entity whose version is none is refused',
    run: async ({ versioned }) => {
      for (const version of [undefined, -1, 1.5, 'one']) {
        await rejectsWith(
          versioned.save({ id: 'a', name: 'x', version: version as number }),
          'invalid-argument',
        );
      }
    },
  },
];

export const lockingCases: readonly Case[] = rules.map((rule) => ({
  ...rule,
  requires: ['versions'],
  unsupported: async (subject) => {
    await rejectsWith(
      // Making it is what is refused.
      Promise.resolve().then(() => subject.versioned),
      'unimplemented',
    );
  },
}));
