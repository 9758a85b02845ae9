import type { CompiledQuery } from 'kysely';

import { abortReason, InfrastructureError, withOutcome, wrapError } from '../../core/index.ts';
import { inChunks } from '../chunks.ts';
import type {
  DriverTransaction,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { endsTransaction } from '../transaction-statements.ts';
import { classifyPostgres, isConflict, isConnectionLost, isSpoilt } from './classify.ts';
import { readCursor } from './cursor.ts';
import type { KnownStatement, KnownStatements } from './known-statements.ts';
import { toPostgresValues, type WireValue } from './parameters.ts';
import type { AnswerOptions, PostgresSession } from './session.ts';
import { isQuery, scriptEndsTransaction, transactionStatementRefused } from './statements.ts';

const origin = { component: 'database', adapter: 'postgres' } as const;

/** What {@link PostgresTransaction} is made of. */
export interface PostgresTransactionOptions {
  readonly session: PostgresSession;
  /** Names the server in errors. */
  readonly where: string;
  /** Whether its statements may take as long as they need. */
  readonly unlimited: boolean;
  readonly statements: KnownStatements;
}

/** An open transaction on a connection of its own. */
export class PostgresTransaction implements DriverTransaction {
  readonly #session: PostgresSession;
  readonly #where: string;
  readonly #unlimited: boolean;
  readonly #statements: KnownStatements;
  #isOver = false;
  /** The failure after which PostgreSQL refuses all further statements, up to a rollback. */
  #failure: unknown;
  #broken: Error | undefined;

  constructor({ session, where, unlimited, statements }: PostgresTransactionOptions) {
    this.#session = session;
    this.#where = where;
    this.#unlimited = unlimited;
    this.#statements = statements;
  }

  async execute(query: CompiledQuery, signal?: AbortSignal): Promise<StatementResult> {
    const values = toPostgresValues(query.parameters);
    if (query.query.kind === 'RawNode' && endsTransaction(query.sql)) throw this.#break();
    return await this.#execute(this.#statements.of(query), values, { signal });
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
    if (!this.#isOver) await this.#session.interrupt();
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
    this.#end();
    try {
      if (this.#broken !== undefined) throw this.#broken;
      if (!(await this.#session.commit(signal))) throw this.#spoilt();
    } catch (error) {
      // The server had the request: nobody knows whether it was carried out.
      if (isConnectionLost(error)) {
        const reason = signal?.aborted ? abortReason(signal) : error;
        throw withOutcome(wrapError(reason, origin, classifyPostgres(this.#where)), 'unknown');
      }
      if (this.#session.inTransaction)
        await this.#session.execute('rollback').catch(() => undefined);
      throw error;
    } finally {
      this.#session.release();
    }
  }

  async rollback(): Promise<void> {
    this.#end();
    try {
      await this.#session.interrupt();
      if (this.#session.inTransaction) await this.#session.execute('rollback');
    } finally {
      // What it could not roll back is closed, upon which the server does.
      this.#session.release();
    }
  }

  #end(): void {
    if (this.#isOver) throw overError();
    this.#isOver = true;
  }

  async #execute(
    sql: string | KnownStatement,
    values: readonly WireValue[] = [],
    answer: AnswerOptions = {},
  ): Promise<StatementResult> {
    return await this.#guard(
      async (options) => await this.#session.execute(sql, values, options),
      answer,
    );
  }

  async #guard<Result>(
    fn: (options: AnswerOptions) => Promise<Result>,
    options: AnswerOptions = {},
  ): Promise<Result> {
    if (this.#isOver) throw overError();
    if (this.#broken !== undefined) throw this.#broken;
    let result: Result;
    try {
      result = await fn({ ...options, unlimited: this.#unlimited });
    } catch (error) {
      throw this.#failed(error);
    }
    // A statement of the user's own may have ended it in a way that its text did not tell.
    if (!this.#isOver && !this.#session.inTransaction) throw this.#break();
    return result;
  }

  #failed(error: unknown): unknown {
    if (isSpoilt(error)) return this.#spoilt(error);
    // Nothing that came before the commit can take effect without it.
    if (isConnectionLost(error) || error instanceof InfrastructureError)
      return withOutcome(wrapError(error, origin, classifyPostgres(this.#where)), 'not-applied');
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
    this.#broken ??= transactionStatementRefused();
    return this.#broken;
  }
}

function overError(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    ...origin,
    message: 'this transaction has ended',
  });
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
