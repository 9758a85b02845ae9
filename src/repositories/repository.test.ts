import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sqliteDatabase } from '../database/sqlite/index.ts';
import { memoryRepository } from './memory.ts';
import type { Repository } from './repository.ts';
import { sqlRepository } from './sql/index.ts';

/** A domain that knows nothing of what stores it. */
interface Article {
  id: string;
  slug: string;
  title: string;
}

interface ArticleRepository extends Repository<Article> {
  findBySlug(slug: string): Promise<Article | undefined>;
}

const article: Article = { id: '1', slug: 'tea', title: 'Tea' };
const bySlug = (articles: Repository<Article>): Pick<ArticleRepository, 'findBySlug'> => ({
  findBySlug: (slug) => articles.findOne({ slug }),
});

test('repositories › extend › a domain’s own interface is a line on each adapter', async () => {
  await using database = sqliteDatabase({ file: ':memory:' });
  await database.migrate([
    {
      name: 'articles',
      up: 'create table articles (id text primary key, slug text unique, title text) strict',
    },
  ]);
  const columns = { id: 'text', slug: 'text', title: 'text' } as const;
  const repositories: ArticleRepository[] = [
    memoryRepository<Article>().extend(bySlug),
    sqlRepository<Article>({ database, table: 'articles', columns }).extend(bySlug),
  ];
  for (const articles of repositories) {
    await articles.insert(article);
    expect(await articles.findBySlug('tea')).toEqual(article);
    expect(await articles.findBySlug('coffee')).toBeUndefined();
  }
});

test('repositories › extend › a class of the domain’s own can hold one', async () => {
  class Articles implements Pick<ArticleRepository, 'findBySlug'> {
    readonly #stored: Repository<Article> = memoryRepository<Article>();
    async findBySlug(slug: string): Promise<Article | undefined> {
      return await this.#stored.findOne({ slug });
    }
  }
  expect(await new Articles().findBySlug('tea')).toBeUndefined();
});

test('repositories › extend › a method of the repository cannot be replaced', () => {
  expect(() => memoryRepository<Article>().extend(() => ({ find: async () => [] }))).toThrow(
    /already has "find"/,
  );
});

class Account {
  readonly id: string;
  readonly openedAt: Date;
  constructor({ id, openedAt }: { id: string; openedAt: Date }) {
    this.id = id;
    this.openedAt = openedAt;
  }
  get year(): number {
    return this.openedAt.getUTCFullYear();
  }
  isOlderThan(date: Date): boolean {
    return this.openedAt < date;
  }
}

test('repositories › toEntity › entities that are more than data are built of it, on each adapter', async () => {
  await using database = sqliteDatabase({ file: ':memory:' });
  await database.migrate([
    {
      name: 'accounts',
      up: 'create table accounts (id text primary key, openedAt text, year integer) strict',
    },
  ]);
  const mapper = {
    toRow: ({ id, openedAt, year }: Account) => ({ id, openedAt, year }),
    toEntity: (row: { id: string; openedAt: Date }) => new Account(row),
  };
  const repositories: Repository<Account>[] = [
    memoryRepository<Account>(mapper),
    sqlRepository<Account>({
      database,
      table: 'accounts',
      columns: { id: 'text', openedAt: 'date', year: 'integer' },
      ...mapper,
    }),
  ];
  for (const accounts of repositories) {
    const account = new Account({ id: 'a', openedAt: new Date('2020-05-06') });
    const stored = await accounts.insert(account);
    expect(stored).toBeInstanceOf(Account);
    expect(stored).not.toBe(account);
    const found = await accounts.findOne({ year: { lt: 2021 } });
    expect(found?.isOlderThan(new Date('2021-01-01'))).toBe(true);
    expect((await accounts.page()).items[0]).toBeInstanceOf(Account);
  }
});

test('repositories › id › can be another field, a number or a bigint', async () => {
  await using database = sqliteDatabase({ file: ':memory:' });
  await database.migrate([
    {
      name: 'books',
      up: 'create table books (isbn integer primary key, title text) strict; create table coins (id integer primary key) strict',
    },
  ]);
  interface Book {
    isbn: number;
    title: string;
  }
  interface Coin {
    id: bigint;
  }
  const books: Repository<Book, number>[] = [
    memoryRepository<Book, 'isbn'>({ id: 'isbn' }),
    sqlRepository<Book, 'isbn'>({
      database,
      table: 'books',
      id: 'isbn',
      columns: { isbn: 'integer', title: 'text' },
    }),
  ];
  for (const repository of books) {
    await repository.insertMany([
      { isbn: 10, title: 'x' },
      { isbn: 9, title: 'y' },
    ]);
    expect((await repository.find()).map(({ isbn }) => isbn)).toEqual([9, 10]);
    expect((await repository.findByIds([10, 1]))[0]?.title).toBe('x');
    await repository.save({ isbn: 10, title: 'z' });
    expect((await repository.getById(10)).title).toBe('z');
  }
  const coins: Repository<Coin, bigint>[] = [
    memoryRepository<Coin>(),
    sqlRepository<Coin>({ database, table: 'coins', columns: { id: 'bigint' } }),
  ];
  for (const repository of coins) {
    await repository.insertMany([{ id: 2n ** 60n }, { id: 2n ** 60n + 1n }]);
    expect(await repository.findByIds([2n ** 60n + 1n, 2n ** 60n])).toEqual([
      { id: 2n ** 60n + 1n },
      { id: 2n ** 60n },
    ]);
    expect(await repository.save({ id: 2n ** 60n })).toEqual({ id: 2n ** 60n });
  }
});

test('repositories › page › no text is taken for a cursor unless page() made it', async () => {
  const repository = memoryRepository<Article>();
  const real = await repository
    .insertMany([article, { ...article, id: '2' }])
    .then(async () => repository.page({}, { limit: 1 }));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.base64String(), fc.json()), async (after) => {
      if (after === real.next) return;
      await expect(repository.page({}, { after })).rejects.toMatchObject({
        code: 'invalid-argument',
      });
    }),
    { seed: 20_260_101 },
  );
});

test('repositories › page › a cursor can stand in a URL as it is', async () => {
  const repository = memoryRepository<Article>();
  await repository.insertMany(['ä/+?', 'ö&=#'].map((id) => ({ ...article, id })));
  const { next = '' } = await repository.page({}, { limit: 1 });
  expect(encodeURIComponent(next)).toBe(next);
});
