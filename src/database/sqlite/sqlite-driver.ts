import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import {
  type CompiledQuery,
  type IdentifierNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';

import { type Classify, type Clock, InfrastructureError } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import { inChunks } from '../chunks.ts';
import type {
  BeginOptions,
  DatabaseCapabilities,
  DatabaseDriver,
  DriverTransaction,
  RowMode,
  SqlDialect,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { Semaphore } from '../semaphore.ts';
import { classifySqlite, isBusy, isRefusedWrite } from './classify.ts';
import { SqliteConnection } from './connection.ts';
import { describeSqliteSchema } from './describe-schema.ts';
import { type Execution, executeOn, paced, transactionStatementRefused } from './execution.ts';
import { sqliteExpressions } from './expressions.ts';
import { toSqliteValues } from './parameters.ts';
import { kindOf } from './routing.ts';
import { finishInTurns, type Sliced } from './slices.ts';
import { SqliteTransaction } from './sqlite-transaction.ts';

/** A {@link SqliteDriver}'s options, with every default filled in. */
export interface SqliteDriverOptions {
  readonly file: string;
  readonly synchronous: 'normal' | 'full';
  readonly waitTimeout: number;
  readonly clock: Clock;
}

/** What {@link SqliteDriver} gives as its `native`. */
export interface SqliteNative {
  /** The connection that writes. Whatever is done on it bypasses transactions and their queue. */
  readonly writer: DatabaseSync;
}

/** Streams that may be open at once; each holds a connection. */
const streamLimit = 16;

/** Connections kept for streams to come, beside those in use. */
const idleStreamLimit = 2;

/** The longest pause between two tries for another process's lock, in milliseconds. SQLite itself sleeps up to 100, and blocks. */
const busyPause = 25;

/**
 * SQLite through `node:sqlite`, whose calls block: each statement is done when its call returns.
 *
 * A file in WAL mode has one connection that writes, one that reads (read-only, so that SQLite itself refuses what was taken
 * for a read and is none), and one more for each open stream, since a stream holds its connection at one moment in time.
 * Memory has one connection for everything: there, whatever is outside of the open transaction waits for its end.
 *
 * Nothing blocks on another process's lock: SQLite's busy timeout is zero, and the wait is ours, with the signal.
 */
export class SqliteDriver implements DatabaseDriver {
  readonly adapter = 'sqlite';
  readonly capabilities: DatabaseCapabilities;
  readonly dialect: SqlDialect = {
    createAdapter: () => new SqliteAdapter(),
    createIntrospector: (query) => new SqliteIntrospector(query),
    createQueryCompiler: () => new QueryCompiler(),
    expressions: sqliteExpressions,
    describeSchema: describeSqliteSchema,
  };
  readonly isolation = 'serializable';
  readonly classify: Classify;
  readonly #options: SqliteDriverOptions;
  readonly #isMemory: boolean;
  readonly #writing: Semaphore;
  readonly #streaming: Semaphore;
  readonly #idleStreams: SqliteConnection[] = [];
  readonly #openStreams = new Set<SqliteConnection>();
  /** Texts that a read-only connection refused. */
  readonly #hiddenWrites = new Set<string>();
  #writer: SqliteConnection | undefined;
  #reader: SqliteConnection | undefined;

  constructor(options: SqliteDriverOptions) {
    this.#options = options;
    this.#isMemory = options.file === ':memory:';
    this.capabilities = this.#isMemory
      ? {
          concurrentReads: false,
          boundedStreams: false,
          transactionalDdl: true,
          statementRollback: true,
          returning: true,
          independentTransactions: false,
          notifications: false,
        }
      : {
          concurrentReads: true,
          boundedStreams: true,
          transactionalDdl: true,
          statementRollback: true,
          returning: true,
          independentTransactions: false,
          notifications: false,
        };
    this.classify = classifySqlite(options.file);
    this.#writing = new Semaphore(`the writer of "${options.file}"`, 1);
    this.#streaming = new Semaphore(`a connection for a stream of "${options.file}"`, streamLimit);
  }

  get native(): SqliteNative {
    return { writer: this.#open.native };
  }

  async start(): Promise<void> {
    const { file, synchronous, waitTimeout } = this.#options;
    if (!this.#isMemory) await mkdir(dirname(resolve(file)), { recursive: true });
    // Several processes may open a new file at the same moment; switching it to WAL needs it alone for an instant.
    const writer = new SqliteConnection(
      new DatabaseSync(file, { timeout: waitTimeout, enableForeignKeyConstraints: true }),
    );
    try {
      if (!this.#isMemory)
        writer.native.exec(`pragma journal_mode = wal; pragma synchronous = ${synchronous}`);
      // Reads the schema, so that a damaged file shows now.
      writer.native.exec('select count(*) from sqlite_schema; pragma busy_timeout = 0');
      if (!this.#isMemory) this.#reader = this.#connectReader();
      this.#writer = writer;
    } catch (error) {
      writer.close();
      throw error;
    }
  }

  async checkHealth(): Promise<void> {
    (this.#reader ?? this.#open).execute('select count(*) from sqlite_schema', []);
  }

  /** Resolves when no transaction and no stream is open. */
  async drain(signal?: AbortSignal): Promise<void> {
    await this.#writing.untilIdle(signal);
    await this.#streaming.untilIdle(signal);
  }

  async close(): Promise<void> {
    const closed = new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter: this.adapter,
      message: `the database "${this.#options.file}" is closed`,
    });
    this.#writing.refuseAll(closed);
    this.#streaming.refuseAll(closed);
    // The writer is last: the last connection to go folds the write-ahead log into the file, which a reader cannot.
    for (const connection of [
      ...this.#openStreams,
      ...this.#idleStreams,
      this.#reader,
      this.#writer,
    ])
      connection?.close();
    this.#openStreams.clear();
    this.#idleStreams.length = 0;
  }

  execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): StatementResult | Promise<StatementResult> {
    const kind = kindOf(query);
    const execution: Execution = { query, kind, rowMode };
    const reader = this.#reader;
    if (reader !== undefined && kind.isRead && !this.#hiddenWrites.has(query.sql)) {
      try {
        return signal === undefined
          ? executeOn(reader, execution)
          : this.#readInSlices(reader, execution, signal);
      } catch (error) {
        if (!isRefusedWrite(error)) {
          if (isBusy(error)) return this.#untilNotBusy(() => executeOn(reader, execution), signal);
          throw error;
        }
        this.#rememberHiddenWrite(query.sql);
      }
    }
    if (!this.#writing.tryAcquire()) return this.#executeInTurn(execution, signal);
    try {
      return this.#executeAlone(execution);
    } catch (error) {
      if (!isBusy(error)) throw error;
    } finally {
      this.#writing.release();
    }
    return this.#executeInTurn(execution, signal);
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    const kind = kindOf(query);
    const { waitTimeout } = this.#options;
    if (this.#isMemory || !kind.isRead || this.#hiddenWrites.has(query.sql)) {
      yield* inChunks(await this.execute(query, signal), chunkSize);
      return;
    }
    await this.#streaming.acquire({ timeout: waitTimeout, signal });
    let connection: SqliteConnection | undefined;
    let isWrite = false;
    try {
      connection = this.#idleStreams.pop() ?? this.#connectReader();
      this.#openStreams.add(connection);
      yield* paced(
        connection.iterate(query.sql, toSqliteValues(query.parameters), chunkSize),
        signal,
      );
    } catch (error) {
      if (!isRefusedWrite(error)) throw error;
      isWrite = true;
    } finally {
      this.#streaming.release();
      if (connection !== undefined) this.#retire(connection);
    }
    if (!isWrite) return;
    this.#rememberHiddenWrite(query.sql);
    yield* inChunks(await this.execute(query, signal), chunkSize);
  }

  /**
   * Every transaction holds the one write lock: it is serializable, and needs no other lock. One that is read-only holds a connection
   * of the streams' instead, at one moment in time.
   */
  async begin({ signal, readOnly = false }: BeginOptions = {}): Promise<DriverTransaction> {
    if (readOnly && !this.#isMemory) return await this.#beginReading(signal);
    const waitedMs = await this.#writing.acquire({ timeout: this.#options.waitTimeout, signal });
    const release = (): void => {
      this.#writing.release();
    };
    try {
      const writer = this.#open;
      // Taking the write lock at once: a transaction that first reads and then writes could find that another process has
      // written meanwhile, and would have to be run again.
      await this.#untilNotBusy(() => writer.execute('begin immediate', []), signal);
      const { clock } = this.#options;
      return new SqliteTransaction(writer, { release, readOnly, waitedMs, clock });
    } catch (error) {
      release();
      throw error;
    }
  }

  async #beginReading(signal: AbortSignal | undefined): Promise<DriverTransaction> {
    const waitedMs = await this.#streaming.acquire({ timeout: this.#options.waitTimeout, signal });
    let connection: SqliteConnection | undefined;
    const release = (): void => {
      this.#streaming.release();
      if (connection !== undefined) this.#retire(connection);
    };
    try {
      const reader = (connection = this.#idleStreams.pop() ?? this.#connectReader());
      this.#openStreams.add(reader);
      await this.#untilNotBusy(() => {
        if (!reader.inTransaction) reader.execute('begin', []);
        // The moment that it sees is that of its first read.
        reader.execute('select 1 from sqlite_schema', []);
      }, signal);
      const { clock } = this.#options;
      return new SqliteTransaction(reader, { release, readOnly: true, waitedMs, clock });
    } catch (error) {
      if (connection?.native.isOpen && connection.inTransaction) connection.execute('rollback', []);
      release();
      throw error;
    }
  }

  get #open(): SqliteConnection {
    if (this.#writer !== undefined) return this.#writer;
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter: this.adapter,
      message: `the database "${this.#options.file}" is not open: call start() first`,
    });
  }

  /** A read that takes long keeps the connection, which is at one moment in time: another takes its place meanwhile. */
  #readInSlices(
    reader: SqliteConnection,
    { query, rowMode }: Execution,
    signal: AbortSignal,
  ): StatementResult | Promise<StatementResult> {
    const values = toSqliteValues(query.parameters);
    const work = reader.read(query.sql, { values, rowMode }, this.#options.clock);
    if (Array.isArray(work)) return { rows: work };
    let slice = work.next();
    if (!slice.done && this.#streaming.tryAcquire()) {
      this.#openStreams.add(reader);
      this.#reader = this.#idleStreams.pop();
      return this.#finishRead(reader, work, signal);
    }
    // All connections are taken: it goes on at once.
    while (!slice.done) slice = work.next();
    return { rows: slice.value };
  }

  async #finishRead(
    reader: SqliteConnection,
    work: Sliced<StatementResult['rows'][number][]>,
    signal: AbortSignal,
  ): Promise<StatementResult> {
    try {
      this.#reader ??= this.#connectReader();
      return { rows: await finishInTurns(work, signal) };
    } finally {
      this.#streaming.release();
      this.#retire(reader);
    }
  }

  async #executeInTurn(
    execution: Execution,
    signal: AbortSignal | undefined,
  ): Promise<StatementResult> {
    const waitedMs = await this.#writing.acquire({ timeout: this.#options.waitTimeout, signal });
    try {
      const result = await this.#untilNotBusy(() => this.#executeAlone(execution), signal);
      return waitedMs === undefined ? result : { ...result, waitedMs };
    } finally {
      this.#writing.release();
    }
  }

  #executeAlone(execution: Execution): StatementResult {
    const writer = this.#open;
    const result = executeOn(writer, execution);
    if (execution.kind.isRaw && writer.inTransaction) {
      writer.execute('rollback', []);
      throw transactionStatementRefused();
    }
    return result;
  }

  async #untilNotBusy<Result>(fn: () => Result, signal: AbortSignal | undefined): Promise<Result> {
    const { clock, waitTimeout } = this.#options;
    const deadline = clock.now() + waitTimeout;
    for (let pause = 1; ; pause = Math.min(busyPause, pause * 2)) {
      try {
        return fn();
      } catch (error) {
        if (!isBusy(error) || clock.now() >= deadline) throw error;
        await clock.sleep(pause, signal).catch((reason: unknown) => {
          throw signal?.aborted ? abortedBefore(signal) : reason;
        });
      }
    }
  }

  #connectReader(): SqliteConnection {
    return new SqliteConnection(
      new DatabaseSync(this.#options.file, { readOnly: true, timeout: 0 }),
    );
  }

  #retire(connection: SqliteConnection): void {
    const isOurs = this.#openStreams.delete(connection);
    if (isOurs && this.#idleStreams.length < idleStreamLimit) this.#idleStreams.push(connection);
    else connection.close();
  }

  #rememberHiddenWrite(sql: string): void {
    // Texts without end would come from values written into them; forgetting costs one more refusal.
    if (this.#hiddenWrites.size >= 1000) this.#hiddenWrites.clear();
    this.#hiddenWrites.add(sql);
  }
}

/** Kysely's own, but for identifiers, of which a query is full: compiling a point select takes 0.92 of its time. */
class QueryCompiler extends SqliteQueryCompiler {
  protected override visitIdentifier({ name }: IdentifierNode): void {
    this.append(`"${name.includes('"') ? this.sanitizeIdentifier(name) : name}"`);
  }
}
