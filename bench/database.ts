import { rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { Parameter } from 'underpin/database';
import { sqliteDatabase } from 'underpin/database/sqlite';

import type { Bench, BenchCase, PeerModules, Variant } from './harness.ts';
import { temporaryFolder } from './temporary-folder.ts';

interface User {
  id: number;
  name: string;
  email: string;
  age: number;
}

interface Schema {
  user: User;
  /** `user` without an id of its own. */
  inserted: Omit<User, 'id'>;
}

/** What `peers/database/variants.ts` exports: each makes its variants on a file of its own. */
interface PeerVariants {
  pointSelect: (makeFile: () => string, idAt: (index: number) => number) => Variant[];
  pointSelectPrepared: (makeFile: () => string, idAt: (index: number) => number) => Variant[];
  insertTransaction: (makeFile: () => string, rows: readonly Omit<User, 'id'>[]) => Variant[];
}

const users = 10_000;

/** Jumps about in the table, the same for everybody. */
function idAt(index: number): number {
  return ((index * 7919) % users) + 1;
}

const newRows = Array.from({ length: 1000 }, (_, index) => ({
  name: `name ${index}`,
  email: `mail${index}@example.com`,
  age: index % 90,
}));

/** Makes files with the same table in it. */
async function files(): Promise<{ makeFile: () => string; remove: () => Promise<void> }> {
  const folder = await temporaryFolder();
  let made = 0;
  return {
    makeFile() {
      made += 1;
      const file = path.join(folder, `${made}.db`);
      const database = new DatabaseSync(file);
      database.exec(`
        pragma journal_mode = wal;
        pragma synchronous = normal;
        create table user (id integer primary key, name text not null, email text not null, age integer not null);
        create table inserted (id integer primary key, name text not null, email text not null, age integer not null);
        begin`);
      const insert = database.prepare(
        'insert into user (id, name, email, age) values (?, ?, ?, ?)',
      );
      for (let id = 1; id <= users; id += 1)
        insert.run(id, `name ${id}`, `mail${id}@example.com`, id % 90);
      database.exec('commit');
      database.close();
      return file;
    },
    remove: async () => {
      await rm(folder, { recursive: true });
    },
  };
}

function openLimit(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  database.exec('pragma synchronous = normal');
  return database;
}

function check(user: { readonly name: string } | undefined, id: number): void {
  if (user?.name !== `name ${id}`) throw new Error(`the wrong row came back for ${id}`);
}

async function peerVariants(peers: PeerModules): Promise<PeerVariants | undefined> {
  return (await peers('variants.ts')) as PeerVariants | undefined;
}

function limitSelect(file: string): Variant {
  const select = openLimit(file).prepare('select id, name, email, age from user where id = ?');
  return {
    id: 'limit',
    run(count) {
      for (let index = 0; index < count; index += 1)
        check(select.get(idAt(index)) as User | undefined, idAt(index));
    },
  };
}

const cases: readonly BenchCase[] = [
  {
    id: 'sqlite-point-select',
    unit: 'ops/s',
    count: 20_000,
    goals: [
      { against: 'limit', ratioAtLeast: 0.35 },
      { against: 'kysely-better-sqlite3', ratioAtLeast: 2.5 },
    ],
    async open(peers) {
      const { makeFile, remove } = await files();
      const database = sqliteDatabase<Schema>({ file: makeFile() });
      return {
        variants: [
          {
            id: 'underpin',
            async run(count) {
              for (let index = 0; index < count; index += 1) {
                const id = idAt(index);
                const select = database.query
                  .selectFrom('user')
                  .select(['id', 'name', 'email', 'age']);
                check(await select.where('id', '=', id).executeTakeFirst(), id);
              }
            },
          },
          limitSelect(makeFile()),
          ...((await peerVariants(peers))?.pointSelect(makeFile, idAt) ?? []),
        ],
        async close() {
          await database.close();
          await remove();
        },
      };
    },
  },
  {
    id: 'sqlite-point-select-prepared',
    unit: 'ops/s',
    count: 20_000,
    goals: [{ against: 'limit', ratioAtLeast: 0.55 }],
    async open(peers) {
      const { makeFile, remove } = await files();
      const database = sqliteDatabase<Schema>({ file: makeFile() });
      const userById = database.prepare((query, parameter: Parameter<{ id: number }>) =>
        query
          .selectFrom('user')
          .select(['id', 'name', 'email', 'age'])
          .where('id', '=', parameter('id')),
      );
      return {
        variants: [
          {
            id: 'underpin',
            async run(count) {
              for (let index = 0; index < count; index += 1) {
                const id = idAt(index);
                check(await userById.executeTakeFirst({ id }), id);
              }
            },
          },
          limitSelect(makeFile()),
          ...((await peerVariants(peers))?.pointSelectPrepared(makeFile, idAt) ?? []),
        ],
        async close() {
          await database.close();
          await remove();
        },
      };
    },
  },
  {
    id: 'sqlite-insert-1000-tx',
    unit: 'ops/s',
    count: 20,
    goals: [{ against: 'limit', ratioAtLeast: 0.5 }],
    async open(peers) {
      const { makeFile, remove } = await files();
      const database = sqliteDatabase<Schema>({ file: makeFile() });
      const insert = database.prepare((query, parameter: Parameter<Schema['inserted']>) =>
        query
          .insertInto('inserted')
          .values({ name: parameter('name'), email: parameter('email'), age: parameter('age') }),
      );
      const limit = openLimit(makeFile());
      const limitInsert = limit.prepare('insert into inserted (name, email, age) values (?, ?, ?)');
      const reset = async (): Promise<void> => {
        await database.query.deleteFrom('inserted').execute();
      };
      return {
        variants: [
          {
            id: 'underpin',
            reset,
            async run(count) {
              for (let index = 0; index < count; index += 1) await insert.executeMany(newRows);
            },
          },
          {
            id: 'underpin-one-by-one',
            reset,
            async run(count) {
              for (let index = 0; index < count; index += 1) {
                await database.transaction(async () => {
                  for (const row of newRows) await insert.execute(row);
                });
              }
            },
          },
          {
            id: 'underpin-builder-values',
            reset,
            async run(count) {
              for (let index = 0; index < count; index += 1)
                await database.query.insertInto('inserted').values(newRows).execute();
            },
          },
          {
            id: 'limit',
            reset: () => {
              limit.exec('delete from inserted');
            },
            run(count) {
              for (let index = 0; index < count; index += 1) {
                limit.exec('begin immediate');
                for (const { name, email, age } of newRows) limitInsert.run(name, email, age);
                limit.exec('commit');
              }
            },
          },
          ...((await peerVariants(peers))?.insertTransaction(makeFile, newRows) ?? []),
        ],
        async close() {
          await database.close();
          limit.close();
          await remove();
        },
      };
    },
  },
  {
    id: 'sqlite-stream-10000',
    unit: 'ops/s',
    count: 10,
    goals: [],
    async open() {
      const { makeFile, remove } = await files();
      const database = sqliteDatabase<Schema>({ file: makeFile() });
      const limit = openLimit(makeFile()).prepare('select id, name, email, age from user');
      const all = database.query.selectFrom('user').select(['id', 'name', 'email', 'age']);
      const counted = (rows: number): void => {
        if (rows !== users) throw new Error(`${rows} rows came back`);
      };
      return {
        variants: [
          {
            id: 'underpin',
            async run(count) {
              for (let index = 0; index < count; index += 1) {
                let rows = 0;
                for await (const { id } of all.stream(500)) rows += id > 0 ? 1 : 0;
                counted(rows);
              }
            },
          },
          {
            id: 'limit',
            run(count) {
              for (let index = 0; index < count; index += 1) {
                let rows = 0;
                for (const row of limit.iterate()) rows += Number(row['id']) > 0 ? 1 : 0;
                counted(rows);
              }
            },
          },
        ],
        async close() {
          await database.close();
          await remove();
        },
      };
    },
  },
];

const bench: Bench = {
  component: 'database',
  peerSet: 'database',
  notes: [
    '`limit` is a loop on prepared statements of raw `node:sqlite`. Everybody has a file of its own, in memory where the system has such a place, in WAL mode with `synchronous = normal`, and checks the rows it reads.',
    'In `sqlite-insert-1000-tx` one operation is a transaction of 1,000 rows: `underpin` by `executeMany` of a prepared query, `-one-by-one` by awaiting each, `-builder-values` by one statement of all rows.',
    'In `sqlite-stream-10000` one operation is a stream of 10,000 rows, in chunks of 500, each of which gives way to other work.',
  ],
  cases,
};

export default bench;
