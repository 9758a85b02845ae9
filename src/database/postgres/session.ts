import type { PoolClient } from 'pg';

import { InfrastructureError, withOutcome } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import type { StatementResult } from '../driver.ts';
import { isCancelled, withoutValues } from '../postgres-sql/classify.ts';
import type { WireValue } from '../postgres-sql/parameters.ts';
import type { AnswerOptions, ExecuteOptions, SqlSession } from '../postgres-sql/session.ts';
import { Batch } from './batch.ts';
import { requestCancel } from './cancel.ts';
import { isConnectionLost } from './classify.ts';
import { Execution } from './execution.ts';
import type { KnownStatement, KnownStatements } from './known-statements.ts';
import { isStale } from '../postgres-sql/stale-statements.ts';

/** How long a cancelled statement may take to end before its connection is given up, in milliseconds. */
export const cancelGrace = 2000;

/** How much longer than the server's own limit an answer is waited for, in milliseconds. */
export const answerGrace = 5000;

/** Rows of a batch that go in one message, which is in memory whole. */
const batchSize = 1000;

/** What {@link PostgresSession} is made of, beside its connection. */
export interface PostgresSessionOptions {
  /** The server's limit for a statement, in milliseconds; 0 for none. */
  readonly statementTimeout: number;
  /** How long the connection was waited for, in milliseconds, if it was. */
  readonly waitedMs: number | undefined;
  readonly statements: KnownStatements;
  readonly onRelease: (client: PoolClient, state: Released) => void;
}

/** How a connection is given back: to be closed, to be had by somebody else at once, or to the pool. */
export type Released = 'broken' | 'resting' | 'idle';

/** One connection of the pool while somebody has it. Statements run one after the other. */
export class PostgresSession implements SqlSession {
  readonly #client: PoolClient;
  readonly #statementTimeout: number;
  readonly #statements: KnownStatements;
  readonly #onRelease: (client: PoolClient, state: Released) => void;
  /** How long it was waited for, in milliseconds; undefined when it was there. */
  readonly waitedMs: number | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  /** Stops what is running. */
  #stop: (() => void) | undefined;
  /** Settles when what runs has been stopped; undefined while nobody wants that. */
  #cancelling: Promise<void> | undefined;
  #isInterrupted = false;
  #isReleased = false;
  #isBroken = false;
  #reason: InfrastructureError | undefined;

  constructor(
    client: PoolClient,
    { statementTimeout, statements, waitedMs, onRelease }: PostgresSessionOptions,
  ) {
    this.#client = client;
    this.waitedMs = waitedMs;
    this.#statementTimeout = statementTimeout;
    this.#statements = statements;
    this.#onRelease = onRelease;
  }

  /** Whether it is inside of a transaction, as the last answer said. */
  get inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I';
  }

  /** Runs one statement with parameters, in one message. */
  async execute(
    sql: string | KnownStatement,
    values: readonly WireValue[] = [],
    options: ExecuteOptions = {},
  ): Promise<StatementResult> {
    const statement = typeof sql === 'string' ? this.#statements.of(sql) : sql;
    const { rowMode } = options;
    const send = (): Promise<StatementResult> =>
      new Promise((resolve, reject) => {
        this.submit(
          new Execution({ statement, values, rowMode }, (error, result) => {
            if (result === undefined) reject(error);
            else resolve(result);
          }),
        );
      });
    try {
      return await this.#inTurn(send, options);
    } catch (error) {
      // Refused before it did anything. A transaction is over with it.
      if (!isStale(error) || this.inTransaction) throw error;
      return await this.#inTurn(send, options);
    }
  }

  /** Sends a statement at once, whatever was sent before it: for whoever keeps account of the answers. */
  submit(execution: Execution): void {
    this.#client.query(execution);
  }

  /** Commits the transaction. Gives false when the server rolled it back instead, since a statement in it had failed. */
  async commit(signal?: AbortSignal): Promise<boolean> {
    const { command } = await this.#inTurn(() => this.#client.query('commit'), { signal });
    return command === 'COMMIT';
  }

  /** Runs one statement for each row of parameters. Gives the sum of affected rows. */
  async executeMany(
    sql: string,
    rows: readonly WireValue[][],
    options: AnswerOptions = {},
  ): Promise<number> {
    let affected = 0;
    for (let start = 0; start < rows.length; start += batchSize) {
      const chunk = rows.slice(start, start + batchSize);
      affected += await this.#inTurn(
        () => this.#client.query(new Batch(sql, chunk)).affected,
        options,
      );
    }
    return affected;
  }

  /** Runs a text of several statements. */
  async script(text: string, options: AnswerOptions = {}): Promise<void> {
    await this.#inTurn(() => this.#client.query(text), options);
  }

  /** Cancels what is running, and refuses what waits behind it; afterwards the connection is ready, or given up. */
  async interrupt(): Promise<void> {
    if (this.#pending === 0) return;
    this.#isInterrupted = true;
    this.#stop?.();
    await this.#tail;
    this.#isInterrupted = false;
  }

  /**
   * Gives the connection back; one that is lost, or in the midst of something, is to be closed. `rests`: whether somebody is
   * likely to need it in this turn of the event loop.
   */
  release({ rests = false }: { readonly rests?: boolean } = {}): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const isBroken = this.#isBroken || this.#pending > 0 || this.inTransaction;
    this.#onRelease(this.#client, isBroken ? 'broken' : rests ? 'resting' : 'idle');
  }

  /** Why it was cut, if somebody said so. */
  get reason(): InfrastructureError | undefined {
    return this.#reason;
  }

  /** Asks the server to cancel what runs. Resolves when it has passed that on, and rejects when it does not within two seconds. */
  async requestCancel(): Promise<void> {
    await requestCancel(this.#client, cancelGrace);
  }

  /** Nobody else gets the connection, which the server has ended, or is about to. */
  markBroken(): void {
    this.#isBroken = true;
  }

  /** Cuts the connection: whatever runs on it, or is still to run, fails; with the reason, if there is one. */
  destroy(reason?: InfrastructureError): void {
    this.#isBroken = true;
    this.#reason ??= reason;
    this.#client.connection.stream.destroy();
  }

  async #inTurn<Result>(
    submit: () => Promise<Result>,
    { signal, unlimited }: AnswerOptions,
  ): Promise<Result> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    this.#pending += 1;
    let isSent = false;
    let timer: NodeJS.Timeout | undefined;
    let stop: (() => void) | undefined;
    try {
      if (this.#pending > 1) await before;
      if (this.#isInterrupted) throw interrupted();
      if (this.#reason !== undefined) throw this.#reason;
      if (signal?.aborted) throw abortedBefore(signal);
      isSent = true;
      const answer = submit();
      stop = () => {
        this.#cancelling ??= this.#cancel(answer);
      };
      this.#stop = stop;
      const limit = unlimited ? 0 : this.#statementTimeout;
      if (limit > 0) timer = setTimeout(stop, limit + answerGrace);
      signal?.addEventListener('abort', stop, { once: true });
      const result = await answer;
      // The request may still be on its way, and would cancel the next statement.
      if (this.#cancelling !== undefined) await this.#cancelling;
      return result;
    } catch (error) {
      const failure = this.#cancelling === undefined ? error : await this.#stopped(error, signal);
      // The server hangs up a moment later: nobody else may get it meanwhile.
      if (isConnectionLost(error)) this.#isBroken = true;
      if (this.#reason === undefined) throw withoutValues(failure);
      throw isSent ? withOutcome(this.#reason, 'unknown') : this.#reason;
    } finally {
      clearTimeout(timer);
      if (stop !== undefined) signal?.removeEventListener('abort', stop);
      this.#stop = undefined;
      this.#cancelling = undefined;
      this.#pending -= 1;
      resolve();
    }
  }

  /**
   * Resolves when the answer is there, and the request to cancel has been passed on: the next statement would be cancelled
   * instead. Cuts the connection when that takes too long.
   */
  async #cancel(answer: Promise<unknown>): Promise<void> {
    const { promise: overdue, resolve: giveUp } = Promise.withResolvers<false>();
    const timer = setTimeout(() => {
      giveUp(false);
    }, cancelGrace);
    const cancelled = Promise.all([this.requestCancel(), answer.catch(() => undefined)]).then(
      () => true,
      () => false,
    );
    if (!(await Promise.race([cancelled, overdue]))) this.destroy();
    clearTimeout(timer);
  }

  /** What to throw for the error of a statement that was cancelled. */
  async #stopped(error: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    await this.#cancelling;
    if (isCancelled(error) && signal?.aborted) return abortedBefore(signal);
    if (isCancelled(error) && this.#isInterrupted) return interrupted();
    return signal?.aborted || !this.#isBroken ? error : noAnswer(error);
  }
}

/** The error of what a server never answered, whose connection was cut for it with `cause`. */
export function noAnswer(cause: unknown): InfrastructureError {
  return new InfrastructureError({
    code: 'deadline-exceeded',
    component: 'database',
    adapter: 'postgres',
    message: 'the server did not answer, and its connection was given up',
    cause,
  });
}

function interrupted(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'postgres',
    message: 'the transaction ended while this statement was under way, which was cancelled',
  });
}
