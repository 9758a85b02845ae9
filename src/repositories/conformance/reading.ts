import assert from 'node:assert/strict';

import { type Case, filled, ids, ranked, rejectsWith, sample, type Sample } from './support.ts';

export const readingCases: readonly Case[] = [
  {
    id: 'findById › gives an entity as it was stored, every kind of value unchanged',
    run: async (subject) => {
      const entity = sample('a', {
        code: 'x',
        rank: -7,
        score: 0.1,
        serial: 9_007_199_254_740_993n,
        active: true,
        createdAt: new Date('2026-02-03T04:05:06.789Z'),
        readAt: new Date('1969-12-31T23:59:59.999Z'),
        labels: ['ä', '"', ''],
        detail: { size: 1.5, parts: ['x', null] },
        bytes: new Uint8Array([0, 255, 10]),
      });
      const repository = await filled(subject, entity);
      const found = await repository.findById('a');
      assert.ok(found?.bytes instanceof Uint8Array);
      assert.deepEqual({ ...found, bytes: [...found.bytes] }, { ...entity, bytes: [0, 255, 10] });
    },
  },
  {
    id: 'findById › gives the ends of every range',
    run: async (subject) => {
      const entities = [
        sample('a', {
          rank: Number.MAX_SAFE_INTEGER,
          score: Number.MAX_VALUE,
          serial: 2n ** 63n - 1n,
          createdAt: new Date('9999-12-31T23:59:59.999Z'),
        }),
        sample('b', {
          rank: Number.MIN_SAFE_INTEGER,
          score: Number.MIN_VALUE,
          serial: -(2n ** 63n),
          createdAt: new Date('0000-01-01T00:00:00.000Z'),
        }),
      ];
      const repository = await filled(subject, ...entities);
      assert.deepEqual(await repository.findByIds(['a', 'b']), entities);
    },
  },
  {
    id: 'findById › minus zero is zero',
    run: async ({ repository }) => {
      const stored = await repository.insert(sample('a', { rank: -0, score: -0 }));
      const { rank, score } = await repository.getById('a');
      assert.deepEqual([stored.rank, stored.score, rank, score], [0, 0, 0, 0]);
    },
  },
  {
    id: 'findById › null stays null and an absent field stays absent',
    run: async (subject) => {
      const repository = await filled(subject, sample('a'));
      const found = await repository.getById('a');
      assert.equal(found.readAt, null);
      assert.equal('code' in found, false);
    },
  },
  {
    id: 'findById › a field that is undefined comes back absent',
    run: async ({ repository }) => {
      const { code: _code, ...rest } = sample('a');
      const stored = await repository.insert({ ...rest, code: undefined } as unknown as Sample);
      assert.equal('code' in stored, false);
      assert.equal('code' in (await repository.getById('a')), false);
    },
  },
  {
    id: 'findById › gives undefined for an id that is not there',
    run: async ({ repository }) => assert.equal(await repository.findById('nobody'), undefined),
  },
  {
    id: 'findById › tells ids apart by their exact characters',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a'),
        sample('A'),
        sample('a '),
        sample('é'),
        sample('e\u0301'),
        sample(''),
      );
      for (const id of ['a', 'A', 'a ', 'é', 'e\u0301', ''])
        assert.equal((await repository.getById(id)).name, `name of ${id}`);
    },
  },
  {
    id: 'findById › many in one tick each get their own',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const found = await Promise.all(
        ['c', 'nobody', 'a', 'c'].map(async (id) => repository.findById(id)),
      );
      assert.deepEqual(
        found.map((entity) => entity?.rank),
        [3, undefined, 1, 3],
      );
      assert.notEqual(found[0], found[3], 'two callers must not share one object');
    },
  },
  {
    id: 'findById › sees what was written before it in the same tick',
    run: async ({ repository }) => {
      const inserted = repository.insert(sample('a'));
      const found = inserted.then(async () => repository.findById('a'));
      assert.equal((await found)?.id, 'a');
      await repository.delete('a');
      assert.equal(await repository.findById('a'), undefined);
    },
  },
  {
    id: 'findById › refuses an id that is no id',
    run: async ({ repository }) => {
      for (const id of [undefined, null, {}, Number.NaN])
        await rejectsWith(repository.findById(id as string), 'invalid-argument');
    },
  },
  {
    id: 'findByIds › gives each entity at the place of its id, and undefined where there is none',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const found = await repository.findByIds(['c', 'nobody', 'a', 'c']);
      assert.deepEqual(
        found.map((entity) => entity?.id),
        ['c', undefined, 'a', 'c'],
      );
      assert.notEqual(found[0], found[3]);
    },
  },
  {
    id: 'findByIds › takes no ids, and five thousand',
    run: async (subject) => {
      const samples = Array.from({ length: 5000 }, (_, index) =>
        sample(`id ${index}`, { rank: index }),
      );
      const repository = await filled(subject, ...samples);
      assert.deepEqual(await repository.findByIds([]), []);
      const found = await repository.findByIds(ids(samples));
      assert.equal(found.length, samples.length);
      assert.equal(
        found.findIndex((entity, index) => entity?.rank !== index),
        -1,
        'the first that is wrong or missing',
      );
    },
  },
  {
    id: 'getById › gives the entity, and throws not-found with the id when there is none',
    run: async (subject) => {
      const repository = await filled(subject, sample('a'));
      assert.equal((await repository.getById('a')).id, 'a');
      const error = await rejectsWith(repository.getById('nobody'), 'not-found');
      assert.equal(error.details['id'], 'nobody');
      assert.equal(error.outcome, 'not-applied');
    },
  },
];
