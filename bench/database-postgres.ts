import { Kysely, PostgresDialect } from 'kysely';
import { Client, Pool } from 'pg';
import type { Parameter } from 'underpin/database';
import { postgresDatabase } from 'underpin/database/postgres';

import { startServer } from '../test/services/servers.ts';
import type { Bench, BenchCase, PeerModules, Variant } from './harness.ts';

interface User {
  id: number;
  name: string;
}

interface Schema {
  person: User;
  inserted: User;
}

const users = 10_000;
const selectText = 'select id, name from person where id = $1';
const insertText = 'insert into inserted (id, name) values ($1, $2)';
const rows = Array.from({ length: 1000 }, (_, id) => ({ id, name: `name ${id}` }));
const begin = 'begin isolation level serializable';

/** One way to do a case's work once; it gives what was read. */
type Ways = Readonly<Record<string, (user: User) => Promise<unknown>>>;

/** What `peers/database-postgres/variants.ts` exports. */
interface PeerVariants {
  open: (url: string) => Promise<{
    readonly selects: Ways;
    readonly inserts: Ways;
    readonly close: () => Promise<void>;
  }>;
}

interface Clients {
  readonly database: ReturnType<typeof postgresDatabase<Schema>>;
  readonly pool: Pool;
  /** One connection, which sends a statement when the one before it is answered. */
  readonly client: Client;
  /** One connection, which sends all at once. */
  readonly pipelined: Client;
  readonly peers: Awaited<ReturnType<PeerVariants['open']>> | undefined;
}

interface CaseOptions extends Pick<BenchCase, 'id' | 'count' | 'goals'> {
  readonly atOnce: number;
  /** What is counted: time, or the processor's time in this process. */
  readonly counts?: 'cpu';
  readonly ways: (clients: Clients) => Ways;
}

/** A case in which everybody does the same, so many at once, on one server. */
function postgresCase({ id, count, goals, atOnce, counts, ways }: CaseOptions): BenchCase {
  return {
    id,
    unit: counts === 'cpu' ? 'ns' : 'ops/s',
    ...(counts === 'cpu' && { now: processorTime }),
    count,
    goals,
    async open(modules: PeerModules) {
      const server = await startServer('postgres');
      const pool = new Pool({ connectionString: server.url });
      await pool.query(`create table person (id integer primary key, name text not null);
        create table inserted (key bigint generated always as identity primary key, id integer not null, name text not null);
        insert into person select n, 'name ' || n from generate_series(1, ${users}) n; analyze`);
      const database = postgresDatabase<Schema>({ url: server.url });
      const client = new Client(server.url);
      const pipelined = new Client({ connectionString: server.url, pipeline: true });
      await client.connect();
      await pipelined.connect();
      const variants = (await modules('variants.ts')) as PeerVariants | undefined;
      const peers = await variants?.open(server.url);
      const reset = async (): Promise<void> => void (await pool.query('truncate inserted'));
      let calls = 0;
      return {
        variants: Object.entries(ways({ database, pool, client, pipelined, peers })).map(
          ([way, call]): Variant => ({
            id: way,
            reset,
            async run(times) {
              let left = times;
              const work = async (): Promise<void> => {
                while (left > 0) {
                  left -= 1;
                  calls += 1;
                  const number = ((calls * 7919) % users) + 1;
                  await call({ id: number, name: `name ${number}` });
                }
              };
              await Promise.all(Array.from({ length: atOnce }, work));
            },
          }),
        ),
        async close() {
          await peers?.close();
          await database.close();
          await client.end();
          await pipelined.end();
          await pool.end();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  };
}

function processorTime(): bigint {
  const { user, system } = process.cpuUsage();
  return BigInt(user + system) * 1000n;
}

function check(row: unknown, { name }: User): void {
  if ((row as User | undefined)?.name !== name)
    throw new Error(`the wrong row came back for ${name}`);
}

/** Each is held to give the row that was asked for. */
function checked(ways: Ways): Ways {
  return Object.fromEntries(
    Object.entries(ways).map(([id, way]) => [
      id,
      async (user: User) => {
        check(await way(user), user);
      },
    ]),
  );
}

function ownSelects({ database }: Clients): { built: Ways[string]; prepared: Ways[string] } {
  const personById = database.prepare((query, parameter: Parameter<{ id: number }>) =>
    query.selectFrom('person').select(['id', 'name']).where('id', '=', parameter('id')),
  );
  return {
    built: async ({ id }) =>
      await database.query
        .selectFrom('person')
        .select(['id', 'name'])
        .where('id', '=', id)
        .executeTakeFirst(),
    prepared: async ({ id }) => await personById.executeTakeFirst({ id }),
  };
}

const byPool =
  (pool: Pool | Client, name?: string) =>
  async ({ id }: User): Promise<unknown> =>
    (await pool.query({ text: selectText, values: [id], ...(name !== undefined && { name }) }))
      .rows[0] as unknown;

function pointSelects(clients: Clients): Ways {
  const { pool, pipelined, peers } = clients;
  const { built, prepared } = ownSelects(clients);
  return checked({
    underpin: prepared,
    'underpin-builder': built,
    limit: byPool(pool),
    'pg-pool-named': byPool(pool, 'select'),
    'pg-pipelined': byPool(pipelined),
    'pg-pipelined-named': byPool(pipelined, 'select'),
    ...peers?.selects,
  });
}

/** The same statement on one bare client, which cannot do anything else meanwhile. */
function selectsOfOneClient(clients: Clients): Ways {
  const { built, prepared } = ownSelects(clients);
  return checked({ underpin: prepared, 'underpin-builder': built, limit: byPool(clients.client) });
}

function inserts({ database, pool, peers }: Clients): Ways {
  const insert = database.prepare((query, parameter: Parameter<User>) =>
    query.insertInto('inserted').values({ id: parameter('id'), name: parameter('name') }),
  );
  return {
    underpin: async (user) => await insert.execute(user),
    'underpin-builder': async (user) =>
      await database.query.insertInto('inserted').values(user).execute(),
    limit: async ({ id, name }) => await pool.query(insertText, [id, name]),
    'pg-pool-named': async ({ id, name }) =>
      await pool.query({ name: 'insert', text: insertText, values: [id, name] }),
    ...peers?.inserts,
  };
}

function insertTransactions({ database, pool }: Clients): Ways {
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  const insert = database.prepare((query, parameter: Parameter<User>) =>
    query.insertInto('inserted').values({ id: parameter('id'), name: parameter('name') }),
  );
  return {
    underpin: async () => await insert.executeMany(rows),
    'underpin-one-by-one': async () =>
      await database.transaction(async () => {
        for (const row of rows) await insert.execute(row);
      }),
    limit: async () => {
      const client = await pool.connect();
      await client.query(begin);
      for (const { id, name } of rows) await client.query(insertText, [id, name]);
      await client.query('commit');
      client.release();
    },
    'kysely-one-statement': async () => await kysely.insertInto('inserted').values(rows).execute(),
  };
}

const ahead = ['postgres-js', 'prisma', 'kysely', 'drizzle', 'drizzle-prepared'].map((against) => ({
  against,
  ratioAtLeast: 1,
}));
// At most 15% more, as a ratio of the other to ours.
const cpuGoal = { against: 'limit', ratioAtLeast: 0.87 };

const bench: Bench = {
  component: 'database-postgres',
  peerSet: 'database-postgres',
  notes: [
    '`underpin` is a prepared query, `underpin-builder` the same by the builder. `limit` is `pg` by hand, by its pool; the pools of everybody have ten connections, as they come. `pg-pipelined` is one client in its pipeline mode. A private server on the same machine, where waiting for the disk is cheap.',
    'Each peer is as it comes; `-prepared`, `-named` and `-compiled` are as its documentation says is fastest. Prisma runs on `@prisma/adapter-pg`.',
    'The cases `-cpu-` count the processor’s time of this process for one statement, in user and system, and `limit` there is one bare client, which sends a statement when the one before it is answered.',
    'In `postgres-insert-1000-tx` one operation is a transaction of 1,000 rows: `underpin` by `executeMany` of a prepared query, `-one-by-one` and `limit` by awaiting each, `kysely-one-statement` by one statement of all rows.',
  ],
  cases: [
    postgresCase({
      id: 'postgres-point-select',
      count: 2000,
      goals: [{ against: 'limit', ratioAtLeast: 1 }],
      atOnce: 1,
      ways: pointSelects,
    }),
    postgresCase({
      id: 'postgres-point-select-32',
      count: 4000,
      goals: [{ against: 'limit', ratioAtLeast: 2.2 }, ...ahead],
      atOnce: 32,
      ways: pointSelects,
    }),
    postgresCase({
      id: 'postgres-insert-32',
      count: 2000,
      goals: [{ against: 'limit', ratioAtLeast: 1.2 }],
      atOnce: 32,
      ways: inserts,
    }),
    postgresCase({
      id: 'postgres-point-select-cpu-1',
      count: 2000,
      goals: [cpuGoal],
      atOnce: 1,
      counts: 'cpu',
      ways: selectsOfOneClient,
    }),
    postgresCase({
      id: 'postgres-point-select-cpu-32',
      count: 4000,
      goals: [cpuGoal],
      atOnce: 32,
      counts: 'cpu',
      ways: selectsOfOneClient,
    }),
    postgresCase({
      id: 'postgres-insert-1000-tx',
      count: 5,
      goals: [{ against: 'limit', ratioAtLeast: 2 }],
      atOnce: 1,
      ways: insertTransactions,
    }),
  ],
};

export default bench;
