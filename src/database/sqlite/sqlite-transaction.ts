import type { CompiledQuery } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
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
import { executeOn, paced, transactionStatementRefused } from './execution.ts';
import { toSqliteValues } from './parameters.ts';
import { kindOf, kindOfText, type StatementKind } from './routing.ts';

/** What {@link SqliteTransaction} is made of, beside its connection. */
export interface SqliteTransactionOptions {
  /** Lets go of the connection. */
  readonly release: () => void;
  readonly readOnly: boolean;
  /** How long it waited for the connection, if it did. */
  readonly waitedMs: number | undefined;
}

/** The open transaction of the connection that writes, or of one that reads. */
export class SqliteTransaction implements DriverTransaction {
  readonly #connection: SqliteConnection;
  readonly #options: SqliteTransactionOptions;
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

  execute(query: CompiledQuery, _signal?: AbortSignal, rowMode?: RowMode): StatementResult {
    const kind = kindOf(query);
    return this.#guard(kind, (connection) => {
      if (kind.isRaw && !kind.isRead && !kind.changesRows) this.#refuseEnd(query.sql);
      return executeOn(connection, { query, kind, rowMode });
    });
  }

  executeMany(
    { sql }: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
  ): StatementResult {
    const affected = this.#guard(undefined, (connection) =>
      connection.executeMany(sql, parameterRows),
    );
    return { rows: [], numAffectedRows: BigInt(affected) };
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    const kind = kindOf(query);
    if (!kind.isRead || kind.changesRows) {
      yield* inChunks(this.execute(query), chunkSize);
      return;
    }
    const chunks = this.#guard(kind, (connection) =>
      connection.iterate(query.sql, toSqliteValues(query.parameters), chunkSize),
    );
    this.#streams.add(chunks);
    try {
      yield* paced(chunks, signal);
      if (this.#isOver) throw this.#overError();
    } finally {
      this.#streams.delete(chunks);
    }
  }

  script(text: string): void {
    this.#guard(kindOfText(text), (connection) => {
      connection.script(text, (statement) => {
        this.#refuseEnd(statement);
      });
    });
  }

  savepoint(name: string): void {
    this.#guard(undefined, (connection) => connection.execute(`savepoint ${quoted(name)}`, []));
  }

  rollbackToSavepoint(name: string): void {
    this.#guard(undefined, (connection) => connection.execute(`rollback to ${quoted(name)}`, []));
  }

  releaseSavepoint(name: string): void {
    this.#guard(undefined, (connection) => connection.execute(`release ${quoted(name)}`, []));
  }

  commit(): void {
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
  }

  rollback(): void {
    this.#settle((connection) => {
      if (connection.native.isOpen && connection.inTransaction) connection.execute('rollback', []);
    });
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
