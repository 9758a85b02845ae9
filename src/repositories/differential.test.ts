import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { sqlSamples } from '../../test/conformance/repositories.ts';
import { makeMariadbDatabase, makePostgresDatabase } from '../../test/services/databases.ts';
import { service } from '../../test/services/services.ts';
import { mysqlDatabase } from '../database/mysql/index.ts';
import { postgresDatabase } from '../database/postgres/index.ts';
import { sqliteDatabase } from '../database/sqlite/index.ts';
import { type Sample, sample } from './conformance/index.ts';
import type { Criteria, OrderBy } from './criteria.ts';
import { memoryRepository } from './memory.ts';
import type { Repository } from './repository.ts';

const { missing } = await service('postgres');
const { missing: mariadbMissing } = await service('mariadb');
const memory = memoryRepository<Sample>({ unique: ['code'] });

// Few values each, so that they meet; with every text that a translation to SQL could get wrong.
const text = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'A',
    'ab',
    'é',
    'e\u0301',
    'ß',
    '%',
    '_',
    "'",
    '"',
    '\\',
    '*',
    '[a]',
    '\u{ff5e}',
    '\u{1f600}',
    '\u{1f600}a',
    '1',
    ' ',
  ),
  fc.string({ unit: 'binary', maxLength: 3 }).filter((value) => !value.includes('\0')),
);
const whole = fc.integer({ min: -2, max: 2 });
const real = fc.oneof(
  fc.constantFrom(0, 0.1, -1.5, 1e300, Number.MIN_VALUE, 2 ** 53, 2 ** 64),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const big = fc.oneof(
  fc.bigInt({ min: -2n, max: 2n }),
  fc.constantFrom(2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)),
);
const date = fc.oneof(
  fc.integer({ min: -2, max: 2 }).map((value) => new Date(value)),
  fc.date({
    // PostgreSQL's timestamps know no year 0.
    min: new Date('0001-01-01T00:00:00.000Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  }),
);
const orNull = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.option(values, { freq: 3 });

const entity: fc.Arbitrary<Sample> = fc
  .record({
    name: text,
    code: fc.option(text, { nil: undefined, freq: 1 }),
    rank: whole,
    score: orNull(real),
    serial: big,
    active: fc.boolean(),
    createdAt: date,
    readAt: orNull(date),
    labels: fc.array(text, { maxLength: 2 }),
    detail: orNull(fc.record({ size: real, parts: fc.array(orNull(text), { maxLength: 2 }) })),
  })
  .map(({ code, ...fields }) => sample('', code === undefined ? fields : { ...fields, code }));

const entities = fc
  .tuple(fc.uniqueArray(text, { maxLength: 12 }), fc.infiniteStream(entity))
  .map(([ids, stream]) =>
    ids.map((id, index) => {
      const fields = stream.next().value as Sample;
      return {
        ...fields,
        id,
        ...(fields.code === undefined ? {} : { code: `${fields.code} ${index}` }),
      };
    }),
  );

function comparisons<Value>(
  values: fc.Arbitrary<Value>,
  isNullable: boolean,
): fc.Arbitrary<object> {
  const comparable = isNullable ? orNull(values) : values;
  return (
    fc
      .record(
        {
          eq: comparable,
          not: comparable,
          in: fc.array(comparable, { maxLength: 3 }),
          notIn: fc.array(comparable, { maxLength: 3 }),
          gt: values,
          gte: values,
          lt: values,
          lte: values,
        },
        { requiredKeys: [] },
      )
      // Mostly one or two, else hardly anything is ever found.
      .chain((all) =>
        fc.subarray(Object.entries(all), {
          minLength: Math.min(1, Object.keys(all).length),
          maxLength: Math.min(2, Object.keys(all).length),
        }),
      )
      .filter((chosen) => chosen.length > 0)
      .map((chosen) => Object.fromEntries(chosen))
  );
}

function criterion<Value>(values: fc.Arbitrary<Value>, isNullable: boolean): fc.Arbitrary<unknown> {
  return fc.oneof(isNullable ? orNull(values) : values, comparisons(values, isNullable));
}

const textComparisons = fc.oneof(
  ...(['contains', 'startsWith', 'endsWith'] as const).map((operator) =>
    text.map((value) => ({ [operator]: value })),
  ),
);

const fields = fc.oneof(
  ...Object.entries({
    id: fc.oneof(criterion(text, false), textComparisons),
    name: fc.oneof(criterion(text, false), textComparisons),
    code: fc.oneof(criterion(text, true), textComparisons),
    rank: criterion(whole, false),
    score: criterion(real, true),
    serial: criterion(big, false),
    active: fc.boolean(),
    createdAt: criterion(date, false),
    readAt: criterion(date, true),
    detail: fc.constantFrom(null, { not: null }, { eq: null }),
  }).map(([field, value]) =>
    (value as fc.Arbitrary<unknown>).map((chosen) => ({ [field]: chosen })),
  ),
);

const criteria = fc.letrec<{ criteria: Criteria<Sample> }>((tie) => ({
  criteria: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fields,
    fc.constant({}),
    fc.tuple(fields, fields).map(([one, other]) => ({ ...one, ...other })),
    fc.array(tie('criteria'), { maxLength: 3 }).map((parts) => ({ or: parts })),
    fc.array(tie('criteria'), { maxLength: 3 }).map((parts) => ({ and: parts })),
    tie('criteria').map((part) => ({ not: part })),
  ),
})).criteria;

const orderBy: fc.Arbitrary<OrderBy<Sample>> = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom(
        'id',
        'name',
        'code',
        'rank',
        'score',
        'serial',
        'active',
        'createdAt',
        'readAt',
      ),
      fc.constantFrom('asc', 'desc'),
    ),
    { maxLength: 3, selector: ([field]) => field },
  )
  .map((parts) => Object.fromEntries(parts) as OrderBy<Sample>);

async function pagesOf(
  repository: Repository<Sample>,
  where: Criteria<Sample>,
  options: { orderBy: OrderBy<Sample>; limit: number },
): Promise<unknown[]> {
  const pages: unknown[] = [];
  for (let after: string | undefined; ;) {
    const page = await repository.page(where, { ...options, after });
    pages.push(page);
    if (page.next === undefined) return pages;
    after = page.next;
  }
}

const engines = [
  {
    engine: 'SQLite',
    missing: undefined,
    open: async () => ({ database: sqliteDatabase({ file: ':memory:' }), made: undefined }),
  },
  {
    engine: 'PostgreSQL',
    missing,
    open: async () => {
      const made = await makePostgresDatabase();
      return { database: postgresDatabase({ url: made.url }), made };
    },
  },
  {
    engine: 'MariaDB',
    missing: mariadbMissing,
    open: async () => {
      const made = await makeMariadbDatabase();
      return { database: mysqlDatabase({ url: made.url }), made };
    },
  },
];

for (const { engine, missing: reason, open } of engines)
  test.skipIf(reason)(
    `repositories › memory and SQL on ${engine} give the same for any entities, criteria, order and page size`,
    async () => {
      const { database, made } = await open();
      onTestFinished(async () => {
        await database.close();
        await made?.remove();
      });
      const sql: Repository<Sample> = await sqlSamples(database);
      await fc.assert(
        fc.asyncProperty(
          entities,
          criteria,
          orderBy,
          fc.integer({ min: 1, max: 4 }),
          async (stored, where, order, limit) => {
            for (const repository of [memory, sql]) {
              await repository.deleteWhere('all');
              await repository.insertMany(stored);
            }
            const expected = await memory.find(where, { orderBy: order });
            expect(await sql.find(where, { orderBy: order })).toStrictEqual(expected);
            expect(await sql.find({ not: where })).toStrictEqual(await memory.find({ not: where }));
            expect(await sql.count(where)).toBe(expected.length);
            expect(await memory.count({ not: where })).toBe(stored.length - expected.length);
            const pages = await pagesOf(sql, where, { orderBy: order, limit });
            expect(pages).toStrictEqual(await pagesOf(memory, where, { orderBy: order, limit }));
            expect(pages.flatMap((page) => (page as { items: Sample[] }).items)).toStrictEqual(
              expected,
            );
            expect(await sql.deleteWhere({ and: [where, { id: { not: null as never } }] })).toBe(
              expected.length,
            );
          },
        ),
        { seed: 20_260_101, numRuns: 300 },
      );
    },
    // Of an engine on a machine that has much else to do.
    120_000,
  );
