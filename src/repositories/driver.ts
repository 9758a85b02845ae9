import type { Driver } from '../core/index.ts';
import type { Condition, Order } from './condition.ts';

/** An entity as data: its fields by name. */
export type Row = Record<string, unknown>;

/** What an adapter can do. */
export interface RepositoryCapabilities extends Readonly<Record<string, boolean>> {
  /** Calls inside of a transaction take effect with its commit, or not at all. When not, each takes effect by itself. */
  readonly transactions: boolean;
  /** A repository can have a version field: `replace` decides by its condition and writes as one step. */
  readonly versions: boolean;
  /** Criteria can look into text (`contains`, `startsWith`, `endsWith`) and compare it by order (`gt`, `gte`, `lt`, `lte`). */
  readonly textComparisons: boolean;
  /** Bigints can be sorted by, and compared by order. */
  readonly bigintOrder: boolean;
}

/** Which rows the driver is to read. */
export interface DriverFind {
  readonly where: Condition;
  /** Ends with the id unless it is empty: then any order will do. */
  readonly orderBy: readonly Order[];
  /** Only what comes behind the row whose fields of `orderBy` have these values, whether it is still there or not: see `afterPlace`. */
  readonly after: readonly unknown[] | undefined;
  readonly limit: number | undefined;
}

/**
 * What an adapter of this room implements. Rows come checked, with the id in `idField`, and MAY be kept; those given back MUST
 * be copies that the caller may change. Conditions and order mean exactly what `evaluate.ts` makes of them, nulls included.
 * Every write MUST be all or nothing. A taken id or other unique field is thrown as an error that `classify` maps to
 * `already-exists`. Every method MUST reject when its signal is aborted before it took effect. What needs a capability that is
 * false is never asked for, but for an order by a bigint, of which only the driver may know: it MUST throw `unimplemented`.
 */
export interface RepositoryDriver extends Driver {
  readonly capabilities: RepositoryCapabilities;
  /** Names the collection in messages and events, such as its table. */
  readonly collection: string;
  /** The fields that rows can have, where the driver knows them. */
  readonly fields: ReadonlySet<string> | undefined;
  /** Whether the caller is inside of a transaction, so that its reads must not be put together with those of others. */
  readonly inTransaction: boolean;
  /** The rows with these ids, in any order, without those that are not there. The ids are unique. */
  findByIds(ids: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]>;
  find(query: DriverFind, signal?: AbortSignal): Promise<readonly Row[]>;
  count(where: Condition, signal?: AbortSignal): Promise<number>;
  insert(rows: readonly Row[], signal?: AbortSignal): Promise<void>;
  /** Inserts the row, or replaces the one with its id. */
  upsert(row: Row, signal?: AbortSignal): Promise<void>;
  /** Replaces the row with this id, where `condition` holds of what is stored, as one step. Gives whether it did. */
  replace(row: Row, condition: Condition, signal?: AbortSignal): Promise<boolean>;
  /** Gives how many were deleted. */
  delete(where: Condition, signal?: AbortSignal): Promise<number>;
}
