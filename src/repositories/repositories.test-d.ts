import { expectTypeOf, test } from 'vitest';

import type { Database } from '../database/index.ts';
import type { Criteria, OrderBy, Repository } from './index.ts';
import { memoryRepository } from './memory.ts';
import { type Columns, type ColumnTypeOf, sqlRepository } from './sql/index.ts';

interface Article {
  id: string;
  status: 'draft' | 'published';
  views: number;
  pinned: boolean;
  publishedAt: Date | null;
  subtitle?: string;
  tags: string[];
  publish(): void;
}

declare const articles: Repository<Article>;
declare function map(columns: Columns<Article>): void;
declare const database: Database<{ articles: { id: string } }>;

const columns = {
  id: 'text',
  status: 'text',
  views: 'integer',
  pinned: 'boolean',
  publishedAt: 'date|null',
  subtitle: 'text?',
  tags: 'json',
} as const;

test('criteria fit their fields', () => {
  expectTypeOf<{ status: 'published'; views: { gte: number } }>().toExtend<Criteria<Article>>();
  expectTypeOf<{ or: [{ publishedAt: null }, { subtitle: { contains: string } }] }>().toExtend<
    Criteria<Article>
  >();
  expectTypeOf<{ subtitle: null }>().toExtend<Criteria<Article>>();
  // @ts-expect-error no such status
  void articles.find({ status: 'gone' });
  // @ts-expect-error a number is not compared with text
  void articles.find({ views: { gt: '3' } });
  // @ts-expect-error views is never null
  void articles.find({ views: null });
  // @ts-expect-error undefined would mean everything
  void articles.find({ subtitle: undefined });
  // @ts-expect-error numbers hold no text
  void articles.find({ views: { contains: '3' } });
  // @ts-expect-error booleans have no order
  void articles.find({ pinned: { gt: false } });
  // @ts-expect-error JSON can only be asked for null
  void articles.find({ tags: ['tea'] });
  // @ts-expect-error no such field
  void articles.find({ title: 'x' });
  // @ts-expect-error methods are not data
  void articles.find({ publish: null });
});

test('an order names scalar fields', () => {
  expectTypeOf<{ publishedAt: 'desc'; pinned: 'asc' }>().toExtend<OrderBy<Article>>();
  // @ts-expect-error JSON has no order
  void articles.find({}, { orderBy: { tags: 'asc' } });
  // @ts-expect-error no such direction
  void articles.find({}, { orderBy: { views: 'up' } });
});

test('everything is deleted only by saying so', () => {
  void articles.deleteWhere('all');
  // @ts-expect-error criteria, or the word
  void articles.deleteWhere();
});

test('an id has the type of its field', () => {
  const books = memoryRepository<{ isbn: number; title: string }, 'isbn'>({ id: 'isbn' });
  expectTypeOf(books.findById).parameter(0).toEqualTypeOf<number>();
  // @ts-expect-error text is no isbn here
  void books.findById('1');
  // @ts-expect-error a date is no id
  memoryRepository<{ id: string; at: Date }>({ id: 'at' });
});

test('a version is a number', () => {
  memoryRepository<{ id: string; version: number }>({ version: 'version' });
  // @ts-expect-error text counts nothing
  memoryRepository<{ id: string; version: number }>({ version: 'id' });
});

test('every field has a column that fits it', () => {
  expectTypeOf(sqlRepository<Article>({ database, table: 'articles', columns })).toExtend<
    Repository<Article>
  >();
  expectTypeOf<typeof columns>().toExtend<Columns<Article>>();
  const { tags: _tags, ...others } = columns;
  // @ts-expect-error tags has no column
  map(others);
  // @ts-expect-error publishedAt can be null
  map({ ...columns, publishedAt: 'date' });
  // @ts-expect-error subtitle is absent, not null
  map({ ...columns, subtitle: 'text|null' });
  // @ts-expect-error a number is no text
  map({ ...columns, views: { name: 'view_count', type: 'text' } });
  // A Date within JSON would come back as text.
  expectTypeOf<ColumnTypeOf<{ at: Date }>>().toBeNever();
  expectTypeOf<ColumnTypeOf<{ at: string }[]>>().toEqualTypeOf<'json'>();
  expectTypeOf<ColumnTypeOf<Date | undefined>>().toEqualTypeOf<'date?'>();
});

test('extend adds the methods it is given', () => {
  const extended = memoryRepository<Article>().extend((stored) => ({
    findPinned: async () => await stored.find({ pinned: true }),
  }));
  expectTypeOf(extended.findPinned).returns.resolves.toEqualTypeOf<Article[]>();
});
