import { v7 as timeSortableId } from 'uuid';

import {
  type ByteSize,
  type CallOptions,
  type Clock,
  Component,
  type ComponentOptions,
  contextEnvelope,
  type Duration,
  invalidArgument,
  systemClock,
  toBytes,
  toMilliseconds,
} from '../core/index.ts';
import {
  type EnqueuedJob,
  type JobFailure,
  type JobState,
  jobStates,
  type NewJob,
  type QueueDriver,
  type StoredJob,
} from './driver.ts';
import type { HandledJob, JobDefinition } from './job.ts';
import { momentAfter } from './moment.ts';
import { Worker, type WorkerOptions } from './worker.ts';

/** What every factory of a queue takes. */
export interface QueueOptions extends ComponentOptions {
  /** The size of a payload as JSON in UTF-8, at most. Default 256 KiB. */
  readonly maxPayload?: ByteSize;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** Gives the jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: () => number;
}

/** Options of {@link JobQueue.enqueue}. */
export interface EnqueueOptions extends CallOptions {
  /** How long the job waits before it may run. Default 0. */
  readonly delay?: Duration;
  /**
   * While a job of this name with this key is unfinished (waiting, also for a retry, or running), no second one is added and
   * the first one's id is given. When a change during its run must not be missed, put the change's version into the key. At
   * most 500 characters, none of them NUL or half of a surrogate pair, which some engines cannot hold.
   */
  readonly deduplicationKey?: string;
}

/** Options of {@link JobQueue.enqueueMany}. */
export interface EnqueueManyOptions<Input> extends CallOptions {
  /** For all of them. Default 0. */
  readonly delay?: Duration;
  /** As in {@link EnqueueOptions}, for each payload. */
  readonly deduplicationKey?: (payload: Input, index: number) => string;
}

/** A job as the queue shows it. */
export interface JobInfo {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly state: JobState;
  /** As it was sent, neither upcast nor validated. */
  readonly payload: unknown;
  /** Attempts so far, the running one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly createdAt: Date;
  /** When a waiting job may run. */
  readonly availableAt: Date;
  /** When it was completed or buried. */
  readonly finishedAt: Date | undefined;
  readonly deduplicationKey: string | undefined;
  /** Why the last attempt failed. */
  readonly failure: JobFailure | undefined;
}

/** Options of {@link JobQueue.list}. */
export interface ListJobsOptions extends CallOptions {
  readonly state?: JobState;
  /** The job's name. */
  readonly name?: string;
  /** From 1 to 1000. Default 100. */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** One page of jobs, oldest first. */
export interface JobPage {
  readonly jobs: readonly JobInfo[];
  /** Give it as `after` for the next page; `undefined` on the last one. */
  readonly next: string | undefined;
}

/** Options of {@link JobQueue.redrive}: by ids, by the job's name, or all. */
export interface RedriveOptions extends CallOptions {
  readonly ids?: readonly string[];
  readonly name?: string;
  /** Default 1000. */
  readonly limit?: number;
}

/** Handlers that a queue with this driver can run: atomic ones only where it has transactions. */
export type HandledJobsOf<AnyDriver extends QueueDriver> = readonly HandledJob<
  AnyDriver['capabilities']['transactions'] extends false ? false : boolean
>[];

/**
 * Jobs that run later, elsewhere, and at least once each, whatever crashes in between.
 *
 * @example
 * const queue = sqlQueue({ database });
 * const { id } = await queue.enqueue(resize, { key: 'cover.png' }, { delay: '5s' });
 * await using worker = queue.worker([resize.handle(async ({ key }) => { await makeThumbnail(key); })]);
 * await worker.start();
 */
export class JobQueue<AnyDriver extends QueueDriver = QueueDriver> extends Component<AnyDriver> {
  readonly #maxPayload: number;
  readonly #clock: Clock;
  readonly #random: () => number;

  constructor(driver: AnyDriver, options: QueueOptions = {}) {
    super('queue', driver, options);
    this.#maxPayload = toBytes(options.maxPayload ?? 256 * 1024);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /**
   * Adds a job. Where the adapter has transactions and one is open, the job is part of it.
   *
   * Throws `invalid-argument` when the payload does not fit the job's schema, is not JSON or is too large.
   */
  async enqueue<Input, Payload>(
    job: JobDefinition<Input, Payload>,
    payload: Input,
    options: EnqueueOptions = {},
  ): Promise<EnqueuedJob> {
    // Made once: the driver ignores a repeated insert of the same id, so the call can be retried.
    let jobs: readonly NewJob[] | undefined;
    return await this.run(
      'enqueue',
      { job: job.name, count: 1 },
      { signal: options.signal, repeatable: true },
      async (signal) => {
        jobs ??= [await this.#newJob(job, payload, options)];
        const [added] = await this.driver.enqueue(jobs, signal);
        return added ?? missingResult();
      },
    );
  }

  /** Adds many jobs of one kind: all of them, or, when one payload is refused or the engine fails, none. */
  async enqueueMany<Input, Payload>(
    job: JobDefinition<Input, Payload>,
    payloads: readonly Input[],
    options: EnqueueManyOptions<Input> = {},
  ): Promise<readonly EnqueuedJob[]> {
    let jobs: readonly NewJob[] | undefined;
    return await this.run(
      'enqueue',
      { job: job.name, count: payloads.length },
      { signal: options.signal, repeatable: true },
      async (signal) => {
        jobs ??= await this.#newJobs(job, payloads, options);
        return jobs.length === 0 ? [] : await this.driver.enqueue(jobs, signal);
      },
    );
  }

  /**
   * Makes a worker that runs these jobs. It does nothing until it is started, and it is to be closed before the queue: name it
   * after the queue in {@link defineInfrastructure}.
   *
   * Throws `invalid-argument` for two handlers of one job or for options that make no sense.
   */
  worker(handlers: HandledJobsOf<AnyDriver>, options: WorkerOptions = {}): Worker {
    return new Worker(
      {
        driver: this.driver,
        clock: this.#clock,
        random: this.#random,
        start: async (signal) => {
          await this.start({ signal });
        },
        run: (name, attributes, fn) => this.run(name, attributes, {}, fn),
      },
      handlers,
      options,
    );
  }

  /** A job, or `undefined` when there is none: a completed job without retention is gone. */
  async find(id: string, { signal }: CallOptions = {}): Promise<JobInfo | undefined> {
    return await this.run('find', { id }, { signal, repeatable: true }, async (signal) => {
      const stored = await this.driver.find(id, signal);
      return stored && describe(stored);
    });
  }

  /** Jobs by state and name, a page at a time. Dead letters are `{ state: 'dead' }`. */
  async list({ state, name, limit = 100, after, signal }: ListJobsOptions = {}): Promise<JobPage> {
    return await this.run(
      'list',
      { state, job: name },
      { signal, repeatable: true },
      async (signal) => {
        this.#checkLimit(limit, 1000);
        if (state !== undefined && !jobStates.includes(state)) {
          throw invalidArgument(
            { component: 'queue', adapter: this.adapter, operation: 'list' },
            `"${state}" is no state of a job: give one of ${jobStates.join(', ')}`,
          );
        }
        const found = await this.driver.list({ state, name, after, limit: limit + 1 }, signal);
        const page = found.slice(0, limit);
        return {
          jobs: page.map(describe),
          next: found.length > limit ? page.at(-1)?.id : undefined,
        };
      },
    );
  }

  /** How many jobs are in each state. */
  async counts({ name, signal }: CallOptions & { readonly name?: string } = {}): Promise<
    Readonly<Record<JobState, number>>
  > {
    return await this.run(
      'counts',
      { job: name },
      { signal, repeatable: true },
      async (signal) => await this.driver.counts(name, signal),
    );
  }

  /** Gives dead jobs all their attempts again and gives their number. One that a job with the same deduplication key replaced stays dead. */
  async redrive({ ids, name, limit = 1000, signal }: RedriveOptions = {}): Promise<number> {
    return await this.run(
      'redrive',
      { job: name, count: ids?.length },
      { signal },
      async (signal) => {
        this.#checkLimit(limit, Number.MAX_SAFE_INTEGER);
        return await this.driver.redrive({ ids, name, limit, now: this.#clock.now() }, signal);
      },
    );
  }

  /** Removes a job that is not running: one that waits will not run, a dead one is forgotten. Says whether there was one. */
  async remove(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    return await this.run(
      'remove',
      { id },
      { signal, repeatable: true },
      async (signal) => await this.driver.remove(id, signal),
    );
  }

  async #newJobs<Input, Payload>(
    job: JobDefinition<Input, Payload>,
    payloads: readonly Input[],
    { delay, deduplicationKey }: EnqueueManyOptions<Input>,
  ): Promise<readonly NewJob[]> {
    const jobs: NewJob[] = [];
    for (const [index, payload] of payloads.entries()) {
      const key = deduplicationKey?.(payload, index);
      jobs.push(
        await this.#newJob(job, payload, {
          ...(delay === undefined ? {} : { delay }),
          ...(key === undefined ? {} : { deduplicationKey: key }),
        }),
      );
    }
    return jobs;
  }

  async #newJob<Input, Payload>(
    job: JobDefinition<Input, Payload>,
    input: Input,
    options: EnqueueOptions,
  ): Promise<NewJob> {
    const payload = await job.encode(input);
    const size = Buffer.byteLength(payload);
    if (size > this.#maxPayload) {
      throw invalidArgument(
        { component: 'queue', adapter: this.adapter, operation: 'enqueue' },
        `the payload of job "${job.name}" has ${size} bytes and the limit is ${this.#maxPayload}: put the data into storage or the database, and its key into the job`,
        { size, limit: this.#maxPayload },
      );
    }
    const { deduplicationKey } = options;
    if (deduplicationKey !== undefined && !isKey(deduplicationKey)) {
      throw invalidArgument(
        { component: 'queue', adapter: this.adapter, operation: 'enqueue' },
        'a deduplicationKey has 1 to 500 characters, none of them NUL or half of a surrogate pair',
      );
    }
    const now = this.#clock.now();
    return {
      id: timeSortableId(),
      name: job.name,
      version: job.version,
      payload,
      context: contextEnvelope(),
      maxAttempts: job.attempts,
      createdAt: now,
      availableAt: momentAfter(now, toMilliseconds(options.delay ?? 0)),
      deduplicationKey,
    };
  }

  #checkLimit(limit: number, highest: number): void {
    if (Number.isSafeInteger(limit) && limit >= 1 && limit <= highest) return;
    throw invalidArgument(
      { component: 'queue', adapter: this.adapter },
      `limit is not a whole number from 1 to ${highest}`,
    );
  }
}

function isKey(text: string): boolean {
  return text !== '' && text.length <= 500 && text.isWellFormed() && !text.includes('\0');
}

function missingResult(): never {
  throw new Error('the driver gave no result for the job: it must give one for each');
}

function describe(stored: StoredJob): JobInfo {
  return {
    id: stored.id,
    name: stored.name,
    version: stored.version,
    state: stored.state,
    payload: JSON.parse(stored.payload),
    attempts: stored.attempts,
    maxAttempts: stored.maxAttempts,
    createdAt: new Date(stored.createdAt),
    availableAt: new Date(stored.availableAt),
    finishedAt: stored.finishedAt === undefined ? undefined : new Date(stored.finishedAt),
    deduplicationKey: stored.deduplicationKey,
    failure: stored.failure,
  };
}
