import { type SchemaModule, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { describe, expect, it } from 'vitest';

import { InfrastructureError } from '../../../core/index.ts';
import { openGallery } from '../../../../test/database/gallery.ts';

describe('kysely on sqlite › the schema builder', () => {
  it('makes a table with constraints that hold', async () => {
    await using gallery = await openGallery();
    const { schema } = gallery.query;
    await schema
      .createTable('frame')
      .ifNotExists()
      .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
      .addColumn('painting_id', 'integer', (column) =>
        column.references('painting.id').onDelete('cascade').notNull(),
      )
      .addColumn('wood', 'text', (column) => column.defaultTo('oak').notNull())
      .addColumn('width', 'integer', (column) => column.check(sql`width > 0`))
      .addColumn('area', 'integer', (column) => column.generatedAlwaysAs(sql`width * 10`).stored())
      .addColumn('made', 'text', (column) => column.defaultTo(sql`current_timestamp`))
      .addUniqueConstraint('frame_wood', ['painting_id', 'wood'])
      .addCheckConstraint('frame_narrow', sql`width < 100`)
      .execute();
    const query = gallery.query.$extendTables<{
      frame: { painting_id: number; wood: string; width: number; area: number };
    }>();
    const insert = query.insertInto('frame');
    await insert.values({ painting_id: 1, width: 2 } as never).execute();
    expect(await query.selectFrom('frame').select(['wood', 'area']).execute()).toEqual([
      { wood: 'oak', area: 20 },
    ]);
    const refused = async (row: object): Promise<unknown> =>
      await insert
        .values(row as never)
        .execute()
        .catch((error: unknown) => InfrastructureError.is(error) && error.details);
    expect(await refused({ painting_id: 1, width: 3 })).toMatchObject({ constraint: 'unique' });
    expect(await refused({ painting_id: 99, width: 3 })).toMatchObject({
      constraint: 'foreign-key',
    });
    expect(await refused({ painting_id: 2, width: 100 })).toMatchObject({ name: 'frame_narrow' });
  });

  it('alters and drops tables, indexes and views', async () => {
    await using gallery = await openGallery();
    const { query } = gallery;
    await query.schema.alterTable('painting').addColumn('year', 'integer').execute();
    await query.schema.alterTable('painting').renameColumn('year', 'painted').execute();
    await query.schema
      .createIndex('painting_title')
      .on('painting')
      .columns(['title', 'painted desc'])
      .unique()
      .where(sql<boolean>`price > 10`)
      .execute();
    await query.schema
      .createView('dear')
      .as(
        query
          .selectFrom('painting')
          .select('title')
          .where(sql<boolean>`price > 60`),
      )
      .execute();
    const views = query.$extendTables<{ dear: { title: string } }>();
    expect(await views.selectFrom('dear').selectAll().orderBy('title').execute()).toEqual([
      { title: 'Dawn' },
      { title: 'Fog' },
    ]);
    await query.schema.dropView('dear').execute();
    await query.schema.dropIndex('painting_title').ifExists().execute();
    await query.schema.alterTable('painting').dropColumn('painted').execute();
    await query.schema.alterTable('visit').renameTo('call').execute();
    await query.schema.dropTable('call').execute();
    const tables = await query.introspection.getTables();
    expect(tables.map(({ name }) => name)).toEqual(['painter', 'painting']);
  });

  it('a temporary table lives inside of a transaction, where the connection is one', async () => {
    await using gallery = await openGallery();
    await gallery.database.transaction(async () => {
      await gallery.query.schema
        .createTable('scratch')
        .temporary()
        .addColumn('n', 'integer')
        .execute();
      const query = gallery.query.$extendTables<{ scratch: { n: number } }>();
      await query.insertInto('scratch').values({ n: 1 }).execute();
      expect(await query.selectFrom('scratch').selectAll().execute()).toEqual([{ n: 1 }]);
    });
  });

  it('create table as takes the rows of a query', async () => {
    await using gallery = await openGallery();
    await gallery.query.schema
      .createTable('copy')
      .as(gallery.query.selectFrom('painter').select(['id', 'name']).where('id', '<', 3))
      .execute();
    const { rows } = await sql`select * from copy`.execute(gallery.query);
    expect(rows).toHaveLength(2);
  });

  it('what a transaction made of the schema goes with it', async () => {
    await using gallery = await openGallery();
    const undone = gallery.query.transaction().execute(async (transaction) => {
      await transaction.schema.createTable('gone').addColumn('n', 'integer').execute();
      throw new RangeError('undo');
    });
    await expect(undone).rejects.toThrow(RangeError);
    const tables = await gallery.query.introspection.getTables();
    expect(tables.map(({ name }) => name)).not.toContain('gone');
  });
});

describe('kysely on sqlite › introspection', () => {
  it('tells tables, views and columns, and that there are no schemas', async () => {
    await using gallery = await openGallery();
    await sql`create view names as select name from painter`.execute(gallery.query);
    const { introspection } = gallery.query;
    expect(await introspection.getSchemas()).toEqual([]);
    const tables = await introspection.getTables();
    expect(tables.map(({ name, isView }) => [name, isView])).toEqual([
      ['names', true],
      ['painter', false],
      ['painting', false],
      ['visit', false],
    ]);
    expect(tables[1]?.columns.slice(0, 3)).toMatchObject([
      { name: 'id', dataType: 'INTEGER', isAutoIncrementing: true },
      { name: 'name', dataType: 'TEXT', isNullable: false, hasDefaultValue: false },
      { name: 'born', dataType: 'INTEGER', isNullable: true },
    ]);
    expect(tables[2]?.columns.at(-1)).toMatchObject({ name: 'tags', hasDefaultValue: true });
  });

  it('plugins do not change what it tells', async () => {
    await using gallery = await openGallery();
    const plugged = gallery.query.withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => ({ ...result, rows: [] }),
    });
    expect(await plugged.introspection.getTables()).toHaveLength(3);
  });
});

describe('kysely on sqlite › Kysely’s own migrator', () => {
  const one = {
    up: async ({ schema }: { schema: SchemaModule }) => {
      await schema.createTable('one').addColumn('n', 'integer').execute();
    },
    down: async ({ schema }: { schema: SchemaModule }) => {
      await schema.dropTable('one').execute();
    },
  };

  it('goes up and down on the instance', async () => {
    await using gallery = await openGallery();
    const migrator = new Migrator({
      db: gallery.query,
      provider: { getMigrations: async () => ({ one }) },
    });
    expect((await migrator.migrateToLatest()).results).toEqual([
      { migrationName: 'one', direction: 'Up', status: 'Success' },
    ]);
    expect((await migrator.migrateToLatest()).results).toEqual([]);
    expect((await migrator.getMigrations())[0]?.executedAt).toBeInstanceOf(Date);
    expect((await migrator.migrateDown()).results).toEqual([
      { migrationName: 'one', direction: 'Down', status: 'Success' },
    ]);
  });

  it('inside of a transaction, what it did goes with it', async () => {
    await using gallery = await openGallery();
    const undone = gallery.database.transaction(async () => {
      const provider = { getMigrations: async () => ({ one }) };
      const { error } = await new Migrator({ db: gallery.query, provider }).migrateToLatest();
      expect(error).toBeUndefined();
      throw new RangeError('undo');
    });
    await expect(undone).rejects.toThrow(RangeError);
    const tables = await gallery.query.introspection.getTables({ withInternalKyselyTables: true });
    expect(tables.map(({ name }) => name)).toEqual(['painter', 'painting', 'visit']);
  });
});
