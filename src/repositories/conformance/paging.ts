import assert from 'node:assert/strict';

import type { Criteria } from '../criteria.ts';
import type { EntityRepository } from '../entity-repository.ts';
import { type Case, filled, ids, ranked, rejectsWith, sample, type Sample } from './support.ts';

async function allPages(
  repository: EntityRepository<Sample>,
  options: Parameters<EntityRepository<Sample>['page']>[1],
  where: Criteria<Sample> = {},
): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after: string | undefined; ;) {
    const page = await repository.page(where, { ...options, after });
    pages.push(ids(page.items));
    if (page.next === undefined) return pages;
    after = page.next;
  }
}

export const pagingCases: readonly Case[] = [
  {
    id: 'page › goes through all entities once, in order',
    run: async (subject) => {
      const repository = await filled(
        subject,
        ...['e', 'd', 'c', 'b', 'a'].map((id) => sample(id)),
      );
      assert.deepEqual(await allPages(repository, { limit: 2 }), [['a', 'b'], ['c', 'd'], ['e']]);
    },
  },
  {
    id: 'page › the last page has no next, also when it is full or empty',
    run: async (subject) => {
      assert.deepEqual(await subject.repository.page(), { items: [] });
      const repository = await filled(subject, ...ranked);
      assert.equal('next' in (await repository.page({}, { limit: 3 })), false);
    },
  },
  {
    id: 'page › goes through nulls and equal values, in both directions',
    run: async (subject) => {
      const repository = await filled(
        subject,
        ...[null, 1, null, 2, 1, null].map((score, index) =>
          sample(`${index}`, { score, createdAt: new Date(index % 2) }),
        ),
      );
      assert.deepEqual(
        (await allPages(repository, { limit: 1, orderBy: { score: 'asc' } })).flat(),
        ['0', '2', '5', '1', '4', '3'],
      );
      assert.deepEqual(
        (await allPages(repository, { limit: 2, orderBy: { score: 'desc' } })).flat(),
        ['3', '4', '1', '5', '2', '0'],
      );
      const mixed = { score: 'desc', createdAt: 'asc' } as const;
      assert.deepEqual((await allPages(repository, { limit: 1, orderBy: mixed })).flat(), [
        '3',
        '4',
        '1',
        '0',
        '2',
        '5',
      ]);
    },
  },
  {
    id: 'page › goes through dates and booleans',
    run: async (subject) => {
      const repository = await filled(
        subject,
        ...[3, 1, 2, 0].map((value) =>
          sample(`${value}`, { createdAt: new Date(value), active: value > 1 }),
        ),
      );
      for (const orderBy of [{ createdAt: 'desc' }, { active: 'desc' }] as const) {
        assert.deepEqual(await allPages(repository, { limit: 1, orderBy }), [
          ['3'],
          ['2'],
          ['1'],
          ['0'],
        ]);
      }
    },
  },
  {
    id: 'page › goes through bigints, exactly',
    requires: ['bigintOrder'],
    run: async (subject) => {
      const repository = await filled(
        subject,
        ...[3, 1, 2, 0].map((value) =>
          sample(`${value}`, { serial: BigInt(value) + 9_007_199_254_740_992n }),
        ),
      );
      assert.deepEqual(await allPages(repository, { limit: 1, orderBy: { serial: 'desc' } }), [
        ['3'],
        ['2'],
        ['1'],
        ['0'],
      ]);
    },
    unsupported: async ({ repository }) => {
      await rejectsWith(repository.page({}, { orderBy: { serial: 'desc' } }), 'unimplemented');
    },
  },
  {
    id: 'page › goes through text, and through many equal values',
    run: async (subject) => {
      const texts = ['b', '', 'B', 'é', 'b', 'b', '\u{1f600}', 'b', 'a', 'b'];
      const repository = await filled(
        subject,
        ...texts.map((name, index) => sample(`${index}`, { name })),
      );
      const expected = ['1', '2', '8', '0', '4', '5', '7', '9', '3', '6'];
      for (const limit of [1, 2, 3, 9]) {
        const up = await allPages(repository, { limit, orderBy: { name: 'asc' } });
        assert.deepEqual(up.flat(), expected, `up by ${limit}`);
        const down = await allPages(repository, { limit, orderBy: { name: 'desc' } });
        assert.deepEqual(down.flat(), expected.toReversed(), `down by ${limit}`);
      }
    },
  },
  {
    id: 'page › keeps to the criteria',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      assert.deepEqual(await allPages(repository, { limit: 1 }, { rank: { not: 2 } }), [
        ['a'],
        ['c'],
      ]);
    },
  },
  {
    id: 'page › what is inserted or deleted in between makes nothing appear twice or be left out',
    run: async (subject) => {
      const repository = await filled(subject, sample('b'), sample('c'), sample('d'));
      const first = await repository.page({}, { limit: 2 });
      await repository.insert(sample('a'));
      await repository.delete('c');
      const second = await repository.page({}, { limit: 2, after: first.next });
      assert.deepEqual([ids(first.items), ids(second.items)], [['b', 'c'], ['d']]);
    },
  },
  {
    id: 'page › a damaged cursor is refused',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const { next = '' } = await repository.page({}, { limit: 1 });
      const middle = Math.floor(next.length / 2);
      const damaged = [
        '',
        'x',
        next.slice(1),
        next.slice(0, -1),
        `${next}A`,
        `${next} `,
        next.slice(0, middle) + (next[middle] === 'A' ? 'B' : 'A') + next.slice(middle + 1),
      ];
      for (const after of damaged)
        await rejectsWith(repository.page({}, { limit: 1, after }), 'invalid-argument');
      assert.deepEqual(ids((await repository.page({}, { limit: 1, after: next })).items), ['b']);
    },
  },
  {
    id: 'page › a cursor of another order is refused',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const { next } = await repository.page({}, { limit: 1, orderBy: { rank: 'asc' } });
      await rejectsWith(repository.page({}, { limit: 1, after: next }), 'invalid-argument');
      await rejectsWith(
        repository.page({}, { limit: 1, after: next, orderBy: { rank: 'desc' } }),
        'invalid-argument',
      );
    },
  },
  {
    id: 'stream › gives all in order, whatever the batch size',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      for (const batchSize of [1, 2, 3, 4]) {
        const seen: string[] = [];
        for await (const { id } of repository.stream({}, { orderBy: { rank: 'desc' }, batchSize }))
          seen.push(id);
        assert.deepEqual(seen, ['c', 'b', 'a'], `batch size ${batchSize}`);
      }
    },
  },
  {
    id: 'stream › can be left early, and lets other calls go on',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      for await (const { id } of repository.stream({}, { batchSize: 1 })) {
        await repository.delete(id);
        if (id === 'b') break;
      }
      assert.deepEqual(ids(await repository.find()), ['c']);
    },
  },
  {
    id: 'stream › a consumer that changes what it gets is still given all, once',
    run: async (subject) => {
      const samples = [1, 2, 3].map((day) => sample(`${day}`, { createdAt: new Date(day) }));
      const repository = await filled(subject, ...samples);
      const seen: string[] = [];
      for await (const entity of repository.stream(
        {},
        { orderBy: { createdAt: 'asc' }, batchSize: 1 },
      )) {
        seen.push(entity.id);
        entity.createdAt.setTime(0);
        entity.id = 'changed';
      }
      assert.deepEqual(seen, ['1', '2', '3']);
    },
  },
  {
    id: 'stream › ends with its signal',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const controller = new AbortController();
      const stream = repository.stream({}, { batchSize: 1, signal: controller.signal });
      assert.equal(((await stream.next()).value as Sample | undefined)?.id, 'a');
      controller.abort();
      await rejectsWith(stream.next(), 'cancelled');
    },
  },
];
