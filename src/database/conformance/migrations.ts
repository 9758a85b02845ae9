import assert from 'node:assert/strict';

import { type Kysely, sql } from 'kysely';

import type { Migration } from '../migrations/migration.ts';
import { type DatabaseCase, type DatabaseSubject, rejectsWith } from './subject.ts';

const first: Migration = {
  name: '0001-first',
  up: 'create table first_table (id integer)',
  down: 'drop table first_table',
};
const second: Migration = {
  name: '0002-second',
  up: async (query) => {
    await query.schema.createTable('second_table').addColumn('id', 'integer').execute();
    await query
      .$extendTables<{ second_table: { id: number } }>()
      .insertInto('second_table')
      .values({ id: 7 })
      .execute();
  },
  down: async (query) => await query.schema.dropTable('second_table').execute(),
};
const third: Migration = {
  name: '0003-third',
  up: 'create table third_table (id integer)',
  down: 'drop table third_table',
};
/** Writes what it reads. */
const copying: Migration = {
  name: '0002-copying',
  up: async (query) => {
    const typed = query.$extendTables<{ first_table: { id: number } }>();
    await sql`insert into first_table (id) values (4)`.execute(query);
    for (const { id } of await typed.selectFrom('first_table').select('id').execute())
      await typed
        .insertInto('first_table')
        .values({ id: id + 1 })
        .execute();
  },
};
/** A history that changes what it made. */
const list: readonly Migration[] = [
  {
    name: '0001-books',
    up: 'create table book (id integer primary key, title varchar(100) not null); create index book_by_title on book (title)',
  },
  { name: '0002-shelves', up: 'create table shelf (id integer primary key)' },
  {
    name: '0003-years',
    up: 'alter table book add column year integer',
    down: 'alter table book drop column year',
  },
];
const broken: Migration = {
  name: '0003-broken',
  up: 'create table third_table (id integer); insert into nowhere (id) values (1)',
};

async function run({ query }: DatabaseSubject, text: string): Promise<void> {
  await sql.raw(text).execute(query);
}

async function tables({ query }: DatabaseSubject): Promise<string[]> {
  const found = await query.introspection.getTables();
  return found
    .map(({ name }) => name)
    .filter((name) => name.endsWith('_table'))
    .toSorted();
}

/** Migrations: up, down, status, drift and dry runs. */
export const migrationCases: readonly DatabaseCase[] = [
  {
    id: 'migrate › applies each once, in order, text or function',
    run: async (database) => {
      assert.deepEqual(await database.migrate([first]), { applied: ['0001-first'] });
      assert.deepEqual(await database.migrate([first, second]), { applied: ['0002-second'] });
      assert.deepEqual(await database.migrate([first, second]), { applied: [] });
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › several at the same time apply each once',
    run: async (database) => {
      const results = await Promise.all(
        [1, 2, 3, 4].map(async () => await database.migrate([first, second])),
      );
      assert.deepEqual(results.flatMap(({ applied }) => applied).toSorted(), [
        '0001-first',
        '0002-second',
      ]);
    },
  },
  {
    id: 'migrate › one that was edited, removed or moved is refused',
    run: async (database) => {
      await database.migrate([first, second]);
      const edited = { ...first, up: 'create table first_table (id integer, extra integer)' };
      assert.match(
        (await rejectsWith(database.migrate([edited, second]), 'failed-precondition')).message,
        /0001-first.*edited/,
      );
      assert.match(
        (
          await rejectsWith(
            database.migrate([{ ...first, name: '0001-other' }, second]),
            'failed-precondition',
          )
        ).message,
        /0001-first.*missing/,
      );
      assert.match(
        (await rejectsWith(database.migrate([second, first]), 'failed-precondition')).message,
        /0001-first.*number 1 and now is number 2/,
      );
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › a database that is ahead of the list is accepted',
    run: async (database) => {
      await database.migrate([first, second]);
      assert.deepEqual(await database.migrate([first]), { applied: [] });
    },
  },
  {
    id: 'migrate › line endings do not count as an edit',
    run: async (database) => {
      await database.migrate([{ name: '1', up: 'create table first_table\n(id integer)' }]);
      assert.deepEqual(
        await database.migrate([{ name: '1', up: 'create table first_table\r\n(id integer)\r\n' }]),
        { applied: [] },
      );
    },
  },
  {
    id: 'migrate › each set has a history of its own',
    run: async (database) => {
      await database.migrate([first]);
      assert.deepEqual(
        await database.migrate([{ ...second, name: '0001-first' }], { set: 'other' }),
        { applied: ['0001-first'] },
      );
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › one that fails leaves the schema as it was, and those before it applied',
    requires: ['transactionalDdl'],
    run: async (database) => {
      const error = await rejectsWith(database.migrate([first, broken]), 'invalid-argument');
      assert.match(error.message, /0003-broken/);
      assert.deepEqual(await tables(database), ['first_table']);
      assert.deepEqual(await database.migrate([first, second]), { applied: ['0002-second'] });
    },
    unsupported: async (database) => {
      const error = await rejectsWith(database.migrate([first, broken]), 'invalid-argument');
      assert.match(error.message, /0003-broken.* at its statement 2: /);
      assert.equal(error.details['statement'], 2);
      assert.deepEqual(await database.migrate([first]), { applied: [] });
    },
  },
  {
    id: 'migrate › two of one name, and a call inside of a transaction, are refused',
    run: async (database) => {
      await rejectsWith(database.migrate([first, first]), 'invalid-argument');
      await rejectsWith(
        database.transaction(async () => await database.migrate([first])),
        'failed-precondition',
      );
      assert.deepEqual(await tables(database), []);
    },
  },
  {
    id: 'migrate › up to one that is named, and no further',
    run: async (database) => {
      const migrator = database.migrator([first, second, third]);
      assert.deepEqual(await migrator.up({ to: '0002-second' }), {
        applied: ['0001-first', '0002-second'],
      });
      assert.deepEqual(await migrator.up({ to: '0001-first' }), { applied: [] });
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › a name that is not in the list is not-found, with the nearest that is',
    run: async (database) => {
      const migrator = database.migrator([first, second]);
      const up = await rejectsWith(migrator.up({ to: '0002-secnd' }), 'not-found');
      assert.match(up.message, /"0002-secnd".*did you mean "0002-second"/);
      await migrator.up();
      await rejectsWith(migrator.down({ to: 'zero' }), 'not-found');
      assert.deepEqual(await tables(database), ['first_table', 'second_table']);
    },
  },
  {
    id: 'migrate › down reverts the last one, a number of them, or all after one that is named',
    run: async (database) => {
      const migrator = database.migrator([first, second, third]);
      await migrator.up();
      assert.deepEqual(await migrator.down(), { reverted: ['0003-third'] });
      await migrator.up();
      assert.deepEqual(await migrator.down({ steps: 2 }), {
        reverted: ['0003-third', '0002-second'],
      });
      assert.deepEqual(await tables(database), ['first_table']);
      await migrator.up();
      assert.deepEqual(await migrator.down({ to: '0001-first' }), {
        reverted: ['0003-third', '0002-second'],
      });
      await rejectsWith(migrator.down({ to: '0002-second' }), 'failed-precondition');
      assert.deepEqual(await migrator.down({ steps: 9 }), { reverted: ['0001-first'] });
      assert.deepEqual(await tables(database), []);
      assert.deepEqual(await migrator.down(), { reverted: [] });
      await rejectsWith(migrator.down({ steps: 0 }), 'invalid-argument');
      await rejectsWith(migrator.down({ steps: 1, to: '0001-first' }), 'invalid-argument');
    },
  },
  {
    id: 'migrate › down reverts nothing when one of them has no down, or is of a newer version',
    run: async (database) => {
      const forever: Migration = {
        name: '0002-forever',
        up: 'create table second_table (id integer)',
      };
      await database.migrate([first, forever, third]);
      const error = await rejectsWith(
        database.migrator([first, forever, third]).down({ steps: 3 }),
        'failed-precondition',
      );
      assert.match(error.message, /0002-forever.*no down/);
      const older = await rejectsWith(
        database.migrator([first, forever]).down(),
        'failed-precondition',
      );
      assert.match(older.message, /0003-third.*newer version/);
      assert.deepEqual(await tables(database), ['first_table', 'second_table', 'third_table']);
    },
  },
  {
    id: 'migrate › several that revert the same at the same time revert it once',
    run: async (database) => {
      const migrator = database.migrator([first, second, third]);
      await migrator.up();
      const results = await Promise.all(
        [1, 2, 3].map(async () => await migrator.down({ to: '0001-first' })),
      );
      assert.deepEqual(results.flatMap(({ reverted }) => reverted).toSorted(), [
        '0002-second',
        '0003-third',
      ]);
      assert.deepEqual(await tables(database), ['first_table']);
    },
  },
  {
    id: 'migrate › status tells what was applied and when, and what is pending, edited, moved, missing or ahead',
    run: async (database) => {
      const states = async (list: readonly Migration[]): Promise<string[]> => {
        const { migrations } = await database.migrator(list).status();
        return migrations.map(({ name, state }) => `${name} ${state}`);
      };
      assert.deepEqual(await states([first]), ['0001-first pending']);
      assert.deepEqual(await tables(database), []);
      await database.migrate([first, third]);
      const edited = { ...first, up: 'create table other_table (id integer)' };
      const { migrations } = await database.migrator([first, third]).status();
      assert.match(migrations[0]?.appliedAt ?? '', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.deepEqual(await states([edited, third, second]), [
        '0001-first edited',
        '0003-third applied',
        '0002-second pending',
      ]);
      assert.deepEqual(await states([third, first]), ['0001-first moved', '0003-third moved']);
      assert.deepEqual(await states([first]), ['0001-first applied', '0003-third ahead']);
      assert.deepEqual(await states([{ ...first, name: '0001-other' }, third]), [
        '0001-first missing',
        '0003-third applied',
        '0001-other pending',
      ]);
    },
  },
  {
    id: 'migrate › drift of the live schema is named, and that of tables of nobody is none',
    run: async (database) => {
      const migrator = database.migrator(list);
      const drift = async (): Promise<readonly string[]> =>
        (await migrator.status()).drift.map(({ message }) => message);
      await migrator.up({ to: '0002-shelves' });
      assert.deepEqual(await drift(), []);
      await run(database, 'create table other_table (id integer)');
      assert.deepEqual(await drift(), []);
      await run(database, 'alter table book add column subtitle varchar(20)');
      await run(
        database,
        `drop index book_by_title${database.adapter === 'mysql' ? ' on book' : ''}`,
      );
      await run(database, 'drop table shelf');
      const found = await drift();
      assert.equal(found.length, 3, found.join('; '));
      assert.match(found[0] ?? '', /^table book: index book_by_title is gone$/);
      assert.match(
        found[1] ?? '',
        /^table book: column subtitle was added \(varchar|^table book: column subtitle was added \(character varying/,
      );
      assert.equal(found[2], 'table shelf is gone');
    },
  },
  {
    id: 'migrate › drift hinders nobody who did not ask, is refused on demand, and stays one until it is accepted',
    run: async (database) => {
      const migrator = database.migrator(list);
      await migrator.up({ to: '0002-shelves' });
      await run(database, 'alter table book add column subtitle varchar(20)');
      const error = await rejectsWith(migrator.up({ drift: 'refuse' }), 'failed-precondition');
      assert.match(
        error.message,
        /"0003-years" was not run: table book: column subtitle was added/,
      );
      assert.deepEqual(await migrator.up({ to: '0002-shelves', drift: 'refuse' }), { applied: [] });
      // It changes the very table that drifted.
      assert.deepEqual(await migrator.up(), { applied: ['0003-years'] });
      assert.equal((await migrator.status()).drift.length, 1);
      await rejectsWith(migrator.down({ drift: 'refuse' }), 'failed-precondition');
      await migrator.up({ drift: 'accept' });
      assert.deepEqual((await migrator.status()).drift, []);
      assert.deepEqual(await migrator.down({ drift: 'refuse' }), { reverted: ['0003-years'] });
      assert.deepEqual((await migrator.status()).drift, []);
    },
  },
  {
    id: 'migrate › one set that changes a table of another is no drift of that',
    run: async (database) => {
      await database.migrate(list.slice(0, 2));
      await database.migrate([{ name: '1', up: 'alter table book add column place varchar(20)' }], {
        set: 'other',
      });
      assert.deepEqual((await database.migrator(list).status()).drift, []);
      await run(database, 'alter table book add column subtitle varchar(20)');
      assert.equal((await database.migrator(list).status()).drift.length, 1);
      assert.equal((await database.migrator([], { set: 'other' }).status()).drift.length, 1);
    },
  },
  {
    id: 'migrate › a history without a record of the schema goes on, and is watched from the next migration on',
    run: async (database) => {
      await database.migrate(list.slice(0, 2));
      // As the first version of this library left it.
      await run(database, 'drop table underpin_schema');
      const migrator = database.migrator(list);
      assert.deepEqual((await migrator.status()).drift, []);
      assert.deepEqual(await database.migrate(list.slice(0, 2)), { applied: [] });
      assert.deepEqual(await migrator.up({ drift: 'refuse' }), { applied: ['0003-years'] });
      assert.deepEqual((await migrator.status()).drift, []);
      await run(database, 'alter table book add column subtitle varchar(20)');
      assert.equal((await migrator.status()).drift.length, 1);
    },
  },
  {
    id: 'migrate › a dry run gives the statements and changes nothing, up and down',
    run: async (database) => {
      const migrator = database.migrator([first, second, third]);
      const snapshot = async (): Promise<unknown> => [
        await database.dialect.describeSchema(database.query as unknown as Kysely<unknown>),
        await migrator.status(),
      ];
      const empty = await snapshot();
      const up = await migrator.plan('up');
      assert.deepEqual(
        up.map(({ name, statements }) => [name, statements.length]),
        [
          ['0001-first', 1],
          ['0002-second', 2],
          ['0003-third', 1],
        ],
      );
      assert.deepEqual(up[0]?.statements, [{ sql: first.up, parameters: [] }]);
      assert.match(up[1]?.statements[0]?.sql ?? '', /create table .second_table./);
      assert.deepEqual(up[1]?.statements[1]?.parameters, [7]);
      assert.deepEqual(await snapshot(), empty);
      await migrator.up({ to: '0002-second' });
      const applied = await snapshot();
      assert.deepEqual(
        (await migrator.plan('up')).map(({ name }) => name),
        ['0003-third'],
      );
      const down = await migrator.plan('down', { steps: 2 });
      assert.deepEqual(
        down.map(({ name, direction }) => [name, direction]),
        [
          ['0002-second', 'down'],
          ['0001-first', 'down'],
        ],
      );
      assert.match(down[0]?.statements[0]?.sql ?? '', /drop table .second_table./);
      assert.deepEqual(await snapshot(), applied);
      await rejectsWith(migrator.plan('up', { to: 'nowhere' }), 'not-found');
    },
  },
  {
    id: 'migrate › a dry run of a function finds what came before it',
    requires: ['transactionalDdl'],
    run: async (database) => {
      await database.migrate([first]);
      const [plan] = await database.migrator([first, copying]).plan('up');
      assert.equal(plan?.isExact, true);
      assert.deepEqual(
        plan.statements.map(({ parameters }) => parameters),
        [[], [], [5]],
      );
    },
    unsupported: async (database) => {
      await database.migrate([first]);
      const [plan] = await database.migrator([first, copying]).plan('up');
      assert.equal(plan?.isExact, false);
      assert.equal(plan.statements.length, 2);
    },
  },
];
