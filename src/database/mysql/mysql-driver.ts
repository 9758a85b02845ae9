import { type CompiledQuery, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler } from 'kysely';

import { type Classify, InfrastructureError } from '../../core/index.ts';
import type {
  BeginOptions,
  DatabaseCapabilities,
  DatabaseDriver,
  DriverTransaction,
  Isolation,
  RowMode,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import type { ServerDriverOptions } from '../server-database.ts';
import { type ServerAddress, serverName } from '../server-name.ts';
import { ServerSessions } from '../server-sessions.ts';
import { killQuery } from './cancel.ts';
import { classifyMysql } from './classify.ts';
import type { MysqlConnection } from './connection.ts';
import { describeMysqlSchema } from './describe-schema.ts';
import { mysqlExpressions } from './expressions.ts';
import { MysqlTransaction } from './mysql-transaction.ts';
import { toMysqlValues } from './parameters.ts';
import { MysqlPool } from './pool.ts';
import { cancelGrace, MysqlSession } from './session.ts';
import { refuseReturning, transactionStatementRefused } from './statements.ts';

/** How a {@link MysqlDriver} reaches the server. */
export interface MysqlTarget extends ServerAddress {
  readonly user: string;
  /** Called for each connection. */
  readonly password: () => string;
  /** Options of TLS as `mysql2` has them; undefined for none. */
  readonly ssl: object | undefined;
}

/** A {@link MysqlDriver}'s options, with every default filled in; times in milliseconds. */
export interface MysqlDriverOptions extends ServerDriverOptions {
  readonly target: MysqlTarget;
}

/** What {@link MysqlDriver} gives as its `native`. */
export interface MysqlNative {
  /** The pool, to look at; its connections are handed out by the driver alone. */
  readonly pool: { readonly totalCount: number; readonly idleCount: number };
}

/** How long the lock of migrations is waited for, in seconds: as long as it takes. */
const lockTimeout = 31_536_000;

/**
 * MySQL and MariaDB through `mysql2`. Every statement is prepared by the server, so that parameters are never a part of its text; the
 * last hundred of each connection stay prepared, and the server prepares them anew by itself when the schema has changed.
 */
export class MysqlDriver implements DatabaseDriver {
  readonly adapter = 'mysql';
  readonly capabilities: DatabaseCapabilities = {
    concurrentReads: true,
    boundedStreams: true,
    transactionalDdl: false,
    statementRollback: true,
    returning: false,
    independentTransactions: true,
    notifications: false,
  };
  readonly dialect: SqlDialect = {
    createAdapter: () => new MysqlAdapter(),
    createIntrospector: (query) => new MysqlIntrospector(query),
    createQueryCompiler: () => new MysqlQueryCompiler(),
    expressions: mysqlExpressions,
    describeSchema: describeMysqlSchema,
  };
  readonly isolation: Isolation;
  readonly maxTransactions: number;
  readonly classify: Classify;
  readonly #options: MysqlDriverOptions;
  readonly #pool: MysqlPool;
  readonly #sessions: ServerSessions<MysqlSession>;

  constructor(options: MysqlDriverOptions) {
    this.#options = options;
    this.isolation = options.isolation;
    this.maxTransactions = options.poolSize;
    const where = serverName(options.target);
    this.classify = classifyMysql(where);
    const { adapter, classify } = this;
    this.#sessions = new ServerSessions({ ...options, adapter, classify, where });
    this.#pool = new MysqlPool(options);
  }

  get native(): MysqlNative {
    return { pool: this.#pool };
  }

  async start(signal?: AbortSignal): Promise<void> {
    const session = await this.#acquire(signal);
    session.release();
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    const session = await this.#acquire(signal);
    try {
      await session.execute({ sql: 'select 1', values: [] }, { signal });
    } finally {
      session.release();
    }
  }

  /** Resolves when no transaction, no stream and no statement is under way. */
  async drain(signal?: AbortSignal): Promise<void> {
    await this.#sessions.drain(signal);
  }

  async close(): Promise<void> {
    this.#sessions.close();
    this.#pool.close();
  }

  async execute(
    compiled: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    refuseReturning(compiled);
    const { sql, parameters, query } = compiled;
    const values = toMysqlValues(parameters);
    const session = await this.#acquire(signal);
    try {
      const result = await session.execute({ sql, values, query }, { signal }, rowMode);
      // The connection is closed on its release, and the server rolls back.
      if (session.inTransaction) throw transactionStatementRefused();
      return session.waitedMs === undefined ? result : { ...result, waitedMs: session.waitedMs };
    } finally {
      session.release();
    }
  }

  async *stream(compiled: CompiledQuery, options: StreamOptions): StatementStream {
    refuseReturning(compiled);
    const { sql, parameters, query } = compiled;
    const values = toMysqlValues(parameters);
    const session = await this.#acquire(options.signal);
    try {
      yield* session.stream({ sql, values, query }, options);
    } finally {
      session.release();
    }
  }

  async begin({
    signal,
    isolation,
    lock,
    readOnly = false,
  }: BeginOptions = {}): Promise<DriverTransaction> {
    const session = await this.#acquire(signal);
    const begin = beginText(isolation ?? this.#options.isolation, readOnly);
    try {
      // Before the first statement that sees data.
      if (lock !== undefined) await this.#lock(session, lock, signal);
      await session.command(begin, { signal });
      const isMigration = lock !== undefined;
      const { classify } = this;
      return new MysqlTransaction({ session, classify, begin, isMigration, readOnly });
    } catch (error) {
      // With it goes the lock, and what was begun.
      session.destroy();
      session.release();
      throw error;
    }
  }

  /** Named locks are the whole server's: the database is a part of the name, of which the server takes 64 characters. */
  async #lock(session: MysqlSession, lock: string, signal: AbortSignal | undefined): Promise<void> {
    const { rows } = await session.execute(
      {
        sql: `select get_lock(sha2(concat(database(), ':', ?), 256), ${lockTimeout}) as got`,
        values: [lock],
      },
      { signal, unlimited: true },
    );
    if (rows[0]?.['got'] === 1) return;
    throw new InfrastructureError({
      code: 'unavailable',
      component: 'database',
      adapter: this.adapter,
      outcome: 'not-applied',
      message: `the lock "${lock}" was waited for, and the server ended the wait`,
    });
  }

  async #acquire(signal: AbortSignal | undefined): Promise<MysqlSession> {
    const asked = performance.now();
    return await this.#sessions.acquire(signal, {
      open: async (waited) => {
        const idle = this.#pool.takeIdle();
        const connection = idle ?? (await this.#connect(signal));
        const session: MysqlSession = new MysqlSession({
          connection,
          statementTimeout: this.#options.statementTimeout,
          kill: async () => await killQuery(this.#options, connection.raw.threadId, cancelGrace),
          onRelease: () => {
            this.#pool.release(connection);
            this.#sessions.released(session);
          },
          // One that had to be made was waited for as well.
          waitedMs: waited === undefined && idle ? undefined : performance.now() - asked,
        });
        return session;
      },
    });
  }

  async #connect(signal: AbortSignal | undefined): Promise<MysqlConnection> {
    const connection = this.#pool.make();
    try {
      await this.#sessions.connected(connection.ready, signal);
      return connection;
    } catch (error) {
      connection.destroy();
      this.#pool.release(connection);
      throw error;
    }
  }
}

/**
 * One that only reads sees one moment and locks nothing: among transactions that are serializable by their locks, as InnoDB's are, it
 * is serializable too, where the isolation of that name would lock whatever it reads.
 */
function beginText(isolation: Isolation, readOnly: boolean): string {
  return readOnly
    ? 'set transaction isolation level repeatable read; start transaction with consistent snapshot, read only'
    : `set transaction isolation level ${isolation.replace('-', ' ')}; start transaction`;
}
