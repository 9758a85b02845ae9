import type { CompiledQuery } from 'kysely';

import { type Clock, InfrastructureError } from '../../core/index.ts';
import { inChunks } from '../chunks.ts';
import type {
  DriverTransaction,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { endsTransaction } from '../transaction-statements.ts';
import type { SqliteConnection } from './connection.ts';
import { executeOn, noting, paced, transactionStatementRefused } from './execution.ts';
import { toSqliteValues } from './parameters.ts';
import { kindOf, kindOfText, type StatementKind } from './routing.ts';
import { finishInTurns, type Sliced } from './slices.ts';

/** The open transaction of the connection that writes. */
export class SqliteTransaction implements DriverTransaction {
  readonly #connection: SqliteConnection;
  readonly #release: () => void;
  readonly #clock: Clock;
  /** What is under way in slices: its connection serves the next call when it has ended. */
  #underWay: Promise<unknown> | undefined;
  readonly #streams = new Set<Iterator<unknown>>();
  #isOver = false;
  #broken: Error | undefined;

  constructor(connection: SqliteConnection, release: () => void, clock: Clock) {
    this.#connection = connection;
    this.#release = release;
    this.#clock = clock;
  }

  execute(query: CompiledQuery, signal?: AbortSignal): StatementResult | Promise<StatementResult> {
    const kind = kindOf(query);
    if (signal !== undefined && kind.isRead && !kind.changesRows)
      return this.#inTurn(() => this.#read(query, kind, signal));
    return this.#inTurn(() =>
      this.#guard(kind, (connection) => {
        if (kind.isRaw && !kind.isRead && !kind.changesRows) this.#refuseEnd(query.sql);
        return executeOn(connection, query, kind);
      }),
    );
  }

  executeMany(
    { sql }: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal?: AbortSignal,
  ): StatementResult | Promise<StatementResult> {
    return this.#inTurn(() => {
      const work = this.#connection.executeMany(sql, parameterRows, signal && this.#clock);
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
          throw error;
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
    query: CompiledQuery,
    kind: StatementKind,
    signal: AbortSignal,
  ): StatementResult | Promise<StatementResult> {
    const values = toSqliteValues(query.parameters);
    const work = this.#guard(kind, (connection) => connection.read(query.sql, values, this.#clock));
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
      this.#release();
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
      throw error;
    }
    throw this.#broken;
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
