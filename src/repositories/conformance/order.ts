import assert from 'node:assert/strict';

import { type Case, filled, ids, ranked, rejectsWith, sample, scored } from './support.ts';

export const orderCases: readonly Case[] = [
  {
    id: 'find › sorts by several fields, then by id',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('d', { rank: 1 }),
        sample('b', { rank: 2, name: 'x' }),
        sample('c', { rank: 2, name: 'y' }),
        sample('a', { rank: 1 }),
      );
      const found = await repository.find(
        {},
        { orderBy: { rank: 'desc', active: 'asc', name: 'desc' } },
      );
      assert.deepEqual(ids(found), ['c', 'b', 'd', 'a']);
      assert.deepEqual(ids(await repository.find({}, { orderBy: { active: 'asc' } })), [
        'a',
        'b',
        'c',
        'd',
      ]);
      assert.deepEqual(ids(await repository.find({}, { orderBy: { active: 'desc' } })), [
        'd',
        'c',
        'b',
        'a',
      ]);
    },
  },
  {
    id: 'find › sorts nulls first when ascending and last when descending',
    run: async (subject) => {
      const repository = await filled(subject, ...scored);
      assert.deepEqual(ids(await repository.find({}, { orderBy: { score: 'asc' } })), [
        'a',
        'b',
        'c',
        'd',
      ]);
      assert.deepEqual(ids(await repository.find({}, { orderBy: { score: 'desc' } })), [
        'd',
        'c',
        'b',
        'a',
      ]);
    },
  },
  {
    id: 'find › sorts text by code points',
    run: async (subject) => {
      const texts = ['B', 'a', 'ab', 'é', '\u{ff5e}', '\u{1f600}', ''];
      const repository = await filled(
        subject,
        ...texts.map((name, index) => sample(`${index}`, { name })),
      );
      const found = await repository.find({}, { orderBy: { name: 'asc' } });
      assert.deepEqual(
        found.map(({ name }) => name),
        ['', 'B', 'a', 'ab', 'é', '\u{ff5e}', '\u{1f600}'],
      );
    },
  },
  {
    id: 'find › sorts dates, numbers and booleans by their value',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a', { createdAt: new Date(5), rank: 10, active: true }),
        sample('b', { createdAt: new Date(-5), rank: 9 }),
      );
      for (const field of ['createdAt', 'rank', 'active'] as const) {
        assert.deepEqual(
          ids(await repository.find({}, { orderBy: { [field]: 'asc' } })),
          ['b', 'a'],
          field,
        );
      }
    },
  },
  {
    id: 'find › sorts bigints by their value',
    requires: ['bigintOrder'],
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a', { serial: 10n }),
        sample('b', { serial: 9n }),
        sample('c', { serial: -1n }),
      );
      assert.deepEqual(ids(await repository.find({}, { orderBy: { serial: 'asc' } })), [
        'c',
        'b',
        'a',
      ]);
    },
    unsupported: async (subject) => {
      const repository = await filled(subject, sample('a', { serial: 10n }), sample('b'));
      for (const orderBy of [{ serial: 'asc' }, { rank: 'asc', serial: 'desc' }] as const) {
        await rejectsWith(repository.find({}, { orderBy }), 'unimplemented');
        await rejectsWith(repository.findOne({}, { orderBy }), 'unimplemented');
        await rejectsWith(repository.page({}, { orderBy }), 'unimplemented');
        await rejectsWith(repository.stream({}, { orderBy }).next(), 'unimplemented');
      }
    },
  },
  {
    id: 'find › gives at most the limit, the first in order',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      assert.deepEqual(ids(await repository.find({}, { orderBy: { rank: 'desc' }, limit: 2 })), [
        'c',
        'b',
      ]);
    },
  },
  {
    id: 'find › refuses a limit or an order that is none',
    run: async ({ repository }) => {
      for (const limit of [0, -1, 1.5, Number.NaN])
        await rejectsWith(repository.find({}, { limit }), 'invalid-argument');
      await rejectsWith(
        repository.find({}, { orderBy: { rank: 'up' as 'asc' } }),
        'invalid-argument',
      );
      await rejectsWith(repository.find({}, { orderBy: 'rank' as never }), 'invalid-argument');
    },
  },
  {
    id: 'findOne › gives the first in order, or undefined',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      assert.equal(
        (await repository.findOne({ rank: { lt: 3 } }, { orderBy: { rank: 'desc' } }))?.id,
        'b',
      );
      assert.equal(await repository.findOne({ rank: 9 }), undefined);
    },
  },
];
