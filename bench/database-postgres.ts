import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import type { Parameter } from 'underpin/database';
import { postgresDatabase } from 'underpin/database/postgres';

import { startServer } from '../test/services/servers.ts';
import type { Bench, BenchCase, Variant } from './harness.ts';

interface User {
  id: number;
  name: string;
}

interface Schema {
  person: User;
  inserted: User;
}

const users = 10_000;
const rows = Array.from({ length: 1000 }, (_, id) => ({ id, name: `name ${id}` }));
const begin = 'begin isolation level serializable';

/** The same way of work for everybody, in this order: ours, by hand on `pg`, and Kysely's own dialect on it. */
interface Ways {
  readonly underpin: () => Promise<unknown>;
  readonly [way: string]: () => Promise<unknown>;
}

interface Clients {
  readonly database: ReturnType<typeof postgresDatabase<Schema>>;
  readonly pool: Pool;
  readonly kysely: Kysely<Schema>;
}

/** A case in which everybody does the same, so many at once, on one server. */
function postgresCase(
  { id, count, goals }: Pick<BenchCase, 'id' | 'count' | 'goals'>,
  atOnce: number,
  ways: (clients: Clients) => Ways,
): BenchCase {
  return {
    id,
    unit: 'ops/s',
    count,
    goals,
    async open() {
      const server = await startServer('postgres');
      const pool = new Pool({ connectionString: server.url });
      const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
      const database = postgresDatabase<Schema>({ url: server.url });
      await pool.query(`create table person (id integer primary key, name text not null);
        create table inserted (id integer not null, name text not null);
        insert into person select n, 'name ' || n from generate_series(1, ${users}) n; analyze`);
      const reset = async (): Promise<void> => void (await pool.query('truncate inserted'));
      return {
        variants: Object.entries(ways({ database, pool, kysely })).map(([way, call]): Variant => ({
          id: way,
          reset,
          async run(times) {
            let left = times;
            const work = async (): Promise<void> => {
              for (; left > 0; await call()) left -= 1;
            };
            await Promise.all(Array.from({ length: atOnce }, work));
          },
        })),
        async close() {
          await database.close();
          await kysely.destroy();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  };
}

function pointSelects({ database, pool, kysely }: Clients): Ways {
  let calls = 0;
  const idAt = (): number => {
    calls += 1;
    return ((calls * 7919) % users) + 1;
  };
  const personById = database.prepare((query, parameter: Parameter<{ id: number }>) =>
    query.selectFrom('person').select(['id', 'name']).where('id', '=', parameter('id')),
  );
  const built = async ({ selectFrom }: Pick<Kysely<Schema>, 'selectFrom'>): Promise<unknown> =>
    await selectFrom('person').select(['id', 'name']).where('id', '=', idAt()).executeTakeFirst();
  return {
    underpin: async () => await built({ selectFrom: (table) => database.query.selectFrom(table) }),
    'underpin-prepared': async () => await personById.executeTakeFirst({ id: idAt() }),
    limit: async () =>
      (await pool.query('select id, name from person where id = $1', [idAt()])).rows[0] as unknown,
    kysely: async () => await built({ selectFrom: (table) => kysely.selectFrom(table) }),
  };
}

function insertTransactions({ database, pool, kysely }: Clients): Ways {
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
      for (const { id, name } of rows)
        await client.query('insert into inserted (id, name) values ($1, $2)', [id, name]);
      await client.query('commit');
      client.release();
    },
    'kysely-one-statement': async () => await kysely.insertInto('inserted').values(rows).execute(),
  };
}

const bench: Bench = {
  component: 'database-postgres',
  notes: [
    '`limit` is `pg` by hand, by its pool; `kysely` is its own dialect on that pool. A private server on the same machine, which does not wait for the disk.',
    'In `postgres-insert-1000-tx` one operation is a transaction of 1,000 rows: `underpin` by `executeMany` of a prepared query, `-one-by-one` and `limit` by awaiting each, `kysely-one-statement` by one statement of all rows.',
  ],
  cases: [
    postgresCase(
      {
        id: 'postgres-point-select',
        count: 2000,
        goals: [
          { against: 'limit', ratioAtLeast: 0.5 },
          { against: 'kysely', ratioAtLeast: 0.7 },
        ],
      },
      1,
      pointSelects,
    ),
    postgresCase(
      {
        id: 'postgres-point-select-32',
        count: 4000,
        goals: [
          { against: 'limit', ratioAtLeast: 2.2 },
          { against: 'kysely', ratioAtLeast: 1 },
        ],
      },
      32,
      pointSelects,
    ),
    postgresCase(
      {
        id: 'postgres-insert-1000-tx',
        count: 5,
        goals: [{ against: 'limit', ratioAtLeast: 2 }],
      },
      1,
      insertTransactions,
    ),
  ],
};

export default bench;
