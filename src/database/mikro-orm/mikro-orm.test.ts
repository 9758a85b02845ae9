import {
  CheckConstraintViolationException,
  defineEntity,
  ForeignKeyConstraintViolationException,
  NotNullConstraintViolationException,
  p,
  raw,
  SyntaxErrorException,
  TableNotFoundException,
  UniqueConstraintViolationException,
} from '@mikro-orm/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { targets } from '../../../test/orms/targets.ts';
import { InfrastructureError, systemClock } from '../../core/index.ts';
import { Database } from '../database.ts';
import { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import { type MikroOrm, mikroOrmOn } from './index.ts';

const Author = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string().unique(),
    bornAt: p.datetime().nullable(),
  },
});
const Book = defineEntity({
  name: 'Book',
  properties: {
    id: p.integer().primary(),
    title: p.string(),
    pages: p.integer().check('pages > 0'),
    author: () => p.manyToOne(Author),
  },
});
const Sample = defineEntity({
  name: 'Sample',
  properties: {
    id: p.integer().primary(),
    integer: p.integer().nullable(),
    bigint: p.bigint().nullable(),
    boolean: p.boolean().nullable(),
    double: p.double().nullable(),
    decimal: p.decimal().precision(10).scale(1).nullable(),
    text: p.text().nullable(),
    string: p.string().nullable(),
    date: p.date().nullable(),
    datetime: p.datetime().length(3).nullable(),
    time: p.time().nullable(),
    json: p.json<unknown>().nullable(),
    array: p.array().nullable(),
    uuid: p.uuid().nullable(),
    blob: p.blob().nullable(),
    bytes: p.uint8array().nullable(),
    enum: p.enum(['a', 'b']).nullable(),
  },
});
const Event = defineEntity({
  name: 'Event',
  properties: {
    id: p.bigint().primary().autoincrement().fieldName('event_id'),
    name: p.string().unique(),
    happened: p.boolean().default(false),
    details: p.json<Readonly<Record<string, unknown>>>().nullable(),
  },
});
const entities = [Author, Book, Sample, Event] as const;

const given: Readonly<Record<string, unknown>> = {
  integer: -5,
  bigint: 2n ** 62n,
  boolean: true,
  double: 0.1,
  decimal: '12.5',
  text: 'naïve 漢字 🦊 "\\\' ? ?? \\?',
  string: "'; drop table sample; --",
  date: '2026-02-03',
  datetime: new Date('2026-02-03T04:05:06.789Z'),
  time: '04:05:06',
  json: { a: [1, null, 'x?'] },
  array: ['a', 'b'],
  uuid: '0193e0c4-0000-7000-8000-000000000001',
  blob: Buffer.from([0, 127, 255]),
  bytes: Uint8Array.from([0, 127, 255]),
  enum: 'b',
};

describe.for(targets)('mikro-orm on $adapter', (target) => {
  describe.skipIf(target.missing !== undefined)('rules', () => {
    let database: Database;
    let remove: () => Promise<void>;
    let orm: MikroOrm<typeof entities>;

    beforeEach(async () => {
      ({ database, remove } = await target.create());
      orm = mikroOrmOn(database, entities);
      await orm.schema.create();
    });

    afterEach(async () => {
      await orm.close();
      await remove();
    });

    it('every kind of property comes back as it was given', async () => {
      for (const [name, value] of Object.entries(given)) {
        const em = orm.em.fork();
        em.create(Sample, { json: null, [name]: value });
        await em.flush();
        const found = await orm.em.fork().findOneOrFail(Sample, { [name]: { $ne: null } });
        expect(found, name).toMatchObject({ [name]: value });
        await orm.em.fork().nativeDelete(Sample, {});
      }
    });

    it('finds by values of every kind, which are parameters', async () => {
      const em = orm.em.fork();
      em.create(Sample, { json: null, ...given });
      await em.flush();
      for (const name of ['integer', 'bigint', 'boolean', 'text', 'string', 'datetime', 'uuid'])
        expect(await orm.em.fork().count(Sample, { [name]: given[name] }), name).toBe(1);
      expect(await orm.em.fork().count(Sample, { integer: { $in: [-5, 6] } })).toBe(1);
      expect(await orm.em.fork().count(Sample, { [raw('lower(??)', ['string'])]: 'x?' })).toBe(0);
    });

    it('flushes several entities with their relations, and loads them', async () => {
      const em = orm.em.fork();
      const ada = em.create(Author, { name: 'Ada', bornAt: new Date('1815-12-10T00:00:00Z') });
      em.create(Book, { title: 'One', pages: 1, author: ada });
      em.create(Book, { title: 'Two', pages: 2, author: ada });
      await em.flush();
      const books = await orm.em
        .fork()
        .find(Book, {}, { populate: ['author'], orderBy: { title: 'asc' } });
      expect(books.map(({ title, author }) => [title, author.name])).toEqual([
        ['One', 'Ada'],
        ['Two', 'Ada'],
      ]);
      const again = orm.em.fork();
      const loaded = await again.find(Book, {}, { orderBy: { title: 'asc' } });
      for (const book of loaded) book.pages += 10;
      await again.flush();
      const pages: number[] = [];
      for await (const book of orm.em.fork().stream(Book, { orderBy: { title: 'asc' } }))
        pages.push(book.pages);
      expect(pages).toEqual([11, 12]);
      await again.upsert(Author, { name: 'Ada', bornAt: null });
      expect(await orm.em.fork().findOneOrFail(Author, { name: 'Ada' })).toMatchObject({
        bornAt: null,
      });
    });

    it('every row of a batch gets its own id, and what it brought stays', async () => {
      const em = orm.em.fork();
      const names = ['a', 'b', 'c', 'd'];
      const events = names.map((name) => em.create(Event, { name }));
      await em.flush();
      // On the others MikroORM asks for no ids where the first row brings its own.
      if (database.adapter === 'mysql') em.create(Event, { id: 2n ** 60n, name: 'given' });
      const left = ['e', 'f'].map((name) => em.create(Event, { name }));
      await em.flush();
      for (const { id, name } of [...events, ...left])
        expect((await orm.em.fork().findOneOrFail(Event, { name })).id, name).toBe(id);
      const ids = await orm.em.fork().insertMany(Event, [{ name: 'g' }, { name: 'h' }]);
      const found = await orm.em.fork().find(Event, { name: ['g', 'h'] }, { orderBy: { name: 1 } });
      expect(BigInt(ids[0] ?? 0n)).toBe(found[0]?.id);
    });

    it('updates in batches, upserts, and loads references when they are asked for', async () => {
      const em = orm.em.fork();
      const [one, two] = ['one', 'two'].map((name) => em.create(Event, { name }));
      await em.flush();
      for (const event of [one, two]) if (event !== undefined) event.happened = true;
      await em.flush();
      expect(await orm.em.fork().count(Event, { happened: true })).toBe(2);
      await orm.em.fork().upsertMany(Event, [
        { name: 'two', happened: false },
        { name: 'three', happened: false },
      ]);
      const same = await orm.em.fork().upsert(Event, { name: 'one', happened: true });
      expect(same.id).toBe(one?.id);
      expect(await orm.em.fork().count(Event, { happened: false })).toBe(2);
      const lazy = orm.em.fork().getReference(Event, one?.id ?? 0n);
      await orm.em.fork().refresh(lazy);
      expect(lazy).toMatchObject({ name: 'one', happened: true });
    });

    it('finds by what is inside of JSON, by any key', async () => {
      const em = orm.em.fork();
      const key = `it's "a" \\ ?`;
      em.create(Event, { name: 'x', details: { text: 'a\\b', whole: 5, yes: true, [key]: 'k' } });
      em.create(Event, { name: 'y', details: { text: 'z', whole: 6, yes: false } });
      await em.flush();
      const where = [{ text: 'a\\b' }, { whole: 5 }, { yes: true }, { whole: { $lt: 6 } }];
      for (const details of where)
        expect(await orm.em.fork().find(Event, { details }), JSON.stringify(details)).toMatchObject(
          [{ name: 'x' }],
        );
      // On the others MikroORM takes the question mark for a value.
      if (database.adapter !== 'mysql') return;
      expect(await orm.em.fork().find(Event, { details: { [key]: 'k' } })).toHaveLength(1);
    });

    it('pages through entities by what belongs to them', async () => {
      const em = orm.em.fork();
      const ada = em.create(Author, { name: 'Ada' });
      for (const pages of [1, 2, 3]) em.create(Book, { title: `${pages}`, pages, author: ada });
      await em.flush();
      const [books, count] = await orm.em
        .fork()
        .findAndCount(Book, { author: { name: 'Ada' } }, { limit: 2, orderBy: { pages: 'desc' } });
      expect([books.map(({ pages }) => pages), count]).toEqual([[3, 2], 3]);
    });

    it('exceptions are MikroORM’s, and the database’s errors', async () => {
      const insert = async (text: string): Promise<unknown> => await orm.em.fork().execute(text);
      const em = orm.em.fork();
      em.create(Author, { name: 'secret-name' });
      await em.flush();
      const cases = [
        [`insert into author (name) values ('secret-name')`, UniqueConstraintViolationException],
        ['insert into author (name) values (null)', NotNullConstraintViolationException],
        [
          `insert into book (title, pages, author_id) values ('x', 0, 1)`,
          CheckConstraintViolationException,
        ],
        [
          `insert into book (title, pages, author_id) values ('x', 1, 99)`,
          ForeignKeyConstraintViolationException,
        ],
        ['select * from nowhere', TableNotFoundException],
        ['selec 1', SyntaxErrorException],
      ] as const;
      for (const [text, type] of cases) {
        const error: unknown = await insert(text).catch((caught: unknown) => caught);
        expect(error, text).toBeInstanceOf(type);
        expect(InfrastructureError.is(error), text).toBe(true);
        expect((error as InfrastructureError).cause).toBeInstanceOf(InfrastructureError);
        expect(JSON.stringify(error)).not.toMatch(/secret-name/);
      }
      const again = orm.em.fork();
      again.create(Author, { name: 'secret-name' });
      await expect(again.flush()).rejects.toMatchObject({
        code: 'already-exists',
        component: 'database',
        outcome: 'not-applied',
      });
    });

    it('one that it begins and commits by itself is kept apart from the ambient one', async () => {
      const em = orm.em.fork();
      await em.begin();
      em.create(Author, { name: 'Ada' });
      await em.flush();
      await em.rollback();
      expect(await orm.em.fork().count(Author)).toBe(0);
      const other = orm.em.fork();
      await other.begin({ isolationLevel: 'serializable' });
      other.create(Author, { name: 'Bob' });
      await other.transactional(async (inner) => {
        inner.create(Author, { name: 'Cyd' });
        await inner.flush();
      });
      await other.commit();
      expect(await orm.em.fork().count(Author)).toBe(2);
    });

    it('its Kysely instance is in the transaction, and leads nowhere after it', async () => {
      const author = { id: 1, name: 'Ada' };
      let late: (() => Promise<unknown>) | undefined;
      const failing = orm.em.fork().transactional(async (em) => {
        const insert = (): Promise<unknown> =>
          em.getKysely().insertInto('author').values(author).execute();
        const kysely = em.getKysely();
        late = async () => await kysely.selectFrom('author').selectAll().execute();
        await insert();
        expect(await em.count(Author)).toBe(1);
        throw new RangeError('undo');
      });
      await expect(failing).rejects.toThrow(RangeError);
      expect(await orm.em.fork().count(Author)).toBe(0);
      await expect(late?.()).rejects.toMatchObject({ code: 'failed-precondition' });
    });

    it('a read-only transaction refuses what writes', async () => {
      const writing = orm.em.fork().transactional(
        async (em) => {
          em.create(Author, { name: 'Ada' });
        },
        { readOnly: true },
      );
      await expect(writing).rejects.toMatchObject({ code: 'permission-denied' });
    });

    it('its propagation knows the transactions of the database', async () => {
      const refused = { code: 'failed-precondition' };
      const nothing = async (): Promise<void> => undefined;
      await database.transaction(async () => {
        const em = orm.em.fork();
        const never = em.transactional(nothing, { propagation: 'never' });
        await expect(never).rejects.toMatchObject(refused);
        await em.transactional(nothing, { propagation: 'mandatory' });
        const beside = em.transactional(async () => `inside: ${database.inTransaction}`, {
          propagation: 'not_supported',
        });
        const told = await beside.catch(
          (error: unknown) => InfrastructureError.is(error) && error.code,
        );
        // On one connection for everything it would wait for its own caller.
        const { concurrentReads } = database.capabilities;
        expect(told).toBe(concurrentReads ? 'inside: false' : 'unimplemented');
      });
      await expect(
        orm.em.fork().transactional(nothing, { propagation: 'mandatory' }),
      ).rejects.toThrow(/transaction/);
    });

    it('closing it leaves the database open', async () => {
      await orm.close();
      expect((await database.execute('select 1 as one')).rows).toEqual([{ one: 1 }]);
    });

    it('an entity keeps what a rolled back transaction wrote, and one that is loaded again does not', async () => {
      const em = orm.em.fork();
      const author = em.create(Author, { name: 'Ada' });
      await em.flush();
      const failing = database.transaction(async () => {
        author.name = 'Bob';
        await em.flush();
        throw new RangeError('undo');
      });
      await expect(failing).rejects.toThrow(RangeError);
      expect(author.name).toBe('Bob');
      expect((await orm.em.fork().findOneOrFail(Author, author.id)).name).toBe('Ada');
    });
  });
});

const onMysql = targets.filter(({ adapter }) => adapter === 'mysql');

describe.for(onMysql)('mikro-orm on $adapter alone', (target) => {
  describe.skipIf(target.missing !== undefined)('rules', () => {
    let database: Database;
    let remove: () => Promise<void>;

    beforeEach(async () => {
      ({ database, remove } = await target.create());
    });

    afterEach(async () => {
      await remove();
    });

    it.for(['', ',NO_BACKSLASH_ESCAPES'])(
      'a literal is the text, with sql_mode%s',
      async (mode) => {
        const platform = mikroOrmOn(database, [Author]).em.getPlatform();
        const texts = [`'; drop table x; --`, `\\'; --`, `\\\\`, 'naïve 漢字 🦊', `a\\nb`, ''];
        await database.transaction(async () => {
          await database.execute(`set session sql_mode = concat(@@sql_mode, '${mode}')`);
          for (const text of texts) {
            const statement = `select ${platform.quoteValue(text)} as text`;
            expect((await database.execute(statement)).rows).toEqual([{ text }]);
          }
        });
      },
    );

    it('what it does to the schema leaves the connections and databases alone', async () => {
      const orm = mikroOrmOn(database, [Author, Book]);
      const refused = { code: 'unimplemented' };
      expect(await orm.schema.getCreateSchemaSQL()).not.toMatch(/^(?:set|use) /m);
      await expect(orm.schema.dropDatabase()).rejects.toMatchObject(refused);
    });
  });
});

describe('mikro-orm', () => {
  it('its global entity manager is refused, as MikroORM’s default is', async () => {
    await using database = new Database(driverCalled('sqlite'));
    const orm = mikroOrmOn(database, [Author]);
    await expect(async () => await orm.em.find(Author, {})).rejects.toThrow(/global/);
  });

  it('an adapter whose SQL it is not configured for is refused', () => {
    expect(() => mikroOrmOn(new Database(driverCalled('other')), [Author])).toThrow(/"other"/);
  });
});

function driverCalled(adapter: string): SqliteDriver {
  class OtherDriver extends SqliteDriver {
    override readonly adapter = adapter as 'sqlite';
  }
  return new OtherDriver({
    file: ':memory:',
    synchronous: 'normal',
    waitTimeout: 1000,
    clock: systemClock,
  });
}
