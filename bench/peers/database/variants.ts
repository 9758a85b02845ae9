// Written after each peer's own documentation: as it comes, and in the fastest way that it describes.

import Sqlite from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely';

const user = sqliteTable('user', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email').notNull(),
  age: integer('age').notNull(),
});

const inserted = sqliteTable('inserted', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email').notNull(),
  age: integer('age').notNull(),
});

const columns = { id: user.id, name: user.name, email: user.email, age: user.age };

function open(file) {
  const database = new Sqlite(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = normal');
  return database;
}

function openKysely(file) {
  return new Kysely({ dialect: new SqliteDialect({ database: open(file) }) });
}

function check(row, id) {
  if (row?.name !== `name ${id}`) throw new Error(`the wrong row came back for ${id}`);
}

function selecting(id, idAt, select) {
  return {
    id,
    async run(count) {
      for (let index = 0; index < count; index += 1) check(await select(idAt(index)), idAt(index));
    },
  };
}

export function pointSelect(makeFile, idAt) {
  const kysely = openKysely(makeFile());
  const drizzled = drizzle(open(makeFile()));
  return [
    selecting(
      'kysely-better-sqlite3',
      idAt,
      async (id) =>
        await kysely
          .selectFrom('user')
          .select(['id', 'name', 'email', 'age'])
          .where('id', '=', id)
          .executeTakeFirst(),
    ),
    selecting('drizzle', idAt, (id) =>
      drizzled.select(columns).from(user).where(eq(user.id, id)).get(),
    ),
  ];
}

export function pointSelectPrepared(makeFile, idAt) {
  const kysely = openKysely(makeFile());
  const compiled = kysely
    .selectFrom('user')
    .select(['id', 'name', 'email', 'age'])
    .where('id', '=', 0)
    .compile();
  const drizzled = drizzle(open(makeFile()));
  const prepared = drizzled
    .select(columns)
    .from(user)
    .where(eq(user.id, sql.placeholder('id')))
    .prepare();
  return [
    selecting(
      'kysely-better-sqlite3-compiled',
      idAt,
      async (id) =>
        (await kysely.executeQuery({ ...compiled, parameters: [id] } satisfies CompiledQuery))
          .rows[0],
    ),
    selecting('drizzle-prepared', idAt, (id) => prepared.get({ id })),
  ];
}

export function insertTransaction(makeFile, rows) {
  const kysely = openKysely(makeFile());
  const drizzled = drizzle(open(makeFile()));
  const prepared = drizzled
    .insert(inserted)
    .values({
      name: sql.placeholder('name'),
      email: sql.placeholder('email'),
      age: sql.placeholder('age'),
    })
    .prepare();
  const resetKysely = async () => void (await kysely.deleteFrom('inserted').execute());
  const resetDrizzle = () => void drizzled.delete(inserted).run();
  const repeat = (fn) => async (count) => {
    for (let index = 0; index < count; index += 1) await fn();
  };
  return [
    {
      id: 'kysely-better-sqlite3',
      reset: resetKysely,
      run: repeat(
        async () =>
          await kysely.transaction().execute(async (transaction) => {
            for (const row of rows) await transaction.insertInto('inserted').values(row).execute();
          }),
      ),
    },
    {
      id: 'kysely-better-sqlite3-values',
      reset: resetKysely,
      run: repeat(async () => await kysely.insertInto('inserted').values(rows).execute()),
    },
    {
      id: 'drizzle',
      reset: resetDrizzle,
      run: repeat(() =>
        drizzled.transaction((transaction) => {
          for (const row of rows) transaction.insert(inserted).values(row).run();
        }),
      ),
    },
    {
      id: 'drizzle-values',
      reset: resetDrizzle,
      run: repeat(() =>
        drizzled
          .insert(inserted)
          .values([...rows])
          .run(),
      ),
    },
    {
      id: 'drizzle-prepared',
      reset: resetDrizzle,
      run: repeat(() =>
        drizzled.transaction(() => {
          for (const row of rows) prepared.run(row);
        }),
      ),
    },
  ];
}
