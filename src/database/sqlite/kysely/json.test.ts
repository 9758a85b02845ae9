import { ParseJSONResultsPlugin, sql } from 'kysely';
import { jsonArrayFrom, jsonBuildObject, jsonObjectFrom } from 'kysely/helpers/sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Gallery, openGallery } from '../../../../test/database/gallery.ts';

type Facts = {
  readonly size: { readonly width: number; readonly height: number };
  readonly colours: readonly string[];
};

type FactsSchema = {
  facts: { id: number; facts: Facts };
};

const facts: Facts = { size: { width: 3, height: 2 }, colours: ['red', 'blue'] };

describe('kysely on sqlite › JSON', () => {
  let gallery: Gallery;

  beforeEach(async () => {
    gallery = await openGallery();
  });

  afterEach(async () => await gallery[Symbol.asyncDispose]());

  it('the helpers nest rows in rows, as text', async () => {
    const row = await gallery.query
      .selectFrom('painter')
      .select((builder) => [
        'name',
        jsonArrayFrom(
          builder
            .selectFrom('painting')
            .select(['title', 'price'])
            .whereRef('painting.painter_id', '=', 'painter.id')
            .orderBy('painting.id'),
        ).as('paintings'),
        jsonObjectFrom(
          builder
            .selectFrom('painter as mentor')
            .select('mentor.name')
            .whereRef('mentor.id', '=', 'painter.mentor_id'),
        ).as('mentor'),
        jsonBuildObject({ born: builder.ref('born'), name: builder.ref('name') }).as('self'),
      ])
      .where('id', '=', 2)
      .executeTakeFirstOrThrow();
    expect(row).toEqual({
      name: 'Boris',
      paintings: '[{"title":"Fog","price":75.0}]',
      mentor: '{"name":"Alma"}',
      self: '{"born":1910,"name":"Boris"}',
    });
  });

  it('with the plugin they are objects, with [] and null where there is nothing', async () => {
    const rows = await gallery.query
      .withPlugin(new ParseJSONResultsPlugin())
      .selectFrom('painter')
      .select((builder) => [
        jsonArrayFrom(
          builder
            .selectFrom('painting')
            .select(['title', 'tags'])
            .whereRef('painting.painter_id', '=', 'painter.id')
            .orderBy('painting.id'),
        ).as('paintings'),
        jsonObjectFrom(
          builder
            .selectFrom('painter as mentor')
            .select('mentor.name')
            .whereRef('mentor.id', '=', 'painter.mentor_id'),
        ).as('mentor'),
      ])
      .where('id', 'in', [1, 3])
      .orderBy('id')
      .execute();
    expect(rows).toEqual([
      {
        paintings: [
          { title: 'Dawn', tags: ['sea', 'sun'] },
          { title: 'Dusk', tags: ['sea'] },
        ],
        mentor: null,
      },
      { paintings: [], mentor: { name: 'Alma' } },
    ]);
  });

  it('the plugin parses rows of writes and of streams too', async () => {
    const query = gallery.query.withPlugin(new ParseJSONResultsPlugin());
    const updated = await query
      .updateTable('painting')
      .set({ tags: '["dark"]' })
      .where('id', '=', 2)
      .returning('tags')
      .executeTakeFirst();
    const streamed = await Array.fromAsync(
      query.selectFrom('painting').select('tags').where('id', '<', 3).orderBy('id').stream(1),
    );
    expect([updated, ...streamed]).toEqual([
      { tags: ['dark'] },
      { tags: ['sea', 'sun'] },
      { tags: ['dark'] },
    ]);
  });

  it('the helpers need named columns', async () => {
    expect(() =>
      gallery.query
        .selectFrom('painter')
        .select(({ selectFrom }) => jsonArrayFrom(selectFrom('painting').selectAll()).as('all'))
        .compile(),
    ).toThrow('explicit selections');
  });

  it('references go into a document by keys, positions and paths', async () => {
    const query = gallery.query.$extendTables<FactsSchema>();
    await sql`create table facts (id integer primary key, facts text not null)`.execute(query);
    await sql`insert into facts values (1, ${JSON.stringify(facts)})`.execute(query);
    const row = await query
      .selectFrom('facts')
      .select(({ eb, ref }) => [
        ref('facts', '->>').key('size').key('width').as('width'),
        ref('facts', '->').key('size').as('size'),
        ref('facts', '->>').key('colours').at(1).as('colour'),
        ref('facts', '->>$').key('colours').at('#-1').as('last'),
        ref('facts', '->>$').key('size').key('height').as('height'),
        eb.fn<number>('json_array_length', ['facts', sql.lit('$.colours')]).as('colours'),
      ])
      .where(({ eb, ref }) => eb(ref('facts', '->>').key('size').key('width'), '=', 3))
      .executeTakeFirstOrThrow();
    expect(row).toEqual({
      width: 3,
      size: '{"width":3,"height":2}',
      colour: 'blue',
      last: 'blue',
      height: 2,
      colours: 2,
    });
  });

  it('json_each makes rows of an array', async () => {
    const rows = await gallery.query
      .selectFrom('painting')
      .innerJoin(sql<{ value: string }>`json_each(tags)`.as('tag'), (join) => join.onTrue())
      .select(({ fn }) => ['tag.value', fn.countAll<number>().as('count')])
      .groupBy('tag.value')
      .orderBy('tag.value')
      .execute();
    expect(rows).toEqual([
      { value: 'sea', count: 2 },
      { value: 'sun', count: 1 },
    ]);
  });
});
