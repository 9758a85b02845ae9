import type { Connection, Submittable } from 'pg';

import type { WireValue } from '../postgres-sql/parameters.ts';
import { passAsQuery } from './pg.ts';

/**
 * One statement, parsed once and run for each row of values, in a single message to the server: the first that fails ends it.
 * `pg` itself would wait for each answer before it sends the next. Its rows are dropped.
 */
export class Batch implements Submittable {
  /** Settles when the server has answered. Gives the sum of affected rows. */
  readonly affected: Promise<number>;
  readonly #sql: string;
  readonly #rows: readonly WireValue[][];
  readonly #resolve: (affected: number) => void;
  readonly #reject: (error: unknown) => void;
  #sum = 0;

  constructor(sql: string, rows: readonly WireValue[][]) {
    this.#sql = sql;
    this.#rows = rows;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.affected = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Called by `pg`, as all that follow. */
  submit(connection: Connection): void {
    connection.stream.cork();
    try {
      connection.parse({ name: '', text: this.#sql, types: [] }, true);
      for (const values of this.#rows) {
        connection.bind({ values }, true);
        connection.execute({}, true);
      }
      connection.sync();
    } finally {
      connection.stream.uncork();
    }
  }

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#sum += Number(/\d+$/.exec(text)?.[0] ?? 0);
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#sum);
  }

  handleError(error: unknown): void {
    this.#reject(error);
  }
}

passAsQuery(Batch);
