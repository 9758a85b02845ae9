import assert from 'node:assert/strict';

import {
  type DatabaseCase,
  type DatabaseSubject,
  insertNote,
  noteIds,
  rejectsWith,
  withTables,
} from './subject.ts';

const empty = { body: null, attachment: null, score: null, author_id: null };

/** What an error tells of the constraint; an engine may know less of it, and never something else. */
interface Told {
  readonly constraint: string;
  /** Undefined where each engine gives another. */
  readonly name?: string;
  readonly table: string;
  readonly columns: readonly string[];
}

const foreignKey: Told = {
  constraint: 'foreign-key',
  name: 'note_author',
  table: 'note',
  columns: ['author_id'],
};

function tells(details: Readonly<Record<string, unknown>>, { constraint, ...told }: Told): void {
  assert.equal(details['constraint'], constraint);
  assert.ok(
    ['name', 'columns'].some((key) => details[key] !== undefined),
    'neither a name nor columns',
  );
  for (const [key, value] of Object.entries(told))
    assert.deepEqual(details[key] ?? value, value, key);
}

async function withAuthors({ query }: DatabaseSubject): Promise<void> {
  await query
    .insertInto('author')
    .values([
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Bob' },
    ])
    .execute();
}

/** What is unique, what refers, what must not be null, and what is checked. */
export const constraintCases: readonly DatabaseCase[] = [
  withTables('constraint › a value that is taken already exists', async (database) => {
    await withAuthors(database);
    const { details, outcome, retryable } = await rejectsWith(
      database.query.insertInto('author').values({ id: 3, name: 'Ada' }).execute(),
      'already-exists',
    );
    const told = {
      constraint: 'unique',
      name: 'author_name',
      table: 'author',
      columns: ['name'],
    };
    tells(details, told);
    assert.deepEqual({ outcome, retryable }, { outcome: 'not-applied', retryable: false });
    const renamed = database.query.updateTable('author').set({ name: 'Ada' }).where('id', '=', 2);
    tells((await rejectsWith(renamed.execute(), 'already-exists')).details, told);
  }),
  withTables('constraint › a primary key that is taken already exists', async (database) => {
    await insertNote(database, 1);
    const { details } = await rejectsWith(insertNote(database, 1), 'already-exists');
    tells(details, { constraint: 'unique', table: 'note', columns: ['id'] });
  }),
  withTables(
    'constraint › several columns that are taken together already exist',
    async (database) => {
      const { query } = database;
      await withAuthors(database);
      await query.schema
        .createIndex('note_once')
        .unique()
        .on('note')
        .columns(['title', 'author_id'])
        .execute();
      const insert = query.insertInto('note');
      await insert.values({ ...empty, id: 1, title: 'a', author_id: 1 }).execute();
      await insert.values({ ...empty, id: 2, title: 'a', author_id: 2 }).execute();
      const { details } = await rejectsWith(
        insert.values({ ...empty, id: 3, title: 'a', author_id: 1 }).execute(),
        'already-exists',
      );
      tells(details, {
        constraint: 'unique',
        name: 'note_once',
        table: 'note',
        columns: ['title', 'author_id'],
      });
    },
  ),
  withTables('constraint › a reference to nothing is a failed precondition', async (database) => {
    const { query } = database;
    const inserted = query.insertInto('note').values({ ...empty, id: 1, title: 't', author_id: 9 });
    tells((await rejectsWith(inserted.execute(), 'failed-precondition')).details, foreignKey);
    await insertNote(database, 1);
    const updated = query.updateTable('note').set({ author_id: 9 });
    tells((await rejectsWith(updated.execute(), 'failed-precondition')).details, foreignKey);
  }),
  withTables('constraint › what is referred to cannot go, nor be renamed', async (database) => {
    const { query } = database;
    await withAuthors(database);
    await query
      .insertInto('note')
      .values({ ...empty, id: 1, title: 't', author_id: 1 })
      .execute();
    const deleted = query.deleteFrom('author').where('id', '=', 1);
    tells((await rejectsWith(deleted.execute(), 'failed-precondition')).details, foreignKey);
    const updated = query.updateTable('author').set({ id: 7 }).where('id', '=', 1);
    tells((await rejectsWith(updated.execute(), 'failed-precondition')).details, foreignKey);
  }),
  withTables(
    'constraint › a missing value is an invalid argument that names its column',
    async ({ query }) => {
      // A caller without types gives it.
      const title = null as unknown as string;
      const { details } = await rejectsWith(
        query
          .insertInto('note')
          .values({ ...empty, id: 1, title })
          .execute(),
        'invalid-argument',
      );
      assert.deepEqual(details['columns'], ['title']);
      tells(details, { constraint: 'not-null', table: 'note', columns: ['title'] });
    },
  ),
  withTables(
    'constraint › a value that a check refuses is an invalid argument',
    async ({ query }) => {
      const { details } = await rejectsWith(
        query
          .insertInto('note')
          .values({ ...empty, id: 1, title: 't', score: -1 })
          .execute(),
        'invalid-argument',
      );
      const name = 'note_score_not_negative';
      assert.equal(details['name'], name);
      tells(details, { constraint: 'check', name, table: 'note', columns: ['score'] });
    },
  ),
  withTables('constraint › a statement that fails at one row writes none', async (database) => {
    await insertNote(database, 3);
    const rows = [1, 2, 3, 4].map((id) => ({ ...empty, id, title: 't' }));
    await rejectsWith(database.query.insertInto('note').values(rows).execute(), 'already-exists');
    assert.deepEqual(await noteIds(database), [3]);
  }),
  withTables('constraint › an error tells no value', async (database) => {
    await database.query.insertInto('author').values({ id: 1, name: 'secret-name' }).execute();
    const error = await rejectsWith(
      database.query.insertInto('author').values({ id: 2, name: 'secret-name' }).execute(),
      'already-exists',
    );
    assert.doesNotMatch(JSON.stringify(error), /secret-name/);
  }),
];
