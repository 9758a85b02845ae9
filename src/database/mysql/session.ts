import type { CompiledQuery } from 'kysely';

import { InfrastructureError, withOutcome } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import type { RowMode, StatementResult, StreamOptions } from '../driver.ts';
import { isCancelled, isConnectionLost, withoutValues, withStatementNumber } from './classify.ts';
import type { MysqlConnection, Statement } from './connection.ts';
import { toStatementResult } from './results.ts';
import { RowStream } from './row-stream.ts';

/** How long a cancelled statement may take to end before its connection is given up, in milliseconds. */
export const cancelGrace = 2000;

/** What a statement's answer is waited for with. */
export interface AnswerOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the limit of time is off. */
  readonly unlimited?: boolean | undefined;
}

/** What a {@link MysqlSession} is made of. */
export interface MysqlSessionOptions {
  readonly connection: MysqlConnection;
  /** How long a statement may take, in milliseconds; 0 for no limit. */
  readonly statementTimeout: number;
  /** Asks the server to end what the connection runs; resolves when it has passed that on. */
  readonly kill: () => Promise<void>;
  /** Called once, with whether the connection can be used by others. */
  readonly onRelease: (isReusable: boolean) => void;
  /** How long it was waited for, in milliseconds; undefined when it was there at once. */
  readonly waitedMs?: number | undefined;
}

/**
 * One connection while somebody has it. Statements run one after the other; while a stream is open, one that follows takes the rest
 * of the stream's rows off the connection first.
 */
export class MysqlSession {
  readonly waitedMs: number | undefined;
  readonly #connection: MysqlConnection;
  readonly #options: MysqlSessionOptions;
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  /** Stops the wait for what is running. */
  #stop: (() => void) | undefined;
  #stream: RowStream | undefined;
  #isInterrupted = false;
  #isReleased = false;
  #isBroken = false;
  /** Why it was cut, if somebody said so. */
  #reason: InfrastructureError | undefined;

  constructor(options: MysqlSessionOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.waitedMs = options.waitedMs;
  }

  /** Whether it is inside of a transaction, as the server last said. */
  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  /** Whether its connection is gone. */
  get isLost(): boolean {
    return this.#connection.isLost;
  }

  /** Runs one statement, which the server prepares: its parameters are never a part of its text. */
  async execute(
    statement: Statement,
    options: AnswerOptions = {},
    rowMode: RowMode = 'object',
  ): Promise<StatementResult> {
    const answer = await this.#inTurn(
      async () => await this.#connection.execute(statement, rowMode),
      options,
      statement.query,
    );
    return toStatementResult(answer, rowMode);
  }

  /** Runs a text that needs no parameters, and that the server need not prepare. */
  async command(text: string, options: AnswerOptions = {}): Promise<void> {
    await this.#inTurn(async () => await this.#connection.query(text), options);
  }

  /** Runs a text of several statements, of which an error tells the number of the one that failed. */
  async script(text: string, options: AnswerOptions = {}): Promise<void> {
    await this.#inTurn(async () => {
      const before = await this.#connection.countStatements();
      try {
        return await this.#connection.query(text);
      } catch (error) {
        const after = await this.#connection.countStatements().catch(() => undefined);
        // The server has counted the one that asked as well.
        throw after === undefined ? error : withStatementNumber(error, after - before - 1);
      }
    }, options);
  }

  /** Streams the rows of one statement. */
  async *stream(
    statement: Statement,
    { chunkSize, signal }: StreamOptions,
    unlimited = false,
  ): AsyncGenerator<StatementResult, void> {
    const size = Math.max(1, Math.trunc(chunkSize));
    const stream = await this.#inTurn(
      async () => {
        const { sql, values } = statement;
        return new RowStream(
          this.#connection.raw,
          this.#connection.raw.execute({ sql, values }),
          'object',
        );
      },
      { signal, unlimited },
    );
    this.#stream = stream;
    try {
      for (;;) {
        const rows = await this.#inTurn(
          async () => await stream.next(size),
          { signal, unlimited },
          statement.query,
          stream,
        );
        // The rows are plain objects by the names of their columns.
        if (rows.length > 0) yield { rows: rows as Record<string, unknown>[] };
        if (rows.length < size) return;
      }
    } finally {
      await this.#endStream(stream);
    }
  }

  /** Ends the stream that is open, if one is. */
  async endStream(): Promise<void> {
    if (this.#stream !== undefined) await this.#endStream(this.#stream);
  }

  /** Asks the server whether the transaction is still there: an error does not say. What keeps it from answering shows at the next use. */
  async refresh(): Promise<void> {
    try {
      await this.command('do 0');
    } catch {
      // Nothing is known that was not known before.
    }
  }

  /** Cancels what is running, and refuses what waits behind it; afterwards the connection is ready, or given up. */
  async interrupt(): Promise<void> {
    this.#isInterrupted = true;
    this.#stop?.();
    await this.#tail;
    await this.endStream();
    this.#isInterrupted = false;
  }

  /** Gives the connection back; one that is lost, or in the midst of something, is closed instead. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const isBusy = this.#pending > 0 || this.inTransaction || this.#stream?.isEnded === false;
    if (isBusy) this.#connection.destroy();
    this.#options.onRelease(!isBusy && !this.#isBroken);
  }

  /** Cuts the connection: whatever runs on it, or is still to run, fails; with the reason, if there is one. */
  destroy(reason?: InfrastructureError): void {
    this.#isBroken = true;
    this.#reason ??= reason;
    this.#connection.destroy();
  }

  async #inTurn<Result>(
    submit: () => Promise<Result>,
    options: AnswerOptions,
    query?: CompiledQuery['query'],
    ownStream?: RowStream,
  ): Promise<Result> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    this.#pending += 1;
    let isSent = false;
    const run = async (): Promise<Result> => {
      if (this.#stream !== ownStream) await this.#stream?.takeRest();
      if (options.signal?.aborted) throw abortedBefore(options.signal);
      isSent = true;
      return await submit();
    };
    try {
      if (this.#pending > 1) await before;
      if (this.#isInterrupted) throw interrupted();
      if (this.#reason !== undefined) throw this.#reason;
      if (options.signal?.aborted) throw abortedBefore(options.signal);
      return await this.#answer(run(), options);
    } catch (error) {
      // The server hangs up a moment later: nobody else may get it meanwhile.
      if (isConnectionLost(error)) this.#isBroken = true;
      if (this.#reason === undefined) throw withoutValues(error, query);
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
    const limit = unlimited ? 0 : this.#options.statementTimeout;
    const timer = limit > 0 ? setTimeout(stop, limit) : undefined;
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
    await this.#kill(
      answer.then(
        () => undefined,
        () => undefined,
      ),
    );
    try {
      return await answer;
    } catch (error) {
      if (isCancelled(error) && signal?.aborted) throw abortedBefore(signal);
      if (isCancelled(error) && this.#isInterrupted) throw interrupted();
      if (signal?.aborted || this.#reason !== undefined) throw error;
      if (isCancelled(error)) throw overdue('not-applied', error);
      throw this.#isBroken ? overdue('unknown', error) : error;
    }
  }

  /** Has the server end what is running, and waits until it has; a connection on which that takes too long is cut. */
  async #kill(settled: Promise<void>): Promise<void> {
    const killed = Promise.all([this.#options.kill(), settled])
      // Also once both have answered, what was asked may still be ahead of the server: a statement of nothing takes it.
      .then(async () => await this.#connection.query('do 0').catch(ignoreCancelled))
      .then(
        () => true,
        () => false,
      );
    const { promise: late, resolve: giveUp } = Promise.withResolvers<false>();
    const timer = setTimeout(() => {
      giveUp(false);
    }, cancelGrace);
    if (!(await Promise.race([killed, late]))) this.destroy();
    clearTimeout(timer);
  }

  async #endStream(stream: RowStream): Promise<void> {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    stream.discard();
    if (stream.isEnded || this.#connection.isLost) return;
    this.#pending += 1;
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await before;
    if (!stream.isEnded) await this.#kill(stream.ended);
    this.#pending -= 1;
    resolve();
  }
}

function ignoreCancelled(error: unknown): void {
  if (!isCancelled(error)) throw error;
}

function interrupted(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'mysql',
    message: 'the transaction ended while this statement was under way, which was cancelled',
  });
}

function overdue(outcome: 'not-applied' | 'unknown', cause: unknown): InfrastructureError {
  return new InfrastructureError({
    code: 'deadline-exceeded',
    component: 'database',
    adapter: 'mysql',
    outcome,
    // It has had its time once, and would take as long again.
    ...(outcome === 'not-applied' && { retryable: false }),
    message:
      outcome === 'not-applied'
        ? 'the statement took too long and was ended: make it faster, or its time longer (statementTimeout)'
        : 'the server did not answer, and its connection was given up',
    cause,
  });
}
