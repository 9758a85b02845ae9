import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type OperationEvent, subscribeToOperations, systemClock } from '../../core/index.ts';
import { Database } from '../database.ts';
import type { DatabaseDriver } from '../driver.ts';
import { type SqliteDatabase, sqliteDatabase } from '../sqlite/index.ts';
import { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import type { Migration } from './migration.ts';

let database: SqliteDatabase;

beforeEach(() => {
  database = sqliteDatabase({ file: ':memory:' });
});

afterEach(async () => {
  await database.close();
});

const first: Migration = {
  name: '0001-first',
  up: 'create table first (id integer primary key, title text)',
  down: 'drop table first',
};

async function tablesOf({ query }: Pick<Database, 'query'>): Promise<string[]> {
  return (await query.introspection.getTables()).map(({ name }) => name);
}

/** A database that keeps, of a transaction that fails, what was done: as engines do that commit at each change of the schema. */
function withoutTransactionalDdl(): Database {
  const driver = new SqliteDriver({
    file: ':memory:',
    synchronous: 'normal',
    waitTimeout: 500,
    clock: systemClock,
  });
  const begin: DatabaseDriver['begin'] = async (options) => {
    const transaction = await driver.begin(options);
    transaction.rollback = () => transaction.commit();
    return transaction;
  };
  return new Database(
    new Proxy<DatabaseDriver>(driver, {
      get: (_, name) => {
        if (name === 'begin') return begin;
        if (name === 'capabilities') return { ...driver.capabilities, transactionalDdl: false };
        const value: unknown = Reflect.get(driver, name);
        return typeof value === 'function'
          ? (value as (...values: unknown[]) => unknown).bind(driver)
          : value;
      },
    }),
  );
}

describe('database › migrator', () => {
  it('a history of version 0.1 goes on as it is', async () => {
    // As that version made it, and what it recorded.
    await sql`create table underpin_migration (set_name varchar(100) not null, position integer not null, name varchar(200) not null,
      checksum varchar(64), applied_at varchar(30) not null, constraint underpin_migration_key primary key (set_name, position))`.execute(
      database.query,
    );
    await sql`insert into underpin_migration values ('app', 0, '0001-first', '9abc1532bdd019de6ba0138d04369fc519ca12062adaa57dc3082a266b8f2e28', '2026-01-02T03:04:05.678Z'),
      ('app', 1, '0002-second', null, '2026-01-02T03:04:05.678Z')`.execute(database.query);
    await sql`create table first (id integer primary key, title text)`.execute(database.query);
    const second: Migration = { name: '0002-second', up: async () => undefined };
    const third: Migration = {
      name: '0003-third',
      up: 'alter table first add column year integer',
    };
    expect(await database.migrate([first, second])).toEqual({ applied: [] });
    expect(await tablesOf(database)).not.toContain('underpin_schema');
    expect((await database.migrator([first, second]).status()).drift).toEqual([]);
    expect(await database.migrate([first, second, third])).toEqual({ applied: ['0003-third'] });
  });

  it('one that fails where the schema cannot be undone says at which statement, what stayed and what to do', async () => {
    await using other = withoutTransactionalDdl();
    const broken: Migration = {
      name: '0002-broken',
      up: async (query) => {
        await sql`create table half (id integer)`.execute(query);
        await sql`insert into nowhere values (1)`.execute(query);
      },
    };
    await expect(other.migrate([first, broken])).rejects.toMatchObject({
      code: 'invalid-argument',
      outcome: 'unknown',
      retryable: false,
      message: expect.stringMatching(
        /^migration "0002-broken" failed at its statement 2: .*may have stayed.*by hand/,
      ),
      details: { migration: '0002-broken', statement: 2 },
    });
    expect(await tablesOf(other)).toContain('half');
    const { migrations } = await other.migrator([first, broken]).status();
    expect(migrations.map(({ state }) => state)).toEqual(['applied', 'pending']);
  });

  it('a dry run where the schema cannot be undone executes no statement of a function', async () => {
    await using other = withoutTransactionalDdl();
    const reading: Migration = {
      name: '0002-reading',
      up: async (query) => {
        await sql`create table half (id integer)`.execute(query);
        const { rows } = await sql`select id from first`.execute(query);
        for (const row of rows) await sql`insert into half values (${row})`.execute(query);
      },
    };
    const plan = await other.migrator([first, reading]).plan('up');
    expect(plan).toEqual([
      {
        name: '0001-first',
        direction: 'up',
        statements: [{ sql: first.up, parameters: [] }],
        isExact: true,
      },
      {
        name: '0002-reading',
        direction: 'up',
        statements: [
          { sql: 'create table half (id integer)', parameters: [] },
          { sql: 'select id from first', parameters: [] },
        ],
        isExact: false,
      },
    ]);
    expect(await tablesOf(other)).toEqual([]);
  });

  it('a dry run that fails says which migration, and changes nothing', async () => {
    const broken: Migration = {
      name: '0002-broken',
      up: async (query) => await sql`insert into nowhere values (1)`.execute(query),
    };
    await expect(database.migrator([first, broken]).plan('up')).rejects.toMatchObject({
      code: 'invalid-argument',
      outcome: 'not-applied',
      message: expect.stringContaining('the dry run of migration "0002-broken" failed'),
    });
    expect(await tablesOf(database)).toEqual([]);
  });

  it('a function may use transactions of the query builder and stream, dry too', async () => {
    const nested: Migration = {
      name: '0002-nested',
      up: async (query) => {
        const typed = query.$extendTables<{ first: { id: number; title: string } }>();
        await typed.transaction().execute(async (transaction) => {
          await transaction.insertInto('first').values({ id: 1, title: 'a' }).execute();
        });
        for await (const { id } of typed.selectFrom('first').select('id').stream())
          await typed
            .insertInto('first')
            .values({ id: id + 1, title: 'b' })
            .execute();
      },
    };
    const migrator = database.migrator([first, nested]);
    const [, plan] = await migrator.plan('up');
    expect(plan?.statements).toHaveLength(3);
    expect(await migrator.up()).toEqual({ applied: ['0001-first', '0002-nested'] });
    const { rows } = await sql`select id from first`.execute(database.query);
    expect(rows).toEqual([{ id: 1 }, { id: 2 }]);
  });

  it('an abort ends it, with what was under way undone', async () => {
    const controller = new AbortController();
    const aborting: Migration = {
      name: '0002-aborting',
      up: async (query) => {
        await sql`create table half (id integer)`.execute(query);
        controller.abort();
        await sql`create table other (id integer)`.execute(query);
      },
    };
    await expect(
      database.migrate([first, aborting], { signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(await tablesOf(database)).toEqual(['first', 'underpin_migration', 'underpin_schema']);
  });

  it('each call is one operation, which names the set', async () => {
    const events: OperationEvent[] = [];
    const stop = subscribeToOperations({
      end: (event) => {
        if (['migrate', 'rollback', 'migrationStatus', 'migrationPlan'].includes(event.operation))
          events.push(event);
      },
    });
    const migrator = database.migrator([first], { set: 'shop' });
    await migrator.plan('up');
    await migrator.up();
    await migrator.status();
    await migrator.down();
    stop();
    expect(events.map(({ operation, attributes }) => [operation, attributes['set']])).toEqual([
      ['migrationPlan', 'shop'],
      ['migrate', 'shop'],
      ['migrationStatus', 'shop'],
      ['rollback', 'shop'],
    ]);
  });
});
