import type { Connection, FieldPacket, Query } from 'mysql2';

import type { RowMode } from '../driver.ts';
import { rowConverter } from './results.ts';

/** A statement on a connection of `mysql2` that gives its rows one by one; the rest stays with the server until it is asked for. */
export class RowStream {
  /** Settles when the server has sent the last row, or an error. Never rejects. */
  readonly ended: Promise<void>;
  readonly #connection: Connection;
  readonly #end: () => void;
  #rows: object[] = [];
  #wanted = 1;
  readonly #onLost = (error: Error): void => {
    this.#settle(error);
  };
  #isEnded = false;
  #isDiscarding = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #convert: ((row: object) => void) | undefined;
  /** A result that has no rows gives one of these in their place. */
  #hasRows = false;

  constructor(connection: Connection, query: Query, rowMode: RowMode) {
    this.#connection = connection;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    query.on('fields', (fields: FieldPacket[] | undefined) => {
      this.#hasRows = fields !== undefined;
      this.#convert = fields && rowConverter(fields, rowMode);
    });
    query.on('result', (row: object) => {
      if (this.#hasRows) this.#take(row);
    });
    query.on('error', (error: Error) => {
      this.#settle(error);
    });
    query.on('end', () => {
      this.#settle();
    });
    // A command without a callback is not told that its connection is lost.
    connection.once('error', this.#onLost);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** So many rows, or as many as are left; none at the end. */
  async next(count: number): Promise<object[]> {
    this.#wanted = count;
    while (this.#rows.length < count && !this.#isEnded) await this.#more();
    if (this.#rows.length === 0 && this.#error !== undefined) throw this.#error;
    return this.#rows.splice(0, count);
  }

  /** Reads all that is left, so that the connection is free for others. */
  async takeRest(): Promise<void> {
    this.#wanted = Infinity;
    while (!this.#isEnded) await this.#more();
  }

  /** Drops all that is left. The server goes on to send it, unless it is told to stop. */
  discard(): void {
    this.#isDiscarding = true;
    this.#rows = [];
    if (!this.#isEnded) this.#connection.resume();
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#connection.resume();
    await promise;
  }

  #take(row: object): void {
    if (this.#isDiscarding) return;
    this.#convert?.(row);
    this.#rows.push(row);
    if (this.#rows.length < this.#wanted) return;
    this.#connection.pause();
    this.#wake?.();
  }

  #settle(error?: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error ??= error;
    this.#connection.off('error', this.#onLost);
    this.#wake?.();
    this.#end();
  }
}
