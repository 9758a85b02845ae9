import { expressionBuilder, sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import { type Gallery, openGallery } from '../../../../test/database/gallery.ts';

const boris = { name: 'Boris', born: null, mentor_id: null };
const emil = { name: 'Emil', born: 1950, mentor_id: null };

async function painters({ query }: Gallery): Promise<string[]> {
  const rows = await query.selectFrom('painter').select('name').orderBy('id').execute();
  return rows.map(({ name }) => name);
}

describe('kysely on sqlite › insert', () => {
  it('gives the id of a new row, and how many there are', async () => {
    await using gallery = await openGallery();
    const inserted = gallery.query.insertInto('painter').values(emil);
    expect(await inserted.execute()).toEqual([{ insertId: 5n, numInsertedOrUpdatedRows: 1n }]);
  });

  it('of several rows gives the id of the last, and their number', async () => {
    await using gallery = await openGallery();
    const result = await gallery.query
      .insertInto('painter')
      .values([emil, { ...emil, name: 'Fay' }, { ...emil, name: 'Gus' }])
      .executeTakeFirstOrThrow();
    expect(result).toEqual({ insertId: 7n, numInsertedOrUpdatedRows: 3n });
  });

  it('takes what a query selects, and expressions as values', async () => {
    await using gallery = await openGallery();
    const copied = await gallery.query
      .insertInto('painting')
      .columns(['title', 'painter_id'])
      .expression(({ selectFrom, val }) =>
        selectFrom('painter').select(['name', val(1).as('painter_id')]),
      )
      .executeTakeFirstOrThrow();
    const computed = await gallery.query
      .insertInto('painting')
      .values(({ fn, selectFrom }) => ({
        title: 'Copy',
        price: selectFrom('painting').select(fn.max('price').as('price')),
        tags: sql<string>`json_array(${'a'}, ${'b'})`,
      }))
      .returning(['price', 'tags'])
      .executeTakeFirst();
    expect(copied.numInsertedOrUpdatedRows).toBe(4n);
    expect(computed).toEqual({ price: 100, tags: '["a","b"]' });
  });

  it('default values make a row of defaults', async () => {
    await using gallery = await openGallery();
    await sql`create table plain (id integer primary key, n integer not null default 7)`.execute(
      gallery.query,
    );
    const query = gallery.query.$extendTables<{ plain: { id: number; n: number } }>();
    await query.insertInto('plain').defaultValues().execute();
    expect(await query.selectFrom('plain').selectAll().execute()).toEqual([{ id: 1, n: 7 }]);
  });

  it('rows that name different columns get null or the default for the others', async () => {
    await using gallery = await openGallery();
    await gallery.query
      .insertInto('visit')
      .values([
        { painting_id: 1, visitor: 'a' },
        { painting_id: 2, visitor: 'b' },
      ])
      .execute();
    await gallery.query
      .insertInto('painter')
      .values([{ name: 'Emil' }, { name: 'Fay', born: 1960 }] as never)
      .execute();
    const last = gallery.query.selectFrom('painter').select(['name', 'born']).where('id', '>', 4);
    expect(await last.execute()).toEqual([
      { name: 'Emil', born: null },
      { name: 'Fay', born: 1960 },
    ]);
    expect(await gallery.query.selectFrom('visit').select('minutes').execute()).toEqual([
      { minutes: 5 },
      { minutes: 5 },
    ]);
  });

  it.for(['orIgnore', 'doNothing'] as const)(
    'that %s leaves out counts no row and gives no id, not that of an earlier one',
    async (how) => {
      await using gallery = await openGallery();
      const insert = gallery.query.insertInto('painter').values(boris);
      const ignoring = {
        orIgnore: insert.orIgnore(),
        doNothing: insert.onConflict((conflict) => conflict.column('name').doNothing()),
      }[how];
      expect(await ignoring.executeTakeFirst()).toEqual({
        insertId: undefined,
        numInsertedOrUpdatedRows: 0n,
      });
      expect(await ignoring.returning('id').execute()).toEqual([]);
      expect(await painters(gallery)).toEqual(['Alma', 'Boris', 'Cleo', 'Dora']);
    },
  );

  it('on conflict do update changes the row that is there, with what was proposed, where it says so', async () => {
    await using gallery = await openGallery();
    const upsert = gallery.query
      .insertInto('painter')
      .values([{ ...boris, born: 1911 }, emil])
      .onConflict((conflict) =>
        conflict
          .column('name')
          .doUpdateSet(({ ref }) => ({ born: ref('excluded.born') }))
          .where('painter.born', '>', 1905),
      );
    expect((await upsert.executeTakeFirst())?.numInsertedOrUpdatedRows).toBe(2n);
    const rows = gallery.query
      .selectFrom('painter')
      .select(['name', 'born'])
      .where('born', '>', 1900);
    expect(await rows.orderBy('id').execute()).toEqual([
      { name: 'Boris', born: 1911 },
      { name: 'Dora', born: 1930 },
      { name: 'Emil', born: 1950 },
    ]);
  });

  it('on conflict returns the rows that were inserted or updated, and none that was left alone', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .insertInto('painter')
      .values([
        { ...boris, born: 1 },
        { ...emil, born: 2 },
      ])
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet({ born: 3 }).where('painter.name', '=', 'nobody'),
      )
      .returning(['name', 'born'])
      .execute();
    expect(rows).toEqual([{ name: 'Emil', born: 2 }]);
  });

  it.for(['orReplace', 'replaceInto'] as const)(
    '%s takes the place of the row that is there',
    async (how) => {
      await using gallery = await openGallery();
      const { query } = gallery;
      const result =
        how === 'orReplace'
          ? await query
              .insertInto('painting')
              .orReplace()
              .values({ id: 1, title: 'New' })
              .executeTakeFirst()
          : await query.replaceInto('painting').values({ id: 1, title: 'New' }).executeTakeFirst();
      expect(result).toEqual({ insertId: 1n, numInsertedOrUpdatedRows: 1n });
      expect(
        await query.selectFrom('painting').select(['title', 'price']).where('id', '=', 1).execute(),
      ).toEqual([{ title: 'New', price: null }]);
    },
  );

  it.for(['orAbort', 'orFail', 'orRollback'] as const)(
    '%s, inside of a transaction, fails as the engine says and leaves no other row of it behind',
    async (how) => {
      await using gallery = await openGallery();
      const failing = gallery.database.transaction(async () => {
        await gallery.query.insertInto('painter').values(emil).execute();
        await gallery.query.insertInto('painter')[how]().values(boris).execute();
      });
      await expect(failing).rejects.toMatchObject({ code: 'already-exists' });
      expect(await painters(gallery)).not.toContain('Emil');
    },
  );

  it('a failed one leaves nothing behind that the next statement tells', async () => {
    await using gallery = await openGallery();
    await gallery.query.insertInto('painter').values(emil).execute();
    await expect(
      gallery.query
        .insertInto('painter')
        .values([{ ...emil, name: 'Fay' }, boris])
        .execute(),
    ).rejects.toMatchObject({ code: 'already-exists' });
    const none = gallery.query.updateTable('painter').set({ born: 1 }).where('id', '=', 99);
    expect(await none.executeTakeFirst()).toEqual({ numUpdatedRows: 0n });
    const result = await gallery.query
      .insertInto('painter')
      .values({ ...emil, name: 'Gus' })
      .executeTakeFirst();
    expect(result.numInsertedOrUpdatedRows).toBe(1n);
    expect(await painters(gallery)).toEqual(['Alma', 'Boris', 'Cleo', 'Dora', 'Emil', 'Gus']);
  });

  it('a trigger does not change what is counted, nor the id', async () => {
    await using gallery = await openGallery();
    await sql`create table journal (id integer primary key, painter text)`.execute(gallery.query);
    await sql`insert into journal (id, painter) values (1000, 'first')`.execute(gallery.query);
    await sql`create trigger journal_painter after insert on painter begin
      insert into journal (painter) values (new.name), (new.name), (new.name);
    end`.execute(gallery.query);
    expect(await gallery.query.insertInto('painter').values(emil).executeTakeFirst()).toEqual({
      insertId: 5n,
      numInsertedOrUpdatedRows: 1n,
    });
  });

  it('that may update in its place gives no id, where Kysely’s own driver gives that of an earlier insert', async () => {
    await using gallery = await openGallery();
    const upsert = gallery.query
      .insertInto('painter')
      .values({ ...boris, born: 1911 })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ born: 1911 }));
    expect(await upsert.executeTakeFirst()).toEqual({
      insertId: undefined,
      numInsertedOrUpdatedRows: 1n,
    });
    expect(await upsert.returning('id').execute()).toEqual([{ id: 2 }]);
  });
});

describe('kysely on sqlite › update', () => {
  it('counts the rows that matched, also those that stay the same', async () => {
    await using gallery = await openGallery();
    const update = gallery.query
      .updateTable('painter')
      .set({ mentor_id: 1 })
      .where('id', 'in', [2, 4]);
    expect(await update.execute()).toEqual([{ numUpdatedRows: 2n }]);
  });

  it('takes expressions, and other columns by their names', async () => {
    await using gallery = await openGallery();
    await gallery.query
      .updateTable('painting')
      .set(({ eb, ref }) => ({ price: eb('price', '*', 2), title: ref('tags') }))
      .where('id', '=', 1)
      .execute();
    await gallery.query
      .updateTable('painting')
      .set('price', ({ eb }) => eb('price', '+', 1))
      .where('id', '=', 1)
      .execute();
    expect(
      await gallery.query
        .selectFrom('painting')
        .select(['title', 'price'])
        .where('id', '=', 1)
        .execute(),
    ).toEqual([{ title: '["sea","sun"]', price: 201 }]);
  });

  it('reads another table by from', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .updateTable('painting')
      .from('painter')
      .set(({ ref }) => ({ title: ref('painter.name') }))
      .whereRef('painter.id', '=', 'painting.painter_id')
      .where('painter.born', '<', 1905)
      .returning(['painting.id', 'painting.title'])
      .execute();
    expect(rows.toSorted((a, b) => a.id - b.id)).toEqual([
      { id: 1, title: 'Alma' },
      { id: 2, title: 'Alma' },
    ]);
  });

  it('returns one row, all of them, or all columns', async () => {
    await using gallery = await openGallery();
    const update = gallery.query.updateTable('painter').set({ born: 1901 }).where('id', '<', 3);
    expect(await update.returning('name').executeTakeFirst()).toEqual({ name: 'Alma' });
    expect(await update.returning(['id', 'born as year']).execute()).toEqual([
      { id: 1, year: 1901 },
      { id: 2, year: 1901 },
    ]);
    expect(await update.returningAll().executeTakeFirstOrThrow()).toEqual({
      id: 1,
      name: 'Alma',
      born: 1901,
      mentor_id: null,
    });
  });
});

describe('kysely on sqlite › delete', () => {
  it('counts the rows, without those that go with them', async () => {
    await using gallery = await openGallery();
    await gallery.query.insertInto('visit').values({ painting_id: 1, visitor: 'a' }).execute();
    const removed = await gallery.query
      .deleteFrom('painting')
      .where('id', '<', 3)
      .executeTakeFirst();
    expect(removed).toEqual({ numDeletedRows: 2n });
    expect(await gallery.query.selectFrom('visit').selectAll().execute()).toEqual([]);
  });

  it('returns what has gone', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .deleteFrom('painting')
      .where('price', 'is', null)
      .returning(['id', sql<string>`upper(title)`.as('title')])
      .execute();
    expect(rows).toEqual([{ id: 4, title: 'GATE' }]);
    expect(
      await gallery.query
        .deleteFrom('painting')
        .where('id', '=', 4)
        .returningAll()
        .executeTakeFirst(),
    ).toBeUndefined();
  });

  it('by a subquery', async () => {
    await using gallery = await openGallery();
    const removed = await gallery.query
      .deleteFrom('painting')
      .where(({ eb, selectFrom }) =>
        eb('painter_id', 'in', selectFrom('painter').select('id').where('name', '=', 'Alma')),
      )
      .executeTakeFirst();
    expect(removed.numDeletedRows).toBe(2n);
  });

  it('using another table, which SQLite does not have, is refused as wrong SQL', async () => {
    await using gallery = await openGallery();
    const removing = gallery.query
      .deleteFrom('painting')
      .using('painter')
      .whereRef('painter.id', '=', 'painting.painter_id');
    await expect(removing.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('kysely on sqlite › writes with common table expressions', () => {
  it('insert, update and delete read one', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    const inserted = await query
      .with('source', (builder) => builder.selectFrom('painter').select('name').where('id', '<', 3))
      .insertInto('painting')
      .columns(['title'])
      .expression(
        expressionBuilder<{ source: { name: string } }, 'source'>()
          .selectFrom('source')
          .select('name'),
      )
      .executeTakeFirst();
    const updated = await query
      .with('old', (builder) => builder.selectFrom('painter').select('id').where('born', '<', 1905))
      .updateTable('painting')
      .set({ price: 1 })
      .where('painter_id', 'in', ({ selectFrom }) => selectFrom('old').select('id'))
      .executeTakeFirst();
    const deleted = await query
      .with('cheap', (builder) =>
        builder.selectFrom('painting').select('id').where('price', '=', 1),
      )
      .deleteFrom('painting')
      .where('id', 'in', ({ selectFrom }) => selectFrom('cheap').select('id'))
      .returning('title')
      .execute();
    expect([inserted.numInsertedOrUpdatedRows, updated.numUpdatedRows]).toEqual([2n, 2n]);
    expect(deleted.map(({ title }) => title).toSorted()).toEqual(['Dawn', 'Dusk']);
  });

  it('one that writes, which SQLite does not have, is refused as wrong SQL and writes nothing', async () => {
    await using gallery = await openGallery();
    const moving = gallery.query
      .with('gone', (builder) => builder.deleteFrom('painting').returning('title'))
      .selectFrom('gone')
      .selectAll();
    await expect(moving.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(await gallery.query.selectFrom('painting').select('id').execute()).toHaveLength(4);
  });
});

describe('kysely on sqlite › what a statement says of its effect', () => {
  it('executeQuery gives the affected rows of each kind of write, and none of a read after it', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    const affected = async (compilable: Parameters<typeof query.executeQuery>[0]) =>
      (await query.executeQuery(compilable)).numAffectedRows;
    expect(await affected(query.insertInto('painter').values(emil))).toBe(1n);
    expect(
      await affected(
        query
          .insertInto('painter')
          .values({ ...emil, name: 'Fay' })
          .returning('id'),
      ),
    ).toBe(1n);
    expect(await affected(query.updateTable('painter').set({ born: 5 }).where('id', '>', 3))).toBe(
      3n,
    );
    expect(await affected(query.deleteFrom('painter').where('id', '>', 4).returning('id'))).toBe(
      2n,
    );
    expect(await affected(query.selectFrom('painter').select('id'))).toBeUndefined();
    expect(
      await affected(query.schema.createIndex('by_born').on('painter').column('born')),
    ).toBeUndefined();
  });

  it('raw writes tell it too, and raw reads do not', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    expect(await sql`insert into painter (name) values ('Emil'), ('Fay')`.execute(query)).toEqual({
      rows: [],
      numAffectedRows: 2n,
      insertId: 6n,
    });
    expect(await sql`update painter set born = 1`.execute(query)).toEqual({
      rows: [],
      numAffectedRows: 6n,
    });
    const removed = sql`with old as (select 4 as id) delete from painter where id > (select id from old)`;
    // What it is, its text does not tell: that id would be of an earlier insert.
    expect(await removed.execute(query)).toEqual({ rows: [], numAffectedRows: 2n });
    expect(await sql`select 1 as one`.execute(query)).toEqual({ rows: [{ one: 1 }] });
    expect(await sql`create table other (id integer)`.execute(query)).toEqual({ rows: [] });
  });
});
