import type { CompiledQuery } from 'kysely';

import { type Classify, InfrastructureError, withOutcome } from '../../core/index.ts';
import type {
  DriverTransaction,
  RowMode,
  StatementResult,
  StatementStream,
  StreamOptions,
} from '../driver.ts';
import { TransactionEnd } from '../transaction-end.ts';
import { batchesOf } from './batch.ts';
import { isConflict, isConnectionLost } from './classify.ts';
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
  readonly classify: Classify;
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
  readonly #begin: string;
  readonly #isMigration: boolean;
  readonly #readOnly: boolean;
  readonly #end: TransactionEnd;

  constructor({ session, classify, begin, isMigration, readOnly }: MysqlTransactionOptions) {
    this.#session = session;
    this.#begin = begin;
    this.#isMigration = isMigration;
    this.#readOnly = readOnly;
    this.waitedMs = session.waitedMs;
    this.#end = new TransactionEnd({
      origin,
      classify,
      isConnectionLost,
      session,
      sendRollback: async () => {
        await session.command('rollback');
      },
      release: async () => {
        await this.#release();
      },
    });
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
    if (scriptEndsTransaction(text)) throw this.#end.break(transactionStatementRefused());
    await this.#guard(async (options) => await this.#session.script(text, options));
  }

  async savepoint(name: string): Promise<void> {
    await this.#control(`savepoint ${quoted(name)}`);
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    if (!this.#end.isOver) await this.#session.interrupt();
    await this.#toSavepoint(`rollback to savepoint ${quoted(name)}`);
  }

  async releaseSavepoint(name: string): Promise<void> {
    await this.#toSavepoint(`release savepoint ${quoted(name)}`);
  }

  async commit(signal?: AbortSignal): Promise<void> {
    await this.#end.commit(async () => {
      await this.#session.endStream();
      await this.#session.command('commit', { signal });
    }, signal);
  }

  async rollback(): Promise<void> {
    await this.#end.rollback();
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
    if (endsTransaction(sql)) throw this.#end.break(transactionStatementRefused());
    if (this.#isMigration || !commitsImplicitly(sql)) return;
    throw this.#end.break(this.#readOnly ? readOnlyRefused() : implicitCommitRefused());
  }

  async #control(text: string): Promise<void> {
    await this.#guard(async (options) => {
      await this.#session.command(text, options);
    });
  }

  async #toSavepoint(text: string): Promise<void> {
    // Of one that is to be rolled back as a whole no savepoint matters, and the server may have none; the commit says why.
    if (!this.#end.isBroken || this.#end.isOver) await this.#control(text);
  }

  async #guard<Result>(
    fn: (options: AnswerOptions) => Promise<Result>,
    options: AnswerOptions = {},
  ): Promise<Result> {
    this.#end.assertOpen();
    let result: Result;
    try {
      result = await fn({ ...options, unlimited: this.#isMigration });
    } catch (error) {
      throw await this.#failed(error);
    }
    if (!this.#end.isOver && !this.#session.inTransaction) await this.#goOn();
    return result;
  }

  /** The server has ended the transaction, with a statement that succeeded. */
  async #goOn(): Promise<void> {
    if (!this.#isMigration) throw this.#end.break(endedByServer());
    await this.#session.command(this.#begin, { unlimited: true });
  }

  async #failed(reason: unknown): Promise<Error> {
    const error = errorOf(reason);
    if (isConnectionLost(error)) return this.#end.notApplied(error);
    if (this.#end.isOver || this.#session.isLost)
      return error instanceof InfrastructureError ? withOutcome(error, 'not-applied') : error;
    // Most errors undo their statement alone; a deadlock, and some settings of the server, undo all.
    await this.#session.refresh();
    if (this.#session.inTransaction) return error;
    if (isConflict(error)) this.#end.break(error);
    // A change of the schema that failed has committed what came before it.
    else if (this.#isMigration) await this.#goOn();
    else this.#end.break(undone(error));
    return error;
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

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
