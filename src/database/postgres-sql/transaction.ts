import type { CompiledQuery } from 'kysely';

import { type Classify, InfrastructureError } from '../../core/index.ts';
import { inChunks } from '../chunks.ts';
import type {
  DriverTransaction,
  RowMode,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { TransactionEnd } from '../transaction-end.ts';
import { endsTransaction } from '../transaction-statements.ts';
import { isConflict, isSpoilt } from './classify.ts';
import { readCursor } from './cursor.ts';
import { toPostgresValues, type WireValue } from './parameters.ts';
import type { AnswerOptions, ExecuteOptions, SqlSession } from './session.ts';
import { isQuery, scriptEndsTransaction, transactionStatementRefused } from './statements.ts';

const origin = { component: 'database' } as const;

/** What {@link PostgresTransaction} is made of. */
export interface PostgresTransactionOptions {
  readonly session: SqlSession;
  readonly classify: Classify;
  /** Whether an error means that the connection is gone with whatever was on it. */
  readonly isConnectionLost: (error: unknown) => boolean;
  /** Whether its statements may take as long as they need. */
  readonly unlimited: boolean;
  /** As {@link DriverTransaction.waitedMs}. */
  readonly waitedMs?: number | undefined;
}

/** An open transaction on a connection of its own. */
export class PostgresTransaction implements DriverTransaction {
  readonly waitedMs: number | undefined;
  readonly #session: SqlSession;
  readonly #isConnectionLost: (error: unknown) => boolean;
  readonly #unlimited: boolean;
  readonly #end: TransactionEnd;
  /** The failure after which PostgreSQL refuses all further statements, up to a rollback. */
  #failure: unknown;

  constructor({
    session,
    classify,
    isConnectionLost,
    unlimited,
    waitedMs,
  }: PostgresTransactionOptions) {
    this.waitedMs = waitedMs;
    this.#session = session;
    this.#isConnectionLost = isConnectionLost;
    this.#unlimited = unlimited;
    this.#end = new TransactionEnd({
      origin,
      classify,
      isConnectionLost,
      session,
      sendRollback: async () => await session.execute('rollback'),
      release: () => {
        session.release();
      },
    });
  }

  async execute(
    { sql, parameters, query }: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    const values = toPostgresValues(parameters);
    if (query.kind === 'RawNode' && endsTransaction(sql)) throw this.#break();
    return await this.#execute(sql, values, { signal, rowMode });
  }

  async executeMany(
    { sql }: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal?: AbortSignal,
  ): Promise<StatementResult> {
    const rows = parameterRows.map(toPostgresValues);
    const affected = await this.#guard(
      async (options) => await this.#session.executeMany(sql, rows, options),
      { signal },
    );
    return { rows: [], numAffectedRows: BigInt(affected) };
  }

  async *stream(query: CompiledQuery, { chunkSize, signal }: StreamOptions): StatementStream {
    const { sql, parameters } = query;
    if (!isQuery(sql)) {
      yield* inChunks(await this.execute(query, signal), chunkSize);
      return;
    }
    const statement = { sql, values: toPostgresValues(parameters) };
    yield* readCursor(this.#execute.bind(this), statement, { chunkSize, signal });
  }

  async script(text: string): Promise<void> {
    if (scriptEndsTransaction(text)) throw this.#break();
    await this.#guard(async (options) => await this.#session.script(text, options));
  }

  async savepoint(name: string): Promise<void> {
    await this.#execute(`savepoint ${quoted(name)}`);
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    if (!this.#end.isOver) await this.#session.interrupt();
    const failure = this.#failure;
    this.#failure = undefined;
    try {
      await this.#execute(`rollback to savepoint ${quoted(name)}`);
    } catch (error) {
      this.#failure = failure ?? error;
      throw error;
    }
  }

  async releaseSavepoint(name: string): Promise<void> {
    await this.#execute(`release savepoint ${quoted(name)}`);
  }

  async commit(signal?: AbortSignal): Promise<void> {
    await this.#end.commit(async () => {
      if (!(await this.#session.commit(signal))) throw this.#spoilt();
    }, signal);
  }

  async rollback(): Promise<void> {
    await this.#end.rollback();
  }

  async #execute(
    sql: string,
    values: WireValue[] = [],
    { rowMode, ...answer }: ExecuteOptions = {},
  ): Promise<StatementResult> {
    return await this.#guard(
      async (options) => await this.#session.execute(sql, values, { ...options, rowMode }),
      answer,
    );
  }

  async #guard<Result>(
    fn: (options: AnswerOptions) => Promise<Result>,
    options: AnswerOptions = {},
  ): Promise<Result> {
    this.#end.assertOpen();
    let result: Result;
    try {
      result = await fn({ ...options, unlimited: this.#unlimited });
    } catch (error) {
      throw this.#failed(error);
    }
    // A statement of the user's own may have ended it in a way that its text did not tell.
    if (!this.#end.isOver && !this.#session.inTransaction) throw this.#break();
    return result;
  }

  #failed(error: unknown): unknown {
    if (isSpoilt(error)) return this.#spoilt(error);
    if (this.#isConnectionLost(error) || error instanceof InfrastructureError)
      return this.#end.notApplied(error);
    if (error instanceof Error) this.#failure ??= error;
    return error;
  }

  /** What to say of a transaction in which an earlier statement failed. */
  #spoilt(error?: unknown): unknown {
    // Whoever ran into a conflict is to be run again, also when the conflict itself was caught.
    if (isConflict(this.#failure)) return this.#failure;
    if (error !== undefined && this.#failure === undefined) return error;
    return new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message:
        'the transaction is rolled back, since a statement in it failed, after which PostgreSQL takes no other: put what may fail into a database.transaction() of its own inside of it',
      cause: this.#failure,
    });
  }

  #break(): Error {
    return this.#end.break(transactionStatementRefused());
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
