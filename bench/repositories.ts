import { rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { sqliteDatabase } from 'underpin/database/sqlite';
import { sqlRepository } from 'underpin/repositories/sql';

import type { Bench, BenchCase, OpenCase, PeerModules, Variant } from './harness.ts';
import { temporaryFolder } from './temporary-folder.ts';

interface User {
  id: number;
  name: string;
  email: string;
  age: number;
}

type Find = (id: number) => Promise<User | null | undefined>;

/** A way to find entities by id. `begin` is called at the start of each round, or of each tick's thousand. */
interface Finder {
  readonly id: string;
  readonly begin: () => Find;
}

/** What `peers/repositories/variants.ts` exports. */
interface PeerFinders {
  finders: (makeFile: () => string) => Promise<{ variants: Finder[]; close: () => Promise<void> }>;
}

const users = 10_000;

/** Jumps about in the table, the same for everybody. */
function idAt(index: number): number {
  return ((index * 7919) % users) + 1;
}

function check(user: User | null | undefined, id: number): void {
  if (user?.name !== `name ${id}`) throw new Error(`the wrong entity came back for ${id}`);
}

function makeTable(file: string): string {
  const database = new DatabaseSync(file);
  database.exec(`
    pragma journal_mode = wal;
    pragma synchronous = normal;
    create table user (id integer primary key, name text not null, email text not null, age integer not null);
    begin`);
  const insert = database.prepare('insert into user (id, name, email, age) values (?, ?, ?, ?)');
  for (let id = 1; id <= users; id += 1)
    insert.run(id, `name ${id}`, `mail${id}@example.com`, id % 90);
  database.exec('commit');
  database.close();
  return file;
}

async function open(peers: PeerModules, toVariant: (finder: Finder) => Variant): Promise<OpenCase> {
  const folder = await temporaryFolder();
  let made = 0;
  const makeFile = (): string => {
    made += 1;
    return makeTable(path.join(folder, `${made}.db`));
  };
  const database = sqliteDatabase({ file: makeFile() });
  const repository = sqlRepository<User>({
    database,
    table: 'user',
    columns: { id: 'integer', name: 'text', email: 'text', age: 'integer' },
  });
  const limit = new DatabaseSync(makeFile());
  const select = limit.prepare('select id, name, email, age from user where id = ?');
  const peerModule = (await peers('variants.ts')) as PeerFinders | undefined;
  const peerFinders = await peerModule?.finders(makeFile);
  const finders: Finder[] = [
    { id: 'underpin', begin: () => async (id) => await repository.findById(id) },
    { id: 'limit', begin: () => async (id) => select.get(id) as User | undefined },
    ...(peerFinders?.variants ?? []),
  ];
  return {
    variants: finders.map((finder) => toVariant(finder)),
    async close() {
      await peerFinders?.close();
      await database.close();
      limit.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const cases: readonly BenchCase[] = [
  {
    id: 'sqlite-find-by-id',
    unit: 'ops/s',
    count: 5000,
    goals: ['mikro-orm', 'typeorm', 'drizzle'].map((against) => ({ against, ratioAtLeast: 3 })),
    open: async (peers) =>
      await open(peers, ({ id, begin }) => ({
        id,
        async run(count) {
          for (let index = 0; index < count; index += 1)
            check(await begin()(idAt(index)), idAt(index));
        },
      })),
  },
  {
    id: 'sqlite-find-by-id-1000-one-tick',
    unit: 'ops/s',
    count: 5,
    goals: ['mikro-orm', 'typeorm', 'drizzle'].map((against) => ({ against, ratioAtLeast: 5 })),
    open: async (peers) =>
      await open(peers, ({ id, begin }) => ({
        id,
        async run(count) {
          for (let index = 0; index < count; index += 1) {
            const find = begin();
            const ids = Array.from({ length: 1000 }, (_, offset) => idAt(index * 1000 + offset));
            const found = await Promise.all(ids.map(async (each) => await find(each)));
            for (const [offset, user] of found.entries()) check(user, ids[offset] ?? 0);
          }
        },
      })),
  },
];

const bench: Bench = {
  component: 'repositories',
  peerSet: 'repositories',
  notes: [
    '`limit` is a prepared statement of raw `node:sqlite`. Everybody has a file of its own, in memory where the system has such a place, in WAL mode, and checks the entities it finds.',
    '`sqlite-find-by-id` awaits each before the next; MikroORM has a fork for each, as for a request, since within one it reads nothing twice. In `-1000-one-tick` one operation is 1,000 finds begun in one tick, without a hand-written loader, and MikroORM has one fork for them.',
    '`drizzle-prepared` is no repository: a statement written by hand for this one question, and shown for what is still to be gained.',
  ],
  cases,
};

export default bench;
