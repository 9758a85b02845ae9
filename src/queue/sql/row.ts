import type { ContextEnvelope } from '../../core/index.ts';
import type { ClaimedJob, JobFailure, NewJob, StoredJob } from '../driver.ts';

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

/** What is written of a new job; the rest has its start. */
export type NewRow = Omit<
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

export function toRow(job: NewJob): NewRow {
  return {
    id: job.id,
    name: job.name,
    version: job.version,
    payload: job.payload,
    context: job.context === undefined ? null : JSON.stringify(job.context),
    max_attempts: job.maxAttempts,
    available_at: job.availableAt,
    created_at: job.createdAt,
    deduplication_key: job.deduplicationKey ?? null,
  };
}

export function toClaimed(row: ClaimedRow): ClaimedJob {
  return {
    id: row.id,
    generation: row.generation,
    name: row.name,
    version: row.version,
    payload: row.payload,
    // Written by `enqueue`, and by nobody else.
    context: row.context === null ? undefined : (JSON.parse(row.context) as ContextEnvelope),
    attempt: row.attempts,
    maxAttempts: row.max_attempts,
    createdAt: row.created_at,
    availableAt: row.available_at,
  };
}

export function toStored(row: JobRow): StoredJob {
  const { attempt, ...claimed } = toClaimed(row);
  return {
    ...claimed,
    state: row.state,
    attempts: attempt,
    deduplicationKey: row.deduplication_key ?? undefined,
    failure: row.failure === null ? undefined : (JSON.parse(row.failure) as JobFailure),
    finishedAt: row.finished_at ?? undefined,
  };
}
