import type { Migration } from '../../database/index.ts';

/** One row of the table of jobs. Times are milliseconds since the Unix epoch. */
export interface JobRow {
  id: string;
  name: string;
  version: number;
  /** JSON. */
  payload: string;
  /** JSON of a ContextEnvelope. */
  context: string | null;
  state: 'waiting' | 'active' | 'completed' | 'dead';
  generation: number;
  attempts: number;
  max_attempts: number;
  available_at: number;
  lease_until: number | null;
  keep_until: number | null;
  created_at: number;
  finished_at: number | null;
  deduplication_key: string | null;
  /** JSON of a JobFailure. */
  failure: string | null;
}

/** The tables of the queue, as Kysely wants them. A type and no interface, which would lack the index signature. */
export type QueueTables = { underpin_job: JobRow };

/**
 * The history of the tables on SQLite. Each index holds only the jobs of one state, so that what waits is found at the same
 * speed whatever else is kept, and a job that is done leaves nothing behind.
 */
export const sqliteMigrations: readonly Migration[] = [
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
