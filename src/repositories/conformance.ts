import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';

import {
  type ConformanceCase,
  type ConformanceSuite,
  type ErrorCode,
  InfrastructureError,
} from '../core/index.ts';
import type { Criteria } from './criteria.ts';
import type { EntityRepository } from './entity-repository.ts';

/** The entity that the suite stores: a field of every kind. `code` must be unique where it is present. */
export interface Sample {
  id: string;
  name: string;
  code?: string;
  rank: number;
  score: number | null;
  serial: bigint;
  active: boolean;
  createdAt: Date;
  readAt: Date | null;
  labels: string[];
  detail: { size: number; parts: (string | null)[] } | null;
  bytes: Uint8Array | null;
}

/** The entity with a version field that the suite stores. */
export interface VersionedSample {
  id: string;
  name: string;
  version: number;
}

/** What the suite is run on: two empty repositories of one engine. */
export interface RepositorySubject {
  readonly repository: EntityRepository<Sample>;
  /** With `version: 'version'`. */
  readonly versioned: EntityRepository<VersionedSample>;
  /** Runs a function in a transaction, where the adapter declares `transactions`. */
  readonly transaction?: <Result>(fn: () => Promise<Result>) => Promise<Result>;
}

type Case = ConformanceCase<RepositorySubject, 'transactions'>;

/** A sample with everything but the id by default. */
export function sample(id: string, fields: Partial<Sample> = {}): Sample {
  return {
    id,
    name: `name of ${id}`,
    rank: 0,
    score: null,
    serial: 0n,
    active: false,
    createdAt: new Date('2026-01-01T00:00:00.000Z'),
    readAt: null,
    labels: [],
    detail: null,
    bytes: null,
    ...fields,
  };
}

const ids = (entities: readonly { readonly id: string }[]): string[] =>
  entities.map(({ id }) => id);

async function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<InfrastructureError> {
  const error: unknown = await promise.then(
    () => assert.fail(`expected ${code}, but the call succeeded`),
    (reason: unknown) => reason,
  );
  assert.ok(InfrastructureError.is(error), `expected an InfrastructureError, got ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

async function filled(
  { repository }: RepositorySubject,
  ...samples: Sample[]
): Promise<EntityRepository<Sample>> {
  await repository.insertMany(samples);
  return repository;
}

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

const ranked = [sample('a', { rank: 1 }), sample('b', { rank: 2 }), sample('c', { rank: 3 })];
const scored = [
  sample('a', { score: null }),
  sample('b', { score: -1.5 }),
  sample('c', { score: 0 }),
  sample('d', { score: 2.5 }),
];
const named = [
  sample('a', { name: 'Tea' }),
  sample('b', { name: 'tea' }),
  sample('c', { name: '100% Tea_' }),
  sample('d', { name: 'Über' }),
];

const reading: Case[] = [
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

const criteria: Case[] = [
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
  finds('contains tells upper and lower case apart', named, { name: { contains: 'Tea' } }, [
    'a',
    'c',
  ]),
  finds(
    'contains takes percent and underscore as they are',
    named,
    { name: { contains: '% Tea_' } },
    ['c'],
  ),
  finds(
    'startsWith and endsWith look at the ends',
    named,
    { name: { startsWith: 'T', endsWith: 'a' } },
    ['a'],
  ),
  finds('startsWith works beyond ASCII', named, { name: { startsWith: 'Ü' } }, ['d']),
  finds(
    'the empty text is in every text',
    named,
    { name: { contains: '', startsWith: '', endsWith: '' } },
    ['a', 'b', 'c', 'd'],
  ),
  finds(
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
      sample('a', { createdAt: new Date(999) }),
      sample('b', { createdAt: new Date(1000) }),
      sample('c', { createdAt: new Date(1001) }),
    ],
    { createdAt: { gte: new Date(1000), not: new Date(1001) } },
    ['b'],
  ),
  finds(
    'bigints are compared exactly',
    [
      sample('a', { serial: 9_007_199_254_740_992n }),
      sample('b', { serial: 9_007_199_254_740_993n }),
    ],
    { serial: { gt: 9_007_199_254_740_992n } },
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

const order: Case[] = [
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
      assert.deepEqual(ids(await repository.find({ name: { gt: '\u{ff5e}' } })), ['5']);
    },
  },
  {
    id: 'find › sorts dates, numbers, bigints and booleans by their value',
    run: async (subject) => {
      const repository = await filled(
        subject,
        sample('a', { createdAt: new Date(5), rank: 10, serial: 10n, active: true }),
        sample('b', { createdAt: new Date(-5), rank: 9, serial: 9n }),
      );
      for (const field of ['createdAt', 'rank', 'serial', 'active'] as const) {
        assert.deepEqual(
          ids(await repository.find({}, { orderBy: { [field]: 'asc' } })),
          ['b', 'a'],
          field,
        );
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

const paging: Case[] = [
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
    id: 'page › goes through dates, bigints and booleans',
    run: async (subject) => {
      const repository = await filled(
        subject,
        ...[3, 1, 2, 0].map((value) =>
          sample(`${value}`, {
            createdAt: new Date(value),
            serial: BigInt(value) + 9_007_199_254_740_992n,
            active: value > 1,
          }),
        ),
      );
      for (const orderBy of [
        { createdAt: 'desc' },
        { serial: 'desc' },
        { active: 'desc' },
      ] as const) {
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

const writing: Case[] = [
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

const locking: Case[] = [
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

const transactions: Case[] = [
  {
    id: 'transaction › what was written in one that fails is undone',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction, 'a subject of an adapter with transactions must have `transaction`');
      await repository.insert(sample('a'));
      await assert.rejects(
        transaction(async () => {
          await repository.insert(sample('b'));
          await repository.insertMany([sample('c'), sample('d')]);
          await repository.save(sample('a', { rank: 1 }));
          await repository.deleteWhere({ id: 'a' });
          throw new Error('on purpose');
        }),
        /on purpose/,
      );
      assert.deepEqual(await repository.find(), [sample('a')]);
    },
    unsupported: async ({ repository, transaction }) => {
      assert.equal(
        transaction,
        undefined,
        'an adapter without transactions must not seem to have them',
      );
      const work = (async (): Promise<void> => {
        await repository.insert(sample('a'));
        throw new Error('on purpose');
      })();
      await assert.rejects(work, /on purpose/);
      assert.equal(
        await repository.count(),
        1,
        'without transactions every call takes effect by itself',
      );
    },
  },
  {
    id: 'transaction › its own reads see its writes, others do not before the commit',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      let release = (): void => undefined;

      const looked = new Promise<void>((resolve) => (release = resolve));
      let entered = (): void => undefined;
      const open = new Promise<void>((resolve) => (entered = resolve));
      const done = transaction(async () => {
        await repository.insert(sample('a'));
        assert.equal(await repository.count(), 1);
        assert.equal((await repository.findById('a'))?.id, 'a');
        entered();
        await looked;
      });
      await Promise.race([open, done]);
      const outside = repository.count();
      // An engine with one connection makes the outsider wait for the end; it may then see the commit.
      const early = await Promise.race([
        outside,
        new Promise<'waits'>((resolve) => void setImmediate(() => resolve('waits'))),
      ]);
      release();
      await done;
      assert.ok(early === 0 || early === 'waits', `an outsider saw ${early}`);
      await outside;
      assert.equal(await repository.count(), 1);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      assert.equal(await repository.count(), 1);
    },
  },
  {
    id: 'transaction › a call that fails inside of one leaves the rest of it usable',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      await transaction(async () => {
        await repository.insert(sample('a'));
        await rejectsWith(repository.insertMany([sample('b'), sample('a')]), 'already-exists');
        await repository.insert(sample('c'));
      });
      assert.deepEqual(ids(await repository.find()), ['a', 'c']);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      await rejectsWith(repository.insertMany([sample('b'), sample('a')]), 'already-exists');
      assert.deepEqual(ids(await repository.find()), ['a']);
    },
  },
  {
    id: 'transaction › reads of one tick inside and outside of it are not mixed',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      const outOfIt = AsyncLocalStorage.snapshot();
      let outside: Promise<Sample | undefined> | undefined;
      await assert.rejects(
        transaction(async () => {
          await repository.insert(sample('a'));
          outside = outOfIt(async () => repository.findById('a'));
          const found = await Promise.all([
            repository.findById('a'),
            repository.findById('a'),
            repository.getById('a'),
          ]);
          assert.deepEqual(
            found.map((entity) => entity?.id),
            ['a', 'a', 'a'],
          );
          throw new Error('on purpose');
        }),
        /on purpose/,
      );
      assert.equal(await outside, undefined);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      assert.equal((await repository.findById('a'))?.id, 'a');
    },
  },
];

const calling: Case[] = [
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

/** The rules of every repository. */
export const repositoriesConformance: ConformanceSuite<RepositorySubject, 'transactions'> = {
  port: 'repositories',
  cases: [
    ...reading,
    ...criteria,
    ...order,
    ...paging,
    ...writing,
    ...locking,
    ...transactions,
    ...calling,
  ],
};
