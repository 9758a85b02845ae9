import assert from 'node:assert/strict';

import { type AliasableExpression, type ExpressionBuilder, sql } from 'kysely';
import * as postgres from 'kysely/helpers/postgres';
import * as sqlite from 'kysely/helpers/sqlite';

import {
  collect,
  type ConformanceSchema,
  createTables,
  type DatabaseCase,
  type DatabaseSubject,
  rejectsWith,
  withTables,
} from './subject.ts';

class Undo extends Error {}

const note = { body: null, attachment: null, score: null, author_id: null };

/** Ada wrote two notes, Bob one, Cy none; one is nobody's. */
function withNotes(id: string, run: (database: DatabaseSubject) => Promise<void>): DatabaseCase {
  return {
    id: `kysely › ${id}`,
    run: async (database) => {
      await createTables(database);
      await database.query
        .insertInto('author')
        .values(['Ada', 'Bob', 'Cy'].map((name, index) => ({ id: index + 1, name })))
        .execute();
      await database.query
        .insertInto('note')
        .values([
          { ...note, id: 1, title: 'a', author_id: 1, score: 3 },
          { ...note, id: 2, title: 'b', author_id: 1, score: 1 },
          { ...note, id: 3, title: 'c', author_id: 2, score: 2 },
          { ...note, id: 4, title: 'd' },
        ])
        .execute();
      await run(database);
    },
  };
}

const reads: readonly DatabaseCase[] = [
  withNotes('joins give null for what does not match', async ({ query }) => {
    const rows = await query
      .selectFrom('author')
      .leftJoin('note', (join) =>
        join.onRef('note.author_id', '=', 'author.id').on('note.score', '>', 1),
      )
      .select(['author.name', 'note.title'])
      .orderBy('author.id')
      .execute();
    assert.deepEqual(rows, [
      { name: 'Ada', title: 'a' },
      { name: 'Bob', title: 'c' },
      { name: 'Cy', title: null },
    ]);
  }),
  withNotes('subqueries stand in columns, conditions and joins', async ({ query }) => {
    const rows = await query
      .selectFrom('author')
      .innerJoin(
        (builder) =>
          builder
            .selectFrom('note')
            .select(['author_id', ({ fn }) => fn.max('score').as('best')])
            .groupBy('author_id')
            .as('scored'),
        (join) => join.onRef('scored.author_id', '=', 'author.id'),
      )
      .select((builder) => [
        'author.name',
        'scored.best',
        builder
          .selectFrom('note')
          .select('note.title')
          .whereRef('note.author_id', '=', 'author.id')
          .orderBy('note.id', 'desc')
          .limit(1)
          .as('last'),
      ])
      .where((builder) =>
        builder.exists(
          builder.selectFrom('note').select('note.id').whereRef('note.author_id', '=', 'author.id'),
        ),
      )
      .orderBy('author.name', 'desc')
      .execute();
    assert.deepEqual(rows, [
      { name: 'Bob', best: 2, last: 'c' },
      { name: 'Ada', best: 3, last: 'b' },
    ]);
  }),
  withNotes('recursive common table expressions', async ({ query }) => {
    const rows = await query
      .withRecursive('chain(id, depth)', (builder) =>
        builder
          .selectFrom('note')
          .select(['note.id', sql<number>`0`.as('depth')])
          .where('note.id', '=', 1)
          .unionAll(
            builder
              .selectFrom('chain')
              .innerJoin('note', (join) => join.on(sql`note.id`, '=', sql`chain.id + 1`))
              .select(['note.id', sql<number>`chain.depth + 1`.as('depth')]),
          ),
      )
      .selectFrom('chain')
      .select(['chain.id', 'chain.depth'])
      .orderBy('chain.id')
      .execute();
    assert.deepEqual(
      // Some engines give a bigint, as text or not.
      rows.map(({ id, depth }) => `${id} ${depth}`),
      ['1 0', '2 1', '3 2', '4 3'],
    );
  }),
  withNotes('sets, groups and windows', async ({ query }) => {
    const authors = query.selectFrom('author').select('id');
    const writers = query
      .selectFrom('note')
      .select('author_id as id')
      .where('author_id', 'is not', null)
      .$castTo<{ id: number }>();
    const ids = async (builder: typeof authors): Promise<number[]> =>
      (await builder.orderBy('id').execute()).map(({ id }) => id);
    assert.deepEqual(await ids(authors.union(writers)), [1, 2, 3]);
    assert.deepEqual(await ids(authors.except(writers)), [3]);
    assert.deepEqual(await ids(authors.intersect(writers)), [1, 2]);
    const several = await query
      .selectFrom('note')
      .select('author_id')
      .groupBy('author_id')
      .having(({ fn }) => fn.count('id'), '>', 1)
      .execute();
    assert.deepEqual(several, [{ author_id: 1 }]);
    const ranked = await query
      .selectFrom('note')
      .select(({ fn }) => [
        'title',
        fn
          .agg<number>('row_number')
          .over((over) => over.partitionBy('author_id').orderBy('score'))
          .as('place'),
      ])
      .where('author_id', 'is not', null)
      .orderBy('id')
      .execute();
    assert.deepEqual(
      ranked.map(({ place }) => `${place}`),
      ['2', '1', '1'],
    );
  }),
  withNotes('rows of rows come as JSON', async ({ query, adapter }) => {
    const rows = await query
      .selectFrom('author')
      .select((builder) => ['author.name', notesOfAuthor(adapter, builder).as('notes')])
      .orderBy('author.id')
      .execute();
    const parsed = rows.map(({ notes }) =>
      typeof notes === 'string' ? (JSON.parse(notes) as unknown) : notes,
    );
    assert.deepEqual(parsed, [
      [
        { id: 1, title: 'a' },
        { id: 2, title: 'b' },
      ],
      [{ id: 3, title: 'c' }],
      [],
    ]);
  }),
  withNotes('a row that must be there is an error where it is not', async ({ query }) => {
    const none = query.selectFrom('note').select('id').where('id', '=', 99);
    assert.equal(await none.executeTakeFirst(), undefined);
    await assert.rejects(none.executeTakeFirstOrThrow(), /no result/);
    await assert.rejects(
      none.executeTakeFirstOrThrow(() => new RangeError('mine')),
      RangeError,
    );
  }),
];

const writes: readonly DatabaseCase[] = [
  withNotes('a write takes its rows from a query, and its conditions', async ({ query }) => {
    const inserted = await query
      .insertInto('note')
      .columns(['id', 'title'])
      .expression((builder) =>
        builder.selectFrom('author').select([sql<number>`id + 10`.as('id'), 'name']),
      )
      .executeTakeFirst();
    const updated = await query
      .updateTable('note')
      .set(({ eb }) => ({ score: eb('score', '*', 10) }))
      .where('author_id', 'in', (builder) =>
        builder.selectFrom('author').select('author.id').where('author.name', '=', 'Ada'),
      )
      .executeTakeFirst();
    const deleted = await query.deleteFrom('note').where('score', '<', 15).executeTakeFirst();
    assert.deepEqual(
      [inserted.numInsertedOrUpdatedRows, updated.numUpdatedRows, deleted.numDeletedRows],
      [3n, 2n, 2n],
    );
    const left = await query.selectFrom('note').select(['id', 'score']).orderBy('id').execute();
    assert.deepEqual(
      left.map(({ id, score }) => [id, score]),
      [
        [1, 30],
        [4, null],
        [11, null],
        [12, null],
        [13, null],
      ],
    );
  }),
];

const refusesReturning = withNotes('', async ({ query }) => {
  const update = query.updateTable('author').set({ name: 'Eve' }).where('id', '=', 1);
  await rejectsWith(update.returningAll().execute(), 'unimplemented');
  await rejectsWith(collect(update.returning('name').stream(2)), 'unimplemented');
  const transaction = query
    .transaction()
    .execute(
      async (inside) =>
        await inside.updateTable('author').set({ name: 'Eve' }).returning('name').execute(),
    );
  await rejectsWith(transaction, 'unimplemented');
  const { name } = await query
    .selectFrom('author')
    .select('name')
    .where('id', '=', 1)
    .executeTakeFirstOrThrow();
  assert.equal(name, 'Ada');
}).run;

function withReturning(id: string, run: DatabaseCase['run']): DatabaseCase {
  return { ...withNotes(id, run), requires: ['returning'], unsupported: refusesReturning };
}

const returning: readonly DatabaseCase[] = [
  withReturning('every kind of write returns its rows', async ({ query }) => {
    const inserted = await query
      .insertInto('author')
      .values([
        { id: 4, name: 'Di' },
        { id: 5, name: 'Ed' },
      ])
      .returning(['id', sql<string>`upper(name)`.as('loud')])
      .execute();
    const updated = await query
      .updateTable('author')
      .set({ name: 'Eve' })
      .where('id', '=', 5)
      .returningAll()
      .executeTakeFirst();
    const deleted = await query
      .deleteFrom('author')
      .where('id', '>', 3)
      .returning('name')
      .execute();
    assert.deepEqual(
      inserted.toSorted((a, b) => a.id - b.id),
      [
        { id: 4, loud: 'DI' },
        { id: 5, loud: 'ED' },
      ],
    );
    assert.deepEqual(updated, { id: 5, name: 'Eve' });
    assert.deepEqual(deleted.map(({ name }) => name).toSorted(), ['Di', 'Eve']);
  }),
  withReturning('a write that returns its rows is streamed, and done once', async ({ query }) => {
    const rows = await collect(
      query
        .updateTable('note')
        .set(({ eb }) => ({ score: eb('score', '+', 1) }))
        .where('author_id', 'is not', null)
        .returning('score')
        .stream(2),
    );
    assert.deepEqual(new Set(rows.map(({ score }) => score)), new Set([2, 3, 4]));
  }),
];

const streams: readonly DatabaseCase[] = [
  withNotes('a stream has no more rows in a chunk than it was asked for', async ({ query }) => {
    const sizes: number[] = [];
    const watched = query.withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        sizes.push(result.rows.length);
        return result;
      },
    });
    const rows = await collect(watched.selectFrom('note').select('id').orderBy('id').stream(3));
    assert.deepEqual(
      rows.map(({ id }) => id),
      [1, 2, 3, 4],
    );
    assert.ok(sizes.every((size) => size <= 3));
  }),
  withNotes('a stream of its own transaction sees what that wrote', async ({ query }) => {
    await query.transaction().execute(async (transaction) => {
      await transaction
        .insertInto('note')
        .values({ ...note, id: 5, title: 'e' })
        .execute();
      const rows = await collect(transaction.selectFrom('note').select('id').stream(2));
      assert.equal(rows.length, 5);
    });
  }),
];

const transactions: readonly DatabaseCase[] = [
  withTables('kysely › its own transactions commit and roll back', async (database) => {
    const { query } = database;
    await query.transaction().execute(async (transaction) => {
      await transaction.insertInto('author').values({ id: 1, name: 'a' }).execute();
    });
    await assert.rejects(
      query.transaction().execute(async (transaction) => {
        await transaction.insertInto('author').values({ id: 2, name: 'b' }).execute();
        throw new Undo();
      }),
      Undo,
    );
    assert.deepEqual(await query.selectFrom('author').select('id').execute(), [{ id: 1 }]);
  }),
  withTables('kysely › its own transaction inside of ours is nested in it', async (database) => {
    const { query } = database;
    const outer = database.transaction(async () => {
      await query.transaction().execute(async (transaction) => {
        await transaction.insertInto('author').values({ id: 1, name: 'a' }).execute();
      });
      throw new Undo();
    });
    await assert.rejects(outer, Undo);
    assert.deepEqual(await query.selectFrom('author').select('id').execute(), []);
  }),
  withTables('kysely › its controlled transactions and savepoints', async ({ query }) => {
    const transaction = await query.startTransaction().execute();
    await transaction.insertInto('author').values({ id: 1, name: 'a' }).execute();
    const saved = await transaction.savepoint('mark').execute();
    await saved.insertInto('author').values({ id: 2, name: 'b' }).execute();
    const back = await saved.rollbackToSavepoint('mark').execute();
    await back.insertInto('author').values({ id: 3, name: 'c' }).execute();
    await (await back.releaseSavepoint('mark').execute()).commit().execute();
    assert.deepEqual(await query.selectFrom('author').select('id').orderBy('id').execute(), [
      { id: 1 },
      { id: 3 },
    ]);
  }),
  withTables('kysely › a savepoint is gone back to as often as one likes', async ({ query }) => {
    const transaction = await query.startTransaction().execute();
    const outer = await transaction.savepoint('mark').execute();
    await outer.insertInto('author').values({ id: 1, name: 'a' }).execute();
    // The later of one name counts.
    const inner = await outer.savepoint('mark').execute();
    for (const id of [2, 3]) {
      await inner.insertInto('author').values({ id, name: 'b' }).execute();
      await inner.rollbackToSavepoint('mark').execute();
    }
    await inner.commit().execute();
    assert.deepEqual(await query.selectFrom('author').select('id').execute(), [{ id: 1 }]);
  }),
  withTables('kysely › its transactions that have ended refuse all use', async ({ query }) => {
    const committed = await query.startTransaction().execute();
    await committed.commit().execute();
    const rolledBack = await query.startTransaction().execute();
    await rolledBack.rollback().execute();
    for (const ended of [committed, rolledBack]) {
      const insert = ended.insertInto('author').values({ id: 1, name: 'a' });
      await assert.rejects(async () => await insert.execute(), /already/);
      await assert.rejects(async () => await ended.commit().execute(), /already/);
    }
    assert.deepEqual(await query.selectFrom('author').select('id').execute(), []);
  }),
  withTables('kysely › its isolation level is accepted', async ({ query }) => {
    for (const [id, level] of (
      ['read committed', 'repeatable read', 'serializable'] as const
    ).entries()) {
      await query
        .transaction()
        .setIsolationLevel(level)
        .execute(async (transaction) => {
          await transaction.insertInto('author').values({ id, name: level }).execute();
        });
    }
    assert.equal((await query.selectFrom('author').select('id').execute()).length, 3);
  }),
];

/** What Kysely promises of its builders and transactions, and an engine's driver has its part in. */
export const kyselyCases: readonly DatabaseCase[] = [
  ...reads,
  ...writes,
  ...returning,
  ...streams,
  ...transactions,
];

/** The notes of the author that is selected, as an array of objects. */
function notesOfAuthor(
  adapter: string,
  builder: ExpressionBuilder<ConformanceSchema, 'author'>,
): AliasableExpression<unknown> {
  // Kysely's own helper for MySQL casts to a type that MariaDB has not.
  if (adapter === 'mysql')
    return sql`(select coalesce(json_arrayagg(json_object('id', note.id, 'title', note.title)), '[]')
      from note where note.author_id = author.id)`;
  const notes = builder
    .selectFrom('note')
    .select(['note.id', 'note.title'])
    .whereRef('note.author_id', '=', 'author.id')
    .orderBy('note.id');
  return adapter === 'sqlite' ? sqlite.jsonArrayFrom(notes) : postgres.jsonArrayFrom(notes);
}
