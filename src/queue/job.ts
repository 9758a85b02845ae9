import {
  type Duration,
  type ErrorOrigin,
  invalidArgument,
  parseWithSchema,
  type Schema,
  type SchemaInput,
  type SchemaOutput,
  toMilliseconds,
} from '../core/index.ts';

/** What a handler gets beside the payload. */
export interface JobContext {
  /** The job's id, the same in every attempt: use it as the idempotency key of what the handler does elsewhere. */
  readonly id: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly createdAt: Date;
  /**
   * Aborted when the attempt's time is up, when the lease was lost, or when the worker is told to end. Operations of this
   * package inside the handler heed it by themselves; hand it to everything else that takes one.
   */
  readonly signal: AbortSignal;
}

/** Does the work of one job. It may run more than once for a job: what it does must bear that. */
export type JobHandler<Payload> = (payload: Payload, context: JobContext) => unknown;

/** How long a failed job waits for its next attempt. */
export interface BackoffOptions {
  /** The bound for the first retry; it doubles with every further one. Default 2 s. */
  readonly initialDelay?: Duration;
  /** Default 1 h. */
  readonly maxDelay?: Duration;
}

/** What {@link defineJob} takes. */
export interface JobOptions<PayloadSchema extends Schema> {
  /** Unique in the application; what producers and workers know the job by. At most 200 characters. */
  readonly name: string;
  /** Validates the payload, as JSON gives it back, on send and again on receive. */
  readonly payload: PayloadSchema;
  /** The version of the payload's shape, from 1. Raise it when jobs that wait would not fit the schema any more. Default 1. */
  readonly version?: number;
  /** For each earlier version, the function that brings its payload to the version after it. */
  readonly upcast?: Readonly<Record<number, (payload: unknown) => unknown>>;
  /** How often the job is tried before it is dead. Default 10. */
  readonly attempts?: number;
  /** The wait is random between the half and the whole of an exponential bound. */
  readonly backoff?: BackoffOptions;
  /** For each attempt; then its signal is aborted. At most 24 days. Default 5 min. */
  readonly timeout?: Duration;
  /** How long the record of a completed job is kept. Default 0: it is removed at once. */
  readonly retention?: Duration;
}

/** How a handler runs. */
export interface HandleOptions<Atomic extends boolean> {
  /**
   * The handler runs inside a transaction of the queue's database, which also acknowledges the job: its database work and the
   * acknowledgement take effect together or not at all. Needs an adapter with the capability `transactions`. Default false.
   */
  readonly atomic: Atomic;
}

/** A job with its handler, for a worker. */
export interface HandledJob<Atomic extends boolean = boolean> {
  readonly job: JobSettings;
  readonly atomic: Atomic;
  /** Upcasts and validates a stored payload, and gives the function that runs the handler on it. */
  prepare(version: number, payload: string): Promise<(context: JobContext) => unknown>;
}

/** What a worker knows of a job's definition, all defaults filled in, durations in milliseconds. */
export interface JobSettings {
  readonly name: string;
  readonly version: number;
  readonly attempts: number;
  readonly backoff: { readonly initialDelay: number; readonly maxDelay: number };
  readonly timeout: number;
  readonly retention: number;
}

/** The longest delay that Node's timers can keep is 2^31 - 1 ms, a little more than this. */
const longestTimeout = 24 * 24 * 3_600_000;

/** A kind of job: its name, the shape of its payload, and its rules. Made by {@link defineJob}. */
export class JobDefinition<Input, Payload> implements JobSettings {
  readonly name: string;
  readonly version: number;
  readonly attempts: number;
  readonly backoff: { readonly initialDelay: number; readonly maxDelay: number };
  readonly timeout: number;
  readonly retention: number;
  readonly #schema: Schema<Payload, Input>;
  readonly #upcast: Readonly<Record<number, (payload: unknown) => unknown>>;
  readonly #origin: ErrorOrigin = { component: 'queue', operation: 'defineJob' };

  constructor(schema: Schema<Payload, Input>, options: Omit<JobOptions<Schema>, 'payload'>) {
    this.name = options.name;
    this.version = options.version ?? 1;
    this.attempts = options.attempts ?? 10;
    this.backoff = {
      initialDelay: toMilliseconds(options.backoff?.initialDelay ?? 2000),
      maxDelay: toMilliseconds(options.backoff?.maxDelay ?? 3_600_000),
    };
    this.timeout = toMilliseconds(options.timeout ?? 300_000);
    this.retention = toMilliseconds(options.retention ?? 0);
    this.#schema = schema;
    this.#upcast = options.upcast ?? {};
    this.#check();
  }

  /**
   * Gives the job its handler, for {@link JobQueue.worker}.
   *
   * @example
   * resize.handle(async ({ key }, { signal }) => { await makeThumbnail(key, signal); });
   */
  handle(handler: JobHandler<Payload>): HandledJob<false>;
  handle<Atomic extends boolean>(
    handler: JobHandler<Payload>,
    options: HandleOptions<Atomic>,
  ): HandledJob<Atomic>;
  handle(
    handler: JobHandler<Payload>,
    options: HandleOptions<boolean> = { atomic: false },
  ): HandledJob {
    return {
      job: this,
      atomic: options.atomic,
      prepare: async (version, text) => {
        const payload = await this.#decode(version, text);
        return (context) => handler(payload, context);
      },
    };
  }

  /**
   * The payload as JSON text. Throws `invalid-argument` when it is not JSON or when the schema refuses what JSON makes of it:
   * what the schema lets through here is exactly what the handler's side will see.
   */
  async encode(input: Input): Promise<string> {
    const subject = `the payload of job "${this.name}"`;
    let text: string | undefined;
    try {
      text = JSON.stringify(input);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
      throw invalidArgument(
        { component: 'queue' },
        `${subject} cannot be written as JSON: ${reason}`,
      );
    }
    if (text === undefined)
      throw invalidArgument(
        { component: 'queue' },
        `${subject} is not a JSON value: give null when there is nothing to say`,
      );
    await parseWithSchema(this.#schema, JSON.parse(text), {
      component: 'queue',
      subject: `${subject}, as JSON gives it back,`,
    });
    return text;
  }

  async #decode(version: number, text: string): Promise<Payload> {
    let payload: unknown = JSON.parse(text);
    for (let from = version; from < this.version; from += 1)
      payload = this.#upcast[from]?.(payload);
    return await parseWithSchema(this.#schema, payload, {
      component: 'queue',
      subject: `the stored payload of job "${this.name}" (version ${version})`,
      code: 'data-loss',
    });
  }

  #check(): void {
    const refuse = (problem: string): never => {
      throw invalidArgument(this.#origin, `job "${this.name}": ${problem}`);
    };
    // eslint-disable-next-line no-control-regex
    if (!/^[^\u0000-\u001f\u007f]{1,200}$/u.test(this.name))
      refuse('a name has 1 to 200 characters and no control characters');
    if (!Number.isSafeInteger(this.version) || this.version < 1)
      refuse('version is not a whole number from 1');
    if (!Number.isSafeInteger(this.attempts) || this.attempts < 1)
      refuse('attempts is not a whole number from 1');
    if (this.timeout < 1 || this.timeout > longestTimeout)
      refuse('timeout is not between 1 ms and 24 days');
    for (let version = 1; version < this.version; version += 1) {
      if (!this.#upcast[version])
        refuse(`upcast has no function for version ${version}, whose jobs may still be waiting`);
    }
  }
}

/**
 * Defines a kind of job once, for those who enqueue it and for those who handle it.
 *
 * Throws `invalid-argument` for options that make no sense, such as a version without its upcasters.
 *
 * @example
 * const resize = defineJob({ name: 'resize', payload: z.object({ key: z.string() }), attempts: 5 });
 */
export function defineJob<PayloadSchema extends Schema>(
  options: JobOptions<PayloadSchema>,
): JobDefinition<SchemaInput<PayloadSchema>, SchemaOutput<PayloadSchema>> {
  const schema = options.payload as Schema<SchemaOutput<PayloadSchema>, SchemaInput<PayloadSchema>>;
  return new JobDefinition(schema, options);
}

/** How long a job waits after its failed attempt, in milliseconds. `random` is from 0 to 1. */
export function backoffDelay(
  { initialDelay, maxDelay }: JobSettings['backoff'],
  attempt: number,
  random: number,
): number {
  const bound = Math.min(maxDelay, initialDelay * 2 ** (attempt - 1));
  return Math.round(bound / 2 + (bound / 2) * random);
}
