import assert from 'node:assert/strict';

import { type Case, filled, ids, ranked, rejectsWith, sample, type Sample } from './support.ts';

export const writingCases: readonly Case[] = [
  {
    id: 'insert › gives the entity as stored',
    run: async ({ repository }) => {
      const entity = sample('a', { labels: ['x'], readAt: new Date(5) });
      assert.deepEqual(await repository.insert(entity), entity);
      assert.deepEqual(await repository.findById('a'), entity);
    },
  },
  {
    id: 'insert › a taken id is already-exists, and what is stored stays',
    run: async (subject) => {
      const repository = await filled(subject, sample('a', { rank: 1 }));
      const error = await rejectsWith(
        repository.insert(sample('a', { rank: 2 })),
        'already-exists',
      );
      assert.equal(error.outcome, 'not-applied');
      assert.equal((await repository.getById('a')).rank, 1);
    },
  },
  {
    id: 'insert › a taken unique field is already-exists; absent ones are never the same',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a', { code: 'x' }),
        sample('b'),
        sample('c'),
      );
      await rejectsWith(repository.insert(sample('d', { code: 'x' })), 'already-exists');
      assert.deepEqual(ids(await repository.find()), ['a', 'b', 'c']);
      await repository.delete('a');
      await repository.insert(sample('d', { code: 'x' }));
    },
  },
  {
    id: 'insert › a field that would pass for the prototype of the entity is refused',
    run: async ({ repository }) => {
      const entity = sample('a');
      Object.defineProperty(entity, '__proto__', { value: { code: 'x' }, enumerable: true });
      await rejectsWith(repository.insert(entity), 'invalid-argument');
      assert.equal(await repository.count(), 0);
    },
  },
  {
    id: 'insert › keeps no hold of what it was given, and gives away nothing it holds',
    run: async ({ repository }) => {
      const entity = sample('a', {
        labels: ['x'],
        detail: { size: 1, parts: ['p'] },
        readAt: new Date(5),
        bytes: new Uint8Array([1]),
      });
      const stored = await repository.insert(entity);
      const found = await repository.getById('a');
      for (const copy of [entity, stored, found]) {
        copy.name = 'changed';
        copy.labels.push('changed');
        copy.detail?.parts.push('changed');
        copy.readAt?.setTime(0);
        copy.bytes?.fill(9);
      }
      const { name, labels, detail, readAt, bytes } = await repository.getById('a');
      assert.deepEqual(
        [name, labels, detail, readAt, [...(bytes ?? [])]],
        ['name of a', ['x'], { size: 1, parts: ['p'] }, new Date(5), [1]],
      );
      const [again] = await repository.find();
      assert.deepEqual(again?.labels, ['x']);
    },
  },
  {
    id: 'insert › a value that cannot be stored unchanged is refused, and nothing is stored',
    run: async ({ repository }) => {
      const broken: Partial<Record<keyof Sample, unknown>>[] = [
        { rank: Number.NaN },
        { score: Number.POSITIVE_INFINITY },
        { serial: 2n ** 63n },
        { createdAt: new Date(Number.NaN) },
        { createdAt: new Date('+010000-01-01T00:00:00.000Z') },
        { name: 'half \ud800' },
        { name: 'nul \0' },
        { detail: { size: new Date(), parts: [] } },
        { labels: [undefined] },
        { detail: new Map() },
        { name: () => 'function' },
      ];
      for (const fields of broken) {
        const error = await rejectsWith(
          repository.insert(sample('a', fields as Partial<Sample>)),
          'invalid-argument',
        );
        assert.equal(error.details['field'], Object.keys(fields)[0]);
      }
      assert.equal(await repository.count(), 0);
    },
  },
  {
    id: 'insert › an entity without an id is refused',
    run: async ({ repository }) => {
      await rejectsWith(
        repository.insert({ ...sample('a'), id: undefined } as unknown as Sample),
        'invalid-argument',
      );
      await rejectsWith(repository.insert(null as unknown as Sample), 'invalid-argument');
    },
  },
  {
    id: 'insert › of racing inserts of one id, one wins',
    run: async ({ repository }) => {
      const results = await Promise.allSettled(
        [1, 2, 3, 4, 5].map(async (rank) => repository.insert(sample('a', { rank }))),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal(await repository.count(), 1);
    },
  },
  {
    id: 'insertMany › adds all, and gives them as stored in their order',
    run: async ({ repository }) => {
      assert.deepEqual(await repository.insertMany([]), []);
      assert.deepEqual(ids(await repository.insertMany([sample('b'), sample('a')])), ['b', 'a']);
      assert.equal(await repository.count(), 2);
    },
  },
  {
    id: 'insertMany › one that is taken, and none is added',
    run: async (subject) => {
      const repository = await filled(subject, sample('c', { code: 'x' }));
      await rejectsWith(
        repository.insertMany([sample('a'), sample('b'), sample('c')]),
        'already-exists',
      );
      await rejectsWith(repository.insertMany([sample('a'), sample('a')]), 'already-exists');
      await rejectsWith(
        repository.insertMany([sample('a'), sample('b', { code: 'x' })]),
        'already-exists',
      );
      await rejectsWith(
        repository.insertMany([sample('a'), sample('b', { rank: Number.NaN })]),
        'invalid-argument',
      );
      assert.deepEqual(ids(await repository.find()), ['c']);
      // Nor may what was undone still hold a unique field.
      await repository.insertMany([sample('a', { code: 'y' }), sample('b')]);
    },
  },
  {
    id: 'save › adds what is new and replaces what is there, whole',
    run: async ({ repository }) => {
      await repository.save(sample('a', { code: 'x', rank: 1 }));
      const replaced = sample('a', { rank: 2 });
      assert.deepEqual(await repository.save(replaced), replaced);
      assert.deepEqual(await repository.find(), [replaced]);
    },
  },
  {
    id: 'save › a unique field that another entity has is already-exists, and both stay',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a', { code: 'x' }),
        sample('b', { code: 'y' }),
      );
      await rejectsWith(repository.save(sample('b', { code: 'x' })), 'already-exists');
      await rejectsWith(repository.save(sample('c', { code: 'x' })), 'already-exists');
      const found = await repository.find();
      assert.deepEqual(
        found.map(({ id, code }) => [id, code]),
        [
          ['a', 'x'],
          ['b', 'y'],
        ],
      );
      await repository.save(sample('b', { code: 'z' }));
      await repository.save(sample('c', { code: 'y' }));
    },
  },
  {
    id: 'update › replaces what is there, whole',
    run: async (subject) => {
      const repository = await filled(subject, sample('a', { code: 'x' }), sample('b'));
      const changed = sample('a', { rank: 9, labels: ['new'] });
      assert.deepEqual(await repository.update(changed), changed);
      assert.deepEqual(await repository.find(), [changed, sample('b')]);
    },
  },
  {
    id: 'update › throws not-found when there is nothing, and adds nothing',
    run: async ({ repository }) => {
      await rejectsWith(repository.update(sample('a')), 'not-found');
      assert.equal(await repository.count(), 0);
    },
  },
  {
    id: 'delete › says whether there was one, and leaves the others',
    run: async (subject) => {
      const repository = await filled(subject, sample('a'), sample('b'));
      assert.equal(await repository.delete('a'), true);
      assert.equal(await repository.delete('a'), false);
      assert.deepEqual(ids(await repository.find()), ['b']);
    },
  },
  {
    id: 'deleteWhere › removes those that meet the criteria and gives their number',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      assert.equal(await repository.deleteWhere({ rank: { gt: 1 } }), 2);
      assert.equal(await repository.deleteWhere({ rank: { gt: 1 } }), 0);
      assert.deepEqual(ids(await repository.find()), ['a']);
    },
  },
  {
    id: "deleteWhere › criteria that mean everything are refused; 'all' is not",
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      for (const everything of [{}, { and: [] }, { and: [{}, {}] }])
        await rejectsWith(repository.deleteWhere(everything), 'invalid-argument');
      assert.equal(await repository.count(), 3);
      assert.equal(await repository.deleteWhere('all'), 3);
      assert.equal(await repository.count(), 0);
    },
  },
];
