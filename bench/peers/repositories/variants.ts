// Written after each peer's own documentation: as it comes, and in the fastest way that it describes.

import { defineEntity, MikroORM, p } from '@mikro-orm/sqlite';
import Sqlite from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { DataSource, EntitySchema } from 'typeorm';

const drizzleUser = sqliteTable('user', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email').notNull(),
  age: integer('age').notNull(),
});

const MikroUser = defineEntity({
  name: 'User',
  tableName: 'user',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    email: p.string(),
    age: p.integer(),
  },
});

const TypeormUser = new EntitySchema({
  name: 'User',
  tableName: 'user',
  columns: {
    id: { type: 'integer', primary: true },
    name: { type: 'text' },
    email: { type: 'text' },
    age: { type: 'integer' },
  },
});

function openDrizzle(file) {
  const database = new Sqlite(file);
  database.pragma('synchronous = normal');
  return drizzle(database);
}

/** Each gives `begin`, which starts what a request would work with, and gives its way to find an entity by its id. */
export async function finders(makeFile) {
  const drizzled = openDrizzle(makeFile());
  const preparing = openDrizzle(makeFile());
  const prepared = preparing
    .select()
    .from(drizzleUser)
    .where(eq(drizzleUser.id, sql.placeholder('id')))
    .prepare();
  const mikro = await MikroORM.init({ entities: [MikroUser], dbName: makeFile(), debug: false });
  const source = await new DataSource({
    type: 'better-sqlite3',
    database: makeFile(),
    entities: [TypeormUser],
  }).initialize();
  const typeorm = source.getRepository(TypeormUser);
  return {
    variants: [
      {
        id: 'drizzle',
        begin: () => async (id) =>
          drizzled.select().from(drizzleUser).where(eq(drizzleUser.id, id)).get(),
      },
      { id: 'drizzle-prepared', begin: () => async (id) => prepared.get({ id }) },
      {
        id: 'mikro-orm',
        begin: () => {
          // A fork for each request, as its documentation wants; within one, what was found is not read again.
          const entities = mikro.em.fork();
          return async (id) => await entities.findOne(MikroUser, id);
        },
      },
      { id: 'typeorm', begin: () => async (id) => await typeorm.findOneBy({ id }) },
    ],
    async close() {
      await mikro.close();
      await source.destroy();
      drizzled.$client.close();
      preparing.$client.close();
    },
  };
}
