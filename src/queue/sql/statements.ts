import { type RawBuilder, sql } from 'kysely';

import type { Database, Parameter, PreparedQuery } from '../../database/index.ts';
import type { JobState, RedriveRequest } from '../driver.ts';
import type { JobRow, QueueTables } from './schema.ts';

type Insert = Omit<
  JobRow,
  'state' | 'generation' | 'attempts' | 'lease_until' | 'keep_until' | 'finished_at' | 'failure'
>;

/** What a claim gives of a job. */
export type ClaimedRow = Pick<
  JobRow,
  | 'id'
  | 'generation'
  | 'name'
  | 'version'
  | 'payload'
  | 'context'
  | 'attempts'
  | 'max_attempts'
  | 'created_at'
  | 'available_at'
>;

/** The condition under which a settlement takes effect: the fencing of every claim. */
interface Held {
  readonly id: string;
  readonly generation: number;
}

/** What maintenance finds to do. */
interface Due {
  readonly leases: 0 | 1;
  readonly kept: 0 | 1;
}

type Prepared<Parameters extends object, Row> = PreparedQuery<Parameters, Row>;

/** How many jobs one round of maintenance touches, so that it stays a short transaction. */
const largestMaintenance = 1000;

/**
 * The queue's statements for SQLite, each compiled once. States are written into their texts, since SQLite uses a partial index
 * only for a condition that it can see when it compiles.
 */
export class QueueStatements {
  readonly #database: Database<QueueTables>;
  readonly #claims = new Map<number, Prepared<Record<string, unknown>, ClaimedRow>>();
  readonly #nextEvents = new Map<
    number,
    Prepared<Record<string, unknown>, { at: number | null }>
  >();

  constructor(database: Database<QueueTables>) {
    this.#database = database;
    this.insert = this.#prepare<Insert, never>(
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
    this.twin = this.#prepare<{ id: string; name: string; key: string | null }, { id: string }>(
      (parameter) => sql`
        select id from underpin_job where id = ${parameter('id')}
        union all
        select id from underpin_job where name = ${parameter('name')}
          and deduplication_key = ${parameter('key')} and state in ('waiting', 'active')
        limit 1`,
    );
    this.completed = this.#prepare<Held, never>(
      (parameter) => sql`
        delete from underpin_job where id = ${parameter('id')}
          and generation = ${parameter('generation')} and state = 'active'`,
    );
    this.kept = this.#prepare<Held & { now: number; keepUntil: number }, { id: string }>(
      (parameter) => sql`
        update underpin_job set state = 'completed', finished_at = ${parameter('now')},
          keep_until = ${parameter('keepUntil')}, lease_until = null
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.retried = this.#prepare<Held & { availableAt: number; failure: string }, { id: string }>(
      (parameter) => sql`
        update underpin_job set state = 'waiting', available_at = ${parameter('availableAt')},
          lease_until = null, failure = ${parameter('failure')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.buried = this.#prepare<Held & { now: number; failure: string }, { id: string }>(
      (parameter) => sql`
        update underpin_job set state = 'dead', finished_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.released = this.#prepare<Held & { availableAt: number }, never>(
      (parameter) => sql`
        update underpin_job set state = 'waiting', available_at = ${parameter('availableAt')},
          lease_until = null, attempts = attempts - 1
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.extended = this.#prepare<Held & { leaseUntil: number }, never>(
      (parameter) => sql`
        update underpin_job set lease_until = ${parameter('leaseUntil')}
        where id = ${parameter('id')} and generation = ${parameter('generation')}
          and state = 'active'`,
    );
    this.due = this.#prepare<{ now: number }, Due>(
      (parameter) => sql`
        select
          exists (select 1 from underpin_job where state = 'active' and lease_until <= ${parameter('now')}) as leases,
          exists (select 1 from underpin_job where state = 'completed' and keep_until <= ${parameter('now')}) as kept`,
    );
    this.recover = this.#prepare<{ now: number; failure: string }, { id: string }>(
      (parameter) => sql`
        update underpin_job set state = 'waiting', available_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where id in (
          select id from underpin_job where state = 'active' and lease_until <= ${parameter('now')}
            and attempts < max_attempts limit ${sql.lit(largestMaintenance)}
        ) returning id`,
    );
    this.bury = this.#prepare<{ now: number; failure: string }, { id: string }>(
      (parameter) => sql`
        update underpin_job set state = 'dead', finished_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where id in (
          select id from underpin_job where state = 'active' and lease_until <= ${parameter('now')}
            and attempts >= max_attempts limit ${sql.lit(largestMaintenance)}
        ) returning id`,
    );
    this.removeKept = this.#prepare<{ now: number }, { id: string }>(
      (parameter) => sql`
        delete from underpin_job where id in (
          select id from underpin_job where state = 'completed' and keep_until <= ${parameter('now')}
          limit ${sql.lit(largestMaintenance)}
        ) returning id`,
    );
  }

  readonly insert: Prepared<Insert, never>;
  /** The job with this id, or else the unfinished one with this name and key. */
  readonly twin: Prepared<{ id: string; name: string; key: string | null }, { id: string }>;
  /** The settlements. Each changes the one row whose claim is still held, or none. */
  readonly completed: Prepared<Held, never>;
  readonly kept: Prepared<Held & { now: number; keepUntil: number }, { id: string }>;
  readonly retried: Prepared<Held & { availableAt: number; failure: string }, { id: string }>;
  readonly buried: Prepared<Held & { now: number; failure: string }, { id: string }>;
  readonly released: Prepared<Held & { availableAt: number }, never>;
  readonly extended: Prepared<Held & { leaseUntil: number }, never>;
  readonly due: Prepared<{ now: number }, Due>;
  readonly recover: Prepared<{ now: number; failure: string }, { id: string }>;
  readonly bury: Prepared<{ now: number; failure: string }, { id: string }>;
  readonly removeKept: Prepared<{ now: number }, { id: string }>;

  /**
   * Claims for so many names, whose parameters are `name0`, `name1`, …. Each name's line is read in the order of its index and
   * no further than the limit, however many wait behind.
   */
  claim(names: number): Prepared<Record<string, unknown>, ClaimedRow> {
    let statement = this.#claims.get(names);
    if (statement !== undefined) return statement;
    statement = this.#prepare<Record<string, unknown>, ClaimedRow>((parameter) => {
      const lines = Array.from(
        { length: names },
        (_, index) => sql`
          select * from (
            select id, available_at from underpin_job
            where state = 'waiting' and name = ${parameter(`name${index}`)}
              and available_at <= ${parameter('now')}
            order by available_at, id limit ${parameter('limit')}
          )`,
      );
      return sql`
        update underpin_job set state = 'active', generation = generation + 1,
          attempts = attempts + 1, lease_until = ${parameter('leaseUntil')}
        where id in (
          select id from (${sql.join(lines, sql` union all `)})
          order by available_at, id limit ${parameter('limit')}
        ) returning id, generation, name, version, payload, context, attempts, max_attempts,
          created_at, available_at`;
    });
    this.#claims.set(names, statement);
    return statement;
  }

  /** When there may next be something to do, for so many names. */
  nextEvent(names: number): Prepared<Record<string, unknown>, { at: number | null }> {
    let statement = this.#nextEvents.get(names);
    if (statement !== undefined) return statement;
    statement = this.#prepare<Record<string, unknown>, { at: number | null }>((parameter) => {
      const lines = Array.from(
        { length: names },
        (_, index) => sql`
          select min(available_at) as at from underpin_job
          where state = 'waiting' and name = ${parameter(`name${index}`)}`,
      );
      return sql`
        select min(at) as at from (
          ${sql.join(lines, sql` union all `)}
          union all
          select min(lease_until) from underpin_job where state = 'active'
        )`;
    });
    this.#nextEvents.set(names, statement);
    return statement;
  }

  /** How many jobs are in a state. One query for all of them would read every job. */
  async count(
    state: JobState,
    name: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const rows = await sql<{ count: number }>`
      select count(*) as count from underpin_job where state = ${sql.lit(state)}
      ${name === undefined ? sql`` : sql`and name = ${name}`}`.execute(this.#database.query, {
      signal,
    });
    return rows.rows[0]?.count ?? 0;
  }

  /** Makes dead jobs wait again, of those with one deduplication key only the oldest. */
  async redrive(
    { ids, name, limit, now }: RedriveRequest,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { rows } = await sql`
      update underpin_job set state = 'waiting', attempts = 0, available_at = ${now}, finished_at = null
      where id in (
        select id from (
          select id, row_number() over (
            partition by name, deduplication_key, iif(deduplication_key is null, id, null) order by id
          ) as place
          from underpin_job as dead where state = 'dead'
            ${name === undefined ? sql`` : sql`and name = ${name}`}
            ${ids === undefined ? sql`` : sql`and id in (select value from json_each(${JSON.stringify(ids)}))`}
            and not exists (
              select 1 from underpin_job as twin where twin.name = dead.name
                and twin.deduplication_key = dead.deduplication_key and twin.state in ('waiting', 'active')
            )
        ) where place = 1 order by id limit ${limit}
      ) returning id`.execute(this.#database.query, { signal });
    return rows.length;
  }

  #prepare<Parameters extends object, Row>(
    build: (parameter: Parameter<Parameters>) => RawBuilder<unknown>,
  ): Prepared<Parameters, Row> {
    return this.#database.prepare<Parameters, Row>((query, parameter) => ({
      compile: () => build(parameter).compile(query),
    }));
  }
}

/** The parameters of {@link QueueStatements.claim} and {@link QueueStatements.nextEvent} for these names. */
export function nameParameters(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, index) => [`name${index}`, name]));
}
