import { CamelCasePlugin, DeduplicateJoinsPlugin, type Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import {
  type Gallery,
  type GallerySchema,
  openGallery,
} from '../../../../test/database/gallery.ts';

interface CamelSchema {
  painting: { id: number; title: string; painterId: number | null };
}

function camel({ query }: Gallery): Kysely<CamelSchema> {
  return query.withPlugin(new CamelCasePlugin()) as unknown as Kysely<CamelSchema>;
}

describe('kysely on sqlite › plugins', () => {
  it('the one of camel case renames both ways, in reads, writes, streams and transactions', async () => {
    await using gallery = await openGallery();
    const query = camel(gallery);
    const select = query.selectFrom('painting').select(['title', 'painterId']).where('id', '=', 3);
    const inserted = await query
      .insertInto('painting')
      .values({ id: 9, title: 'New', painterId: 1 })
      .returning('painterId')
      .executeTakeFirst();
    expect(select.compile().sql).toContain('"painter_id"');
    expect(inserted).toEqual({ painterId: 1 });
    const fog = { title: 'Fog', painterId: 2 };
    expect(await select.execute()).toEqual([fog]);
    expect(await Array.fromAsync(select.stream())).toEqual([fog]);
    await query.transaction().execute(async (transaction) => {
      expect(
        await transaction
          .selectFrom('painting')
          .select(['title', 'painterId'])
          .where('id', '=', 3)
          .execute(),
      ).toEqual([fog]);
    });
    await gallery.database.transaction(async () => {
      expect(await select.execute()).toEqual([fog]);
    });
  });

  it('withoutPlugins gives the names as they are, also inside of a transaction', async () => {
    await using gallery = await openGallery();
    const plain = camel(gallery).withoutPlugins() as unknown as Kysely<GallerySchema>;
    const expected = [{ painter_id: 2 }];
    expect(
      await plain.selectFrom('painting').select('painter_id').where('id', '=', 3).execute(),
    ).toEqual(expected);
    await camel(gallery)
      .transaction()
      .execute(async (transaction) => {
        const inside = transaction.withoutPlugins() as unknown as Kysely<GallerySchema>;
        expect(
          await inside.selectFrom('painting').select('painter_id').where('id', '=', 3).execute(),
        ).toEqual(expected);
      });
  });

  it('several see the rows in the order in which they were given', async () => {
    await using gallery = await openGallery();
    const order: string[] = [];
    const seeing = (name: string): Parameters<typeof gallery.query.withPlugin>[0] => ({
      transformQuery: ({ node }) => {
        order.push(`${name} query`);
        return node;
      },
      transformResult: async ({ result }) => {
        order.push(`${name} rows`);
        return result;
      },
    });
    const query = gallery.query.withPlugin(seeing('first')).withPlugin(seeing('second'));
    await query.selectFrom('painter').select('id').execute();
    expect(order).toEqual(['first query', 'second query', 'first rows', 'second rows']);
  });

  it('what a plugin throws is thrown as it is, and the connection goes on', async () => {
    await using gallery = await openGallery();
    const broken = gallery.query.withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: async () => {
        throw new RangeError('mine');
      },
    });
    await expect(broken.selectFrom('painter').select('id').execute()).rejects.toThrow(RangeError);
    const stream = broken.selectFrom('painter').select('id').stream(1);
    await expect(stream.next()).rejects.toThrow(RangeError);
    expect(await gallery.query.selectFrom('painter').select('id').execute()).toHaveLength(4);
    await gallery.database.drain();
  });

  it('the one of joins joins once what is joined twice', async () => {
    await using gallery = await openGallery();
    const twice = gallery.query
      .withPlugin(new DeduplicateJoinsPlugin())
      .selectFrom('painting')
      .innerJoin('painter', 'painter.id', 'painting.painter_id')
      .innerJoin('painter', 'painter.id', 'painting.painter_id')
      .select('painter.name')
      .where('painting.id', '=', 3);
    expect(await twice.execute()).toEqual([{ name: 'Boris' }]);
  });
});

describe('kysely on sqlite › schemas and tables', () => {
  it('withSchema names an attached database; inside of a transaction, since it is of one connection', async () => {
    await using gallery = await openGallery();
    gallery.database.native.writer.exec(`attach ':memory:' as archive`);
    await gallery.database.transaction(async () => {
      const archive = gallery.query.withSchema('archive');
      await archive.schema
        .createTable('painter')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('name', 'text')
        .execute();
      await sql`insert into archive.painter values (1, 'old')`.execute(gallery.query);
      expect(await archive.selectFrom('painter').select(['id', 'name']).execute()).toEqual([
        { id: 1, name: 'old' },
      ]);
      const joined = await archive
        .withoutPlugins()
        .selectFrom('archive.painter as old' as 'painter as old')
        .innerJoin('painter', 'painter.id', 'old.id')
        .select(['old.name as old', 'painter.name as name'])
        .execute();
      expect(joined).toEqual([{ old: 'old', name: 'Alma' }]);
    });
  });

  it('a schema that is not there is wrong SQL', async () => {
    await using gallery = await openGallery();
    await expect(
      gallery.query.withSchema('nowhere').selectFrom('painter').select('id').execute(),
    ).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('$extendTables and $pickTables change types, and nothing else', async () => {
    await using gallery = await openGallery();
    await sql`create table extra (n integer)`.execute(gallery.query);
    const extended = gallery.query.$extendTables<{ extra: { n: number } }>();
    await extended.insertInto('extra').values({ n: 1 }).execute();
    await gallery.database.transaction(async () => {
      await extended.insertInto('extra').values({ n: 2 }).execute();
    });
    expect(await extended.$pickTables<'extra'>().selectFrom('extra').selectAll().execute()).toEqual(
      [{ n: 1 }, { n: 2 }],
    );
  });
});

describe('kysely on sqlite › raw SQL', () => {
  it('values are parameters, and names are quoted', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    const table = 'painter';
    const name = "'; drop table painter; --";
    const statement = sql<{
      name: string;
    }>`select ${sql.ref('painter.name')} from ${sql.table(table)} where ${sql.ref('name')} = ${name} or ${sql.id(table, 'id')} = ${2}`;
    expect(statement.compile(query)).toMatchObject({
      sql: 'select "painter"."name" from "painter" where "name" = ? or "painter"."id" = ?',
      parameters: [name, 2],
    });
    expect((await statement.execute(query)).rows).toEqual([{ name: 'Boris' }]);
  });

  it('a name with a quote in it stays one name', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    await sql`create table ${sql.id('od"d')} (${sql.id('a "b"')} integer)`.execute(query);
    await sql`insert into ${sql.table('od"d')} values (${1})`.execute(query);
    const { rows } = await sql`select ${sql.ref('a "b"')} from ${sql.table('od"d')}`.execute(query);
    expect(rows).toEqual([{ 'a "b"': 1 }]);
  });

  it('lists are joined, literals written, and pieces nested', async () => {
    await using gallery = await openGallery();
    const condition = sql<boolean>`id in (${sql.join([1, 2, 3])}) and ${sql.join(
      [sql`born > ${1}`, sql`name <> ${sql.lit("O'Hara")}`],
      sql` and `,
    )}`;
    const rows = await gallery.query
      .selectFrom('painter')
      .select(['name', sql<string>`name || ${sql.lit('!')}`.as('loud')])
      .where(condition)
      .orderBy(sql`born desc`)
      .execute();
    expect(rows).toEqual([
      { name: 'Boris', loud: 'Boris!' },
      { name: 'Alma', loud: 'Alma!' },
    ]);
  });

  it('sql.raw is the text itself, and sql.val a value', async () => {
    await using gallery = await openGallery();
    const { rows } =
      await sql`select ${sql.raw('1 + 1')} as two, ${sql.val('1 + 1')} as text`.execute(
        gallery.query,
      );
    expect(rows).toEqual([{ two: 2, text: '1 + 1' }]);
  });

  it('a builder stands inside of raw SQL, and raw SQL as a table inside of a builder', async () => {
    await using gallery = await openGallery();
    const old = gallery.query.selectFrom('painter').select('id').where('born', '<', 1905);
    const { rows } =
      await sql`select title from painting where painter_id in (${old}) order by id`.execute(
        gallery.query,
      );
    const values = sql<{ n: number }>`(select 1 as n union all select 2)`.as('given');
    expect(rows).toEqual([{ title: 'Dawn' }, { title: 'Dusk' }]);
    expect(await gallery.query.selectFrom(values).select('given.n').execute()).toEqual([
      { n: 1 },
      { n: 2 },
    ]);
  });

  it('plugins see its rows', async () => {
    await using gallery = await openGallery();
    const { rows } = await sql`select painter_id from painting where id = 3`.execute(
      camel(gallery),
    );
    expect(rows).toEqual([{ painterId: 2 }]);
  });
});
