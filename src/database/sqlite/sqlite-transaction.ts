import type { CompiledQuery } from 'kysely';

import { type Clock, InfrastructureError } from '../../core/index.ts';
import { inChunks } from '../chunks.ts';
import type {
  DriverTransaction,
  RowMode,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { endsTransaction } from '../transaction-statements.ts';
import type { SqliteConnection } from './connection.ts';
import { isBusy, isRefusedWrite } from './classify.ts';
import {
  type Execution,
  executeOn,
  noting,
  paced,
  transactionStatementRefused,
} from './execution.ts';
import { toSqliteValues } from './parameters.ts';
import { kindOf, kindOfText, type StatementKind } from './routing.ts';
import { finishInTurns, type Sliced } from './slices.ts';

/** What {@link SqliteTransaction} is made of, beside its connection. */
export interface SqliteTransactionOptions {
  /** Lets go of the connection. */
  readonly release: () => void;
  readonly readOnly: boolean;
  /** How long it waited for the connection, if it did. */
  readonly waitedMs: number | undefined;
  readonly clock: Clock;
}

/** The open transaction of the connection that writes, or of one that reads. */
export class SqliteTransaction implements DriverTransaction {
  readonly #connection: SqliteConnection;
  readonly #options: SqliteTransactionOptions;
  /** What is under way in slices: its connection serves the next call when it has ended. */
  #underWay: Promise<unknown> | undefined;
  readonly #streams = new Set<Iterator<unknown>>();
  #isOver = false;
  #broken: Error | undefined;

  constructor(connection: SqliteConnection, options: SqliteTransactionOptions) {
    this.#connection = connection;
    this.#options = options;
    if (options.readOnly) connection.native.exec('pragma query_only = on');
  }

  get waitedMs(): number | undefined {
    return this.#options.waitedMs;
  }

  execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): StatementResult | Promise<StatementResult> {
    const execution = { query, kind: kindOf(query), rowMode };
    const { kind } = execution;
    if (signal !== undefined && kind.isRead && !kind.changesRows)
      return this.#inTurn(() => this.#read(execution, signal));
    return this.#inTurn(() =>
      this.#guard(kind, (connection) => {
        if (kind.isRaw && !kind.isRead && !kind.changesRows) this.#refuseEnd(query.sql);
        return executeOn(connection, execution);
      }),
    );
  }

  executeMany(
    { sql }: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal?: AbortSignal,
  ): StatementResult | Promise<StatementResult> {
    return this.#inTurn(() => {
      const work = this.#connection.executeMany(sql, parameterRows, signal && this.#options.clock);
      return this.#inSlices(work, signal, {
        step: () =>
          this.#guard(undefined, (connection) => noting(connection, sql, () => work.next())),
        give: (affected) => ({ rows: [], numAffectedRows: BigInt(affected) }),
      });
    });
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    const kind = kindOf(query);
    if (!kind.isRead || kind.changesRows) {
      yield* inChunks(await this.execute(query), chunkSize);
      return;
    }
    const chunks = await this.#inTurn(() =>
      this.#guard(kind, (connection) =>
        connection.iterate(query.sql, toSqliteValues(query.parameters), chunkSize),
      ),
    );
    this.#streams.add(chunks);
    try {
      yield* paced(chunks, signal);
      if (this.#isOver) throw this.#overError();
    } finally {
      this.#streams.delete(chunks);
    }
  }

  script(text: string): void | Promise<void> {
    return this.#inTurn(() => {
      this.#guard(kindOfText(text), (connection) => {
        connection.script(text, (statement) => {
          this.#refuseEnd(statement);
        });
      });
    });
  }

  savepoint(name: string): void | Promise<void> {
    return this.#command(`savepoint ${quoted(name)}`);
  }

  rollbackToSavepoint(name: string): void | Promise<void> {
    return this.#command(`rollback to ${quoted(name)}`);
  }

  releaseSavepoint(name: string): void | Promise<void> {
    return this.#command(`release ${quoted(name)}`);
  }

  commit(): void | Promise<void> {
    return this.#inTurn(() => {
      this.#settle((connection) => {
        try {
          if (this.#broken !== undefined) throw this.#broken;
          connection.execute('commit', []);
        } catch (error) {
          if (connection.native.isOpen && connection.inTransaction)
            connection.execute('rollback', []);
          throw this.#told(error);
        }
      });
    });
  }

  /** Ends what is under way. */
  rollback(): void {
    this.#settle((connection) => {
      if (connection.native.isOpen && connection.inTransaction) connection.execute('rollback', []);
    });
  }

  #command(sql: string): void | Promise<void> {
    return this.#inTurn(() => {
      this.#guard(undefined, (connection) => connection.execute(sql, []));
    });
  }

  #read(
    { query, kind, rowMode }: Execution,
    signal: AbortSignal,
  ): StatementResult | Promise<StatementResult> {
    const reading = { values: toSqliteValues(query.parameters), rowMode };
    const { clock } = this.#options;
    const work = this.#guard(kind, (connection) => connection.read(query.sql, reading, clock));
    if (Array.isArray(work)) return { rows: work };
    return this.#inSlices(work, signal, {
      step: () => this.#guard(kind, () => work.next()),
      give: (rows) => ({ rows }),
    });
  }

  #inSlices<Value>(
    work: Sliced<Value>,
    signal: AbortSignal | undefined,
    {
      step,
      give,
    }: {
      readonly step: () => IteratorResult<undefined, Value>;
      readonly give: (value: Value) => StatementResult;
    },
  ): StatementResult | Promise<StatementResult> {
    const first = step();
    if (first.done) return give(first.value);
    this.#streams.add(work);
    // Without a signal there was no clock, and all of it is one slice.
    return finishInTurns(work, signal ?? new AbortController().signal, step)
      .then(give)
      .finally(() => this.#streams.delete(work));
  }

  /** Calls are served in their order, also while one of them gives way between its slices. */
  #inTurn<Result>(fn: () => Result | Promise<Result>): Result | Promise<Result> {
    const result = this.#underWay === undefined ? fn() : this.#underWay.then(fn);
    if (!(result instanceof Promise)) return result;
    const ended = Promise.allSettled([result]).finally(() => {
      if (this.#underWay === ended) this.#underWay = undefined;
    });
    this.#underWay = ended;
    return result;
  }

  #settle(fn: (connection: SqliteConnection) => void): void {
    if (this.#isOver) throw this.#overError();
    this.#isOver = true;
    try {
      for (const stream of this.#streams) stream.return?.();
      fn(this.#connection);
    } finally {
      const { readOnly, release } = this.#options;
      if (readOnly && this.#connection.native.isOpen)
        this.#connection.native.exec('pragma query_only = off');
      release();
    }
  }

  /** Before it is run: afterwards, what it was part of would have taken effect. */
  #refuseEnd(sql: string): void {
    if (!endsTransaction(sql)) return;
    this.#broken = transactionStatementRefused();
    throw this.#broken;
  }

  /** Nothing may reach the connection once SQLite, or a raw statement, has ended the transaction: it would take effect by itself. */
  #guard<Result>(
    kind: StatementKind | undefined,
    fn: (connection: SqliteConnection) => Result,
  ): Result {
    if (this.#isOver) throw this.#overError();
    if (this.#broken !== undefined) throw this.#broken;
    try {
      const result = fn(this.#connection);
      if (kind?.isRaw && !this.#connection.inTransaction)
        this.#broken = transactionStatementRefused();
      else return result;
    } catch (error) {
      if (
        error instanceof Error &&
        this.#connection.native.isOpen &&
        !this.#connection.inTransaction
      )
        this.#broken = error;
      throw this.#told(error);
    }
    throw this.#broken;
  }

  /** What is to be told of an error that means something else inside of a transaction. */
  #told(error: unknown): unknown {
    const origin = { component: 'database', adapter: 'sqlite', cause: error } as const;
    // The lock of its own file it has since its beginning: this is about one that was attached.
    if (isBusy(error))
      return new InfrastructureError({
        code: 'aborted',
        ...origin,
        message: 'another connection was in the way of this transaction, which may be run again',
      });
    if (this.#options.readOnly && isRefusedWrite(error))
      return new InfrastructureError({
        code: 'permission-denied',
        ...origin,
        message: 'this transaction is read-only, and the statement writes: leave readOnly out',
      });
    return error;
  }

  #overError(): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter: 'sqlite',
      message: 'this transaction has ended',
    });
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
