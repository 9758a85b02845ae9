import type { PoolClient, QueryResult } from 'pg';

import { InfrastructureError, withOutcome } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import type { RowMode, StatementResult } from '../driver.ts';
import { Batch } from './batch.ts';
import { requestCancel } from './cancel.ts';
import { isCancelled, isConnectionLost, withoutValues } from './classify.ts';
import type { WireValue } from './parameters.ts';

/** How long a cancelled statement may take to end before its connection is given up, in milliseconds. */
const cancelGrace = 2000;

/** How much longer than the server's own limit an answer is waited for, in milliseconds. */
const answerGrace = 5000;

/** Rows of a batch that go in one message, which is in memory whole. */
const batchSize = 1000;

/** What a statement's answer is waited for with. */
export interface AnswerOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the limit of time is off. */
  readonly unlimited?: boolean | undefined;
}

/** What a statement is executed with. */
export interface ExecuteOptions extends AnswerOptions {
  readonly rowMode?: RowMode | undefined;
}

/** What {@link PostgresSession} is made of, beside its connection. */
export interface PostgresSessionOptions {
  /** The server's limit for a statement, in milliseconds; 0 for none. */
  readonly statementTimeout: number;
  /** How long the connection was waited for, in milliseconds, if it was. */
  readonly waitedMs: number | undefined;
  readonly onRelease: () => void;
}

/** One connection of the pool while somebody has it. Statements run one after the other. */
export class PostgresSession {
  readonly #client: PoolClient;
  readonly #statementTimeout: number;
  readonly #onRelease: () => void;
  /** How long it was waited for, in milliseconds; undefined when it was there. */
  readonly waitedMs: number | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  /** Stops the wait for what is running. */
  #stop: (() => void) | undefined;
  #isInterrupted = false;
  #isReleased = false;
  #isBroken = false;
  /** Why it was cut, if somebody said so. */
  #reason: InfrastructureError | undefined;

  constructor(
    client: PoolClient,
    { statementTimeout, waitedMs, onRelease }: PostgresSessionOptions,
  ) {
    this.#client = client;
    this.waitedMs = waitedMs;
    this.#statementTimeout = statementTimeout;
    this.#onRelease = onRelease;
  }

  /** Whether it is inside of a transaction, as the last answer said. */
  get inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I';
  }

  /** Runs one statement with parameters, in one message. */
  async execute(
    sql: string,
    values: WireValue[] = [],
    options: ExecuteOptions = {},
  ): Promise<StatementResult> {
    // `extended` even without parameters, so that a text of several statements is refused.
    const query = { text: sql, values, queryMode: 'extended', rowMode: options.rowMode };
    return toStatementResult(
      await this.#inTurn(() => this.#client.query<Record<string, unknown>>(query), options),
    );
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

  /** Gives the connection back to the pool; one that is lost, or in the midst of something, is closed instead. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#client.release(this.#isBroken || this.#pending > 0 || this.inTransaction);
    this.#onRelease();
  }

  /** Cuts the connection: whatever runs on it, or is still to run, fails; with the reason, if there is one. */
  destroy(reason?: InfrastructureError): void {
    this.#isBroken = true;
    this.#reason ??= reason;
    this.#client.connection.stream.destroy();
  }

  async #inTurn<Result>(submit: () => Promise<Result>, options: AnswerOptions): Promise<Result> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    this.#pending += 1;
    let isSent = false;
    try {
      if (this.#pending > 1) await before;
      if (this.#isInterrupted) throw interrupted();
      if (this.#reason !== undefined) throw this.#reason;
      if (options.signal?.aborted) throw abortedBefore(options.signal);
      isSent = true;
      return await this.#answer(submit(), options);
    } catch (error) {
      // The server hangs up a moment later: nobody else may get it meanwhile.
      if (isConnectionLost(error)) this.#isBroken = true;
      if (this.#reason === undefined) throw withoutValues(error);
      throw isSent ? withOutcome(this.#reason, 'unknown') : this.#reason;
    } finally {
      this.#pending -= 1;
      resolve();
    }
  }

  async #answer<Result>(
    answer: Promise<Result>,
    { signal, unlimited }: AnswerOptions,
  ): Promise<Result> {
    const { promise: stopped, resolve } = Promise.withResolvers<'stopped'>();
    const stop = (): void => {
      resolve('stopped');
    };
    this.#stop = stop;
    const limit = unlimited ? 0 : this.#statementTimeout;
    const timer = limit > 0 ? setTimeout(stop, limit + answerGrace) : undefined;
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const first = await Promise.race([answer, stopped]);
      return first === 'stopped' ? await this.#cancel(answer, signal) : first;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      this.#stop = undefined;
    }
  }

  async #cancel<Result>(answer: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
    const settled = answer.then(
      () => undefined,
      () => undefined,
    );
    // Also once the answer is there, the request must have been passed on: the next statement would be cancelled instead.
    const cancelled = Promise.all([requestCancel(this.#client, cancelGrace), settled]).then(
      () => true,
      () => false,
    );
    const { promise: overdue, resolve: giveUp } = Promise.withResolvers<false>();
    const timer = setTimeout(() => {
      giveUp(false);
    }, cancelGrace);
    if (!(await Promise.race([cancelled, overdue]))) this.destroy();
    clearTimeout(timer);
    try {
      return await answer;
    } catch (error) {
      if (isCancelled(error) && signal?.aborted) throw abortedBefore(signal);
      if (isCancelled(error) && this.#isInterrupted) throw interrupted();
      if (signal?.aborted || !this.#isBroken) throw error;
      throw new InfrastructureError({
        code: 'deadline-exceeded',
        component: 'database',
        adapter: 'postgres',
        message: 'the server did not answer, and its connection was given up',
        cause: error,
      });
    }
  }
}

function interrupted(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'postgres',
    message: 'the transaction ended while this statement was under way, which was cancelled',
  });
}

const changes: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

function toStatementResult({
  rows,
  command,
  rowCount,
}: QueryResult<Record<string, unknown>>): StatementResult {
  return changes.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows };
}
