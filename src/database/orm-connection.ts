import { AsyncLocalStorage } from 'node:async_hooks';

import { type ErrorOrigin, InfrastructureError } from '../core/index.ts';
import type { Database, ExecuteOptions, TransactionOptions } from './database.ts';
import type { ArrayResult, StatementResult } from './driver.ts';

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
  throw new InfrastructureError({
    code: 'unimplemented',
    component: 'database',
    adapter,
    message: `${orm} runs on the adapters ${Object.keys(engines).join(', ')}, and not on "${adapter}"`,
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
    return await this.#enter(
      async () => await this.#database.execute(statement, parameters, options),
    );
  }

  /** Runs `fn` in a transaction, nested in that which it is called in, or which this connection stands for. */
  async transaction<Result>(
    fn: (connection: OrmConnection) => Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result> {
    return await this.#enter(
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
   * Where the caller is in a transaction already, that is the one: it is this connection's, or nested in it, whose statements would wait
   * for each other.
   */
  #enter<Result>(fn: () => Promise<Result>): Promise<Result> {
    if (this.#isOver) throw this.#overError();
    return this.#inside === undefined || this.#database.inTransaction ? fn() : this.#inside(fn);
  }

  #overError(): InfrastructureError {
    const origin: ErrorOrigin = { component: 'database', adapter: this.adapter };
    return new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message:
        'this transaction has ended: await everything that belongs to it before its function returns',
    });
  }
}
