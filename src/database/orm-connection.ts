import { AsyncLocalStorage } from 'node:async_hooks';

import { InfrastructureError } from '../core/index.ts';
import type { Database, ExecuteOptions } from './database.ts';
import type { ArrayResult, StatementResult } from './driver.ts';
import { isolationOf } from './kysely-bridge.ts';
import type { TransactionOptions } from './transaction-options.ts';

/** The part of a Database of any schema that an ORM runs on. Kysely's own type is invariant in its schema. */
export type OrmDatabase = Pick<Database, 'adapter' | 'execute' | 'inTransaction' | 'transaction'>;

/** The SQL that an adapter speaks, by the adapter's name. */
export const engines = {
  mysql: 'mysql',
  pglite: 'postgres',
  postgres: 'postgres',
  sqlite: 'sqlite',
} as const;

/** The SQL that an adapter speaks. */
export type Engine = (typeof engines)[keyof typeof engines];

/** Says which SQL the adapter speaks. Throws `unimplemented` for one that nobody knows. */
export function engineOf(adapter: string, orm: string): Engine {
  const engine = new Map<string, Engine>(Object.entries(engines)).get(adapter);
  if (engine !== undefined) return engine;
  const known = Object.keys(engines).join(', ');
  throw unimplemented(adapter, `${orm} runs on the adapters ${known}, and not on "${adapter}"`);
}

/** How ORMs ask for a transaction. */
export interface OrmTransactionSettings {
  readonly isolationLevel?: keyof typeof isolationOf | undefined;
  readonly readOnly?: boolean | undefined;
}

/** Says it as a {@link TransactionOptions}. */
export function transactionOptions({
  isolationLevel,
  readOnly,
}: OrmTransactionSettings): TransactionOptions {
  return { isolation: isolationLevel && isolationOf[isolationLevel], readOnly };
}

/** The error of what an ORM offers, and this does not. */
export function unimplemented(adapter: string, message: string): InfrastructureError {
  return new InfrastructureError({
    code: 'unimplemented',
    component: 'database',
    adapter,
    message,
  });
}

/**
 * Where an ORM's statements go: to the database, whose ambient transaction they join. That of a transaction stands for it in the
 * objects that an ORM hands out: it leads into the transaction from wherever such an object is used, and nowhere once that is over.
 */
export class OrmConnection {
  readonly #database: OrmDatabase;
  readonly #inside: (<Result>(fn: () => Result) => Result) | undefined;
  #isOver = false;

  constructor(database: OrmDatabase, inside?: <Result>(fn: () => Result) => Result) {
    this.#database = database;
    this.#inside = inside;
  }

  /** The adapter's name. */
  get adapter(): string {
    return this.#database.adapter;
  }

  execute(
    statement: string,
    parameters: readonly unknown[],
    options: ExecuteOptions & { readonly rowMode: 'array' },
  ): Promise<ArrayResult>;
  execute(
    statement: string,
    parameters: readonly unknown[],
    options?: ExecuteOptions,
  ): Promise<StatementResult>;
  async execute(
    statement: string,
    parameters: readonly unknown[],
    options: ExecuteOptions = {},
  ): Promise<ArrayResult | StatementResult> {
    return await this.run(async () => await this.#database.execute(statement, parameters, options));
  }

  /** Runs `fn` in a transaction, nested in that which it is called in, or which this connection stands for. */
  async transaction<Result>(
    fn: (connection: OrmConnection) => Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result> {
    return await this.run(
      async () =>
        await this.#database.transaction(async () => {
          const connection = new OrmConnection(this.#database, AsyncLocalStorage.snapshot());
          try {
            return await fn(connection);
          } finally {
            connection.#isOver = true;
          }
        }, options),
    );
  }

  /**
   * Calls `fn` in the transaction. Where the caller is in one already, that is the one: it is this connection's, or nested in it, whose statements would wait
   * for each other.
   */
  async run<Result>(fn: () => Promise<Result>): Promise<Result> {
    if (this.#isOver) throw this.#overError();
    const isInside = this.#inside === undefined || this.#database.inTransaction;
    return await (isInside ? fn() : this.#inside(fn));
  }

  /** Throws `failed-precondition` unless the caller is in the transaction, by whatever it is in that. */
  assertInside(): void {
    if (this.#isOver) throw this.#overError();
    if (!this.#database.inTransaction)
      throw this.#misuse(
        'this query builder is one of a transaction: use it in the function of that',
      );
  }

  #overError(): InfrastructureError {
    return this.#misuse(
      'this transaction has ended: await everything that belongs to it before its function returns',
    );
  }

  #misuse(message: string): InfrastructureError {
    const { adapter } = this;
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter,
      message,
    });
  }
}
