import {
  type Clock,
  InfrastructureError,
  operation,
  type OperationAttributes,
  runWithContext,
  wrapError,
} from '../core/index.ts';
import type { ClaimedJob, JobFailure, QueueDriver, Settlement } from './driver.ts';
import { backoffDelay, type HandledJob } from './job.ts';
import { momentAfter } from './moment.ts';

/** What workers and their parts get from the queue that they belong to. */
export interface WorkerHost {
  readonly driver: QueueDriver;
  readonly clock: Clock;
  readonly random: () => number;
  /** Starts the queue. */
  readonly start: (signal: AbortSignal | undefined) => Promise<void>;
  /** Runs one call of the driver as an operation of the queue. */
  readonly run: <Result>(
    name: string,
    attributes: OperationAttributes,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ) => Promise<Result>;
}

/** Why an attempt's signal was aborted. */
export type AbortCause = 'timeout' | 'lease-lost' | 'shutdown';

const abortReasons: Readonly<Record<AbortCause, readonly [message: string, name: string]>> = {
  timeout: ['the time of this attempt is up', 'TimeoutError'],
  'lease-lost': ['the lease of this job was lost: another worker may be running it', 'AbortError'],
  shutdown: ['the worker is told to end; the job runs again later', 'AbortError'],
};

/** How long a job waits whose version is newer than this worker knows: a deploy is under way, and other workers may take it. */
const newerVersionDelay = 60_000;

/** One claim of a job in the hands of a worker, from the claim to its settlement. */
export class Attempt {
  readonly claimed: ClaimedJob;
  readonly #handled: HandledJob;
  readonly #host: WorkerHost;
  readonly #controller = new AbortController();
  /** The end of the lease as far as this process knows. */
  leaseUntil: number;
  /** When its time is up; none while it waits for its turn, or once it was aborted. */
  deadline: number = Infinity;
  #abortCause: AbortCause | undefined;
  #abortedAt: number | undefined;

  constructor(
    claimed: ClaimedJob,
    handled: HandledJob,
    options: { readonly host: WorkerHost; readonly leaseUntil: number },
  ) {
    this.claimed = claimed;
    this.#handled = handled;
    this.#host = options.host;
    this.leaseUntil = options.leaseUntil;
  }

  /** When its handler was told to stop, if it was. */
  get abortedAt(): number | undefined {
    return this.#abortedAt;
  }

  /** Whether its lease was lost: it is settled by whoever holds the job now. */
  get isLost(): boolean {
    return this.#abortCause === 'lease-lost';
  }

  /** Aborts the handler's signal. The first cause stands, except that a lost lease outranks all others. */
  abort(cause: AbortCause): void {
    if (this.#abortCause === undefined || cause === 'lease-lost') this.#abortCause = cause;
    this.deadline = Infinity;
    if (this.#controller.signal.aborted) return;
    this.#abortedAt = this.#host.clock.now();
    const [message, name] = abortReasons[cause];
    this.#controller.abort(new DOMException(message, name));
  }

  /** Gives the job back as if it had never been claimed. */
  release(delay = 0): Settlement {
    const { id, generation } = this.claimed;
    return { id, generation, kind: 'release', availableAt: this.#host.clock.now() + delay };
  }

  /**
   * Runs the handler to its end, however long that takes after an abort: a retry never overlaps it. Gives what is still to be
   * settled, or `undefined` when nothing is. Never rejects.
   */
  async run(): Promise<Settlement | undefined> {
    const { id, name, attempt, maxAttempts, context, version } = this.claimed;
    const attributes: OperationAttributes = {
      adapter: this.#host.driver.adapter,
      job: name,
      id,
      attempt,
      maxAttempts,
    };
    let settlement: Settlement | undefined;
    const settled = (
      result: Settlement | undefined,
      outcome: string | undefined = result?.kind,
    ): void => {
      settlement = result;
      attributes['outcome'] = outcome;
    };
    try {
      await runWithContext({ ...context, signal: this.#controller.signal }, () =>
        operation('queue', 'process', attributes, async () => {
          if (version > this.#handled.job.version) {
            settled(this.release(newerVersionDelay), 'deferred');
            return;
          }
          try {
            const result = await this.#handle();
            settled(result, this.isLost ? 'lost' : 'complete');
          } catch (error) {
            settled(this.#afterFailure(error), this.isLost ? 'lost' : undefined);
            throw error;
          }
        }),
      );
    } catch {
      // The operation's event has told of it, and the settlement carries it on.
    }
    return settlement;
  }

  async #handle(): Promise<Settlement | undefined> {
    const { id, generation, attempt, maxAttempts, createdAt } = this.claimed;
    const handler = await this.#prepare();
    const { driver, clock } = this.#host;
    const { signal } = this.#controller;
    const context = { id, attempt, maxAttempts, createdAt: new Date(createdAt), signal };
    const complete = (): Settlement => {
      const { retention } = this.#handled.job;
      return {
        id,
        generation,
        kind: 'complete',
        keepUntil: retention > 0 ? momentAfter(clock.now(), retention) : undefined,
      };
    };
    if (!this.#handled.atomic) {
      await handler(context);
      return complete();
    }
    let work: Promise<unknown> = Promise.resolve();
    try {
      await driver.transaction?.(async () => {
        const claims = [{ id, generation }];
        this.#assertHeld(await driver.extend(claims, this.leaseUntil, signal));
        work = Promise.resolve(handler(context));
        await work;
        this.#assertHeld(await driver.settle([complete()], clock.now(), signal));
      }, signal);
    } finally {
      // An aborted transaction rolls back at once; the handler may still be at it.
      await work.catch(() => undefined);
    }
    return undefined;
  }

  #assertHeld([isHeld]: readonly boolean[]): void {
    if (isHeld) return;
    this.abort('lease-lost');
    this.#controller.signal.throwIfAborted();
  }

  async #prepare(): ReturnType<HandledJob['prepare']> {
    try {
      return await this.#handled.prepare(this.claimed.version, this.claimed.payload);
    } catch (error) {
      throw new UndecodableError(error);
    }
  }

  #afterFailure(error: unknown): Settlement | undefined {
    const { id, generation, attempt, maxAttempts } = this.claimed;
    if (this.#abortCause === 'lease-lost') return undefined;
    if (this.#abortCause === 'shutdown') return this.release();
    const now = this.#host.clock.now();
    const isUndecodable = error instanceof UndecodableError;
    const cause = isUndecodable ? error.cause : error;
    const failure =
      this.#abortCause === 'timeout'
        ? {
            code: 'deadline-exceeded',
            message: `no end within ${this.#handled.job.timeout} ms`,
            at: now,
          }
        : describeFailure(cause, now);
    // A payload that the schema refuses today is refused on every retry.
    if (isUndecodable || attempt >= maxAttempts) return { id, generation, kind: 'bury', failure };
    const { retryAfterMs = 0 } = InfrastructureError.is(cause) ? cause : {};
    // Whoever threw it may have read it out of a header.
    const asked = Number.isFinite(retryAfterMs) ? retryAfterMs : 0;
    const delay = backoffDelay(this.#handled.job.backoff, attempt, this.#host.random());
    const availableAt = momentAfter(now, Math.max(delay, asked));
    return { id, generation, kind: 'retry', availableAt, failure };
  }
}

class UndecodableError extends Error {
  override readonly name = 'UndecodableError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : 'the payload cannot be read', { cause });
  }
}

/** What is kept of an error: never more than its message, without credentials. */
function describeFailure(error: unknown, at: number): JobFailure {
  // With a code given, core keeps the words of whatever was thrown.
  const { message } = wrapError(error, { component: 'queue' }, () => ({ code: 'internal' }));
  const name = error instanceof Error ? error.name : 'Error';
  return {
    message: message.slice(0, 2000),
    code: InfrastructureError.is(error) ? error.code : name,
    at,
  };
}
