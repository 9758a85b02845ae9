import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import { openGallery } from '../../../../test/database/gallery.ts';

describe('kysely on sqlite › joins', () => {
  it('an inner join gives the pairs that match', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painting')
      .innerJoin('painter', 'painter.id', 'painting.painter_id')
      .select(['painting.title', 'painter.name'])
      .orderBy('painting.id')
      .execute();
    expect(rows).toEqual([
      { title: 'Dawn', name: 'Alma' },
      { title: 'Dusk', name: 'Alma' },
      { title: 'Fog', name: 'Boris' },
    ]);
  });

  it('a left, right or full join gives null for what does not match', async () => {
    await using gallery = await openGallery();
    const from = gallery.query.selectFrom('painting');
    const found = await Promise.all(
      [
        from.leftJoin('painter', 'painter.id', 'painting.painter_id').select(['title', 'name']),
        from.rightJoin('painter', 'painter.id', 'painting.painter_id').select(['title', 'name']),
        from.fullJoin('painter', 'painter.id', 'painting.painter_id').select(['title', 'name']),
      ].map(async (builder) => await builder.execute()),
    );
    const pairs = found.map((rows) =>
      rows.map(({ title, name }) => `${title ?? '-'}/${name ?? '-'}`).toSorted(),
    );
    const matching = ['Dawn/Alma', 'Dusk/Alma', 'Fog/Boris'];
    expect(pairs).toEqual([
      [...matching, 'Gate/-'],
      ['-/Cleo', '-/Dora', ...matching],
      ['-/Cleo', '-/Dora', ...matching, 'Gate/-'],
    ]);
  });

  it('a cross join gives every pair', async () => {
    await using gallery = await openGallery();
    const { pairs } = await gallery.query
      .selectFrom('painting')
      .crossJoin('painter')
      .select(({ fn }) => fn.countAll<number>().as('pairs'))
      .executeTakeFirstOrThrow();
    expect(pairs).toBe(16);
  });

  it('a table joins itself by an alias, on several conditions', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter as pupil')
      .innerJoin('painter as mentor', (join) =>
        join.onRef('mentor.id', '=', 'pupil.mentor_id').on('mentor.born', '<', 1905),
      )
      .select(['pupil.name', 'mentor.name as mentor'])
      .orderBy('pupil.name')
      .execute();
    expect(rows).toEqual([
      { name: 'Boris', mentor: 'Alma' },
      { name: 'Cleo', mentor: 'Alma' },
    ]);
  });

  it('a subquery is joined as a table', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .innerJoin(
        (builder) =>
          builder
            .selectFrom('painting')
            .select(['painter_id', ({ fn }) => fn.max('price').as('dearest')])
            .groupBy('painter_id')
            .as('sold'),
        (join) => join.onRef('sold.painter_id', '=', 'painter.id'),
      )
      .select(['painter.name', 'sold.dearest'])
      .orderBy('painter.name')
      .execute();
    expect(rows).toEqual([
      { name: 'Alma', dearest: 100 },
      { name: 'Boris', dearest: 75 },
    ]);
  });

  it('columns of one name from two tables give the last of them, as SQLite itself does by name', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painting')
      .innerJoin('painter', 'painter.id', 'painting.painter_id')
      .selectAll('painting')
      .select('painter.id')
      .where('painting.title', '=', 'Fog')
      .execute();
    expect(rows).toEqual([{ id: 2, title: 'Fog', painter_id: 2, price: 75, tags: '[]' }]);
  });

  it('a lateral join, which SQLite does not have, is refused as wrong SQL', async () => {
    await using gallery = await openGallery();
    const joined = gallery.query
      .selectFrom('painter')
      .innerJoinLateral(
        (builder) =>
          builder
            .selectFrom('painting')
            .select('title')
            .whereRef('painting.painter_id', '=', 'painter.id')
            .as('one'),
        (join) => join.onTrue(),
      )
      .select('one.title');
    await expect(joined.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('kysely on sqlite › subqueries and expressions', () => {
  it('a correlated subquery is a column', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .select(({ selectFrom }) => [
        'name',
        selectFrom('painting')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .whereRef('painting.painter_id', '=', 'painter.id')
          .as('paintings'),
      ])
      .orderBy('id')
      .execute();
    expect(rows.map(({ paintings }) => paintings)).toEqual([2, 1, 0, 0]);
  });

  it('exists, in and tuples take subqueries', async () => {
    await using gallery = await openGallery();
    const painters = gallery.query.selectFrom('painter').select('name').orderBy('id');
    const taught = painters.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('painter as pupil')
          .select('pupil.id')
          .whereRef('pupil.mentor_id', '=', 'painter.id'),
      ),
    );
    const sold = painters.where('id', 'in', ({ selectFrom }) =>
      selectFrom('painting').select('painter_id').where('price', '>', 60).$castTo<{
        painter_id: number;
      }>(),
    );
    const pairs = painters.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('name', 'born'), 'in', [tuple('Alma', 1900), tuple('Boris', 1)]),
    );
    expect([await taught.execute(), await sold.execute(), await pairs.execute()]).toEqual([
      [{ name: 'Alma' }, { name: 'Boris' }],
      [{ name: 'Alma' }, { name: 'Boris' }],
      [{ name: 'Alma' }],
    ]);
  });

  it('and, or, not, between, like and is null are put together', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .select('name')
      .where(({ and, between, eb, not, or }) =>
        or([
          and([between('born', 1905, 1915), eb('name', 'like', 'B%')]),
          eb('born', 'is', null),
          not(eb('id', '<', 4)),
        ]),
      )
      .orderBy('id')
      .execute();
    expect(rows).toEqual([{ name: 'Boris' }, { name: 'Cleo' }, { name: 'Dora' }]);
  });

  it('an empty list matches nothing, and its opposite everything', async () => {
    await using gallery = await openGallery();
    const painters = gallery.query.selectFrom('painter').select('id');
    expect(await painters.where('id', 'in', []).execute()).toEqual([]);
    expect(await painters.where('id', 'not in', []).execute()).toHaveLength(4);
  });

  it('case, coalesce, cast and arithmetic give values', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painting')
      .select(({ case: when, cast, eb, fn, lit, val }) => [
        when()
          .when('price', '>=', 75)
          .then('dear')
          .when('price', 'is not', null)
          .then('cheap')
          .else('priceless')
          .end()
          .as('class'),
        fn.coalesce('price', lit(0)).as('price'),
        eb(cast<number>('price', 'integer'), '/', val(2)).as('half'),
      ])
      .orderBy('id')
      .execute();
    expect(rows).toEqual([
      { class: 'dear', price: 100, half: 50 },
      { class: 'cheap', price: 50, half: 25 },
      { class: 'dear', price: 75, half: 37 },
      { class: 'priceless', price: 0, half: null },
    ]);
  });

  it('a query that starts with no table gives its values', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectNoFrom(({ val }) => [val('x').as('text'), sql<number>`1 + ${1}`.as('two')])
      .execute();
    expect(rows).toEqual([{ text: 'x', two: 2 }]);
  });

  it('dynamic references choose columns at run time, and never become SQL', async () => {
    await using gallery = await openGallery();
    const { ref } = gallery.query.dynamic;
    const rows = await gallery.query
      .selectFrom('painter')
      .select(ref<'name'>('name'))
      .where(ref<'born'>('born'), '=', 1900)
      .orderBy(ref('name'))
      .execute();
    expect(rows).toEqual([{ name: 'Alma' }]);
    const sly = gallery.query.selectFrom('painter').select(ref<'name'>('name" from painter; --'));
    await expect(sly.execute()).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('kysely on sqlite › groups, windows and order', () => {
  it('group by, having and filtered aggregates', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painting')
      .innerJoin('painter', 'painter.id', 'painting.painter_id')
      .select(({ fn }) => [
        'painter.name',
        fn.count<number>('painting.id').as('count'),
        fn.count<number>('painting.id').filterWhere('painting.price', '>', 60).as('dear'),
        fn.avg<number>('price').as('average'),
      ])
      .groupBy('painter.id')
      .having(({ eb, fn }) => eb(fn.count('painting.id'), '>', 1))
      .execute();
    expect(rows).toEqual([{ name: 'Alma', count: 2, dear: 1, average: 75 }]);
  });

  it('window functions number rows within their partition', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painting')
      .select(({ fn }) => [
        'title',
        fn
          .agg<number>('row_number')
          .over((over) => over.partitionBy('painter_id').orderBy('price', 'desc'))
          .as('place'),
        fn
          .sum<number>('price')
          .over((over) => over.orderBy('id'))
          .as('so_far'),
      ])
      .orderBy('id')
      .execute();
    expect(rows).toEqual([
      { title: 'Dawn', place: 1, so_far: 100 },
      { title: 'Dusk', place: 2, so_far: 150 },
      { title: 'Fog', place: 1, so_far: 225 },
      { title: 'Gate', place: 1, so_far: 225 },
    ]);
  });

  it('distinct gives each once, and counts each once', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    expect(
      await query
        .selectFrom('painting')
        .select('painter_id')
        .distinct()
        .orderBy('painter_id')
        .execute(),
    ).toEqual([{ painter_id: null }, { painter_id: 1 }, { painter_id: 2 }]);
    expect(
      await query
        .selectFrom('painting')
        .select(({ fn }) => fn.count<number>('painter_id').distinct().as('painters'))
        .execute(),
    ).toEqual([{ painters: 2 }]);
  });

  it.for([
    ['asc', 'first', ['Cleo', 'Alma', 'Boris', 'Dora']],
    ['asc', 'last', ['Alma', 'Boris', 'Dora', 'Cleo']],
    ['desc', 'first', ['Cleo', 'Dora', 'Boris', 'Alma']],
    ['desc', 'last', ['Dora', 'Boris', 'Alma', 'Cleo']],
  ] as const)('order by %s with nulls %s', async ([direction, nulls, expected]) => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .select('name')
      .orderBy('born', (order) => {
        const directed = direction === 'asc' ? order.asc() : order.desc();
        return nulls === 'first' ? directed.nullsFirst() : directed.nullsLast();
      })
      .execute();
    expect(rows.map(({ name }) => name)).toEqual(expected);
  });

  it('limit and offset cut out a page, and collate orders texts', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .select('name')
      .orderBy('name', (order) => order.collate('nocase').desc())
      .limit(2)
      .offset(1)
      .execute();
    expect(rows).toEqual([{ name: 'Cleo' }, { name: 'Boris' }]);
  });
});

describe('kysely on sqlite › common table expressions and sets', () => {
  it('one builds on another', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .with('known', (builder) =>
        builder.selectFrom('painter').selectAll().where('born', 'is not', null),
      )
      .with('old', (builder) =>
        builder.selectFrom('known').select(['id', 'name']).where('born', '<', 1905),
      )
      .selectFrom('old')
      .innerJoin('painting', 'painting.painter_id', 'old.id')
      .select(['old.name', 'painting.title'])
      .orderBy('painting.id')
      .execute();
    expect(rows).toEqual([
      { name: 'Alma', title: 'Dawn' },
      { name: 'Alma', title: 'Dusk' },
    ]);
  });

  it('a recursive one walks down a tree', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .withRecursive('school(id, name, depth)', (builder) =>
        builder
          .selectFrom('painter')
          .select(['id', 'name', sql<number>`0`.as('depth')])
          .where('name', '=', 'Alma')
          .unionAll(
            builder
              .selectFrom('painter')
              .innerJoin('school', 'school.id', 'painter.mentor_id')
              .select(['painter.id', 'painter.name', sql<number>`school.depth + 1`.as('depth')]),
          ),
      )
      .selectFrom('school')
      .select(['name', 'depth'])
      .orderBy('id')
      .execute();
    expect(rows).toEqual([
      { name: 'Alma', depth: 0 },
      { name: 'Boris', depth: 1 },
      { name: 'Cleo', depth: 1 },
      { name: 'Dora', depth: 2 },
    ]);
  });

  it('a materialized one is written as such, and read', async () => {
    await using gallery = await openGallery();
    const query = gallery.query
      .with(
        (name) => name('known').materialized(),
        (builder) => builder.selectFrom('painter').select('name').where('born', '>', 1920),
      )
      .selectFrom('known')
      .selectAll();
    expect(query.compile().sql).toContain('as materialized');
    expect(await query.execute()).toEqual([{ name: 'Dora' }]);
  });

  it.for([
    ['union', [1, 2, 3, 4]],
    ['unionAll', [1, 1, 2, 2, 3, 4]],
    ['intersect', [1, 2]],
    ['except', [3, 4]],
  ] as const)('%s of two queries', async ([operator, expected]) => {
    await using gallery = await openGallery();
    const painters = gallery.query.selectFrom('painter').select('id');
    const mentors = gallery.query
      .selectFrom('painter')
      .select('mentor_id as id')
      .where('mentor_id', 'is not', null)
      .distinct()
      .$castTo<{ id: number }>();
    const rows = await painters[operator](mentors).orderBy('id').execute();
    expect(rows.map(({ id }) => id)).toEqual(expected);
  });
});

describe('kysely on sqlite › taking rows', () => {
  it('executeTakeFirst gives the first row or undefined', async () => {
    await using gallery = await openGallery();
    const painters = gallery.query.selectFrom('painter').select('name').orderBy('id');
    expect(await painters.executeTakeFirst()).toEqual({ name: 'Alma' });
    expect(await painters.where('id', '=', 9).executeTakeFirst()).toBeUndefined();
  });

  it('executeTakeFirstOrThrow throws its own error, or the one that is asked for, by class or by function', async () => {
    await using gallery = await openGallery();
    class NoPainter extends Error {
      readonly node: unknown;

      constructor(node: unknown) {
        super('no painter');
        this.node = node;
      }
    }
    const none = gallery.query.selectFrom('painter').select('name').where('id', '=', 9);
    await expect(none.executeTakeFirstOrThrow()).rejects.toThrow('no result');
    await expect(none.executeTakeFirstOrThrow(NoPainter)).rejects.toBeInstanceOf(NoPainter);
    await expect(
      none.executeTakeFirstOrThrow((node) => new RangeError(node.kind)),
    ).rejects.toMatchObject({ name: 'RangeError', message: 'SelectQueryNode' });
  });

  it('a compiled query is executed as it is', async () => {
    await using gallery = await openGallery();
    const compiled = gallery.query
      .selectFrom('painter')
      .select('name')
      .where('id', '=', 2)
      .compile();
    expect(compiled).toMatchObject({
      sql: 'select "name" from "painter" where "id" = ?',
      parameters: [2],
    });
    expect((await gallery.query.executeQuery(compiled)).rows).toEqual([{ name: 'Boris' }]);
    expect((await gallery.query.executeQuery(compiled)).numAffectedRows).toBeUndefined();
  });

  it('explain gives the plan', async () => {
    await using gallery = await openGallery();
    const plan = await gallery.query
      .selectFrom('painter')
      .selectAll()
      .where('id', '=', 1)
      .explain(undefined, sql`query plan`);
    expect(plan.map(({ detail }) => String(detail)).join()).toMatch(/SEARCH painter/);
    expect(
      await gallery.query.deleteFrom('painter').explain(undefined, sql`query plan`),
    ).not.toEqual([]);
    expect(await gallery.query.selectFrom('painter').select('id').execute()).toHaveLength(4);
  });

  it('$call, $if and $narrowType build as they do elsewhere', async () => {
    await using gallery = await openGallery();
    const rows = await gallery.query
      .selectFrom('painter')
      .select('name')
      .$if(true, (builder) => builder.select('born'))
      .$call((builder) => builder.where('born', 'is not', null))
      .$narrowType<{ born: number }>()
      .orderBy('born', 'desc')
      .limit(1)
      .execute();
    expect(rows).toEqual([{ name: 'Dora', born: 1930 }]);
  });
});
