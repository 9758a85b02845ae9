import type { CompiledQuery } from 'kysely';
import type { Client, Pool, PoolClient, PoolConfig } from 'pg';

import {
  abortable,
  type Classify,
  InfrastructureError,
  withOutcome,
  wrapError,
} from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import { inChunks } from '../chunks.ts';
import type {
  BeginOptions,
  DatabaseCapabilities,
  DatabaseDriver,
  DriverTransaction,
  Isolation,
  NotificationListener,
  RowMode,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { readCursor } from '../postgres-sql/cursor.ts';
import { postgresDialect } from '../postgres-sql/dialect.ts';
import { toPostgresValues } from '../postgres-sql/parameters.ts';
import { parserOf } from '../postgres-sql/results.ts';
import { isQuery, transactionStatementRefused } from '../postgres-sql/statements.ts';
import { PostgresTransaction } from '../postgres-sql/transaction.ts';
import { Semaphore } from '../semaphore.ts';
import { classifyPostgres, isConnectionLost } from './classify.ts';
import { KnownStatements } from './known-statements.ts';
import { Notifications } from './notifications.ts';
import { pg } from './pg.ts';
import { RestingClients } from './resting-clients.ts';
import { PostgresSession } from './session.ts';
import { SharedReads } from './shared-reads.ts';

/** How a {@link PostgresDriver} reaches the server. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Called for each connection. */
  readonly password: () => string;
  /** Node's options of TLS, or whether there is any. */
  readonly ssl: boolean | object;
}

/** A {@link PostgresDriver}'s options, with every default filled in; times in milliseconds. */
export interface PostgresDriverOptions {
  readonly target: PostgresTarget;
  readonly poolSize: number;
  readonly waitTimeout: number;
  readonly connectTimeout: number;
  readonly idleTimeout: number;
  /** 0 for none. */
  readonly maxLifetime: number;
  /** 0 for none. */
  readonly statementTimeout: number;
  readonly applicationName: string;
  readonly isolation: Isolation;
  /** Whether the server keeps statements prepared that come again. */
  readonly preparedStatements: boolean;
}

/** The part of `pg`'s pool that its users need; it is a `Pool` of that package. */
export interface PostgresPool {
  readonly totalCount: number;
  readonly idleCount: number;
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; rowCount: number | null }>;
}

/** What {@link PostgresDriver} gives as its `native`. */
export interface PostgresNative {
  /** The pool. Whatever is done on it bypasses transactions, and the bound of the pool's waits. */
  readonly pool: PostgresPool;
}

/** How long idle connections may take to say goodbye when the driver is closed, in milliseconds. */
const closeGrace = 1000;

/**
 * PostgreSQL through `pg`. The pool's connections are handed out by a semaphore, since a wait in the pool itself cannot be
 * cancelled. Reads outside of transactions share connections ({@link SharedReads}); whatever else runs has one to itself.
 */
export class PostgresDriver implements DatabaseDriver {
  readonly adapter = 'postgres';
  readonly capabilities: DatabaseCapabilities = {
    concurrentReads: true,
    boundedStreams: true,
    transactionalDdl: true,
    statementRollback: false,
    returning: true,
    independentTransactions: true,
    notifications: true,
  };
  readonly dialect: SqlDialect = postgresDialect;
  readonly isolation: Isolation;
  readonly maxTransactions: number;
  readonly classify: Classify;
  readonly #options: PostgresDriverOptions;
  readonly #where: string;
  readonly #places: Semaphore;
  readonly #pool: Pool;
  /** All connections there are, also those that are still being made. */
  readonly #clients = new Set<Client>();
  /** Since when each has been there, by `performance.now()`. */
  readonly #bornAt = new WeakMap<object, number>();
  readonly #sessions = new Set<PostgresSession>();
  readonly #notifications: Notifications;
  readonly #statements: KnownStatements;
  readonly #resting = new RestingClients();
  readonly #reads: SharedReads;
  #isClosed = false;

  constructor(options: PostgresDriverOptions) {
    this.#options = options;
    this.isolation = options.isolation;
    this.maxTransactions = options.poolSize;
    this.#statements = new KnownStatements(options.preparedStatements);
    const { host, port, database } = options.target;
    this.#where = `${host}:${port}/${database}`;
    this.classify = classifyPostgres(this.#where);
    this.#places = new Semaphore(
      `one of the ${options.poolSize} connections to ${this.#where}`,
      options.poolSize,
    );
    const places = this.#places;
    this.#reads = new SharedReads({
      get isContended() {
        return places.isContended;
      },
      get isFull() {
        return places.isFull;
      },
      statementTimeout: options.statementTimeout,
      tryAcquire: () => this.#tryAcquire(),
      acquire: async (signal) => await this.#acquire(signal),
    });
    const clients = this.#clients;
    const bornAt = this.#bornAt;
    class TrackedClient extends pg.Client {
      constructor(config?: PoolConfig) {
        super(config);
        clients.add(this);
        bornAt.set(this, performance.now());
        // A connection that is lost shows at its next use; without a listener it would end the process.
        this.on('error', () => undefined);
        this.once('end', () => {
          clients.delete(this);
        });
      }
    }
    const config = this.#config();
    this.#pool = new pg.Pool({ ...config, Client: TrackedClient });
    this.#pool.on('error', () => undefined);
    this.#notifications = new Notifications(() => new TrackedClient(config));
  }

  get native(): PostgresNative {
    return { pool: this.#pool };
  }

  async start(signal?: AbortSignal): Promise<void> {
    const session = await this.#acquire(signal);
    session.release();
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    const session = await this.#acquire(signal);
    try {
      await session.execute('select 1', [], { signal });
    } finally {
      session.release();
    }
  }

  /** Resolves when no transaction, no stream and no statement is under way. */
  async drain(signal?: AbortSignal): Promise<void> {
    await this.#places.untilIdle(signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#places.refuseAll(this.#closedError());
    this.#notifications.close();
    for (const session of this.#sessions) {
      session.destroy(this.#closedError());
      // The pool would wait for whoever has it.
      session.release();
    }
    this.#resting.giveBack();
    // An idle connection says goodbye to the server, and waits for it to hang up, which a dead one never does.
    const timer = setTimeout(() => {
      this.#destroyAll();
    }, closeGrace);
    try {
      await this.#pool.end();
    } finally {
      clearTimeout(timer);
      this.#destroyAll();
    }
  }

  async execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    const values = toPostgresValues(query.parameters);
    const statement = this.#statements.of(query.sql);
    if (query.query.kind === 'SelectQueryNode' && statement.isRead)
      return await this.#reads.execute({ statement, values, rowMode }, signal);
    const session = this.#tryAcquire() ?? (await this.#acquire(signal));
    try {
      const result = await session.execute(statement, values, { signal, rowMode });
      // The connection is closed on its release, and the server rolls back.
      if (session.inTransaction) throw transactionStatementRefused();
      const { waitedMs } = session;
      return waitedMs === undefined ? result : { ...result, waitedMs };
    } finally {
      session.release({ rests: true });
    }
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    if (!isQuery(query.sql)) {
      yield* inChunks(await this.execute(query, signal), chunkSize);
      return;
    }
    const statement = { sql: query.sql, values: toPostgresValues(query.parameters) };
    const session = await this.#acquire(signal);
    try {
      // A cursor lives in a transaction, and sees one moment in any of them.
      await session.execute('begin', [], { signal });
      yield* readCursor(
        async (sql, values, options) => await session.execute(sql, values, options),
        statement,
        { chunkSize, signal },
      );
      // What the query did on its way, by a function that it called.
      await session.execute('commit');
    } finally {
      if (session.inTransaction) await session.execute('commit').catch(() => undefined);
      session.release();
    }
  }

  async begin({
    signal,
    isolation,
    readOnly,
    lock,
  }: BeginOptions = {}): Promise<DriverTransaction> {
    const session = await this.#acquire(signal);
    const unlimited = lock !== undefined;
    try {
      const level = (isolation ?? this.#options.isolation).replace('-', ' ');
      const mode = readOnly ? ' read only' : '';
      await session.execute(`begin isolation level ${level}${mode}`, [], { signal });
      if (lock !== undefined) {
        await session.execute('set local statement_timeout = 0');
        // Before the first statement that sees data, and by the lock's name, of which the server takes a number.
        await session.execute('select pg_advisory_xact_lock(hashtextextended($1, 0))', [lock], {
          signal,
          unlimited,
        });
      }
      return new PostgresTransaction({
        session,
        classify: this.classify,
        isConnectionLost,
        unlimited,
        waitedMs: session.waitedMs,
      });
    } catch (error) {
      await session.execute('rollback').catch(() => undefined);
      session.release();
      throw error;
    }
  }

  listen(channel: string, listener: NotificationListener): () => void {
    if (this.#isClosed) throw this.#closedError();
    return this.#notifications.listen(channel, listener);
  }

  async #acquire(signal: AbortSignal | undefined): Promise<PostgresSession> {
    const startedAt = performance.now();
    let session: PostgresSession | undefined;
    const waited = await this.#places.acquire({
      timeout: this.#options.waitTimeout,
      signal,
      onAdmitted: () => {
        session = this.#sessionAtHand(performance.now() - startedAt);
      },
    });
    session ??= this.#sessionAtHand(waited);
    if (session !== undefined) return session;
    try {
      const isAtHand = waited === undefined && this.#pool.idleCount > 0;
      const client = await this.#connect(signal);
      // One that had to be made was waited for as well.
      return this.#sessionOn(client, isAtHand ? undefined : performance.now() - startedAt);
    } catch (error) {
      this.#places.release();
      throw error;
    }
  }

  /** A session, if a place is free and a connection for it at hand. */
  #tryAcquire(): PostgresSession | undefined {
    if (this.#isClosed || !this.#places.tryAcquire()) return undefined;
    const session = this.#sessionAtHand();
    if (session === undefined) this.#places.release();
    return session;
  }

  #sessionAtHand(waitedMs?: number): PostgresSession | undefined {
    const client = this.#resting.take();
    return client && this.#sessionOn(client, waitedMs);
  }

  #sessionOn(client: PoolClient, waitedMs?: number): PostgresSession {
    const session: PostgresSession = new PostgresSession(client, {
      statementTimeout: this.#options.statementTimeout,
      statements: this.#statements,
      waitedMs,
      onRelease: (released, state) => {
        this.#sessions.delete(session);
        if (state === 'resting' && !this.#isClosed && !this.#isOld(released)) {
          this.#resting.rest(released, () => {
            this.#places.release();
          });
          return;
        }
        released.release(state === 'broken');
        this.#places.release();
      },
    });
    this.#sessions.add(session);
    return session;
  }

  /** Whether the pool is to close it once it has it back. */
  #isOld(client: PoolClient): boolean {
    const { maxLifetime } = this.#options;
    return maxLifetime > 0 && performance.now() - (this.#bornAt.get(client) ?? 0) >= maxLifetime;
  }

  async #connect(signal: AbortSignal | undefined): Promise<PoolClient> {
    if (this.#isClosed) throw this.#closedError();
    const connecting = this.#pool.connect();
    try {
      const client = await (signal === undefined ? connecting : abortable(connecting, signal));
      if (!this.#isClosed) return client;
      client.release(true);
      throw this.#closedError();
    } catch (error) {
      if (signal?.aborted) {
        void releaseLater(connecting);
        throw abortedBefore(signal);
      }
      if (this.#isClosed) throw this.#closedError();
      // Nothing has been sent yet.
      const origin = { component: 'database', adapter: this.adapter };
      throw withOutcome(wrapError(error, origin, this.classify), 'not-applied');
    }
  }

  #config(): PoolConfig {
    const { target, poolSize, connectTimeout, idleTimeout, maxLifetime } = this.#options;
    const { statementTimeout, applicationName } = this.#options;
    return {
      host: target.host,
      port: target.port,
      database: target.database,
      user: target.user,
      password: target.password,
      ssl: target.ssl,
      max: poolSize,
      connectionTimeoutMillis: connectTimeout,
      idleTimeoutMillis: idleTimeout,
      maxLifetimeSeconds: maxLifetime / 1000,
      application_name: applicationName,
      keepAlive: true,
      // Each takes statements before it has answered the earlier ones, of which only reads make use.
      pipeline: true,
      types: { getTypeParser: parserOf },
      ...(statementTimeout > 0 && { statement_timeout: statementTimeout }),
    };
  }

  #destroyAll(): void {
    for (const client of this.#clients) client.connection.stream.destroy();
  }

  #closedError(): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter: this.adapter,
      message: `the database at ${this.#where} is closed`,
    });
  }
}

/** For a connection that nobody waits for any more. */
async function releaseLater(connecting: Promise<PoolClient>): Promise<void> {
  try {
    (await connecting).release();
  } catch {
    // Then there is none.
  }
}
