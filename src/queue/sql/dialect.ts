import type { Expression, RawBuilder } from 'kysely';

import type { Database, Migration, Parameter, PreparedQuery } from '../../database/index.ts';
import type { Claim, ClaimRequest, Settlement } from '../driver.ts';
import type { ClaimedRow, NewRow, QueueTables } from './row.ts';

/**
 * What the queue does in its own way on each engine: the statements whose speed or safety among many processes depends on it,
 * and the few words in which the common ones differ. Each method is atomic, and joins the ambient transaction.
 */
export interface QueueDialect {
  /** The history of the table. Each state has its partial index, so that what waits is found at the same speed whatever else is kept. */
  readonly migrations: readonly Migration[];
  /** Ends the selection of rows that are about to change: locks them, and leaves out those that another process is changing. */
  readonly lock: RawBuilder<unknown>;
  /**
   * One more column of a `returning`: tells the other processes, with the commit, that jobs may have become claimable. Does
   * nothing when no row is returned.
   */
  readonly announce: RawBuilder<unknown>;
  /** The engine's clock, in milliseconds since the Unix epoch; null where it is this machine's anyway. */
  readonly clock: RawBuilder<number | null>;
  /** The condition that a row's `id` is among those that a query gives, which are looked up one by one. */
  among(ids: RawBuilder<unknown>): RawBuilder<unknown>;
  /** A JSON array of texts as a table with the one column `value`. */
  texts(array: Expression<string>): RawBuilder<unknown>;
  /**
   * Adds rows in their order, and says for each whether it was added: not, when its id is there, or an unfinished job, perhaps
   * an earlier one of this call, has its name and key. Announces them.
   */
  insert(rows: readonly NewRow[], signal: AbortSignal | undefined): Promise<readonly boolean[]>;
  /** As the driver's, in any order. */
  claim(request: ClaimRequest, signal: AbortSignal | undefined): Promise<readonly ClaimedRow[]>;
  /** As the driver's. Announces jobs that wait again. */
  settle(
    settlements: readonly Settlement[],
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]>;
  /** As the driver's. */
  extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]>;
}

/** Compiles a statement once. Its text holds the states as literals: a partial index is only used for a condition known then. */
export function prepare<Parameters extends object, Row>(
  database: Database<QueueTables>,
  build: (parameter: Parameter<Parameters>) => RawBuilder<unknown>,
): PreparedQuery<Parameters, Row> {
  return database.prepare<Parameters, Row>((query, parameter) => ({
    compile: () => build(parameter).compile(query),
  }));
}
