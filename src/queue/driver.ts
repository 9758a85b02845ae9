import type { Capabilities, ContextEnvelope, Driver } from '../core/index.ts';

/** What a queue adapter can do. */
export interface QueueCapabilities extends Capabilities {
  /**
   * Jobs live in the application's database: an enqueue inside `database.transaction` takes effect with its commit, and a
   * handler can commit its work together with its acknowledgement.
   */
  readonly transactions: boolean;
}

/**
 * Where a job is in its life.
 *
 * ```text
 * enqueue ──> waiting ──claim──> active ──complete──> completed (or removed, without retention)
 *                ^                 │ │
 *                └──retry, release─┘ └──bury──> dead ──redrive──> waiting
 *                └──lease ended────┘ (dead, when that was its last attempt)
 * ```
 *
 * A job with a delay, and one that waits for its retry, are `waiting` with an `availableAt` in the future.
 */
export type JobState = (typeof jobStates)[number];

/** Every {@link JobState}. */
export const jobStates = ['waiting', 'active', 'completed', 'dead'] as const;

/** Why an attempt of a job failed. */
export interface JobFailure {
  /** Without secrets or payloads, at most 2000 characters. */
  readonly message: string;
  /** The error's code when it was an InfrastructureError, else its name. */
  readonly code: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** A job on its way into the queue. Times are whole milliseconds since the Unix epoch, here and below. */
export interface NewJob {
  /** Sorts by the time it was made. */
  readonly id: string;
  /** The definition's name. */
  readonly name: string;
  /** The version of the payload's shape. */
  readonly version: number;
  /** JSON text. */
  readonly payload: string;
  readonly context: ContextEnvelope | undefined;
  readonly maxAttempts: number;
  readonly availableAt: number;
  readonly createdAt: number;
  readonly deduplicationKey: string | undefined;
}

/** What became of one job given to {@link QueueDriver.enqueue}. */
export interface EnqueuedJob {
  /** The new job, or the unfinished one that has the same deduplication key. */
  readonly id: string;
  /** Whether an unfinished job with the same deduplication key was there already, so that no new one was added. */
  readonly isDuplicate: boolean;
}

/** The right to settle a job, until its lease ends. The generation is the fencing token: each claim of a job gets a higher one. */
export interface Claim {
  readonly id: string;
  readonly generation: number;
}

/** A job that was claimed, with what its handler needs. */
export interface ClaimedJob extends Claim {
  readonly name: string;
  readonly version: number;
  readonly payload: string;
  readonly context: ContextEnvelope | undefined;
  /** 1 for the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly createdAt: number;
  readonly availableAt: number;
}

/** What {@link QueueDriver.claim} is asked for. */
export interface ClaimRequest {
  /** Only jobs of these names. Not empty. */
  readonly names: readonly string[];
  /** At most this many, at least 1. */
  readonly limit: number;
  readonly now: number;
  readonly leaseUntil: number;
}

/** What is to become of a claimed job. */
export type Settlement = Claim &
  (
    | {
        readonly kind: 'complete';
        /** When its record may go; `undefined`: at once. */ readonly keepUntil: number | undefined;
      }
    | { readonly kind: 'retry'; readonly availableAt: number; readonly failure: JobFailure }
    | { readonly kind: 'bury'; readonly failure: JobFailure }
    | {
        /** Back as it was before the claim: the attempt does not count. */ readonly kind: 'release';
        readonly availableAt: number;
      }
  );

/** A job as it is kept. */
export interface StoredJob extends Omit<ClaimedJob, 'attempt'> {
  readonly state: JobState;
  /** Attempts that counted so far; those of a redriven job start again. */
  readonly attempts: number;
  readonly deduplicationKey: string | undefined;
  /** Why the last attempt failed. */
  readonly failure: JobFailure | undefined;
  /** When it was completed or buried. */
  readonly finishedAt: number | undefined;
}

/** Which jobs {@link QueueDriver.list} gives. */
export interface JobFilter {
  readonly state: JobState | undefined;
  readonly name: string | undefined;
  /** Only ids after this one. */
  readonly after: string | undefined;
  readonly limit: number;
}

/** Which dead jobs {@link QueueDriver.redrive} takes. */
export interface RedriveRequest {
  readonly ids: readonly string[] | undefined;
  readonly name: string | undefined;
  readonly limit: number;
  readonly now: number;
}

/** What {@link QueueDriver.maintain} did. */
export interface Maintenance {
  /** Jobs whose lease had ended and that wait again. */
  readonly recovered: number;
  /** Jobs whose lease had ended with their last attempt. */
  readonly buried: number;
  /** Completed jobs whose retention had ended. */
  readonly removed: number;
}

/**
 * A queue's engine. Every method is atomic: it takes effect as a whole or, when it throws, not at all. Every method MUST be
 * safe under calls at the same time, also of other processes where the engine is shared. Time is the caller's `now`.
 */
export interface QueueDriver extends Driver {
  readonly capabilities: QueueCapabilities;
  /**
   * Adds jobs, and gives one result for each, in their order. A job whose `(name, deduplicationKey)` belongs to an unfinished
   * job (`waiting` or `active`), or to an earlier one of the same call, MUST NOT be added. A job whose id is there already
   * MUST be left as it is and MUST NOT count as a duplicate, so that a repeated call is harmless. With the capability
   * `transactions` it joins the ambient transaction.
   */
  enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]>;
  /**
   * Claims waiting jobs with `availableAt <= now`, by `availableAt` and then by id: each becomes `active` under the lease with
   * one attempt more and a generation that no earlier claim of it had. No job may be claimed twice.
   */
  claim(request: ClaimRequest, signal?: AbortSignal): Promise<readonly ClaimedJob[]>;
  /**
   * Settles claims, and says for each, in their order, whether it took effect. One whose job is not active under exactly that
   * generation MUST change nothing. With the capability `transactions` it joins the ambient transaction.
   */
  settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]>;
  /**
   * Moves the end of leases, and says for each whether it was still held; the same fencing as for `settle`. MUST NOT wait for the
   * transaction of an atomic handler, which begins by extending its own lease: while that is open, its job MUST NOT be
   * given to anybody else, whatever becomes of the lease.
   */
  extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]>;
  /**
   * Gives back jobs whose lease ended before or at `now` (they are available at once, the attempt counts), buries those of them
   * that have no attempt left, and removes completed jobs whose `keepUntil` is past. MAY do only a part of a large backlog.
   */
  maintain(now: number, signal?: AbortSignal): Promise<Maintenance>;
  /** When there may next be something to do: the earliest `availableAt` of the waiting jobs of these names, or end of any lease. */
  nextEventAt(names: readonly string[], signal?: AbortSignal): Promise<number | undefined>;
  /**
   * Calls the listener when jobs may have become claimable. It is a hint that MAY be lost or be one too many: polling is the
   * backstop. It MUST come after the commit of the transaction that the enqueue was part of. Returns the function that ends it.
   */
  listen(listener: () => void): () => void;
  find(id: string, signal?: AbortSignal): Promise<StoredJob | undefined>;
  /** In the order of their ids. */
  list(filter: JobFilter, signal?: AbortSignal): Promise<readonly StoredJob[]>;
  counts(
    name: string | undefined,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<JobState, number>>>;
  /**
   * Makes dead jobs wait again, available at once and with all their attempts, and gives their number. One whose deduplication
   * key meanwhile belongs to an unfinished job MUST stay dead.
   */
  redrive(request: RedriveRequest, signal?: AbortSignal): Promise<number>;
  /** Removes a job that is not active, and says whether there was one. */
  remove(id: string, signal?: AbortSignal): Promise<boolean>;
  /**
   * Only with the capability `transactions`: runs `fn` in a database transaction of its own, which `enqueue` and `settle`
   * inside of it join. Rolls back when it throws.
   */
  transaction?<Result>(fn: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
}
