import assert from 'node:assert/strict';

import { type RawBuilder, sql } from 'kysely';

import { subscribeToOperations } from '../../core/index.ts';
import type { OperationEvent } from '../../core/index.ts';
import type { Parameter } from '../prepared-query.ts';
import {
  collect,
  type DatabaseCase,
  type DatabaseSubject,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

const empty = { body: null, attachment: null, score: null, author_id: null };

const values: readonly DatabaseCase[] = [
  withTables('values › text comes back exactly', async ({ query }) => {
    const texts = [
      '',
      'plain',
      'it\'s "quoted"; --',
      'naïve 漢字 🦊 e\u0301',
      'line\r\nbreak\ttab',
      ' spaced ',
    ];
    for (const [id, body] of texts.entries())
      await query
        .insertInto('note')
        .values({ ...empty, id, title: 't', body })
        .execute();
    const rows = await query.selectFrom('note').select('body').orderBy('id').execute();
    assert.deepEqual(
      rows.map(({ body }) => body),
      texts,
    );
  }),
  withTables('values › text with NUL comes back exactly or is refused', async ({ query }) => {
    const inserted = query
      .insertInto('note')
      .values({ ...empty, id: 1, title: 't', body: 'a\0b' })
      .execute();
    const failed = await inserted.then(
      () => false,
      async () => (await rejectsWith(inserted, 'invalid-argument')) !== undefined,
    );
    const rows = await query.selectFrom('note').select('body').execute();
    assert.deepEqual(rows, failed ? [] : [{ body: 'a\0b' }]);
  }),
  withTables('values › text that has no UTF-8 is refused', async (database) => {
    await rejectsWith(insertNote(database, 1, 'half a \ud83e'), 'invalid-argument');
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables('values › bytes come back exactly', async ({ query }) => {
    const attachment = Uint8Array.from({ length: 256 }, (_, index) => index);
    await query
      .insertInto('note')
      .values({ ...empty, id: 1, title: 't', attachment })
      .execute();
    await query
      .insertInto('note')
      .values({ ...empty, id: 2, title: 't', attachment: new Uint8Array() })
      .execute();
    const rows = await query.selectFrom('note').select('attachment').orderBy('id').execute();
    assert.deepEqual(
      rows.map((row) => row.attachment && Uint8Array.from(row.attachment)),
      [attachment, new Uint8Array()],
    );
  }),
  withTables(
    'values › integers beyond 2^53 come back exactly, others as numbers',
    async (database) => {
      const ids = [
        -(2n ** 63n),
        -9007199254740993n,
        Number.MIN_SAFE_INTEGER,
        0,
        Number.MAX_SAFE_INTEGER,
        9007199254740993n,
        2n ** 63n - 1n,
      ];
      for (const id of ids)
        await database.query
          .insertInto('note')
          .values({ ...empty, id, title: 't' })
          .execute();
      assert.deepEqual(await noteIds(database), ids);
    },
  ),
  withTables('values › an integer of more than 64 bits is refused', async (database) => {
    await rejectsWith(
      database.query
        .insertInto('note')
        .values({ ...empty, id: 2n ** 63n, title: 't' })
        .execute(),
      'invalid-argument',
    );
    assert.deepEqual(await noteIds(database), []);
  }),
  withTables('values › numbers with a fraction come back exactly', async ({ query }) => {
    const scores = [0.1, 1e300, 5e-324, Math.PI];
    for (const [id, score] of scores.entries())
      await query
        .insertInto('note')
        .values({ ...empty, id, title: 't', score })
        .execute();
    const rows = await query.selectFrom('note').select('score').orderBy('id').execute();
    assert.deepEqual(
      rows.map(({ score }) => score),
      scores,
    );
  }),
  withTables('values › an undefined parameter is refused', async (database) => {
    const { query } = database;
    // A caller without types gives it.
    const title = undefined as unknown as string;
    await rejectsWith(
      query.selectFrom('note').selectAll().where('title', '=', title).execute(),
      'invalid-argument',
    );
  }),
  withTables('values › a parameter is data, whatever it says', async (database) => {
    await insertNote(database, 1, "'; drop table note; --");
    const rows = await sql<{
      title: string;
    }>`select title from note where title = ${"'; drop table note; --"}`.execute(database.query);
    assert.deepEqual(rows.rows, [{ title: "'; drop table note; --" }]);
  }),
];

const queries: readonly DatabaseCase[] = [
  withTables('query › rows are plain objects', async (database) => {
    await insertNote(database, 1);
    const [row] = await database.query.selectFrom('note').select(['id', 'title']).execute();
    assert.deepStrictEqual(row, { id: 1, title: 'note 1' });
  }),
  withTables('query › joins, groups and common table expressions', async ({ query }) => {
    await query
      .insertInto('author')
      .values([
        { id: 1, name: 'Ada' },
        { id: 2, name: 'Bob' },
      ])
      .execute();
    await query
      .insertInto('note')
      .values(
        [1, 2, 3].map((id) => ({ ...empty, id, title: `n${id}`, author_id: id === 3 ? 2 : 1 })),
      )
      .execute();
    const rows = await query
      .with('counted', (expression) =>
        expression
          .selectFrom('note')
          .select(['author_id', (count) => count.fn.countAll().as('notes')])
          .groupBy('author_id'),
      )
      .selectFrom('author')
      .innerJoin('counted', 'counted.author_id', 'author.id')
      .select(['author.name', 'counted.notes'])
      .orderBy('author.name')
      .execute();
    assert.deepEqual(
      rows.map(({ name, notes }) => [name, Number(notes)]),
      [
        ['Ada', 2],
        ['Bob', 1],
      ],
    );
  }),
  withTables('query › a write says how many rows it changed', async (database) => {
    const { query } = database;
    const inserted = await query
      .insertInto('author')
      .values([
        { id: 1, name: 'a' },
        { id: 2, name: 'b' },
      ])
      .executeTakeFirst();
    const updated = await query
      .updateTable('author')
      .set({ name: 'c' })
      .where('id', '=', 2)
      .executeTakeFirst();
    const missed = await query
      .updateTable('author')
      .set({ name: 'd' })
      .where('id', '=', 9)
      .executeTakeFirst();
    const deleted = await query.deleteFrom('author').executeTakeFirst();
    assert.deepEqual(
      [
        inserted.numInsertedOrUpdatedRows,
        updated.numUpdatedRows,
        missed.numUpdatedRows,
        deleted.numDeletedRows,
      ],
      [2n, 1n, 0n, 2n],
    );
  }),
  withTables('query › a raw write that begins like a read takes effect', async (database) => {
    const source = (id: number): RawBuilder<unknown> =>
      sql`with source as (select ${sql.lit(id)} as id, 'raw' as title)`;
    const into = sql`insert into note (id, title)`;
    for (const id of [7, 8]) {
      const select = sql`select id, title from source`;
      // MySQL has no write that begins so.
      await (
        database.adapter === 'mysql'
          ? sql`${into} ${source(id)} ${select}`
          : sql`${source(id)} ${into} ${select}`
      ).execute(database.query);
    }
    assert.deepEqual(await noteIds(database), [7, 8]);
  }),
  withTables('query › a read sees the write before it', async (database) => {
    for (let id = 0; id < 20; id += 1) {
      await insertNote(database, id);
      assert.equal((await noteIds(database)).length, id + 1);
    }
  }),
  withTables('query › a changed schema shows at once', async (database) => {
    await insertNote(database, 1);
    const all = database.query.selectFrom('author').selectAll();
    await database.query.insertInto('author').values({ id: 1, name: 'Ada' }).execute();
    assert.deepEqual(await all.execute(), [{ id: 1, name: 'Ada' }]);
    await database.query.schema.alterTable('author').renameColumn('name', 'called').execute();
    assert.deepEqual(await all.execute(), [{ id: 1, called: 'Ada' }]);
    await database.query.schema.alterTable('author').addColumn('extra', 'integer').execute();
    assert.deepEqual(await all.execute(), [{ id: 1, called: 'Ada', extra: null }]);
  }),
  withTables('query › plugins of the builder see the rows', async (database) => {
    await insertNote(database, 1);
    const seen: number[] = [];
    const plugged = database.query.withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        seen.push(result.rows.length);
        return result;
      },
    });
    await plugged.selectFrom('note').selectAll().execute();
    assert.deepEqual(seen, [1]);
  }),
  {
    id: 'query › wrong SQL is an invalid argument',
    run: async ({ query }) => {
      const { outcome } = await rejectsWith(sql`selec 1`.execute(query), 'invalid-argument');
      assert.equal(outcome, 'not-applied');
      await rejectsWith(sql`select * from nowhere`.execute(query), 'invalid-argument');
    },
  },
  {
    id: 'query › the builder cannot close what it does not own',
    run: async ({ query }) => {
      await rejectsWith(query.destroy(), 'failed-precondition');
      await sql`select 1`.execute(query);
    },
  },
];

const empties = 'null as body, null as attachment';

const executions: readonly DatabaseCase[] = [
  withTables('execute › runs the text of another library', async (database) => {
    await insertNote(database, 1, 'first');
    const { rows } = await database.execute('select id, title from note where 1 = 1');
    assert.deepEqual(rows, [{ id: 1, title: 'first' }]);
    const updated = await database.execute("update note set title = 'second'");
    assert.deepEqual(updated.rows, []);
    assert.equal(updated.numAffectedRows, 1n);
    await rejectsWith(database.execute('selec 1'), 'invalid-argument');
  }),
  withTables('execute › takes parameters as the builder does', async (database) => {
    await insertNote(database, 1, 'first');
    await insertNote(database, 2, "'; drop table note; --");
    const { sql: text, parameters } = database.query
      .selectFrom('note')
      .select('id')
      .where('title', '=', "'; drop table note; --")
      .compile();
    assert.deepEqual((await database.execute(text, parameters)).rows, [{ id: 2 }]);
  }),
  withTables(
    'execute › in arrays, columns of one name all come back, in order',
    async (database) => {
      await insertNote(database, 1, 'first');
      const text = `select title as a, id as b, ${empties}, id as a, title as a from note`;
      const expected = [['first', 1, null, null, 1, 'first']];
      const execute = async (): Promise<unknown> =>
        (await database.execute(text, [], { rowMode: 'array' })).rows;
      assert.deepEqual(await execute(), expected);
      assert.deepEqual(await database.transaction(execute), expected);
    },
  ),
  withTables('execute › in arrays, values come back as exactly as in objects', async (database) => {
    const attachment = Uint8Array.from([0, 127, 255]);
    const ids = [-(2n ** 63n), 0, Number.MAX_SAFE_INTEGER, 9007199254740993n];
    for (const id of ids)
      await database.query
        .insertInto('note')
        .values({ ...empty, id, title: 'naïve 漢字 🦊', attachment, score: 0.1 })
        .execute();
    const text = 'select id, title, body, attachment, score from note order by id';
    const { rows } = await database.execute(text);
    const inArrays = await database.execute(text, [], { rowMode: 'array' });
    assert.deepEqual(
      inArrays.rows,
      rows.map(({ id, title, body, attachment, score }) => [id, title, body, attachment, score]),
    );
    assert.deepEqual(
      inArrays.rows.map(([id]) => id),
      ids,
    );
  }),
  withTables('execute › joins the transaction', async (database) => {
    const undone = database.transaction(async () => {
      await database.execute("insert into note (id, title) values (1, 't')");
      const { rows } = await database.execute('select id from note', [], { rowMode: 'array' });
      assert.deepEqual(rows, [[1]]);
      throw new RangeError('undo');
    });
    await assert.rejects(undone, RangeError);
    assert.deepEqual(await noteIds(database), []);
  }),
];

const streams: readonly DatabaseCase[] = [
  withTables('stream › gives every row in order', async (database) => {
    await fill(database, 2500);
    const rows = await collect(
      database.query.selectFrom('note').select('id').orderBy('id').stream(100),
    );
    assert.equal(rows.length, 2500);
    assert.ok(rows.every(({ id }, index) => id === index));
  }),
  withTables('stream › sees one moment, though rows are written meanwhile', async (database) => {
    await fill(database, 50);
    const ids: unknown[] = [];
    for await (const { id } of database.query
      .selectFrom('note')
      .select('id')
      .orderBy('id')
      .stream(1)) {
      ids.push(id);
      await insertNote(database, 1000 + ids.length);
    }
    assert.equal(ids.length, 50);
    assert.equal((await noteIds(database)).length, 100);
  }),
  withTables('stream › one that is left early gives its connection back', async (database) => {
    await fill(database, 10);
    for (let round = 0; round < 40; round += 1) {
      for await (const { id } of database.query
        .selectFrom('note')
        .select('id')
        .orderBy('id')
        .stream(1))
        if (id === 2) break;
    }
    await database.transaction(async () => await insertNote(database, 100));
    assert.equal((await noteIds(database)).length, 11);
  }),
  withTables('stream › an abort ends it', async (database) => {
    await fill(database, 100);
    const controller = new AbortController();
    let seen = 0;
    const reading = (async () => {
      for await (const _ of database.query
        .selectFrom('note')
        .select('id')
        .stream({ chunkSize: 1, signal: controller.signal })) {
        seen += 1;
        if (seen === 3) controller.abort();
      }
    })();
    await rejectsWith(reading, 'cancelled');
    assert.equal(seen, 3);
  }),
  {
    id: 'stream › is read as it is consumed',
    requires: ['boundedStreams'],
    run: async ({ query }) => {
      const before = process.memoryUsage().heapUsed;
      let seen = 0;
      for await (const _ of manyRows(2_000_000, query)) {
        seen += 1;
        if (seen === 10) break;
      }
      // All of them at once take more than twice this.
      assert.ok(process.memoryUsage().heapUsed - before < 64 * 1024 * 1024);
    },
    unsupported: async ({ query }) => {
      assert.equal((await collect(manyRows(1000, query))).length, 1000);
    },
  },
  withTables(
    'stream › inside a transaction it sees what the transaction wrote',
    async (database) => {
      await database.transaction(async () => {
        await fill(database, 30);
        assert.equal(
          (await collect(database.query.selectFrom('note').select('id').stream(7))).length,
          30,
        );
      });
    },
  ),
  withTables('stream › one that outlives its transaction fails', async (database) => {
    await fill(database, 30);
    const stream = database.query.selectFrom('note').select('id').stream(1);
    await database.transaction(async () => {
      await stream.next();
    });
    await rejectsWith(collect(stream), 'failed-precondition');
    assert.equal((await noteIds(database)).length, 30);
  }),
];

const prepared: readonly DatabaseCase[] = [
  withTables('prepare › a query is given its parameters at each call', async (database) => {
    await fill(database, 5);
    const titleOf = database.prepare((query, parameter: Parameter<{ id: number }>) =>
      query.selectFrom('note').select('title').where('id', '=', parameter('id')),
    );
    assert.deepEqual(await titleOf.execute({ id: 2 }), [{ title: 'note 2' }]);
    assert.deepEqual(await titleOf.executeTakeFirst({ id: 3 }), { title: 'note 3' });
    assert.equal(await titleOf.executeTakeFirst({ id: 9 }), undefined);
    await rejectsWith(titleOf.executeTakeFirstOrThrow({ id: 9 }), 'not-found');
  }),
  withTables('prepare › a missing parameter is refused', async (database) => {
    const titleOf = database.prepare((query, parameter: Parameter<{ id: number }>) =>
      query.selectFrom('note').select('title').where('id', '=', parameter('id')),
    );
    // A caller without types gives it.
    await rejectsWith(titleOf.execute({} as { id: number }), 'invalid-argument');
  }),
  withTables('prepare › a write says how many rows it changed', async (database) => {
    await fill(database, 5);
    const rename = database.prepare(
      (query, parameter: Parameter<{ from: number; title: string }>) =>
        query
          .updateTable('note')
          .set({ title: parameter('title') })
          .where('id', '>=', parameter('from')),
    );
    assert.equal((await rename.executeTakeFirst({ from: 3, title: 'x' }))?.numUpdatedRows, 2n);
  }),
  withTables('prepare › executeMany takes effect as a whole, or not at all', async (database) => {
    const insert = database.prepare((query, parameter: Parameter<{ id: number; title: string }>) =>
      query.insertInto('note').values({ ...empty, id: parameter('id'), title: parameter('title') }),
    );
    assert.equal(await insert.executeMany([1, 2, 3].map((id) => ({ id, title: 't' }))), 3n);
    await rejectsWith(
      insert.executeMany([4, 5, 1, 6].map((id) => ({ id, title: 't' }))),
      'already-exists',
    );
    assert.equal(await insert.executeMany([]), 0n);
    assert.deepEqual(await noteIds(database), [1, 2, 3]);
  }),
  withTables('prepare › joins the transaction', async (database) => {
    const insert = database.prepare((query, parameter: Parameter<{ id: number }>) =>
      query.insertInto('note').values({ ...empty, id: parameter('id'), title: 't' }),
    );
    const undone = database.transaction(async () => {
      await insert.execute({ id: 1 });
      await insert.executeMany([{ id: 2 }, { id: 3 }]);
      throw new RangeError('undo');
    });
    await assert.rejects(undone, RangeError);
    assert.deepEqual(await noteIds(database), []);
  }),
];

const events: readonly DatabaseCase[] = [
  withTables(
    'event › a statement tells its text and its rows, and never its parameters',
    async (database) => {
      const ended: OperationEvent[] = [];
      const unsubscribe = subscribeToOperations({ end: (event) => ended.push(event) });
      try {
        await insertNote(database, 1, 'secret-title');
        await collect(
          database.query
            .selectFrom('note')
            .select('id')
            .where('title', '=', 'secret-title')
            .stream(10),
        );
        await database.transaction(async () => await insertNote(database, 2, 'secret-title'));
      } finally {
        unsubscribe();
      }
      const told = ended.filter(
        ({ component, attributes }) =>
          component === 'database' && attributes['adapter'] === database.adapter,
      );
      assert.deepEqual(
        told.map(({ operation, attributes }) => [operation, attributes['rows']]),
        [
          ['query', 1],
          ['stream', 1],
          ['query', 1],
          ['transaction', undefined],
        ],
      );
      assert.match(String(told[0]?.attributes['statement']), /^insert into/);
      assert.doesNotMatch(JSON.stringify(told), /secret-title/);
    },
  ),
  withTables('event › a statement that fails tells its error', async (database) => {
    await insertNote(database, 1);
    const ended: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({ end: (event) => ended.push(event) });
    try {
      await rejectsWith(insertNote(database, 1), 'already-exists');
    } finally {
      unsubscribe();
    }
    assert.deepEqual(
      ended.map(({ error }) => (error as { code?: unknown }).code),
      ['already-exists'],
    );
  }),
];

/** Values, queries, streams, prepared queries and events. */
export const statementCases: readonly DatabaseCase[] = [
  ...values,
  ...queries,
  ...executions,
  ...streams,
  ...prepared,
  ...events,
];

// By a join, which every engine works out row by row.
function manyRows(count: number, query: DatabaseSubject['query']): AsyncIterable<{ n: number }> {
  const ten = sql<{
    n: number;
  }>`(select 0 as n union all select 1 union all select 2 union all select 3 union all select 4
    union all select 5 union all select 6 union all select 7 union all select 8 union all select 9)`;
  return query
    .selectFrom([
      ten.as('a'),
      ten.as('b'),
      ten.as('c'),
      ten.as('d'),
      ten.as('e'),
      ten.as('f'),
      ten.as('g'),
    ])
    .select(sql<number>`a.n`.as('n'))
    .limit(count)
    .stream(100);
}

async function fill(database: DatabaseSubject, count: number): Promise<void> {
  const insert = database.prepare((query, parameter: Parameter<{ id: number; title: string }>) =>
    query.insertInto('note').values({ ...empty, id: parameter('id'), title: parameter('title') }),
  );
  await insert.executeMany(Array.from({ length: count }, (_, id) => ({ id, title: `note ${id}` })));
}
