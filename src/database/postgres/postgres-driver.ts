import type { CompiledQuery } from 'kysely';
import type { Client, Pool, PoolClient, PoolConfig } from 'pg';

import type { Classify } from '../../core/index.ts';
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
import type { ServerDriverOptions } from '../server-database.ts';
import { type ServerAddress, serverName } from '../server-name.ts';
import { ServerSessions } from '../server-sessions.ts';
import { classifyPostgres, isConnectionLost } from './classify.ts';
import { KnownStatements } from './known-statements.ts';
import { Notifications } from './notifications.ts';
import { pg } from './pg.ts';
import { RestingClients } from './resting-clients.ts';
import { PostgresSession } from './session.ts';
import { SharedReads } from './shared-reads.ts';

/** How a {@link PostgresDriver} reaches the server. */
export interface PostgresTarget extends Omit<ServerAddress, 'socket'> {
  readonly user: string;
  /** Called for each connection. */
  readonly password: () => string;
  /** Node's options of TLS, or whether there is any. */
  readonly ssl: boolean | object;
}

/** A {@link PostgresDriver}'s options, with every default filled in; times in milliseconds. */
export interface PostgresDriverOptions extends ServerDriverOptions {
  readonly target: PostgresTarget;
  readonly applicationName: string;
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
 * PostgreSQL through `pg`. Reads outside of transactions share connections ({@link SharedReads}); whatever else runs has one to itself.
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
  readonly #pool: Pool;
  /** All connections there are, also those that are still being made. */
  readonly #clients = new Set<Client>();
  /** Since when each has been there, by `performance.now()`. */
  readonly #bornAt = new WeakMap<object, number>();
  readonly #sessions: ServerSessions<PostgresSession>;
  readonly #notifications: Notifications;
  readonly #statements: KnownStatements;
  readonly #resting = new RestingClients();
  readonly #reads: SharedReads;

  constructor(options: PostgresDriverOptions) {
    this.#options = options;
    this.isolation = options.isolation;
    this.maxTransactions = options.poolSize;
    this.#statements = new KnownStatements(options.preparedStatements);
    const where = serverName(options.target);
    this.classify = classifyPostgres(where);
    const { adapter, classify } = this;
    const sessions = new ServerSessions<PostgresSession>({ ...options, adapter, classify, where });
    this.#sessions = sessions;
    this.#reads = new SharedReads({
      get isContended() {
        return sessions.isContended;
      },
      get isFull() {
        return sessions.isFull;
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
    await this.#sessions.drain(signal);
  }

  async close(): Promise<void> {
    this.#notifications.close();
    // The pool would wait for whoever has one.
    this.#sessions.close();
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
    this.#sessions.assertOpen();
    return this.#notifications.listen(channel, listener);
  }

  async #acquire(signal: AbortSignal | undefined): Promise<PostgresSession> {
    const startedAt = performance.now();
    return await this.#sessions.acquire(signal, {
      atHand: (waitedMs) => this.#sessionAtHand(waitedMs),
      open: async (waitedMs) => {
        const isAtHand = waitedMs === undefined && this.#pool.idleCount > 0;
        const client = await this.#connect(signal);
        // One that had to be made was waited for as well.
        return this.#sessionOn(client, isAtHand ? undefined : performance.now() - startedAt);
      },
    });
  }

  /** A session, if a place is free and a connection for it at hand. */
  #tryAcquire(): PostgresSession | undefined {
    return this.#sessions.tryAcquire(() => this.#sessionAtHand());
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
        if (state === 'resting' && !this.#sessions.isClosed && !this.#isOld(released)) {
          this.#resting.rest(released, () => {
            this.#sessions.released(session);
          });
          return;
        }
        released.release(state === 'broken');
        this.#sessions.released(session);
      },
    });
    return session;
  }

  /** Whether the pool is to close it once it has it back. */
  #isOld(client: PoolClient): boolean {
    const { maxLifetime } = this.#options;
    return maxLifetime > 0 && performance.now() - (this.#bornAt.get(client) ?? 0) >= maxLifetime;
  }

  async #connect(signal: AbortSignal | undefined): Promise<PoolClient> {
    const connecting = this.#pool.connect();
    try {
      return await this.#sessions.connected(connecting, signal);
    } catch (error) {
      void this.#giveBack(connecting);
      throw error;
    }
  }

  /** For a connection that nobody waits for any more. */
  async #giveBack(connecting: Promise<PoolClient>): Promise<void> {
    try {
      (await connecting).release(this.#sessions.isClosed);
    } catch {
      // Then there is none.
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
}
