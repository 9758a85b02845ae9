import type { CompiledQuery } from 'kysely';

import { abortReason, InfrastructureError, withOutcome, wrapError } from '../../core/index.ts';
import type {
  DriverTransaction,
  RowMode,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { batchesOf } from './batch.ts';
import { classifyMysql, isConflict, isConnectionLost } from './classify.ts';
import { toMysqlValues } from './parameters.ts';
import type { AnswerOptions, MysqlSession } from './session.ts';
import {
  commitsImplicitly,
  endedByServer,
  endsTransaction,
  implicitCommitRefused,
  readOnlyRefused,
  refuseReturning,
  scriptEndsTransaction,
  transactionStatementRefused,
} from './statements.ts';

const origin = { component: 'database', adapter: 'mysql' } as const;

/** What {@link MysqlTransaction} is made of. */
export interface MysqlTransactionOptions {
  readonly session: MysqlSession;
  /** Names the server in errors. */
  readonly where: string;
  /** The text that began it. */
  readonly begin: string;
  /**
   * Whether it is of a migration: its statements may take as long as they need, and may change the schema, upon which the server
   * commits what came before and another transaction is begun for what follows.
   */
  readonly isMigration: boolean;
  readonly readOnly: boolean;
}

/** An open transaction on a connection of its own. */
export class MysqlTransaction implements DriverTransaction {
  readonly waitedMs: number | undefined;
  readonly #session: MysqlSession;
  readonly #where: string;
  readonly #begin: string;
  readonly #isMigration: boolean;
  readonly #readOnly: boolean;
  #isOver = false;
  /** Why nothing more can be done in it, and it cannot be committed. */
  #broken: Error | undefined;

  constructor({ session, where, begin, isMigration, readOnly }: MysqlTransactionOptions) {
    this.#session = session;
    this.#where = where;
    this.#begin = begin;
    this.#isMigration = isMigration;
    this.#readOnly = readOnly;
    this.waitedMs = session.waitedMs;
  }

  async execute(
    compiled: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    refuseReturning(compiled);
    const { sql, parameters, query } = compiled;
    const values = toMysqlValues(parameters);
    this.#refuse(sql);
    return await this.#guard(
      async (options) => await this.#session.execute({ sql, values, query }, options, rowMode),
      { signal },
    );
  }

  async executeMany(
    { sql, query }: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal?: AbortSignal,
  ): Promise<StatementResult> {
    this.#refuse(sql);
    const statements = batchesOf({ sql, query, rows: parameterRows.map(toMysqlValues) });
    let affected = 0n;
    for (const statement of statements) {
      const { numAffectedRows = 0n } = await this.#guard(
        async (options) => await this.#session.execute(statement, options),
        { signal },
      );
      affected += numAffectedRows;
    }
    return { rows: [], numAffectedRows: affected };
  }

  async *stream(compiled: CompiledQuery, options: StreamOptions): StatementStream {
    refuseReturning(compiled);
    const { sql, parameters, query } = compiled;
    const values = toMysqlValues(parameters);
    this.#refuse(sql);
    const stream = this.#session.stream({ sql, values, query }, options, this.#isMigration);
    try {
      for (;;) {
        const { done, value } = await this.#guard(async () => await stream.next());
        if (done) return;
        yield value;
      }
    } finally {
      await stream.return();
    }
  }

  async script(text: string): Promise<void> {
    if (scriptEndsTransaction(text)) throw this.#break(transactionStatementRefused());
    await this.#guard(async (options) => await this.#session.script(text, options));
  }

  async savepoint(name: string): Promise<void> {
    await this.#control(`savepoint ${quoted(name)}`);
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    if (!this.#isOver) await this.#session.interrupt();
    await this.#toSavepoint(`rollback to savepoint ${quoted(name)}`);
  }

  async releaseSavepoint(name: string): Promise<void> {
    await this.#toSavepoint(`release savepoint ${quoted(name)}`);
  }

  async commit(signal?: AbortSignal): Promise<void> {
    this.#end();
    try {
      if (this.#broken !== undefined) throw this.#broken;
      await this.#session.endStream();
      await this.#session.command('commit', { signal });
    } catch (error) {
      // The server had the request: nobody knows whether it was carried out.
      if (isConnectionLost(error)) {
        const reason = signal?.aborted ? abortReason(signal) : error;
        throw withOutcome(wrapError(reason, origin, classifyMysql(this.#where)), 'unknown');
      }
      if (this.#session.inTransaction)
        await this.#session.command('rollback').catch(() => undefined);
      throw error;
    } finally {
      await this.#release();
    }
  }

  async rollback(): Promise<void> {
    this.#end();
    try {
      await this.#session.interrupt();
      if (this.#session.inTransaction) await this.#session.command('rollback');
    } finally {
      // What it could not roll back is closed, upon which the server does.
      await this.#release();
    }
  }

  #end(): void {
    if (this.#isOver) throw overError();
    this.#isOver = true;
  }

  async #release(): Promise<void> {
    // A lock goes with its connection where it cannot be let go of.
    if (this.#isMigration)
      await this.#session.command('do release_all_locks()').catch(() => {
        this.#session.destroy();
      });
    this.#session.release();
  }

  /** Refuses, before it is sent, what would end the transaction. */
  #refuse(sql: string): void {
    if (endsTransaction(sql)) throw this.#break(transactionStatementRefused());
    if (this.#isMigration || !commitsImplicitly(sql)) return;
    throw this.#break(this.#readOnly ? readOnlyRefused() : implicitCommitRefused());
  }

  async #control(text: string): Promise<void> {
    await this.#guard(async (options) => {
      await this.#session.command(text, options);
    });
  }

  async #toSavepoint(text: string): Promise<void> {
    // Of one that is to be rolled back as a whole no savepoint matters, and the server may have none; the commit says why.
    if (this.#broken === undefined || this.#isOver) await this.#control(text);
  }

  async #guard<Result>(
    fn: (options: AnswerOptions) => Promise<Result>,
    options: AnswerOptions = {},
  ): Promise<Result> {
    if (this.#isOver) throw overError();
    if (this.#broken !== undefined) throw this.#broken;
    let result: Result;
    try {
      result = await fn({ ...options, unlimited: this.#isMigration });
    } catch (error) {
      throw await this.#failed(error);
    }
    if (!this.#isOver && !this.#session.inTransaction) await this.#goOn();
    return result;
  }

  /** The server has ended the transaction, with a statement that succeeded. */
  async #goOn(): Promise<void> {
    if (!this.#isMigration) throw this.#break(endedByServer());
    await this.#session.command(this.#begin, { unlimited: true });
  }

  async #failed(reason: unknown): Promise<Error> {
    const error = errorOf(reason);
    // Nothing that came before the commit can take effect without it.
    if (isConnectionLost(error))
      return withOutcome(wrapError(error, origin, classifyMysql(this.#where)), 'not-applied');
    if (this.#isOver || this.#session.isLost)
      return error instanceof InfrastructureError ? withOutcome(error, 'not-applied') : error;
    // Most errors undo their statement alone; a deadlock, and some settings of the server, undo all.
    await this.#session.refresh();
    if (this.#session.inTransaction) return error;
    if (isConflict(error)) this.#break(error);
    // A change of the schema that failed has committed what came before it.
    else if (this.#isMigration) await this.#goOn();
    else this.#break(undone(error));
    return error;
  }

  #break(error: Error): Error {
    this.#broken ??= error;
    return this.#broken;
  }
}

function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('unknown failure', { cause: reason });
}

function undone(cause: unknown): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    ...origin,
    message: 'the transaction is over, since the server ended it with a statement that failed',
    cause,
  });
}

function overError(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    ...origin,
    message: 'this transaction has ended',
  });
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
