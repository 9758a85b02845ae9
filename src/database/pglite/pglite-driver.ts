import { setImmediate as nextTurn } from 'node:timers/promises';

import type { CompiledQuery } from 'kysely';

import { type Classify, InfrastructureError, longestTimer } from '../../core/index.ts';
import { inChunks } from '../chunks.ts';
import type {
  BeginOptions,
  DatabaseCapabilities,
  DatabaseDriver,
  DriverTransaction,
  NotificationListener,
  RowMode,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { isUnsupported } from '../postgres-sql/classify.ts';
import { readCursor } from '../postgres-sql/cursor.ts';
import { postgresDialect } from '../postgres-sql/dialect.ts';
import { toPostgresValues, type WireValue } from '../postgres-sql/parameters.ts';
import type { ExecuteOptions } from '../postgres-sql/session.ts';
import { isQuery, transactionStatementRefused } from '../postgres-sql/statements.ts';
import { PostgresTransaction } from '../postgres-sql/transaction.ts';
import { Semaphore } from '../semaphore.ts';
import { classifyPglite, isEngineEnded } from './classify.ts';
import { DataDirectory } from './data-directory.ts';
import { Engine } from './engine.ts';
import { Notifications } from './notifications.ts';
import { PgliteSession } from './session.ts';

/** A {@link PgliteDriver}'s options, with every default filled in; times in milliseconds. */
export interface PgliteDriverOptions {
  /** Undefined for memory. */
  readonly directory: string | undefined;
  readonly dump: Blob | undefined;
  readonly waitTimeout: number;
}

/** The part of PGlite that its users need; it is a `PGlite` of that package. */
export interface PgliteInstance {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  exec(text: string): Promise<unknown>;
  /** The whole data directory as a tar archive; compressed unless told `none`. */
  dumpDataDir(compression?: 'none' | 'gzip' | 'auto'): Promise<Blob>;
}

/** What {@link PgliteDriver} gives as its `native`. */
export interface PgliteNative {
  /** The engine. Whatever is done on it bypasses transactions, and is part of the one that is open. */
  readonly pglite: PgliteInstance;
}

/** A session, and how long it was waited for. */
interface Acquired {
  readonly session: PgliteSession;
  readonly waitedMs: number | undefined;
}

/**
 * PostgreSQL within this process, by PGlite, which has one connection: transactions run one after the other, and whatever is
 * outside of the open one waits for its end. So every transaction is serializable, and alone when it names a lock; the folder is
 * locked against other processes. A statement blocks the process until it is done, and cannot be cancelled.
 */
export class PgliteDriver implements DatabaseDriver {
  readonly adapter = 'pglite';
  readonly capabilities: DatabaseCapabilities;
  readonly dialect: SqlDialect = postgresDialect;
  readonly isolation = 'serializable';
  readonly classify: Classify;
  readonly #options: PgliteDriverOptions;
  readonly #where: string;
  readonly #directory: DataDirectory | undefined;
  readonly #place: Semaphore;
  readonly #notifications: Notifications;
  #engine: Engine | undefined;
  #isClosed = false;

  constructor(options: PgliteDriverOptions) {
    this.#options = options;
    const { directory } = options;
    this.#directory = directory === undefined ? undefined : new DataDirectory(directory);
    this.#where = this.#directory === undefined ? 'memory' : `"${this.#directory.path}"`;
    this.capabilities = {
      concurrentReads: false,
      // In memory, what is put aside for a stream is in memory too.
      boundedStreams: this.#directory !== undefined,
      transactionalDdl: true,
      statementRollback: false,
      returning: true,
      independentTransactions: false,
      notifications: true,
    };
    const classifyEngine = classifyPglite(this.#where);
    this.classify = (error) => classifyEngine(error) ?? this.#directory?.classify(error);
    this.#place = new Semaphore(`the one connection to PGlite in ${this.#where}`, 1);
    this.#notifications = new Notifications(
      async (sql) => await this.#once(sql, [], { timeout: longestTimer }),
    );
  }

  get native(): PgliteNative {
    return { pglite: this.#open.native };
  }

  async start(): Promise<void> {
    const { dump } = this.#options;
    const directory = this.#directory;
    const isNew = (await directory?.take()) ?? true;
    try {
      this.#engine = await Engine.open({
        directory: directory?.path,
        dump: isNew ? dump : undefined,
        onNotification: this.#notifications.emit,
      });
      if (isNew) await directory?.finish();
    } catch (error) {
      await this.#engine?.close(this.#closedError()).catch(() => undefined);
      this.#engine = undefined;
      directory?.release();
      throw error;
    }
    this.#notifications.start();
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#once('select 1', [], { signal });
  }

  /** Resolves when no transaction and no statement is under way. */
  async drain(signal?: AbortSignal): Promise<void> {
    await this.#place.untilIdle(signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#place.refuseAll(this.#closedError());
    this.#notifications.close();
    try {
      await this.#engine?.close(this.#closedError());
    } finally {
      this.#directory?.release();
    }
  }

  async execute(
    { sql, parameters }: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    return await this.#once(sql, toPostgresValues(parameters), { signal, rowMode });
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    let isHeld = false;
    if (this.capabilities.boundedStreams && isQuery(query.sql)) {
      // It must not keep the one connection to itself.
      const chunks = readCursor(
        async (sql, values, options) => await this.#once(sql, values, options),
        { sql: query.sql, values: toPostgresValues(query.parameters) },
        { chunkSize, signal, isHeld: true },
      );
      try {
        for await (const chunk of chunks) {
          isHeld = true;
          yield chunk;
          // For timers, such as that of a deadline: nothing that the engine does lets them run.
          await nextTurn();
        }
        return;
      } catch (error) {
        // Rows that are locked cannot be put aside.
        if (isHeld || !isUnsupported(error)) throw error;
      }
    }
    yield* inChunks(await this.execute(query, signal), chunkSize);
  }

  async begin({ signal, readOnly = false }: BeginOptions = {}): Promise<DriverTransaction> {
    const { session, waitedMs } = await this.#acquire(signal);
    try {
      await session.execute(readOnly ? 'begin read only' : 'begin', [], { signal });
      return new PostgresTransaction({
        session,
        classify: this.classify,
        isConnectionLost: isEngineEnded,
        unlimited: true,
        waitedMs,
      });
    } catch (error) {
      session.release();
      throw error;
    }
  }

  listen(channel: string, listener: NotificationListener): () => void {
    if (this.#isClosed) throw this.#closedError();
    return this.#notifications.listen(channel, listener);
  }

  get #open(): Engine {
    if (this.#engine !== undefined && !this.#isClosed) return this.#engine;
    throw this.#isClosed ? this.#closedError() : this.#notOpenError();
  }

  /** Runs one statement outside of any transaction. */
  async #once(
    sql: string,
    values: WireValue[],
    { timeout, ...options }: ExecuteOptions & { readonly timeout?: number },
  ): Promise<StatementResult> {
    const { session, waitedMs } = await this.#acquire(options.signal, timeout);
    try {
      const result = await session.execute(sql, values, options);
      // It is rolled back on the release.
      if (session.inTransaction) throw transactionStatementRefused();
      return waitedMs === undefined ? result : { ...result, waitedMs };
    } finally {
      session.release();
    }
  }

  async #acquire(
    signal: AbortSignal | undefined,
    timeout = this.#options.waitTimeout,
  ): Promise<Acquired> {
    const engine = this.#open;
    let waitedMs: number | undefined;
    if (!this.#place.tryAcquire()) {
      const since = performance.now();
      await this.#place.acquire({ timeout, signal });
      waitedMs = performance.now() - since;
    }
    const session = new PgliteSession(engine, () => {
      this.#place.release();
    });
    return { session, waitedMs };
  }

  #closedError(): InfrastructureError {
    return this.#preconditionError(`the database in ${this.#where} is closed`);
  }

  #notOpenError(): InfrastructureError {
    return this.#preconditionError(
      `the database in ${this.#where} is not open: call start() first`,
    );
  }

  #preconditionError(message: string): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter: this.adapter,
      message,
    });
  }
}
