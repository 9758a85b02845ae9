import { type Expression, type RawBuilder, sql } from 'kysely';

import type { Database, Migration, PreparedQuery } from '../../database/index.ts';
import type { Claim, ClaimRequest, Settlement } from '../driver.ts';
import { prepare, type QueueDialect } from './dialect.ts';
import type { ClaimedRow, JobRow, NewRow, QueueTables } from './row.ts';

/** The channel on which processes tell each other that jobs may have become claimable. */
export const channel = 'underpin_job';

/**
 * Texts are compared byte by byte: the order of ids is that of every other adapter, and costs less. A job is written three
 * times and then gone, so pages keep room for the next version of a row, and are cleaned after so many dead rows, however
 * large the table is: dead rows at the head of a line are what makes claims slow.
 */
const migrations: readonly Migration[] = [
  {
    name: '0001-create-jobs',
    up: `
      create table underpin_job (
        id text collate "C" not null primary key,
        name text collate "C" not null,
        version integer not null,
        payload text not null,
        context text,
        state text collate "C" not null check (state in ('waiting', 'active', 'completed', 'dead')),
        generation integer not null,
        attempts integer not null,
        max_attempts integer not null,
        available_at bigint not null,
        lease_until bigint,
        keep_until bigint,
        created_at bigint not null,
        finished_at bigint,
        deduplication_key text collate "C",
        failure text
      ) with (
        fillfactor = 70,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000
      );
      create index underpin_job_waiting on underpin_job (name, available_at, id) where state = 'waiting';
      create index underpin_job_active on underpin_job (lease_until) where state = 'active';
      create index underpin_job_completed on underpin_job (keep_until) where state = 'completed';
      create index underpin_job_dead on underpin_job (id) where state = 'dead';
      create unique index underpin_job_deduplication on underpin_job (name, deduplication_key)
        where deduplication_key is not null and state in ('waiting', 'active');
    `,
  },
];

/** What becomes of a claimed row. */
interface SettledRow extends Claim {
  /** None: the row goes. */
  readonly becomes: JobRow['state'] | null;
  /** Null, as `failure`: stays as it is. */
  readonly available_at: number | null;
  readonly keep_until: number | null;
  readonly finished_at: number | null;
  readonly failure: string | null;
  /** 1 when the attempt does not count. */
  readonly uncounted: 0 | 1;
}

/**
 * On PostgreSQL, where a round trip costs more than the work and several processes write at once: one statement for each call,
 * over rows that travel as one JSON parameter. Rows are locked before they change, in the order of their ids, so that no two
 * calls wait for each other.
 */
export class PostgresDialect implements QueueDialect {
  readonly migrations: readonly Migration[] = migrations;
  readonly lock: RawBuilder<unknown> = sql`for update skip locked`;
  readonly announce: RawBuilder<unknown>;
  readonly clock: RawBuilder<number> = sql`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`;
  readonly #insert: PreparedQuery<{ rows: string }, { id: string }>;
  readonly #claim: PreparedQuery<
    { names: string; limit: number; now: number; leaseUntil: number },
    ClaimedRow
  >;
  readonly #settle: PreparedQuery<{ rows: string }, Claim>;
  readonly #extend: PreparedQuery<{ rows: string; leaseUntil: number | null }, Claim>;

  readonly #scans: PreparedQuery<{ allowed: 'on' | 'off' }, never>;
  readonly #database: Database<QueueTables>;

  /** `origin` is the payload of what this process announces. */
  constructor(database: Database<QueueTables>, origin: string) {
    this.#database = database;
    this.#scans = prepare(
      database,
      (parameter) => sql`select set_config('enable_seqscan', ${parameter('allowed')}, true)`,
    );
    // A query without reference to its surroundings is run once, and not before it is needed.
    const notify = sql`(select pg_notify(${channel}, ${origin}))`;
    this.announce = sql`, ${notify} as announced`;
    this.#insert = prepare(
      database,
      (parameter) => sql`
        insert into underpin_job (
          id, name, version, payload, context, state, generation, attempts, max_attempts,
          available_at, created_at, deduplication_key
        )
        select id, name, version, payload, context, 'waiting', 0, 0, max_attempts,
          available_at, created_at, deduplication_key
        from json_to_recordset(cast(${parameter('rows')} as json)) as new (
          id text, name text, version integer, payload text, context text, max_attempts integer,
          available_at bigint, created_at bigint, deduplication_key text
        )
        on conflict do nothing
        returning id ${this.announce}`,
    );
    // Each name's line is read in the order of its index, and no further than the limit, however many wait behind. First
    // without locks, to learn how many of each name are among those that come first; then as many of each are locked.
    this.#claim = prepare(
      database,
      (parameter) => sql`
        with share as materialized (
          select name, count(*) as length from (
            select line.name from ${this.texts(parameter('names'))} as wanted cross join lateral (
              select name, available_at, id from underpin_job
              where state = 'waiting' and name = wanted.value and available_at <= ${parameter('now')}
              order by available_at, id limit ${parameter('limit')}
            ) as line
            order by line.available_at, line.id limit ${parameter('limit')}
          ) as next group by name
        ), taken as materialized (
          select line.id from share cross join lateral (
            select id from underpin_job
            where state = 'waiting' and name = share.name and available_at <= ${parameter('now')}
            order by available_at, id limit share.length for update skip locked
          ) as line
        )
        update underpin_job set state = 'active', generation = generation + 1,
          attempts = attempts + 1, lease_until = ${parameter('leaseUntil')}
        where ${this.among(sql`select id from taken`)}
        returning id, generation, name, version, payload, context, attempts, max_attempts, created_at, available_at`,
    );
    // Each row is looked up by its id, and by nothing else: see `#byKey`.
    const isActive = sql`state || '' = 'active'`;
    this.#settle = prepare(
      database,
      (parameter) => sql`
        with settled as materialized (
          select * from json_to_recordset(cast(${parameter('rows')} as json)) as row (
            id text, generation integer, becomes text, available_at bigint, keep_until bigint,
            finished_at bigint, failure text, uncounted integer
          )
        ), held as materialized (
          select settled.* from underpin_job as job
          join settled on settled.id = job.id and settled.generation = job.generation
          where job.${this.among(sql`select id from settled`)} and job.${isActive}
          order by job.id for update of job
        ), removed as (
          delete from underpin_job where ${this.among(sql`select id from held where becomes is null`)}
        ), changed as (
          update underpin_job as job set state = held.becomes,
            available_at = coalesce(held.available_at, job.available_at), lease_until = null,
            keep_until = held.keep_until, finished_at = held.finished_at,
            failure = coalesce(held.failure, job.failure), attempts = job.attempts - held.uncounted
          from held
          where job.${this.among(sql`select id from held where becomes is not null`)} and job.id = held.id
        )
        select id, generation, case when becomes = 'waiting' then ${notify} end as announced from held`,
    );
    // What is locked is about to be settled, or is held by the transaction of its atomic handler: it needs no longer lease, and
    // to wait for it would be to wait for the handler.
    this.#extend = prepare(
      database,
      (parameter) => sql`
        with claim as materialized (
          select * from json_to_recordset(cast(${parameter('rows')} as json)) as row (id text, generation integer)
        ), held as materialized (
          select claim.* from underpin_job as job
          join claim on claim.id = job.id and claim.generation = job.generation
          where job.${this.among(sql`select id from claim`)} and job.${isActive}
        ), free as materialized (
          select held.id from underpin_job as job
          join held on held.id = job.id and held.generation = job.generation
          where job.${this.among(sql`select id from held`)} and job.${isActive}
          for update of job skip locked
        ), extended as (
          update underpin_job set lease_until = cast(${parameter('leaseUntil')} as bigint)
          where ${this.among(sql`select id from free`)}
            and cast(${parameter('leaseUntil')} as bigint) is not null
        )
        select id, generation, (select count(*) from free) as locked from held`,
    );
  }

  /** Through an array, whose elements are always looked up: the planner thinks that many rows come out of a JSON array. */
  among(ids: RawBuilder<unknown>): RawBuilder<unknown> {
    return sql`id = any(array(${ids}))`;
  }

  texts(array: Expression<string>): RawBuilder<unknown> {
    return sql`json_array_elements_text(cast(${array} as json))`;
  }

  async insert(
    rows: readonly NewRow[],
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    const added = await this.#insert.execute({ rows: JSON.stringify(rows) }, { signal });
    const ids = new Set(added.map(({ id }) => id));
    // Of two with one id, the first was added.
    return rows.map(({ id }) => ids.delete(id));
  }

  async claim(
    { names, ...request }: ClaimRequest,
    signal: AbortSignal | undefined,
  ): Promise<readonly ClaimedRow[]> {
    return await this.#claim.execute({ ...request, names: JSON.stringify(names) }, { signal });
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    const rows = new Map<string, SettledRow>();
    // Of two for one claim, the first counts.
    for (const settlement of settlements)
      if (!rows.has(keyOf(settlement))) rows.set(keyOf(settlement), toSettled(settlement, now));
    const parameters = { rows: JSON.stringify([...rows.values()]) };
    const effective = await this.#byKey(
      async () => await this.#settle.execute(parameters, { signal }),
      signal,
    );
    return inOrder(settlements, effective);
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    const rows = claims.map(({ id, generation }) => ({ id, generation }));
    // Inside of a transaction the lock is what counts: the lease would be seen by nobody before the commit.
    const parameters = {
      rows: JSON.stringify(rows),
      leaseUntil: this.#database.inTransaction ? null : leaseUntil,
    };
    const held = await this.#byKey(
      async () => await this.#extend.execute(parameters, { signal }),
      signal,
    );
    const keys = new Set(held.map(keyOf));
    return claims.map((claim) => keys.has(keyOf(claim)));
  }

  /**
   * Runs a statement that looks up rows by their keys, inside of a transaction with no scan of the whole table, however small it
   * is: to a serializable one that would be to read every job, and to collide with all others that end one.
   */
  async #byKey<Result>(
    run: () => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    if (!this.#database.inTransaction) return await run();
    await this.#scans.execute({ allowed: 'off' }, { signal });
    const result = await run();
    await this.#scans.execute({ allowed: 'on' }, { signal });
    return result;
  }
}

function toSettled(settlement: Settlement, now: number): SettledRow {
  const { id, generation, kind } = settlement;
  const keepUntil = kind === 'complete' ? (settlement.keepUntil ?? null) : null;
  return {
    id,
    generation,
    becomes: stateAfter(kind, keepUntil),
    available_at: kind === 'retry' || kind === 'release' ? settlement.availableAt : null,
    keep_until: keepUntil,
    finished_at: kind === 'bury' || keepUntil !== null ? now : null,
    failure: kind === 'retry' || kind === 'bury' ? JSON.stringify(settlement.failure) : null,
    uncounted: kind === 'release' ? 1 : 0,
  };
}

function stateAfter(kind: Settlement['kind'], keepUntil: number | null): SettledRow['becomes'] {
  if (kind === 'complete') return keepUntil === null ? null : 'completed';
  return kind === 'bury' ? 'dead' : 'waiting';
}

/** For each claim whether it is among those that took effect; one that is given twice took effect once. */
function inOrder(claims: readonly Claim[], effective: readonly Claim[]): readonly boolean[] {
  const keys = new Set(effective.map(keyOf));
  return claims.map((claim) => keys.delete(keyOf(claim)));
}

function keyOf({ id, generation }: Claim): string {
  return `${generation} ${id}`;
}
