import { type RawBuilder, sql } from 'kysely';

import type { Database, PreparedQuery } from '../../database/index.ts';
import type { JobState, RedriveRequest } from '../driver.ts';
import { prepare, type QueueDialect } from './dialect.ts';
import type { QueueTables } from './row.ts';

/** What maintenance finds to do. */
export interface Due {
  readonly leases: 0 | 1;
  readonly kept: 0 | 1;
  /** The engine's, where it has one of its own. */
  readonly clock: number | null;
}

/** How many jobs one round of maintenance touches, so that it stays a short transaction. */
const largestMaintenance = 1000;

/** The queue's statements that are the same on each engine, but for the words that its dialect gives. */
export class QueueStatements {
  readonly #database: Database<QueueTables>;
  readonly #dialect: QueueDialect;
  /** The job with this id, or else the unfinished one with this name and key. */
  readonly twin: PreparedQuery<{ id: string; name: string; key: string | null }, { id: string }>;
  readonly due: PreparedQuery<{ now: number }, Due>;
  readonly recover: PreparedQuery<{ now: number; failure: string }, { id: string }>;
  readonly bury: PreparedQuery<{ now: number; failure: string }, { id: string }>;
  readonly removeKept: PreparedQuery<{ now: number }, { id: string }>;
  /** When there may next be something to do, for the names in a JSON array. */
  readonly nextEvent: PreparedQuery<{ names: string }, { at: number | null }>;

  constructor(database: Database<QueueTables>, dialect: QueueDialect) {
    this.#database = database;
    this.#dialect = dialect;
    this.twin = prepare(
      database,
      (parameter) => sql`
        select id from underpin_job where id = ${parameter('id')}
        union all
        select id from underpin_job where name = ${parameter('name')}
          and deduplication_key = ${parameter('key')} and state in ('waiting', 'active')
        limit 1`,
    );
    this.due = prepare(
      database,
      (parameter) => sql`
        select
          case when exists (
            select 1 from underpin_job where state = 'active' and lease_until <= ${parameter('now')}
          ) then 1 else 0 end as leases,
          case when exists (
            select 1 from underpin_job where state = 'completed' and keep_until <= ${parameter('now')}
          ) then 1 else 0 end as kept,
          ${dialect.clock} as clock`,
    );
    const chosen = (condition: RawBuilder<unknown>): RawBuilder<unknown> => sql`
      with chosen as materialized (
        select id from underpin_job where ${condition} limit ${sql.lit(largestMaintenance)} ${dialect.lock}
      )`;
    this.recover = prepare(
      database,
      (parameter) => sql`
        ${chosen(sql`state = 'active' and lease_until <= ${parameter('now')} and attempts < max_attempts`)}
        update underpin_job set state = 'waiting', available_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where ${dialect.among(sql`select id from chosen`)} returning id ${dialect.announce}`,
    );
    this.bury = prepare(
      database,
      (parameter) => sql`
        ${chosen(sql`state = 'active' and lease_until <= ${parameter('now')} and attempts >= max_attempts`)}
        update underpin_job set state = 'dead', finished_at = ${parameter('now')},
          lease_until = null, failure = ${parameter('failure')}
        where ${dialect.among(sql`select id from chosen`)} returning id`,
    );
    this.removeKept = prepare(
      database,
      (parameter) => sql`
        ${chosen(sql`state = 'completed' and keep_until <= ${parameter('now')}`)}
        delete from underpin_job where ${dialect.among(sql`select id from chosen`)} returning id`,
    );
    this.nextEvent = prepare(
      database,
      (parameter) => sql`
        select min(at) as at from (
          select (
            select min(available_at) from underpin_job where state = 'waiting' and name = wanted.value
          ) as at from ${dialect.texts(parameter('names'))} as wanted
          union all
          select min(lease_until) from underpin_job where state = 'active'
        ) as event`,
    );
  }

  /** How many jobs are in a state. One query for all of them would read every job. */
  async count(
    state: JobState,
    name: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from underpin_job where state = ${sql.lit(state)}
      ${name === undefined ? sql`` : sql`and name = ${name}`}`.execute(this.#database.query, {
      signal,
    });
    return rows[0]?.count ?? 0;
  }

  /** Makes dead jobs wait again, of those with one deduplication key only the oldest. */
  async redrive(
    { ids, name, limit, now }: RedriveRequest,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const dialect = this.#dialect;
    const among =
      ids === undefined
        ? sql``
        : sql`and id in (select value from ${dialect.texts(sql<string>`${JSON.stringify(ids)}`)} as wanted)`;
    const { rows } = await sql`
      update underpin_job set state = 'waiting', attempts = 0, available_at = ${now}, finished_at = null
      where state = 'dead' and ${dialect.among(sql`
        select id from (
          select id, row_number() over (
            partition by name, deduplication_key, case when deduplication_key is null then id end
            order by id
          ) as place
          from underpin_job as dead where state = 'dead'
            ${name === undefined ? sql`` : sql`and name = ${name}`} ${among}
            and not exists (
              select 1 from underpin_job as twin where twin.name = dead.name
                and twin.deduplication_key = dead.deduplication_key and twin.state in ('waiting', 'active')
            )
        ) as candidate where place = 1 order by id limit ${limit}`)}
      returning id ${dialect.announce}`.execute(this.#database.query, { signal });
    return rows.length;
  }
}
