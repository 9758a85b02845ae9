import { AsyncLocalStorage } from 'node:async_hooks';

import {
  type CallOptions,
  type ComponentHealth,
  type Duration,
  InfrastructureError,
  invalidArgument,
  longestTimer,
  type Managed,
  toMilliseconds,
} from '../core/index.ts';
import { Attempt, type WorkerHost } from './attempt.ts';
import type { HandledJob } from './job.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { momentAfter } from './moment.ts';
import { Pulse } from './pulse.ts';
import { RetryDelay } from './retry-delay.ts';
import { Settler } from './settler.ts';

/** Options of {@link JobQueue.worker}. */
export interface WorkerOptions {
  /** Jobs that run at once. Default 10. */
  readonly concurrency?: number;
  /**
   * Jobs claimed beyond those that run, so that an engine a network away is not asked for each. When the process is killed,
   * each of them costs an attempt too. Default 0.
   */
  readonly prefetch?: number;
  /**
   * How long a job stays with this worker without a sign of life; leases are extended all the while. The jobs of a worker that
   * crashed run again after this time. At least 100 ms. Default 1 min.
   */
  readonly lease?: Duration;
  /**
   * How often the engine is asked for work that nobody announced: jobs that another process enqueued, crashed workers' jobs.
   * A quarter of it is jittered. Default 1 s.
   */
  readonly pollInterval?: Duration;
}

/** How long {@link Worker.close} waits for handlers that it aborted, in milliseconds. */
const abortGrace = 5000;

/** How long a loop rests at least that finds work due and cannot have it, in milliseconds. */
const shortestRest = 10;

/** So that one claim stays short. */
const largestClaim = 1000;

// Jobs belong to no request: what starts a worker must not lend it its context, signal or transaction.
const outsideOfAnyContext = AsyncLocalStorage.snapshot();

/** Runs a queue's jobs. Made by {@link JobQueue.worker}. A started worker keeps the process alive, as a listening server does. */
export class Worker implements Managed {
  readonly component = 'queue-worker';
  readonly adapter: string;
  readonly #host: WorkerHost;
  readonly #handled: ReadonlyMap<string, HandledJob>;
  readonly #names: readonly string[];
  readonly #concurrency: number;
  readonly #capacity: number;
  readonly #lease: number;
  readonly #pollInterval: number;
  /** Every claim in this worker's hands. */
  readonly #attempts = new Set<Attempt>();
  readonly #running = new Map<Attempt, Promise<void>>();
  readonly #settler: Settler;
  readonly #keeper: LeaseKeeper;
  readonly #retryDelay: RetryDelay;
  readonly #pulse: Pulse;
  readonly #draining = new AbortController();
  /** Claimed, and waiting for their turn. */
  #line: Attempt[] = [];
  #state: 'new' | 'running' | 'draining' | 'closed' = 'new';
  #isFull = false;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #loop: Promise<void> = Promise.resolve();
  #stopListening: () => void = () => undefined;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(host: WorkerHost, handlers: readonly HandledJob[], options: WorkerOptions) {
    const { concurrency = 10, prefetch = 0 } = options;
    this.adapter = host.driver.adapter;
    this.#host = host;
    this.#concurrency = concurrency;
    this.#capacity = concurrency + prefetch;
    this.#lease = toMilliseconds(options.lease ?? 60_000);
    this.#pollInterval = toMilliseconds(options.pollInterval ?? 1000);
    this.#check(handlers, concurrency, prefetch);
    this.#handled = new Map(handlers.map((handled) => [handled.job.name, handled]));
    this.#names = [...this.#handled.keys()];
    this.#settler = new Settler(host);
    this.#keeper = new LeaseKeeper(host, this.#lease, this.#attempts);
    this.#retryDelay = new RetryDelay(host.random);
    this.#pulse = new Pulse(host.clock);
  }

  /** Begins to take jobs. Safe to call again. Throws when the engine cannot be reached, and `failed-precondition` once closed. */
  async start({ signal }: CallOptions = {}): Promise<void> {
    if (this.#state === 'closed' || this.#state === 'draining') {
      throw new InfrastructureError({
        code: 'failed-precondition',
        component: this.component,
        adapter: this.adapter,
        operation: 'start',
        message: 'this worker was told to end: make a new one with queue.worker()',
      });
    }
    this.#starting ??= this.#start(signal);
    await this.#starting;
  }

  /**
   * Takes no more jobs, gives back those whose turn has not come, and resolves when the running ones are done. When the signal
   * is aborted, their signals are, and those that end with an error then are given back: neither costs an attempt.
   */
  async drain({ signal }: CallOptions = {}): Promise<void> {
    if (this.#state !== 'running' && this.#state !== 'draining') return;
    this.#state = 'draining';
    this.#stopListening();
    this.#draining.abort();
    this.#pulse.notify();
    const onAbort = (): void => {
      for (const attempt of this.#running.keys()) attempt.abort('shutdown');
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#loop;
      if (signal?.aborted) onAbort();
      await Promise.all(
        this.#line.splice(0).map(async (attempt) => {
          // The settler goes on for others in the context that it was called in, and this caller's may be cancelled.
          await outsideOfAnyContext(() => this.#settler.settle(attempt.release()));
          this.#attempts.delete(attempt);
        }),
      );
      await Promise.all(this.#running.values());
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** `degraded` while the engine fails or a handler ignores its aborted signal; `down` when the worker is not at work. */
  async checkHealth(): Promise<ComponentHealth> {
    if (this.#state !== 'running')
      return {
        status: 'down',
        message: `the worker is ${this.#state === 'new' ? 'not started' : this.#state}`,
      };
    const failure = this.#retryDelay.failure ?? this.#settler.failure ?? this.#keeper.failure;
    if (failure !== undefined)
      return {
        status: 'degraded',
        message: `the queue fails: ${failure.message}`,
      };
    const overdue = this.#host.clock.now() - abortGrace;
    for (const { abortedAt, claimed } of this.#running.keys()) {
      if (abortedAt !== undefined && abortedAt < overdue) {
        return {
          status: 'degraded',
          message: `job "${claimed.name}" (${claimed.id}) goes on though its signal was aborted: pass the handler's signal to what it awaits`,
        };
      }
    }
    return { status: 'ok' };
  }

  /**
   * Ends the worker: aborts what runs, gives it back, and stops. Drain it before, so that running jobs can finish. A handler
   * that ignores its signal is waited for 5 s, and so is an engine that does not take what became of the jobs; then
   * `deadline-exceeded` names it, and the leases end by themselves. Safe to call again.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#host.start(signal);
    } catch (error) {
      this.#starting = undefined;
      throw error;
    }
    if (this.#state !== 'new') return;
    this.#state = 'running';
    // It is there to hold the process open.
    this.#keepAlive = setInterval(() => undefined, longestTimer);
    this.#stopListening = this.#host.driver.listen(() => {
      this.#pulse.notify();
    });
    outsideOfAnyContext(() => {
      this.#loop = this.#takeJobs();
      void this.#keeper.run();
    });
  }

  async #close(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    const overdue = new AbortController();
    const drained = this.drain({ signal: AbortSignal.abort() }).then(() => true);
    const isDrained = await Promise.race([
      drained,
      this.#host.clock.sleep(abortGrace, overdue.signal).then(() => false),
    ]);
    overdue.abort();
    this.#state = 'closed';
    this.#settler.stop();
    this.#keeper.stop();
    clearInterval(this.#keepAlive);
    if (isDrained) return;
    const names = new Set(Array.from(this.#attempts, ({ claimed }) => `"${claimed.name}"`));
    const subject = `${this.#attempts.size} jobs (${[...names].join(', ')})`;
    const { failure } = this.#settler;
    throw new InfrastructureError({
      code: 'deadline-exceeded',
      component: this.component,
      adapter: this.adapter,
      operation: 'close',
      message:
        failure === undefined
          ? `${subject} did not end within ${abortGrace} ms of their signal's abort; they run again when their leases end: pass the handler's signal to what it awaits`
          : `the queue did not take within ${abortGrace} ms what became of ${subject}; they run again when their leases end: ${failure.message}`,
      ...(failure === undefined ? {} : { cause: failure }),
    });
  }

  /** Claims jobs while there is room for them and rests while there is none, or no work, until the worker drains. Never rejects. */
  async #takeJobs(): Promise<void> {
    const { driver, clock, run } = this.#host;
    let maintainAt = clock.now();
    let isHastened = false;
    while (this.#state === 'running') {
      const room = Math.min(this.#capacity - this.#attempts.size, largestClaim);
      this.#isFull = room <= 0;
      if (this.#isFull) {
        await this.#pulse.wait();
        continue;
      }
      this.#pulse.clear();
      let restUntil: number | undefined;
      try {
        if (clock.now() >= maintainAt) {
          maintainAt = clock.now() + this.#jittered(this.#pollInterval);
          await this.#maintain();
        }
        const now = clock.now();
        const attributes: Record<string, unknown> = { limit: room };
        const leaseUntil = momentAfter(now, this.#lease);
        const claimed = await run('claim', attributes, async (signal) => {
          const jobs = await driver.claim(
            { names: this.#names, limit: room, now, leaseUntil },
            signal,
          );
          attributes['count'] = jobs.length;
          return jobs;
        });
        for (const job of claimed)
          this.#accept(
            new Attempt(job, this.#handledOf(job.name), {
              host: this.#host,
              leaseUntil,
            }),
          );
        if (claimed.length < room) {
          const next = await run(
            'nextEvent',
            {},
            async (signal) => await driver.nextEventAt(this.#names, signal),
          );
          // What is due and yet was not to be had is a lease that ended, or a job that came or went this very moment. When that
          // was thought already, and nothing has come of it, others hold it, and no haste helps.
          const isDue = next !== undefined && next <= clock.now();
          isHastened = isDue && (claimed.length > 0 || !isHastened);
          if (isHastened) maintainAt = Math.min(maintainAt, clock.now() + shortestRest);
          restUntil = isDue ? maintainAt : Math.min(maintainAt, next ?? Infinity);
        }
        this.#retryDelay.reset();
      } catch (error) {
        await clock
          .sleep(this.#retryDelay.next(error), this.#draining.signal)
          .catch(() => undefined);
        continue;
      }
      if (restUntil !== undefined) await this.#pulse.wait(restUntil - clock.now());
    }
  }

  async #maintain(): Promise<void> {
    const attributes: Record<string, unknown> = {};
    await this.#host.run('maintain', attributes, async (signal) => {
      Object.assign(attributes, await this.#host.driver.maintain(this.#host.clock.now(), signal));
    });
  }

  #accept(attempt: Attempt): void {
    this.#attempts.add(attempt);
    this.#line.push(attempt);
    if (this.#state === 'running') this.#startNext();
  }

  #startNext(): void {
    while (this.#running.size < this.#concurrency) {
      const attempt = this.#line.shift();
      if (attempt === undefined) return;
      if (attempt.isLost) {
        this.#attempts.delete(attempt);
        continue;
      }
      attempt.deadline = this.#host.clock.now() + this.#handledOf(attempt.claimed.name).job.timeout;
      this.#keeper.watch(attempt);
      this.#running.set(attempt, this.#process(attempt));
    }
  }

  async #process(attempt: Attempt): Promise<void> {
    const settlement = await attempt.run();
    if (settlement !== undefined) await this.#settler.settle(settlement);
    this.#attempts.delete(attempt);
    this.#running.delete(attempt);
    if (this.#state === 'running') this.#startNext();
    if (this.#isFull) this.#pulse.notify();
  }

  #handledOf(name: string): HandledJob {
    const handled = this.#handled.get(name);
    if (handled) return handled;
    throw new Error(`the driver gave a job "${name}", which was not asked for`);
  }

  #jittered(milliseconds: number): number {
    return milliseconds * (0.875 + 0.25 * this.#host.random());
  }

  #check(handlers: readonly HandledJob[], concurrency: number, prefetch: number): void {
    const origin = { component: this.component, adapter: this.adapter, operation: 'worker' };
    if (handlers.length === 0)
      throw invalidArgument(
        origin,
        'a worker needs at least one handler: queue.worker([job.handle(…)])',
      );
    const names = new Set<string>();
    for (const { job, atomic } of handlers) {
      if (names.has(job.name))
        throw invalidArgument(origin, `job "${job.name}" has two handlers in one worker`);
      names.add(job.name);
      if (atomic && !this.#host.driver.capabilities.transactions) {
        throw new InfrastructureError({
          code: 'unimplemented',
          ...origin,
          message: `the handler of job "${job.name}" is atomic, and the ${this.adapter} adapter of queue has no transactions: choose an adapter that declares them, such as sqlQueue`,
          details: { capability: 'transactions' },
        });
      }
    }
    if (!Number.isSafeInteger(concurrency) || concurrency < 1)
      throw invalidArgument(origin, 'concurrency is not a whole number from 1');
    if (!Number.isSafeInteger(prefetch) || prefetch < 0)
      throw invalidArgument(origin, 'prefetch is not a whole number from 0');
    if (this.#lease < 100) throw invalidArgument(origin, 'lease is shorter than 100 ms');
    if (this.#pollInterval < 1) throw invalidArgument(origin, 'pollInterval is shorter than 1 ms');
  }
}
