// Written after each peer's own documentation: as it comes, and in the fastest way that it describes.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { PrismaPg } from '@prisma/adapter-pg';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import postgres from 'postgres';

const person = pgTable('person', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
});

const inserted = pgTable('inserted', {
  key: bigint('key', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey(),
  id: integer('id').notNull(),
  name: text('name').notNull(),
});

const here = import.meta.dirname;

/** Its client is generated from the schema; the engine that it looks for meanwhile is one that only migrations need. */
async function openPrisma(url) {
  if (!existsSync(path.join(here, 'generated', 'client.ts'))) {
    const { status, stderr } = spawnSync(
      process.execPath,
      ['node_modules/prisma/build/index.js', 'generate', '--schema', 'schema.prisma'],
      {
        cwd: here,
        encoding: 'utf8',
        env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1' },
      },
    );
    if (status !== 0) throw new Error(`prisma generate failed: ${stderr}`);
  }
  const { PrismaClient } = await import('./generated/client.ts');
  return new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) });
}

export async function open(url) {
  const js = postgres(url);
  const kysely = new Kysely({
    dialect: new PostgresDialect({ pool: new Pool({ connectionString: url }) }),
  });
  const compiled = kysely.selectFrom('person').select(['id', 'name']).where('id', '=', 0).compile();
  const drizzled = drizzle({ client: new Pool({ connectionString: url }) });
  const preparedSelect = drizzled
    .select()
    .from(person)
    .where(eq(person.id, sql.placeholder('id')))
    .prepare('person_by_id');
  const preparedInsert = drizzled
    .insert(inserted)
    .values({ id: sql.placeholder('id'), name: sql.placeholder('name') })
    .prepare('insert');
  const prisma = await openPrisma(url);
  return {
    selects: {
      'postgres-js': async ({ id }) => (await js`select id, name from person where id = ${id}`)[0],
      kysely: async ({ id }) =>
        await kysely
          .selectFrom('person')
          .select(['id', 'name'])
          .where('id', '=', id)
          .executeTakeFirst(),
      'kysely-compiled': async ({ id }) =>
        (await kysely.executeQuery({ ...compiled, parameters: [id] })).rows[0],
      drizzle: async ({ id }) => (await drizzled.select().from(person).where(eq(person.id, id)))[0],
      'drizzle-prepared': async ({ id }) => (await preparedSelect.execute({ id }))[0],
      prisma: async ({ id }) => await prisma.person.findUnique({ where: { id } }),
    },
    inserts: {
      'postgres-js': async ({ id, name }) =>
        await js`insert into inserted (id, name) values (${id}, ${name})`,
      kysely: async (user) => await kysely.insertInto('inserted').values(user).execute(),
      drizzle: async (user) => await drizzled.insert(inserted).values(user),
      'drizzle-prepared': async (user) => await preparedInsert.execute(user),
      prisma: async (user) => await prisma.inserted.create({ data: user }),
    },
    async close() {
      await prisma.$disconnect();
      await drizzled.$client.end();
      await kysely.destroy();
      await js.end();
    },
  };
}
