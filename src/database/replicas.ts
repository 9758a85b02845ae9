import type { CompiledQuery } from 'kysely';

import {
  abortable,
  type Classify,
  type Clock,
  type ComponentHealth,
  contextKey,
  type ErrorCode,
  type InfrastructureError,
  wrapError,
} from '../core/index.ts';
import type {
  BeginOptions,
  DatabaseDriver,
  DriverTransaction,
  Isolation,
  NotificationListener,
  RowMode,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from './driver.ts';
import { isPlainRead } from './is-read.ts';

/** A server with a copy of the primary's data, which lags behind it. */
export interface Replica {
  /** Names it in events and in the health, such as `db-2.example.com:5432/shop`. */
  readonly name: string;
  readonly driver: DatabaseDriver;
}

/** What is known of a replica. */
interface Standing extends Replica {
  isStarted: boolean;
  /** Why it is passed over; undefined while it serves. */
  problem: string | undefined;
  /** When it may be asked again whether it serves. */
  nextTrial: number;
  trial: Promise<void> | undefined;
}

/** What is known of the work of one context. */
interface Reader {
  hasWritten: boolean;
  /** Where it reads: one replica, so that what it has seen does not disappear again. */
  replica: Standing | undefined;
}

/** Who reads where. */
interface Route {
  readonly reader: Reader;
  readonly replica: Standing;
}

/** How long a replica that failed is left alone before it is asked again, in milliseconds. */
const trialInterval = 1000;

/** How long it may take to say that it serves, in milliseconds. */
const trialTimeout = 5000;

/** What says of the replica, and not of the statement, that it cannot serve. */
const failings: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'data-loss',
  'internal',
  'not-found',
  'unauthenticated',
  'unavailable',
]);

/**
 * A primary with replicas, as one driver. Reads of the query builder outside of transactions, and read-only transactions that need
 * not be serializable, go to a replica; all else goes to the primary. Once something other than a read was done in a context, all
 * that follows in it goes to the primary, so that it sees its own writes. Work outside of any context is taken for that of one.
 *
 * What a replica cannot answer the primary is asked, which has the last word. A replica that fails is passed over, and asked again
 * from time to time whether it is back; nobody waits for that.
 */
export class ReplicatedDriver<Primary extends DatabaseDriver> implements DatabaseDriver {
  readonly adapter: Primary['adapter'];
  readonly classify: Classify;
  readonly dialect: SqlDialect;
  readonly listen?: (channel: string, listener: NotificationListener) => () => void;
  readonly #primary: Primary;
  readonly #replicas: readonly Standing[];
  readonly #clock: Clock;
  readonly #readers = new WeakMap<object, Reader>();
  /** Of what runs outside of any context. */
  readonly #outside: Reader = { hasWritten: false, replica: undefined };
  readonly #closed = new AbortController();
  #turn = 0;

  constructor(primary: Primary, replicas: readonly Replica[], clock: Clock) {
    this.#primary = primary;
    this.#clock = clock;
    this.adapter = primary.adapter;
    this.classify = primary.classify;
    this.dialect = primary.dialect;
    if (primary.listen) this.listen = primary.listen.bind(primary);
    this.#replicas = replicas.map((replica) => ({
      ...replica,
      isStarted: false,
      problem: 'it has not been reached yet',
      nextTrial: 0,
      trial: undefined,
    }));
  }

  get capabilities(): Primary['capabilities'] {
    return this.#primary.capabilities;
  }

  get isolation(): Isolation {
    return this.#primary.isolation;
  }

  get maxTransactions(): number | undefined {
    return this.#primary.maxTransactions;
  }

  get native(): Primary['native'] {
    return this.#primary.native;
  }

  /** A replica that cannot be reached keeps nothing from starting. */
  async start(signal?: AbortSignal): Promise<void> {
    const trials = this.#replicas.map(async (replica) => await this.#try(replica));
    await this.#primary.start?.(signal);
    const tried = Promise.all(trials);
    await (signal === undefined ? tried : abortable(tried, signal));
  }

  /** Waits for no replica, whose time is not the primary's: what is found out is told the next time. */
  async checkHealth(signal?: AbortSignal): Promise<ComponentHealth | void> {
    for (const replica of this.#replicas) this.#tryIfDue(replica);
    const health = await this.#primary.checkHealth?.(signal);
    const problems = this.#replicas.flatMap(({ name, problem }) =>
      problem === undefined ? [] : [`the replica ${name} serves no reads: ${problem}`],
    );
    return problems.length === 0 ? health : { status: 'degraded', message: problems.join('; ') };
  }

  async drain(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.#drivers().map(async (driver) => await driver.drain?.(signal)));
  }

  async close(): Promise<void> {
    this.#closed.abort(new DOMException('closed', 'AbortError'));
    const trials = this.#replicas.map(async ({ trial }) => await trial);
    const closing = this.#drivers().map(async (driver) => await driver.close());
    for (const settled of await Promise.allSettled([...closing, ...trials]))
      if (settled.status === 'rejected') throw settled.reason;
  }

  execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): StatementResult | Promise<StatementResult> {
    const route = isPlainRead(query) ? this.#route() : this.#writing();
    const byPrimary = (): StatementResult | Promise<StatementResult> =>
      this.#primary.execute(query, signal, rowMode);
    if (route === undefined) return byPrimary();
    return this.#byReplica(route, byPrimary, async ({ driver, name }) => ({
      ...(await driver.execute(query, signal, rowMode)),
      replica: name,
    }));
  }

  async *stream(query: CompiledQuery, options: StreamOptions): StatementStream {
    const route = isPlainRead(query) ? this.#route() : this.#writing();
    if (route !== undefined) {
      const { driver, name } = route.replica;
      let hasBegun = false;
      try {
        for await (const chunk of driver.stream(query, options)) {
          hasBegun = true;
          yield { ...chunk, replica: name };
        }
        return;
      } catch (error) {
        const failure = this.#failed(route, error);
        // The rest of the primary's rows would be of another moment.
        if (hasBegun) throw failure;
      }
    }
    yield* this.#primary.stream(query, options);
  }

  async begin(options: BeginOptions = {}): Promise<DriverTransaction> {
    const { readOnly = false, isolation } = options;
    const byPrimary = async (): Promise<DriverTransaction> => await this.#primary.begin(options);
    if (!readOnly) this.#writing();
    // No replica knows what is under way on the primary, as it would have to.
    const route = readOnly && isolation !== 'serializable' ? this.#route() : undefined;
    if (route === undefined) return await byPrimary();
    return await this.#byReplica(
      route,
      byPrimary,
      async ({ driver }) => await driver.begin(options),
    );
  }

  async #byReplica<Result>(
    route: Route,
    byPrimary: () => Result | Promise<Result>,
    read: (replica: Replica) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await read(route.replica);
    } catch (error) {
      this.#failed(route, error);
    }
    return await byPrimary();
  }

  /** What a replica's error means for it and for its reader. Throws it when the primary is not to be asked. */
  #failed({ reader, replica }: Route, error: unknown): InfrastructureError {
    const failure = this.#wrap(replica, error);
    const { code } = failure;
    // A function that the read calls writes.
    if (code === 'permission-denied') reader.hasWritten = true;
    if (failings.has(code)) this.#passOver(replica, failure);
    if (code === 'deadline-exceeded') {
      // Nothing tells a slow statement from a server that hangs.
      this.#passOver(replica, failure);
      void this.#try(replica);
    }
    // Its time is over, or its caller has gone.
    if (code === 'deadline-exceeded' || code === 'cancelled') throw failure;
    return failure;
  }

  /** Where the current context may read; undefined when that is the primary. */
  #route(): Route | undefined {
    const reader = this.#reader();
    if (reader.hasWritten) return undefined;
    for (const each of this.#replicas) if (each.problem !== undefined) this.#tryIfDue(each);
    let { replica } = reader;
    if (replica?.problem !== undefined) replica = undefined;
    replica ??= this.#next();
    // What is outside of any context is the work of many, and is spread.
    if (reader !== this.#outside) reader.replica = replica;
    return replica && { reader, replica };
  }

  /** From here on, the current context reads from the primary. Before the write is sent, for nobody may hear of its success. */
  #writing(): undefined {
    this.#reader().hasWritten = true;
  }

  #reader(): Reader {
    const key = contextKey();
    if (key === undefined) return this.#outside;
    let reader = this.#readers.get(key);
    if (reader === undefined) {
      reader = { hasWritten: false, replica: undefined };
      this.#readers.set(key, reader);
    }
    return reader;
  }

  /** One that serves, each in its turn. */
  #next(): Standing | undefined {
    const serving = this.#replicas.filter(({ problem }) => problem === undefined);
    this.#turn += 1;
    return serving[this.#turn % serving.length];
  }

  #passOver(replica: Standing, failure: InfrastructureError): void {
    replica.problem = failure.message;
    replica.nextTrial = this.#clock.now() + trialInterval;
  }

  #tryIfDue(replica: Standing): void {
    if (this.#clock.now() >= replica.nextTrial) void this.#try(replica);
  }

  /** Asks a replica whether it serves. Never rejects. */
  async #try(replica: Standing): Promise<void> {
    replica.nextTrial = this.#clock.now() + trialInterval;
    replica.trial ??= this.#trial(replica);
    await replica.trial;
  }

  async #trial(replica: Standing): Promise<void> {
    const { driver } = replica;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(trialTimeout)]);
    try {
      if (!replica.isStarted) await driver.start?.(signal);
      replica.isStarted = true;
      await driver.checkHealth?.(signal);
      replica.problem = undefined;
    } catch (error) {
      this.#passOver(replica, this.#wrap(replica, error));
    } finally {
      replica.trial = undefined;
    }
  }

  #wrap({ driver }: Replica, error: unknown): InfrastructureError {
    const origin = { component: 'database', adapter: driver.adapter };
    return wrapError(error, origin, driver.classify);
  }

  #drivers(): DatabaseDriver[] {
    return [this.#primary, ...this.#replicas.map(({ driver }) => driver)];
  }
}
