import TinyQueue from 'tinyqueue';

import type {
  Claim,
  ClaimedJob,
  ClaimRequest,
  EnqueuedJob,
  JobFilter,
  JobState,
  Maintenance,
  NewJob,
  QueueDriver,
  RedriveRequest,
  Settlement,
  StoredJob,
} from './driver.ts';
import { leaseEnded } from './lease-ended.ts';
import { JobQueue, type QueueOptions } from './queue.ts';

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type Job = Mutable<StoredJob> & { leaseUntil: number; keepUntil: number | undefined };

/** An entry of a name's line. It is stale, and skipped, once the job is no longer waiting for that very moment. */
interface Place {
  readonly job: Job;
  readonly availableAt: number;
}

/** Jobs in the memory of one process, for tests and for work that may be lost with it. It joins no transaction. */
export class MemoryQueueDriver implements QueueDriver {
  readonly adapter = 'memory';
  readonly capabilities = { transactions: false } as const;
  readonly native: undefined = undefined;
  readonly #jobs = new Map<string, Job>();
  readonly #lines = new Map<string, TinyQueue<Place>>();
  readonly #active = new Set<Job>();
  /** By name and key; only of unfinished jobs. */
  readonly #unfinished = new Map<string, Job>();
  /** Completed jobs that are kept for their retention. */
  readonly #kept = new Set<Job>();
  readonly #listeners = new Set<() => void>();

  classify(): undefined {
    return undefined;
  }

  async enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]> {
    signal?.throwIfAborted();
    const results = jobs.map((job): EnqueuedJob => {
      if (this.#jobs.has(job.id)) return { id: job.id, isDuplicate: false };
      const twin = this.#twinOf(job);
      if (twin) return { id: twin.id, isDuplicate: true };
      const stored: Job = {
        ...job,
        state: 'waiting',
        generation: 0,
        attempts: 0,
        failure: undefined,
        finishedAt: undefined,
        leaseUntil: 0,
        keepUntil: undefined,
      };
      this.#jobs.set(stored.id, stored);
      this.#wait(stored, stored.availableAt);
      return { id: stored.id, isDuplicate: false };
    });
    this.#notify();
    return results;
  }

  async claim(
    { names, limit, now, leaseUntil }: ClaimRequest,
    signal?: AbortSignal,
  ): Promise<readonly ClaimedJob[]> {
    signal?.throwIfAborted();
    const claimed: ClaimedJob[] = [];
    while (claimed.length < limit) {
      const place = names
        .map((name) => this.#front(name))
        .filter((front) => front !== undefined)
        .reduce<Place | undefined>(
          (first, front) => (first && comparePlaces(first, front) <= 0 ? first : front),
          undefined,
        );
      if (place === undefined || place.availableAt > now) break;
      const { job } = place;
      this.#lines.get(job.name)?.pop();
      job.state = 'active';
      job.generation += 1;
      job.attempts += 1;
      job.leaseUntil = leaseUntil;
      this.#active.add(job);
      claimed.push({
        id: job.id,
        generation: job.generation,
        name: job.name,
        version: job.version,
        payload: job.payload,
        context: job.context,
        attempt: job.attempts,
        maxAttempts: job.maxAttempts,
        createdAt: job.createdAt,
        availableAt: job.availableAt,
      });
    }
    return claimed;
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    signal?.throwIfAborted();
    const results = settlements.map((settlement) => {
      const job = this.#held(settlement);
      if (job === undefined) return false;
      this.#active.delete(job);
      switch (settlement.kind) {
        case 'complete':
          this.#finish(job, 'completed', now);
          job.keepUntil = settlement.keepUntil;
          if (settlement.keepUntil === undefined) this.#jobs.delete(job.id);
          else this.#kept.add(job);
          break;
        case 'retry':
          job.failure = settlement.failure;
          this.#wait(job, settlement.availableAt);
          break;
        case 'bury':
          job.failure = settlement.failure;
          this.#finish(job, 'dead', now);
          break;
        case 'release':
          job.attempts -= 1;
          this.#wait(job, settlement.availableAt);
          break;
      }
      return true;
    });
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release')) this.#notify();
    return results;
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    signal?.throwIfAborted();
    return claims.map((claim) => {
      const job = this.#held(claim);
      if (job) job.leaseUntil = leaseUntil;
      return job !== undefined;
    });
  }

  async maintain(now: number, signal?: AbortSignal): Promise<Maintenance> {
    signal?.throwIfAborted();
    const done = { recovered: 0, buried: 0, removed: 0 };
    for (const job of this.#active) {
      if (job.leaseUntil > now) continue;
      this.#active.delete(job);
      job.failure = leaseEnded(now);
      if (job.attempts >= job.maxAttempts) {
        this.#finish(job, 'dead', now);
        done.buried += 1;
      } else {
        this.#wait(job, now);
        done.recovered += 1;
      }
    }
    for (const job of this.#kept) {
      if ((job.keepUntil ?? 0) > now) continue;
      this.#kept.delete(job);
      this.#jobs.delete(job.id);
      done.removed += 1;
    }
    if (done.recovered > 0) this.#notify();
    return done;
  }

  async nextEventAt(names: readonly string[], signal?: AbortSignal): Promise<number | undefined> {
    signal?.throwIfAborted();
    let next = Infinity;
    for (const name of names) next = Math.min(next, this.#front(name)?.availableAt ?? Infinity);
    for (const { leaseUntil } of this.#active) next = Math.min(next, leaseUntil);
    return next === Infinity ? undefined : next;
  }

  listen(listener: () => void): () => void {
    // Wrapped, so that one function given twice is two listeners.
    const own = (): void => {
      listener();
    };
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  async find(id: string, signal?: AbortSignal): Promise<StoredJob | undefined> {
    signal?.throwIfAborted();
    const job = this.#jobs.get(id);
    return job && { ...job };
  }

  async list(
    { state, name, after, limit }: JobFilter,
    signal?: AbortSignal,
  ): Promise<readonly StoredJob[]> {
    signal?.throwIfAborted();
    return [...this.#jobs.values()]
      .filter(
        (job) =>
          (state === undefined || job.state === state) &&
          (name === undefined || job.name === name) &&
          (after === undefined || job.id > after),
      )
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map((job) => ({ ...job }));
  }

  async counts(
    name: string | undefined,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<JobState, number>>> {
    signal?.throwIfAborted();
    const counts = { waiting: 0, active: 0, completed: 0, dead: 0 };
    for (const job of this.#jobs.values())
      if (name === undefined || job.name === name) counts[job.state] += 1;
    return counts;
  }

  async redrive({ ids, name, limit, now }: RedriveRequest, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    const wanted = ids && new Set(ids);
    let redriven = 0;
    for (const job of [...this.#jobs.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      if (redriven === limit) break;
      if (
        job.state !== 'dead' ||
        (name !== undefined && job.name !== name) ||
        (wanted && !wanted.has(job.id))
      )
        continue;
      if (this.#twinOf(job)) continue;
      job.attempts = 0;
      job.finishedAt = undefined;
      this.#wait(job, now);
      redriven += 1;
    }
    if (redriven > 0) this.#notify();
    return redriven;
  }

  async remove(id: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    const job = this.#jobs.get(id);
    if (job === undefined || job.state === 'active') return false;
    this.#finish(job, 'completed', 0);
    this.#kept.delete(job);
    return this.#jobs.delete(id);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #held({ id, generation }: Claim): Job | undefined {
    const job = this.#jobs.get(id);
    return job?.state === 'active' && job.generation === generation ? job : undefined;
  }

  #twinOf({
    name,
    deduplicationKey,
  }: Pick<StoredJob, 'name' | 'deduplicationKey'>): Job | undefined {
    return deduplicationKey === undefined
      ? undefined
      : this.#unfinished.get(`${name}\n${deduplicationKey}`);
  }

  #wait(job: Job, availableAt: number): void {
    job.state = 'waiting';
    job.availableAt = availableAt;
    if (job.deduplicationKey !== undefined)
      this.#unfinished.set(`${job.name}\n${job.deduplicationKey}`, job);
    let line = this.#lines.get(job.name);
    if (line === undefined)
      this.#lines.set(job.name, (line = new TinyQueue<Place>([], comparePlaces)));
    line.push({ job, availableAt });
  }

  #finish(job: Job, state: 'completed' | 'dead', now: number): void {
    job.state = state;
    job.finishedAt = now;
    if (this.#twinOf(job) === job) this.#unfinished.delete(`${job.name}\n${job.deduplicationKey}`);
  }

  /** The first place in a name's line that is not stale. */
  #front(name: string): Place | undefined {
    const line = this.#lines.get(name);
    for (let place = line?.peek(); place; place = line?.peek()) {
      if (place.job.state === 'waiting' && place.job.availableAt === place.availableAt)
        return place;
      line?.pop();
    }
    return undefined;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function comparePlaces(a: Place, b: Place): number {
  return a.availableAt - b.availableAt || (a.job.id < b.job.id ? -1 : 1);
}

/**
 * A queue in memory, for tests and for work that may be lost with the process.
 *
 * @example
 * const queue = memoryQueue();
 */
export function memoryQueue(options: QueueOptions = {}): JobQueue<MemoryQueueDriver> {
  return new JobQueue(new MemoryQueueDriver(), options);
}
