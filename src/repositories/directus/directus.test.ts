import { describe, expect, test } from 'vitest';

import { InfrastructureError } from '../../core/index.ts';
import { type Condition, type Order } from '../condition.ts';
import type { Row } from '../driver.ts';
import { compareRows } from '../evaluate.ts';
import { ColumnCodec, mapColumns } from '../columns.ts';
import { type FilterTarget, translate } from './filter.ts';
import { directusRepository, type ItemsClient } from './index.ts';
import { readOrdered, type Slice } from './ordered-reading.ts';
import { directusValues } from './values.ts';

const origin = { component: 'repositories', adapter: 'directus' };
const columns = mapColumns(
  {
    id: 'text',
    title: { name: 'the_title', type: 'text|null' },
    rank: 'integer',
    score: 'real|null',
    active: 'boolean|null',
    at: 'date|null',
    detail: 'json|null',
  },
  origin,
);
const target: FilterTarget = {
  columnsByField: new Map(columns.map((column) => [column.field, column])),
  codec: new ColumnCodec(columns, directusValues, origin),
  origin,
};

const compare = (field: string, by: 'eq' | 'gt' | 'lte', value: unknown): Condition => ({
  kind: 'compare',
  field,
  by,
  value,
});
const not = (of: Condition): Condition => ({ kind: 'not', of });

describe('directus filter', () => {
  const moment = new Date('2026-01-02T03:04:05.006Z');
  test.each<[string, Condition, unknown]>([
    ['equals', compare('rank', 'eq', 3), { rank: { _in: [3] } }],
    ['the name of the column', compare('title', 'eq', ''), { the_title: { _in: [''] } }],
    ['null', compare('title', 'eq', null), { the_title: { _null: true } }],
    ['not null', not(compare('title', 'eq', null)), { the_title: { _nnull: true } }],
    ['null, where it cannot be', compare('rank', 'eq', null), false],
    ['not null, where it cannot be', not(compare('rank', 'eq', null)), true],
    [
      'not, of what can be null',
      not(compare('title', 'eq', 'a')),
      { _or: [{ the_title: { _nin: ['a'] } }, { the_title: { _null: true } }] },
    ],
    ['not, of what cannot', not(compare('rank', 'gt', 3)), { rank: { _lte: '3' } }],
    ['a large number', compare('rank', 'lte', 2 ** 53 - 1), { rank: { _lte: '9007199254740991' } }],
    ['a date', compare('at', 'eq', moment), { at: { _eq: '2026-01-02T03:04:05.006Z' } }],
    ['in nothing', { kind: 'in', field: 'rank', values: [] }, false],
    ['not in nothing', not({ kind: 'in', field: 'rank', values: [] }), true],
    ['booleans', { kind: 'in', field: 'active', values: [true] }, { active: { _eq: true } }],
    [
      'no booleans',
      not({ kind: 'in', field: 'active', values: [true, false] }),
      { active: { _null: true } },
    ],
    ['all of nothing', { kind: 'all', of: [] }, true],
    ['any of nothing', { kind: 'any', of: [] }, false],
    [
      'what is always so among others',
      { kind: 'any', of: [compare('rank', 'eq', 1), { kind: 'all', of: [] }] },
      true,
    ],
    [
      'not of several',
      not({ kind: 'all', of: [compare('rank', 'eq', 1), compare('rank', 'eq', 2)] }),
      { _or: [{ rank: { _nin: [1] } }, { rank: { _nin: [2] } }] },
    ],
  ])('%s', (_, condition, filter) => {
    expect(translate(condition, target)).toEqual(filter);
  });

  test.each(['true', 'false', 'null', 'NULL', '$NOW', '$NOW(-1 day)', '$CURRENT_USER.email'])(
    'the text %s, which Directus takes for something else, is refused',
    (text) => {
      for (const condition of [compare('title', 'eq', text), not(compare('id', 'eq', text))])
        expect(() => translate(condition, target)).toThrow(
          expect.objectContaining({ code: 'unimplemented' }),
        );
    },
  );

  test('a value of another kind than its column’s is refused', () => {
    for (const condition of [
      compare('rank', 'eq', 'a'),
      compare('title', 'eq', 1),
      compare('detail', 'eq', 'a'),
    ])
      expect(() => translate(condition, target)).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }),
      );
  });
});

/** Gives slices of rows that others change meanwhile. */
class Table {
  rows: Row[];
  reads = 0;
  change: (read: number) => void = () => {};

  constructor(rows: readonly Row[]) {
    this.rows = [...rows];
  }

  readonly read = async ({ orderBy, offset, limit }: Slice): Promise<readonly Row[]> => {
    this.reads += 1;
    this.change(this.reads);
    return this.rows.toSorted(compareRows(orderBy)).slice(offset, offset + limit);
  };
}

describe('directus ordered reading', () => {
  const byId: readonly Order[] = [{ field: 'id', direction: 'asc' }];
  const rowAt = (index: number): Row => ({ id: String(index).padStart(5, '0') });
  const many = Array.from({ length: 5000 }, (_, index) => rowAt(index));

  const after = async (table: Table, place: string, limit = 10): Promise<unknown[]> => {
    const source = { read: table.read, target, mostAtOnce: Number.POSITIVE_INFINITY };
    const rows = await readOrdered(source, {
      filter: true,
      orderBy: byId,
      after: [place],
      limit,
    });
    return rows.map(({ id }) => id);
  };

  test('finds a place among thousands of texts in few requests, also one that is gone', async () => {
    const table = new Table(many);
    expect(await after(table, '03333', 2)).toEqual(['03334', '03335']);
    expect(await after(table, '03333 and a bit', 2)).toEqual(['03334', '03335']);
    expect(await after(table, '04998')).toEqual(['04999']);
    expect(await after(table, '04999')).toEqual([]);
    expect(table.reads).toBeLessThan(120);
  });

  test('leaves nothing out when others delete before the place while it is looked for', async () => {
    const table = new Table(many);
    table.change = (read) => {
      if (read === 5 || read === 15) table.rows = table.rows.slice(300);
    };
    expect(await after(table, '03333', 2)).toEqual(['03334', '03335']);
  });

  test('gives up as aborted when the place keeps moving', async () => {
    const table = new Table(many);
    const source = {
      // Wherever it has been found, others have deleted all that is before it.
      read: async (slice: Slice): Promise<readonly Row[]> =>
        await table.read(
          slice.offset > 0 && slice.limit > 1 ? { ...slice, offset: slice.offset + 1 } : slice,
        ),
      target,
      mostAtOnce: Number.POSITIVE_INFINITY,
    };
    const query = { filter: true, orderBy: byId, after: ['03999'], limit: 10 };
    await expect(readOrdered(source, query)).rejects.toMatchObject({
      code: 'aborted',
      retryable: true,
    });
  });

  test('rows in another order than asked for are refused', async () => {
    const source = {
      read: async () => [{ id: 'a' }, { id: 'B' }],
      target,
      mostAtOnce: Number.POSITIVE_INFINITY,
    };
    const query = { filter: true, orderBy: byId, after: undefined, limit: 5 };
    await expect(readOrdered(source, query)).rejects.toMatchObject({
      code: 'failed-precondition',
      retryable: false,
    });
  });
});

describe('directusRepository › options', () => {
  const client: ItemsClient = { request: async () => await Promise.reject(new Error('unused')) };

  test.each(['', 'two words', 'a/b', '../users', 'directus_users'])(
    'the collection %j is refused',
    (collection) => {
      expect(() =>
        directusRepository<{ id: string }>({ client, collection, columns: { id: 'text' } }),
      ).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
    },
  );

  test('an id without a column is refused', () => {
    const columns = { name: 'text' } as never;
    expect(() => directusRepository<{ id: string }>({ client, collection: 'a', columns })).toThrow(
      InfrastructureError,
    );
  });
});
