import assert from 'node:assert/strict';

import { type Case, filled, ranked, rejectsWith, sample } from './support.ts';

export const callsCases: readonly Case[] = [
  {
    id: 'calls › an aborted signal refuses every call, and nothing is written',
    run: async (subject) => {
      const repository = await filled(subject, sample('a'));
      const signal = AbortSignal.abort();
      const calls = [
        repository.findById('a', { signal }),
        repository.getById('a', { signal }),
        repository.findByIds(['a'], { signal }),
        repository.find({}, { signal }),
        repository.findOne({}, { signal }),
        repository.count({}, { signal }),
        repository.exists({}, { signal }),
        repository.page({}, { signal }),
        repository.insert(sample('b'), { signal }),
        repository.insertMany([sample('c')], { signal }),
        repository.save(sample('a', { rank: 5 }), { signal }),
        repository.update(sample('a', { rank: 5 }), { signal }),
        repository.delete('a', { signal }),
        repository.deleteWhere('all', { signal }),
      ];
      for (const call of calls) await rejectsWith(call, 'cancelled');
      assert.deepEqual(await repository.find(), [sample('a')]);
    },
  },
  {
    id: 'calls › one read that is cancelled does not cancel the others of its tick',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const controller = new AbortController();
      const reads = [
        repository.findById('a'),
        repository.findById('b', { signal: controller.signal }),
        repository.findById('c'),
      ] as const;
      controller.abort();
      const [first, , third] = await Promise.allSettled(reads);
      assert.deepEqual([first.status, third.status], ['fulfilled', 'fulfilled']);
    },
  },
  {
    id: 'calls › after close every call fails with failed-precondition, and closing again is fine',
    run: async ({ repository }) => {
      await repository.insert(sample('a'));
      await repository.close();
      await repository.close();
      await rejectsWith(repository.findById('a'), 'failed-precondition');
      await rejectsWith(repository.insert(sample('b')), 'failed-precondition');
    },
  },
];
