import assert from 'node:assert/strict';

import type { Criteria } from '../criteria.ts';
import {
  type Case,
  filled,
  ids,
  ranked,
  rejectsWith,
  type RepositoryCapability,
  sample,
  type Sample,
  scored,
} from './support.ts';

/** A rule of criteria: which of these are found. */
function finds(
  rule: string,
  samples: readonly Sample[],
  criteria: Criteria<Sample>,
  expected: readonly string[],
): Case {
  return {
    id: `criteria › ${rule}`,
    run: async (subject) => {
      const repository = await filled(subject, ...samples);
      assert.deepEqual(ids(await repository.find(criteria)), expected);
      assert.equal(await repository.count(criteria), expected.length);
      assert.equal(await repository.exists(criteria), expected.length > 0);
      // Two-valued: whatever is not found is found by the opposite.
      const others = ids(samples.toSorted((a, b) => (a.id < b.id ? -1 : 1))).filter(
        (id) => !expected.includes(id),
      );
      assert.deepEqual(ids(await repository.find({ not: criteria })), others);
    },
  };
}

/** A rule of criteria that not every adapter knows; the others refuse them everywhere. */
function findsWith(capability: RepositoryCapability, ...rule: Parameters<typeof finds>): Case {
  const criteria = rule[2];
  return {
    ...finds(...rule),
    requires: [capability],
    unsupported: async (subject) => {
      const repository = await filled(subject, ...rule[1]);
      for (const asked of [criteria, { not: criteria }, { or: [{ rank: 0 }, criteria] }]) {
        const calls = [
          repository.find(asked),
          repository.findOne(asked),
          repository.count(asked),
          repository.exists(asked),
          repository.page(asked),
          repository.stream(asked).next(),
          repository.deleteWhere(asked),
        ];
        for (const call of calls) await rejectsWith(call, 'unimplemented');
      }
      assert.equal(await repository.count(), rule[1].length);
    },
  };
}

const named = [
  sample('a', { name: 'Tea' }),
  sample('b', { name: 'tea' }),
  sample('c', { name: '100% Tea_' }),
  sample('d', { name: 'Über' }),
];

export const criteriaCases: readonly Case[] = [
  finds('none means all, in the order of ids', [sample('b'), sample('a')], {}, ['a', 'b']),
  finds('a value means equal', ranked, { rank: 2 }, ['b']),
  finds('several fields must all hold', ranked, { rank: { gte: 2 }, id: 'c' }, ['c']),
  finds('several comparisons of a field must all hold', ranked, { rank: { gt: 1, lt: 3 } }, ['b']),
  finds('gte and lte include their bound', ranked, { rank: { gte: 1, lte: 2 } }, ['a', 'b']),
  finds('not is also true of nulls', scored, { score: { not: 0 } }, ['a', 'b', 'd']),
  finds('null means null', scored, { score: null }, ['a']),
  finds('not null means there is a value', scored, { score: { not: null } }, ['b', 'c', 'd']),
  finds('no order comparison holds of a null', scored, { score: { lt: 100 } }, ['b', 'c', 'd']),
  finds(
    'the opposite of an order comparison holds of a null',
    scored,
    { not: { score: { gte: 0 } } },
    ['a', 'b'],
  ),
  finds('a double opposite is the same again', scored, { not: { not: { score: { gt: 0 } } } }, [
    'd',
  ]),
  finds('an absent field is null', [sample('a'), sample('b', { code: 'x' })], { code: null }, [
    'a',
  ]),
  finds('in means any of these', ranked, { rank: { in: [3, 1, 9] } }, ['a', 'c']),
  finds('in nothing finds nothing', ranked, { rank: { in: [] } }, []),
  finds('in with null finds nulls too', scored, { score: { in: [null, 0] } }, ['a', 'c']),
  finds('notIn is also true of nulls', scored, { score: { notIn: [0, 2.5] } }, ['a', 'b']),
  finds('notIn with null leaves nulls out', scored, { score: { notIn: [0, null] } }, ['b', 'd']),
  finds('or means at least one', ranked, { or: [{ rank: 1 }, { id: 'c' }] }, ['a', 'c']),
  finds('or of nothing finds nothing', ranked, { or: [] }, []),
  finds('and of nothing finds all', ranked, { and: [] }, ['a', 'b', 'c']),
  finds(
    'combinations nest',
    ranked,
    { or: [{ and: [{ rank: { gt: 1 } }, { not: { id: 'c' } }] }, { rank: 1 }], rank: { lt: 9 } },
    ['a', 'b'],
  ),
  finds('text is equal by its exact characters', named, { name: 'tea' }, ['b']),
  findsWith(
    'textComparisons',
    'contains tells upper and lower case apart',
    named,
    { name: { contains: 'Tea' } },
    ['a', 'c'],
  ),
  findsWith(
    'textComparisons',
    'contains takes percent and underscore as they are',
    named,
    { name: { contains: '% Tea_' } },
    ['c'],
  ),
  findsWith(
    'textComparisons',
    'startsWith and endsWith look at the ends',
    named,
    { name: { startsWith: 'T', endsWith: 'a' } },
    ['a'],
  ),
  findsWith(
    'textComparisons',
    'startsWith works beyond ASCII',
    named,
    { name: { startsWith: 'Ü' } },
    ['d'],
  ),
  findsWith(
    'textComparisons',
    'the empty text is in every text',
    named,
    { name: { contains: '', startsWith: '', endsWith: '' } },
    ['a', 'b', 'c', 'd'],
  ),
  findsWith(
    'textComparisons',
    'no text comparison holds of a null',
    [sample('a'), sample('b', { code: 'x' })],
    { code: { contains: '' } },
    ['b'],
  ),
  finds('booleans are compared', [sample('a', { active: true }), sample('b')], { active: true }, [
    'a',
  ]),
  finds(
    'dates are compared to the millisecond',
    [
      sample('a', { createdAt: new Date('2026-01-01T00:00:00.999Z') }),
      sample('b', { createdAt: new Date('2026-01-01T00:00:01.000Z') }),
      sample('c', { createdAt: new Date('2026-01-01T00:00:01.001Z') }),
    ],
    {
      createdAt: {
        gte: new Date('2026-01-01T00:00:01.000Z'),
        not: new Date('2026-01-01T00:00:01.001Z'),
      },
    },
    ['b'],
  ),
  findsWith(
    'bigintOrder',
    'bigints are compared exactly',
    [
      sample('a', { serial: 9_007_199_254_740_992n }),
      sample('b', { serial: 9_007_199_254_740_993n }),
    ],
    { serial: { gt: 9_007_199_254_740_992n } },
    ['b'],
  ),
  finds(
    'bigints are equal only when they are exactly',
    [
      sample('a', { serial: 9_007_199_254_740_992n }),
      sample('b', { serial: 9_007_199_254_740_993n }),
    ],
    { serial: { in: [9_007_199_254_740_993n, -1n] } },
    ['b'],
  ),
  findsWith(
    'textComparisons',
    'text is compared by order of its code points',
    [
      sample('a', { name: '\u{ff5e}' }),
      sample('b', { name: '\u{1f600}' }),
      sample('c', { name: 'z' }),
    ],
    { name: { gt: '\u{ff5e}' } },
    ['b'],
  ),
  finds(
    'a JSON field can be asked for null',
    [sample('a'), sample('b', { detail: { size: 1, parts: [] } })],
    { detail: { not: null } },
    ['b'],
  ),
  {
    id: 'criteria › undefined is refused, since it would mean everything',
    run: async ({ repository }) => {
      for (const broken of [
        { name: undefined },
        { rank: { gt: undefined } },
        { or: [{ name: undefined }] },
      ]) {
        await rejectsWith(
          repository.find(broken as unknown as Criteria<Sample>),
          'invalid-argument',
        );
      }
    },
  },
  {
    id: 'criteria › in takes ten thousand values, and refuses more',
    run: async (subject) => {
      const repository = await filled(subject, ...ranked);
      const values = Array.from({ length: 10_000 }, (_, index) => index + 2);
      assert.deepEqual(ids(await repository.find({ rank: { in: values } })), ['b', 'c']);
      await rejectsWith(repository.find({ rank: { in: [...values, 1] } }), 'invalid-argument');
    },
  },
  {
    id: 'criteria › what is no criteria is refused',
    run: async ({ repository }) => {
      const broken = [
        { rank: { above: 3 } },
        { rank: {} },
        { or: { rank: 1 } },
        { rank: { in: 3 } },
        { rank: { gt: null } },
        { rank: Number.NaN },
        { labels: [] },
        null,
        'all',
      ];
      for (const each of broken)
        await rejectsWith(repository.find(each as unknown as Criteria<Sample>), 'invalid-argument');
    },
  },
];
