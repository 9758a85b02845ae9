import {
  type Compilable,
  type CompiledQuery,
  DeleteQueryNode,
  DeleteResult,
  type Expression,
  InsertQueryNode,
  InsertResult,
  type OperationNode,
  UpdateQueryNode,
  UpdateResult,
  ValueNode,
} from 'kysely';

import { type CallOptions, InfrastructureError, invalidArgument } from '../core/index.ts';
import type { StatementResult } from './driver.ts';

/**
 * Stands for a parameter of a prepared query, wherever the builder takes an expression.
 *
 * @example
 * database.prepare((query, parameter: Parameter<{ id: number }>) =>
 *   query.selectFrom('user').selectAll().where('id', '=', parameter('id')));
 */
export interface Parameter<Parameters extends object> {
  <Name extends keyof Parameters & string>(name: Name): Expression<Parameters[Name]>;
}

/** What a prepared query runs on. */
export interface PreparedQueryRunner {
  execute(query: CompiledQuery, signal: AbortSignal | undefined): Promise<StatementResult>;
  executeMany(
    query: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal: AbortSignal | undefined,
  ): Promise<bigint>;
}

const origin = { component: 'database', operation: 'prepare' } as const;

class Slot {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

class SlotExpression implements Expression<never> {
  readonly #node: OperationNode;

  constructor(name: string) {
    this.#node = ValueNode.create(new Slot(name));
  }

  get expressionType(): undefined {
    return undefined;
  }

  toOperationNode(): OperationNode {
    return this.#node;
  }
}

/**
 * A query that is built and compiled once, and given its parameters at each call. Joins the ambient transaction like any
 * other statement. Plugins of the builder are not applied to its rows.
 */
export class PreparedQuery<Parameters extends object, Output> {
  readonly #runner: PreparedQueryRunner;
  readonly #query: CompiledQuery;
  readonly #toOutput: (result: StatementResult) => Output[];

  constructor(
    runner: PreparedQueryRunner,
    build: (parameter: Parameter<Parameters>) => Compilable<Output>,
  ) {
    this.#runner = runner;
    this.#query = build((name) => new SlotExpression(name)).compile();
    this.#toOutput = outputOf<Output>(this.#query);
  }

  /** The statement's SQL. */
  get sql(): string {
    return this.#query.sql;
  }

  /** Runs it; gives its rows, or, for a write without `returning`, Kysely's result of it as the one element. */
  async execute(parameters: Parameters, { signal }: CallOptions = {}): Promise<Output[]> {
    return this.#toOutput(await this.#runner.execute(this.#bind(parameters), signal));
  }

  /** Runs it; gives the first row, or undefined. */
  async executeTakeFirst(
    parameters: Parameters,
    { signal }: CallOptions = {},
  ): Promise<Output | undefined> {
    return this.#toOutput(await this.#runner.execute(this.#bind(parameters), signal))[0];
  }

  /** Runs it; gives the first row. Throws `not-found` when there is none. */
  async executeTakeFirstOrThrow(
    parameters: Parameters,
    options: CallOptions = {},
  ): Promise<Output> {
    const first = await this.executeTakeFirst(parameters, options);
    if (first !== undefined) return first;
    throw new InfrastructureError({
      code: 'not-found',
      ...origin,
      operation: 'query',
      message: 'the query gave no row',
    });
  }

  /**
   * Runs it once for each element, in order and in one transaction: all of them take effect, or none. Gives the number of
   * rows affected. The fastest way to write many rows.
   */
  async executeMany(
    parameterSets: readonly Parameters[],
    { signal }: CallOptions = {},
  ): Promise<bigint> {
    return await this.#runner.executeMany(
      this.#query,
      parameterSets.map((parameters) => this.#values(parameters)),
      signal,
    );
  }

  #bind(parameters: Parameters): CompiledQuery {
    const { sql, query, queryId } = this.#query;
    return { sql, query, queryId, parameters: this.#values(parameters) };
  }

  #values(parameters: Parameters): unknown[] {
    const template = this.#query.parameters;
    const values: unknown[] = [];
    for (let index = 0; index < template.length; index += 1) {
      const part = template[index];
      values.push(part instanceof Slot ? valueOf(parameters, part.name) : part);
    }
    return values;
  }
}

function valueOf(parameters: object, name: string): unknown {
  const value: unknown = (parameters as Record<string, unknown>)[name];
  if (value === undefined)
    throw invalidArgument(
      origin,
      `parameter "${name}" of the prepared query is missing: give it a value, or null`,
    );
  return value;
}

// As Kysely's builders do in their own `execute`, for which they need an executor.
function outputOf<Output>({ query }: CompiledQuery): (result: StatementResult) => Output[] {
  const rows = (result: StatementResult): Output[] => result.rows as Output[];
  if ('returning' in query && query.returning !== undefined) return rows;
  // The casts restore what the builder's type says of its result.
  if (InsertQueryNode.is(query))
    return (result) => [new InsertResult(result.insertId, result.numAffectedRows ?? 0n) as Output];
  if (UpdateQueryNode.is(query))
    return (result) => [
      new UpdateResult(result.numAffectedRows ?? 0n, result.numChangedRows) as Output,
    ];
  if (DeleteQueryNode.is(query))
    return (result) => [new DeleteResult(result.numAffectedRows ?? 0n) as Output];
  return rows;
}
