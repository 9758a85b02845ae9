import { expect, onTestFinished, test } from 'vitest';

import { subscribeToOperations } from '../../core/index.ts';
import { type SqliteDatabase, sqliteDatabase } from '../../database/sqlite/index.ts';
import { type Columns, type SqlRepository, sqlRepository } from './index.ts';

interface Note {
  id: string;
  text: string;
  views: number;
  seenAt?: Date;
}

const columns: Columns<Note> = {
  id: 'text',
  text: 'text',
  views: 'integer',
  seenAt: { name: 'seen_at', type: 'date?' },
};

async function subject(
  table = 'id text primary key, text text, views integer, seen_at text',
): Promise<{
  database: SqliteDatabase;
  notes: SqlRepository<Note>;
}> {
  const database = sqliteDatabase({ file: ':memory:' });
  onTestFinished(async () => await database.close());
  await database.migrate([{ name: 'notes', up: `create table notes (${table})` }]);
  return { database, notes: sqlRepository<Note>({ database, table: 'notes', columns }) };
}

const note: Note = { id: 'a', text: 'x', views: 1 };

test('sqlRepository › construction › columns that make no sense are refused before any call', () => {
  const database = sqliteDatabase({ file: ':memory:' });
  const build =
    (changes: Record<string, unknown>): (() => unknown) =>
    () =>
      sqlRepository<Note>({
        database,
        table: 'notes',
        columns: { ...columns, ...changes },
      });
  expect(build({ text: 'varchar' })).toThrow(/"text" has the unknown type "varchar"/);
  expect(build({ text: { name: 'drop table', type: 'text' } })).toThrow(/no column name/);
  expect(build({ text: { name: 'views', type: 'text' } })).toThrow(/the column of two fields/);
  expect(build({ or: 'text' })).toThrow(/cannot be called "or"/);
  expect(() => sqlRepository<Note>({ database, table: 'notes; --', columns })).toThrow(
    /no table name/,
  );
  expect(() =>
    sqlRepository<Note>({ database, table: 'notes', columns: { text: 'text' } as never }),
  ).toThrow(/"id" has none/);
});

test('sqlRepository › errors › a missing table or column shows at the first call, and names itself', async () => {
  const { database } = await subject();
  const missing = sqlRepository<Note>({ database, table: 'nowhere', columns });
  await expect(missing.find()).rejects.toThrow(/nowhere/);
  const wrong = sqlRepository<Note>({
    database,
    table: 'notes',
    columns: { ...columns, text: { name: 'body', type: 'text' } },
  });
  await expect(wrong.insert(note)).rejects.toThrow(/body/);
});

test('sqlRepository › insert › a value that is not of its column’s type is refused and names its field', async () => {
  const { notes } = await subject();
  for (const fields of [
    { text: 5 },
    { views: 1.5 },
    { views: '1' },
    { views: 2 ** 53 },
    { seenAt: '2026-01-01' },
    { text: null },
    { views: undefined },
  ]) {
    await expect(notes.insert({ ...note, ...fields } as unknown as Note)).rejects.toMatchObject({
      code: 'invalid-argument',
      details: { field: Object.keys(fields)[0] },
    });
  }
  await expect(notes.insert({ ...note, extra: 1 } as Note)).rejects.toThrow(
    /"extra" has no column and would be lost/,
  );
  expect(await notes.count()).toBe(0);
});

test('sqlRepository › criteria › a field without a column, or a value of another type, is refused', async () => {
  const { notes } = await subject();
  await expect(notes.find({ extra: 1 } as never)).rejects.toThrow(
    /"extra" is no field of notes: it has id, text, views, seenAt/,
  );
  await expect(notes.find({}, { orderBy: { extra: 'asc' } as never })).rejects.toMatchObject({
    code: 'invalid-argument',
  });
  await expect(notes.find({ views: '1' as never })).rejects.toMatchObject({
    code: 'invalid-argument',
  });
  await expect(notes.findById(1 as never)).rejects.toMatchObject({ code: 'invalid-argument' });
});

test('sqlRepository › find › what no write of it can have stored is data-loss, and names the column, not the value', async () => {
  const { database, notes } = await subject();
  const stored = {
    text: 'null, 1, null',
    views: "'x', 'secret', null",
    seen_at: "'x', 1, 'secret'",
  };
  for (const [column, values] of Object.entries(stored)) {
    await notes.deleteWhere('all');
    await database.migrate(
      [{ name: `break-${column}`, up: `insert into notes values ('a', ${values})` }],
      { set: column },
    );
    const error: unknown = await notes.findById('a').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'data-loss', details: { column } });
    expect(String(error)).not.toContain('secret');
  }
});

test('sqlRepository › find › values are parameters and never part of the statement', async () => {
  const { notes } = await subject();
  const statements: unknown[] = [];
  const unsubscribe = subscribeToOperations({
    end: ({ attributes }) => statements.push(attributes['statement']),
  });
  const hostile = `'; drop table notes; --`;
  await notes.insert({ ...note, text: hostile });
  expect(
    await notes.count({
      text: { contains: hostile, startsWith: hostile, endsWith: hostile, in: [hostile] },
    }),
  ).toBe(1);
  unsubscribe();
  expect(statements.join()).not.toContain('drop table');
});

test('sqlRepository › criteria › thousands of them may be combined', async () => {
  const { notes } = await subject();
  await notes.insertMany([
    note,
    { ...note, id: 'b', views: 2999 },
    { ...note, id: 'c', views: -1 },
  ]);
  const each = Array.from({ length: 3000 }, (_, views) => ({ views }));
  expect((await notes.find({ or: each })).map(({ id }) => id)).toEqual(['a', 'b']);
  const none = each.map((criteria) => ({ not: criteria }));
  expect((await notes.find({ and: none })).map(({ id }) => id)).toEqual(['c']);
});

test('sqlRepository › close › leaves the database to its owner', async () => {
  const { database, notes } = await subject();
  await notes.insert(note);
  await notes.close();
  const again = sqlRepository<Note>({ database, table: 'notes', columns });
  expect(await again.findById('a')).toEqual(note);
});

test('sqlRepository › checkHealth › is down where its table is missing', async () => {
  const { database, notes } = await subject();
  expect(await notes.checkHealth()).toEqual({ status: 'ok' });
  expect(
    await sqlRepository<Note>({ database, table: 'nowhere', columns }).checkHealth(),
  ).toMatchObject({ status: 'down' });
});

test.each(['asc', 'desc'] as const)(
  'sqlRepository › page › enters an index of its order, %s, at the place of the cursor',
  async (direction) => {
    const { database, notes } = await subject();
    await database.migrate(
      [{ name: 'index', up: 'create index notes_by_views on notes (views, id)' }],
      { set: 'index' },
    );
    await notes.insertMany(
      Array.from({ length: 50 }, (_, index) => ({ ...note, id: `${index}`, views: index % 5 })),
    );
    const { next } = await notes.page({}, { orderBy: { views: direction }, limit: 10 });
    let statement = '';
    const unsubscribe = subscribeToOperations({
      end: ({ component, attributes }) => {
        if (component === 'database') statement = String(attributes['statement']);
      },
    });
    await notes.page({}, { orderBy: { views: direction }, limit: 10, after: next });
    unsubscribe();
    const parameters = Array.from(statement.matchAll(/\?/g), () => 1);
    const plan = database.native.writer
      .prepare(`explain query plan ${statement}`)
      .all(...parameters);
    expect(plan.map(({ detail }) => detail)).toEqual([
      expect.stringMatching(/^SEARCH notes USING INDEX notes_by_views \(views[<>]/),
    ]);
  },
);
