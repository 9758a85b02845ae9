import { randomUUID } from 'node:crypto';

import { type Classify, type ContextEnvelope, InfrastructureError } from '../../core/index.ts';
import {
  redisClassifier,
  type RedisClient,
  type RedisConnection,
  type Script,
} from '../../redis/index.ts';
import type {
  Claim,
  ClaimedJob,
  ClaimRequest,
  EnqueuedJob,
  JobFailure,
  JobFilter,
  JobState,
  Maintenance,
  NewJob,
  QueueDriver,
  RedriveRequest,
  Settlement,
  StoredJob,
} from '../driver.ts';
import { leaseEnded } from '../lease-ended.ts';
import {
  claimScript,
  countsScript,
  enqueueScript,
  extendScript,
  findScript,
  listScript,
  maintainScript,
  nextEventScript,
  redriveScript,
  removeScript,
  settleScript,
} from './scripts.ts';

/** So that one maintenance does not hold up the server: of each name at most so many jobs. */
const maintainedAtOnce = 1000;

/** A job as the scripts give it: times and counts as text, `null` for what it does not have. */
type Row = readonly [
  queue: string,
  id: string,
  state: JobState,
  data: string,
  opts: string | null,
  timestamp: string,
  delay: string | null,
  generation: string | null,
  finishedAttempts: string | null,
  deduplicationKey: string | null,
  failedReason: string | null,
  failure: string | null,
  finishedOn: string | null,
];

/** What is written into a job's options beside BullMQ's own, which tools show and other producers may give. */
interface StoredOptions {
  readonly attempts?: number;
  /** The context, as JSON: where BullMQ's telemetry keeps a trace's. */
  readonly tm?: string;
  readonly underpin?: { readonly version?: number };
}

const classify = redisClassifier({
  NOPERM: 'Redis denies it to this user: grant the rights listed in docs/queue-redis.md',
  OOM: 'Redis is full (maxmemory) and takes no more jobs: give it more memory, or more workers',
  WRONGTYPE: 'the keys of the queue are used for something else: give it another prefix',
});

/** Jobs as BullMQ keeps them, one of its queues for each name, in a Redis that processes share. It joins no transaction. */
export class RedisQueueDriver implements QueueDriver {
  readonly adapter = 'redis';
  readonly capabilities = { transactions: false } as const;
  readonly classify: Classify = classify;
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  /** Tells the notices of this very driver, whose listeners have heard already, from those of others. */
  readonly #sender: string = randomUUID();
  readonly #listeners = new Set<() => void>();

  constructor(connection: RedisConnection, prefix: string) {
    this.#connection = connection;
    this.#prefix = prefix;
  }

  /** The client of node-redis, once it was connected. It is another one after a connection broke, unless it was given. */
  get native(): RedisClient | undefined {
    return this.#connection.client;
  }

  /** Connects, and refuses a Redis that would evict jobs when its memory is full. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.#connection.open(signal);
    const policy = await this.#evictionPolicy(signal);
    // The volatile policies evict what has an expiry, and no key of the queue has.
    if (policy === undefined || !policy.startsWith('allkeys')) return;
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'queue',
      adapter: this.adapter,
      operation: 'start',
      message: `this Redis evicts any key when its memory is full (maxmemory-policy ${policy}), and jobs with them: set maxmemory-policy to noeviction, or take another Redis than the cache's`,
    });
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#connection.send(['PING'], signal);
  }

  async enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]> {
    const results = await this.#run<readonly [id: string, isDuplicate: number][]>(
      enqueueScript,
      { jobs: jobs.map(asAdded), sender: this.#sender },
      signal,
    );
    this.#notify();
    return results.map(([id, isDuplicate]) => ({ id, isDuplicate: isDuplicate === 1 }));
  }

  async claim(
    { names, limit, now, leaseUntil }: ClaimRequest,
    signal?: AbortSignal,
  ): Promise<readonly ClaimedJob[]> {
    const rows = await this.#run<readonly Row[]>(
      claimScript,
      { queues: names.map(queueOf), limit, now, leaseUntil, token: this.#sender },
      signal,
    );
    // Whoever found nothing will rest, and wants to be woken.
    if (rows.length === 0) this.#hearOthers();
    return rows.map((row) => asClaimed(asStored(row)));
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await this.#run<readonly number[]>(
      settleScript,
      {
        settlements: settlements.map((settlement) =>
          'failure' in settlement
            ? { ...settlement, failure: asWritten(settlement.failure) }
            : settlement,
        ),
        now,
        sender: this.#sender,
      },
      signal,
    );
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release')) this.#notify();
    return results.map((result) => result === 1);
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await this.#run<readonly number[]>(
      extendScript,
      { claims: claims.map(({ id, generation }) => ({ id, generation })), leaseUntil },
      signal,
    );
    return results.map((result) => result === 1);
  }

  async maintain(now: number, signal?: AbortSignal): Promise<Maintenance> {
    const [recovered, buried, removed] = await this.#run<readonly [number, number, number]>(
      maintainScript,
      {
        now,
        limit: maintainedAtOnce,
        failure: asWritten(leaseEnded(now)),
        sender: this.#sender,
      },
      signal,
    );
    if (recovered > 0) this.#notify();
    return { recovered, buried, removed };
  }

  async nextEventAt(names: readonly string[], signal?: AbortSignal): Promise<number | undefined> {
    const at = await this.#run<string | null>(
      nextEventScript,
      { queues: names.map(queueOf) },
      signal,
    );
    return at === null ? undefined : Number(at);
  }

  listen(listener: () => void): () => void {
    // Wrapped, so that one function given twice is two listeners.
    const own = (): void => {
      listener();
    };
    this.#listeners.add(own);
    this.#hearOthers();
    return () => {
      this.#listeners.delete(own);
      if (this.#listeners.size === 0) this.#connection.unsubscribe();
    };
  }

  async find(id: string, signal?: AbortSignal): Promise<StoredJob | undefined> {
    const row = await this.#run<Row | null>(findScript, { id }, signal);
    return row === null ? undefined : asStored(row);
  }

  async list(
    { state, name, after, limit }: JobFilter,
    signal?: AbortSignal,
  ): Promise<readonly StoredJob[]> {
    const rows = await this.#run<readonly Row[]>(
      listScript,
      { state, queue: name === undefined ? undefined : queueOf(name), after, limit },
      signal,
    );
    return rows.map(asStored);
  }

  async counts(
    name: string | undefined,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<JobState, number>>> {
    const [waiting, active, completed, dead] = await this.#run<
      readonly [number, number, number, number]
    >(countsScript, { queue: name === undefined ? undefined : queueOf(name) }, signal);
    return { waiting, active, completed, dead };
  }

  async redrive({ ids, name, limit, now }: RedriveRequest, signal?: AbortSignal): Promise<number> {
    const redriven = await this.#run<number>(
      redriveScript,
      {
        ids,
        queue: name === undefined ? undefined : queueOf(name),
        limit,
        now,
        sender: this.#sender,
      },
      signal,
    );
    if (redriven > 0) this.#notify();
    return redriven;
  }

  async remove(id: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#run<number>(removeScript, { id }, signal)) === 1;
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#connection.close();
  }

  /** `Result` is what the script says that it gives. */
  async #run<Result>(
    script: Script,
    input: Readonly<Record<string, unknown>>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const [key, args] = [`${this.#prefix}:queues`, JSON.stringify(input)];
    return (await this.#connection.run(script, [key], [args], signal)) as Result;
  }

  async #evictionPolicy(signal: AbortSignal | undefined): Promise<string | undefined> {
    try {
      const info = String(await this.#connection.send(['INFO', 'memory'], signal));
      return /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    } catch (error) {
      // Not every user may ask.
      if (error instanceof Error && error.message.startsWith('NOPERM')) return undefined;
      throw error;
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #hearOthers(): void {
    if (this.#listeners.size === 0) return;
    void this.#connection.subscribe(`${this.#prefix}:wake`, (sender) => {
      if (sender !== this.#sender) this.#notify();
    });
  }
}

/** The name of BullMQ's queue for jobs of a name: the same, but for the colon, which BullMQ refuses. */
function queueOf(name: string): string {
  return name.toWellFormed().replace(/[%:]/g, encodeURIComponent);
}

function asAdded(job: NewJob): Readonly<Record<string, unknown>> {
  const { id, name, version, context, maxAttempts, availableAt, createdAt, payload } = job;
  const key = job.deduplicationKey?.toWellFormed();
  return {
    id,
    queue: queueOf(name),
    name: name.toWellFormed(),
    data: payload,
    timestamp: createdAt,
    availableAt,
    key,
    opts: JSON.stringify({
      jobId: id,
      attempts: maxAttempts,
      // What a worker of BullMQ does by itself, and ours by the job's retention.
      removeOnComplete: true,
      ...(availableAt > createdAt ? { delay: availableAt - createdAt } : {}),
      ...(key === undefined ? {} : { de: { id: key } }),
      ...(context === undefined ? {} : { tm: JSON.stringify(context) }),
      underpin: { version },
    }),
  };
}

function asClaimed(stored: StoredJob): ClaimedJob {
  const { state: _s, attempts, deduplicationKey: _d, failure: _f, finishedAt: _a, ...job } = stored;
  return { ...job, attempt: attempts };
}

function asStored(row: Row): StoredJob {
  const [queue, id, state, payload, opts, timestamp, delay, generation, finished, ...rest] = row;
  const [deduplicationKey, failedReason, failure, finishedOn] = rest;
  const { attempts = 1, tm, underpin } = JSON.parse(opts ?? '{}') as StoredOptions;
  const createdAt = Number(timestamp);
  const finishedAt = finishedOn === null ? undefined : Number(finishedOn);
  return {
    id,
    name: decodeURIComponent(queue),
    version: underpin?.version ?? 1,
    payload,
    context: tm === undefined ? undefined : contextOf(tm),
    maxAttempts: attempts,
    createdAt,
    availableAt: createdAt + Number(delay ?? 0),
    deduplicationKey: deduplicationKey ?? undefined,
    state,
    generation: Number(generation ?? 0),
    attempts: Number(finished ?? 0) + (state === 'active' ? 1 : 0),
    failure: failureOf(failure, failedReason, finishedAt ?? createdAt),
    finishedAt,
  };
}

/** Takes what another producer's telemetry wrote too. */
function contextOf(text: string): ContextEnvelope | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof fields !== 'object' || fields === null) return undefined;
  const known = ['requestId', 'tenant', 'traceparent'] as const;
  const given = Object.entries(fields).filter(
    ([field, value]) => known.some((each) => each === field) && typeof value === 'string',
  );
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

/** One that BullMQ's own worker wrote has only its reason. */
function failureOf(
  written: string | null,
  reason: string | null,
  at: number,
): JobFailure | undefined {
  if (written !== null) return JSON.parse(written) as JobFailure;
  return reason === null ? undefined : { message: reason, code: 'Error', at };
}

function asWritten(failure: JobFailure): { readonly message: string; readonly json: string } {
  return { message: failure.message.toWellFormed(), json: JSON.stringify(failure) };
}
