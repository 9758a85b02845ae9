import { type Expression, type RawBuilder, sql } from 'kysely';

import type { Database, Migration, Parameter, PreparedQuery } from '../../database/index.ts';
import type { Claim, ClaimRequest, Settlement } from '../driver.ts';
import { prepare, type QueueDialect } from './dialect.ts';
import type { ClaimedRow, NewRow, QueueTables } from './row.ts';

const migrations: readonly Migration[] = [
  {
    name: '0001-create-jobs',
    up: `
      create table underpin_job (
        id text not null primary key,
        name text not null,
        version integer not null,
        payload text not null,
        context text,
        state text not null check (state in ('waiting', 'active', 'completed', 'dead')),
        generation integer not null,
        attempts integer not null,
        max_attempts integer not null,
        available_at integer not null,
        lease_until integer,
        keep_until integer,
        created_at integer not null,
        finished_at integer,
        deduplication_key text,
        failure text
      ) strict, without rowid;
      create index underpin_job_waiting on underpin_job (name, available_at, id) where state = 'waiting';
      create index underpin_job_active on underpin_job (lease_until) where state = 'active';
      create index underpin_job_completed on underpin_job (keep_until) where state = 'completed';
      create index underpin_job_dead on underpin_job (id) where state = 'dead';
      create unique index underpin_job_deduplication on underpin_job (name, deduplication_key)
        where deduplication_key is not null and state in ('waiting', 'active');
    `,
  },
];

/** Up to so many names a claim has a line of SQL for each; SQLite takes 500, and compiles them ever more slowly. */
const mostLines = 100;

type Prepared<Parameters extends object, Row = never> = PreparedQuery<Parameters, Row>;

/**
 * On SQLite, where a statement costs microseconds and there is one writer: a prepared statement for each row, which is twice as
 * fast as one for all of them over a JSON array, and nothing to lock.
 */
export class SqliteDialect implements QueueDialect {
  readonly migrations: readonly Migration[] = migrations;
  readonly lock: RawBuilder<unknown> = sql``;
  readonly announce: RawBuilder<unknown> = sql``;
  readonly clock: RawBuilder<number | null> = sql`null`;
  readonly #database: Database<QueueTables>;
  readonly #insert: Prepared<NewRow>;
  /** By the number of names. */
  readonly #claims = new Map<number, Prepared<Record<string, unknown>, ClaimedRow>>();
  // The settlements. Each changes the one row whose claim is still held, or none.
  readonly #completed: Prepared<Claim>;
  readonly #kept: Prepared<Claim & { now: number; keepUntil: number }>;
  readonly #retried: Prepared<Claim & { availableAt: number; failure: string }>;
  readonly #buried: Prepared<Claim & { now: number; failure: string }>;
  readonly #released: Prepared<Claim & { availableAt: number }>;
  readonly #extended: Prepared<Claim & { leaseUntil: number }>;

  constructor(database: Database<QueueTables>) {
    this.#database = database;
    this.#insert = prepare(
      database,
      (parameter) => sql`
        insert into underpin_job (
          id, name, version, payload, context, state, generation, attempts, max_attempts,
          available_at, created_at, deduplication_key
        ) values (
          ${parameter('id')}, ${parameter('name')}, ${parameter('version')}, ${parameter('payload')},
          ${parameter('context')}, 'waiting', 0, 0, ${parameter('max_attempts')},
          ${parameter('available_at')}, ${parameter('created_at')}, ${parameter('deduplication_key')}
        ) on conflict do nothing`,
    );
    this.#completed = prepare(
      database,
      (parameter) => sql`
        delete from underpin_job where id = ${parameter('id')}
          and generation = ${parameter('generation')} and state = 'active'`,
    );
    this.#kept = prepare(
      database,
      (parameter) => sql`
        update underpin_job set state = 'completed', finished_at = ${parameter('now')},
          keep_until = ${parameter('keepUntil')}, lease_until = null
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.#retried = prepare(
      database,
      (parameter) => sql`
        update underpin_job set state = 'waiting', available_at = ${parameter('availableAt')},
          lease_until = null, failure = ${parameter('failure')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.#buried = prepare(
      database,
      (parameter) => sql`
        update underpin_job set state = 'dead', finished_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.#released = prepare(
      database,
      (parameter) => sql`
        update underpin_job set state = 'waiting', available_at = ${parameter('availableAt')},
          lease_until = null, attempts = attempts - 1
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.#extended = prepare(
      database,
      (parameter) => sql`
        update underpin_job set lease_until = ${parameter('leaseUntil')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
  }

  among(ids: RawBuilder<unknown>): RawBuilder<unknown> {
    return sql`id in (${ids})`;
  }

  texts(array: Expression<string>): RawBuilder<unknown> {
    return sql`json_each(${array})`;
  }

  async insert(
    rows: readonly NewRow[],
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    return await this.#allOrEach(
      rows,
      async (some) => await this.#insert.executeMany(some, { signal }),
      signal,
    );
  }

  async claim(
    { names, ...request }: ClaimRequest,
    signal: AbortSignal | undefined,
  ): Promise<readonly ClaimedRow[]> {
    const isMany = names.length > mostLines;
    const key = isMany ? Infinity : names.length;
    let statement = this.#claims.get(key);
    if (statement === undefined) {
      statement = prepare(
        this.#database,
        (parameter) => sql`
          update underpin_job set state = 'active', generation = generation + 1,
            attempts = attempts + 1, lease_until = ${parameter('leaseUntil')}
          where id in (${isMany ? firstOfMany(parameter) : first(names.length, parameter)})
          returning id, generation, name, version, payload, context, attempts, max_attempts, created_at, available_at`,
      );
      this.#claims.set(key, statement);
    }
    const parameters = isMany
      ? { names: JSON.stringify(names) }
      : Object.fromEntries(names.map((name, index) => [`name${index}`, name]));
    return await statement.execute({ ...request, ...parameters }, { signal });
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    return await this.#allOrEach(
      settlements,
      async (some) => await this.#settle(some, now, signal),
      signal,
    );
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    return await this.#allOrEach(
      claims,
      async (some) =>
        await this.#extended.executeMany(
          some.map(({ id, generation }) => ({ id, generation, leaseUntil })),
          { signal },
        ),
      signal,
    );
  }

  async #settle(
    settlements: readonly Settlement[],
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<bigint> {
    const finished: Claim[] = [];
    let affected = 0n;
    for (const settlement of settlements) {
      const { id, generation } = settlement;
      switch (settlement.kind) {
        case 'complete':
          if (settlement.keepUntil === undefined) finished.push({ id, generation });
          else
            affected += await this.#kept.executeMany(
              [{ id, generation, now, keepUntil: settlement.keepUntil }],
              { signal },
            );
          break;
        case 'retry':
          affected += await this.#retried.executeMany(
            [
              {
                id,
                generation,
                availableAt: settlement.availableAt,
                failure: JSON.stringify(settlement.failure),
              },
            ],
            { signal },
          );
          break;
        case 'bury':
          affected += await this.#buried.executeMany(
            [{ id, generation, now, failure: JSON.stringify(settlement.failure) }],
            { signal },
          );
          break;
        case 'release':
          affected += await this.#released.executeMany(
            [{ id, generation, availableAt: settlement.availableAt }],
            { signal },
          );
          break;
      }
    }
    if (finished.length > 0) affected += await this.#completed.executeMany(finished, { signal });
    return affected;
  }

  /**
   * Applies a change that touches one row for each item, unless it must not. Nearly always all of them are touched, and their
   * number says so; when not, it is undone and done again one by one, to learn which.
   */
  async #allOrEach<Item>(
    items: readonly Item[],
    apply: (some: readonly Item[]) => Promise<bigint>,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    const partly = new Error('some of the rows were not to be changed');
    try {
      await this.#database.transaction(
        async () => {
          if ((await apply(items)) !== BigInt(items.length)) throw partly;
        },
        { signal },
      );
      return items.map(() => true);
    } catch (error) {
      if (error !== partly) throw error;
      if (items.length === 1) return [false];
    }
    return await this.#database.transaction(
      async () => {
        const results: boolean[] = [];
        for (const item of items) results.push((await apply([item])) > 0n);
        return results;
      },
      { signal },
    );
  }
}

// Each name's line is read in the order of its index and no further than the limit, however many wait behind.

/** The ids of the jobs that come first, of so many names, whose parameters are `name0`, `name1`, …. */
function first(names: number, parameter: Parameter<Record<string, unknown>>): RawBuilder<unknown> {
  const line = (columns: RawBuilder<unknown>, index: number): RawBuilder<unknown> => sql`
    select ${columns} from underpin_job
    where state = 'waiting' and name = ${parameter(`name${index}`)} and available_at <= ${parameter('now')}
    order by available_at, id limit ${parameter('limit')}`;
  if (names === 1) return line(sql`id`, 0);
  const lines = Array.from(
    { length: names },
    (_, index) => sql`select * from (${line(sql`id, available_at`, index)})`,
  );
  return sql`
    select id from (${sql.join(lines, sql` union all `)})
    order by available_at, id limit ${parameter('limit')}`;
}

/** The same of the names in the JSON array `names`, through another array: SQLite has no lateral joins. */
function firstOfMany(parameter: Parameter<Record<string, unknown>>): RawBuilder<unknown> {
  return sql`
    select job.id from json_each(${parameter('names')}) as wanted, json_each((
      select json_group_array(id) from (
        select id from underpin_job
        where state = 'waiting' and name = wanted.value and available_at <= ${parameter('now')}
        order by available_at, id limit ${parameter('limit')}
      )
    )) as line join underpin_job as job on job.id = line.value
    order by job.available_at, job.id limit ${parameter('limit')}`;
}
