import type { CompiledQuery } from 'kysely';

import {
  abortable,
  currentContext,
  InfrastructureError,
  operation,
  type OperationAttributes,
  operationChannel,
} from '../core/index.ts';
import { abortedBefore } from './aborted.ts';
import { CallSite } from './call-site.ts';
import type {
  DriverTransaction,
  RowMode,
  StatementResult,
  StatementStream,
  StreamOptions,
} from './driver.ts';
import type { DatabaseHost } from './host.ts';
import { isRead } from './is-read.ts';
import { describeParameters } from './parameters-in-events.ts';
import type { TransactionScope } from './transaction-scope.ts';
import type { Transactions } from './transactions.ts';

/** What is told of statements beside their text and what they did. */
export interface StatementOptions {
  /** From how many milliseconds on one is slow; 0 for never. */
  readonly slowAfter: number;
  readonly parametersInEvents: boolean;
}

interface ScopedCall {
  readonly name: string;
  readonly attributes: OperationAttributes;
  readonly signal?: AbortSignal | undefined;
}

/** Runs the statements of one Database, in the ambient transaction or outside of any, each as one operation. */
export class Statements {
  readonly #host: DatabaseHost;
  readonly #transactions: Transactions;
  readonly #options: StatementOptions;

  constructor(host: DatabaseHost, transactions: Transactions, options: StatementOptions) {
    this.#host = host;
    this.#transactions = transactions;
    this.#options = options;
  }

  /** Runs one in `scope`; by default where the caller is. */
  // oxlint-disable-next-line max-params -- an object for each statement would cost the hot path
  execute(
    query: CompiledQuery,
    signal: AbortSignal | undefined,
    scope: TransactionScope | undefined = this.#host.ambient.scope,
    rowMode?: RowMode,
  ): Promise<StatementResult> {
    if (scope === undefined) {
      return this.#host.ambient.suspended.length === 0
        ? this.#executeOutside(query, signal, rowMode)
        : this.#executeBeside(query, signal, rowMode);
    }
    const attributes = this.#attributesOf(query);
    return this.#observed({ name: 'query', attributes, parameters: query.parameters }, () =>
      this.#inScope(scope, { name: 'query', attributes, signal }, (transaction, current) =>
        transaction.execute(query, current, rowMode),
      ),
    );
  }

  /** Runs one once for each row of parameters, in one transaction. Gives the number of affected rows. */
  async executeMany(
    query: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal: AbortSignal | undefined,
  ): Promise<bigint> {
    const { scope } = this.#host.ambient;
    if (scope === undefined)
      return await this.#transactions.run(
        async () => await this.executeMany(query, parameterRows, signal),
        { signal },
      );
    const attributes = { ...this.#attributesOf(query), repetitions: parameterRows.length };
    const { numAffectedRows = 0n } = await this.#observed(
      { name: 'query', attributes, parameters: parameterRows[0] ?? [] },
      () =>
        this.#inScope(scope, { name: 'query', attributes, signal }, (transaction, current) =>
          transaction.executeMany(query, parameterRows, current),
        ),
    );
    return numAffectedRows;
  }

  /** Runs a text of several, in one transaction. */
  async script(text: string): Promise<void> {
    const { scope } = this.#host.ambient;
    if (scope === undefined) {
      await this.#transactions.run(async () => await this.script(text), {});
      return;
    }
    const attributes: OperationAttributes = { statement: text, adapter: this.#host.driver.adapter };
    await operation('database', 'script', attributes, () =>
      this.#inScope(
        scope,
        { name: 'script', attributes },
        async (transaction) => await transaction.script(text),
      ),
    );
  }

  /** Streams the rows of one in `scope`; by default where the caller is. */
  async *stream(
    query: CompiledQuery,
    options: StreamOptions,
    scope: TransactionScope | undefined = this.#host.ambient.scope,
  ): StatementStream {
    const { driver, held } = this.#host;
    const site = held && scope === undefined ? new CallSite() : undefined;
    const signal = options.signal ?? currentContext().signal;
    const attributes = this.#attributesOf(query);
    let rows = (attributes['rows'] = 0);
    if (this.#options.parametersInEvents && operationChannel('database', 'stream').hasSubscribers)
      attributes['parameters'] = describeParameters(query.parameters);
    // One event from the first row to the last, though this generator runs by fits and starts.
    const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<void>();
    operation('database', 'stream', attributes, async () => await ended).catch(() => undefined);
    let release: (() => void) | undefined;
    try {
      const refusal = scope === undefined ? this.#host.ambient.refusal(false) : undefined;
      if (refusal !== undefined) throw refusal;
      // The start goes on for whoever else waits for it, also when this stream is cancelled.
      if (scope === undefined)
        await (signal ? abortable(this.#host.start(), signal) : this.#host.start());
      const streaming = { ...options, signal };
      const stream =
        scope === undefined
          ? driver.stream(query, streaming)
          : await scope.use((transaction) => transaction.stream(query, streaming), signal);
      for await (const chunk of stream) {
        release ??= site && held?.hold('stream', site);
        signal?.throwIfAborted();
        attributes['rows'] = rows += chunk.rows.length;
        if (chunk.replica !== undefined) attributes['replica'] = chunk.replica;
        yield chunk;
      }
    } catch (error) {
      const wrapped = this.#host.wrap(error, 'stream', signal);
      fail(wrapped);
      throw wrapped;
    } finally {
      release?.();
      end();
    }
  }

  #executeOutside(
    query: CompiledQuery,
    signal: AbortSignal | undefined,
    rowMode: RowMode | undefined,
  ): Promise<StatementResult> {
    const attributes = this.#attributesOf(query);
    return this.#observed({ name: 'query', attributes, parameters: query.parameters }, () =>
      this.#host.guard('query', { signal, repeatable: isRead(query) }, async (current) =>
        counted(attributes, await this.#host.driver.execute(query, current, rowMode)),
      ),
    );
  }

  /** Beside transactions of the caller that wait. Where one of them holds the connection that writes, what reads has another. */
  async #executeBeside(
    query: CompiledQuery,
    signal: AbortSignal | undefined,
    rowMode: RowMode | undefined,
  ): Promise<StatementResult> {
    const refusal = this.#host.ambient.refusal(false);
    if (refusal === undefined) return await this.#executeOutside(query, signal, rowMode);
    try {
      return await this.#transactions.run(
        async () => await this.execute(query, signal, undefined, rowMode),
        { signal, readOnly: true },
      );
    } catch (error) {
      throw InfrastructureError.is(error, 'permission-denied') ? refusal : error;
    }
  }

  async #inScope<Result extends StatementResult | void>(
    scope: TransactionScope,
    { name, attributes, signal = currentContext().signal }: ScopedCall,
    fn: (
      transaction: DriverTransaction,
      signal: AbortSignal | undefined,
    ) => Result | Promise<Result>,
  ): Promise<Result> {
    try {
      if (signal?.aborted) throw abortedBefore(signal);
      const result: Result = await scope.use((transaction) => fn(transaction, signal), signal);
      if (result !== undefined) counted(attributes, result);
      return result;
    } catch (error) {
      throw this.#host.wrap(error, name, signal);
    }
  }

  #attributesOf({ sql }: CompiledQuery): OperationAttributes {
    return { statement: sql, adapter: this.#host.driver.adapter };
  }

  /** One operation, which warns when it was slow; whatever that costs, it costs only when somebody has subscribed. */
  #observed<Result>(
    {
      name,
      attributes,
      parameters,
    }: {
      readonly name: string;
      readonly attributes: OperationAttributes;
      readonly parameters: readonly unknown[];
    },
    fn: () => Promise<Result>,
  ): Promise<Result> {
    if (!operationChannel('database', name).hasSubscribers) return fn();
    const { slowAfter, parametersInEvents } = this.#options;
    if (parametersInEvents) attributes['parameters'] = describeParameters(parameters);
    return operation('database', name, attributes, async () => {
      const { clock } = this.#host;
      const startedAt = clock.now();
      try {
        return await fn();
      } finally {
        const took = clock.now() - startedAt;
        if (slowAfter > 0 && took >= slowAfter)
          attributes.warning = slowness(took, attributes['waitedMs'], slowAfter);
      }
    });
  }
}

function slowness(took: number, waitedMs: unknown, slowAfter: number): string {
  const waited =
    typeof waitedMs === 'number'
      ? `, of which ${Math.round(waitedMs)} ms waiting for a connection`
      : '';
  return `the statement took ${took} ms${waited} (slowAfter is ${slowAfter} ms)`;
}

function counted(attributes: OperationAttributes, result: StatementResult): StatementResult {
  attributes['rows'] =
    result.numAffectedRows === undefined ? result.rows.length : Number(result.numAffectedRows);
  if (result.waitedMs !== undefined) attributes['waitedMs'] = result.waitedMs;
  if (result.replica !== undefined) attributes['replica'] = result.replica;
  return result;
}
