import type { CompiledQuery, Dialect, Expression, Kysely, QueryResult, SqlBool } from 'kysely';

import type { Driver } from '../core/index.ts';
import type { TableDescription } from './table-description.ts';

/** What a database adapter can do. A type and no interface, which would not fit core's `Capabilities`. */
export type DatabaseCapabilities = {
  /** Statements outside of a transaction go on while a transaction is open. When not, they wait for it to end. */
  readonly concurrentReads: boolean;
  /** A stream of rows is read as it is consumed. When not, all its rows are in memory at once. */
  readonly boundedStreams: boolean;
  /** A migration that fails leaves the schema as it was. */
  readonly transactionalDdl: boolean;
  /** A statement that fails inside of a transaction undoes itself alone. When not, the transaction, or its savepoint, is lost with it. */
  readonly statementRollback: boolean;
  /** Every kind of write gives its rows by `returning`. When not, an update that asks for them is refused. */
  readonly returning: boolean;
  /**
   * A transaction, or a write outside of any, goes on while whoever asks for it has another transaction open, which is suspended.
   * When not, it would wait for that one forever, and is refused.
   */
  readonly independentTransactions: boolean;
  /** {@link DatabaseDriver.listen}: what one connection notifies, listeners in every process hear. */
  readonly notifications: boolean;
};

/** How far transactions are kept apart. `serializable`: as if they ran one after the other. */
export type Isolation = 'read-committed' | 'repeatable-read' | 'serializable';

/** What {@link DatabaseDriver.begin} takes. */
export interface BeginOptions {
  readonly signal?: AbortSignal | undefined;
  /** A statement that writes MUST be refused as `permission-denied`, and the transaction SHOULD get in no writer's way. */
  readonly readOnly?: boolean | undefined;
  /** A driver MUST give this much at least, and MAY give more. Default: the driver's own, which loses no update. */
  readonly isolation?: Isolation | undefined;
  /**
   * Of all transactions that name this lock, in whatever process, one is open at a time: the others wait until it has ended, and
   * then see what it did. For migrations: their statements MUST NOT be limited in time.
   */
  readonly lock?: string | undefined;
}

/** Hears a notification's payload; `undefined` after a lost connection is back, when some may have been missed. */
export type NotificationListener = (payload: string | undefined) => void;

/** How an engine's SQL is written: the parts of a Kysely dialect that say so, and what those do not know. */
export interface SqlDialect extends Pick<
  Dialect,
  'createAdapter' | 'createIntrospector' | 'createQueryCompiler'
> {
  readonly expressions: SqlExpressions;
  /**
   * Describes the tables and views that statements find by their name alone, but for those of the engine and of its extensions,
   * in few queries. The same schema MUST give the same description.
   */
  describeSchema(query: Kysely<unknown>): Promise<readonly TableDescription[]>;
}

/** What means the same on every engine, and is written differently. */
export interface SqlExpressions {
  /** Whether nulls come first in ascending order where the order does not say. */
  readonly nullsFirst: boolean;
  /** Whether an insert can name the key at which it updates the row that is there: `on conflict (…) do update`. */
  readonly onConflict: boolean;
  /** A text that is compared and sorted by code points. */
  byCodePoint(text: Expression<unknown>): Expression<unknown>;
  /** Whether a text holds this part, exactly. As the two that follow, never true of null. */
  contains(text: Expression<unknown>, part: string): Expression<SqlBool>;
  startsWith(text: Expression<unknown>, part: string): Expression<SqlBool>;
  endsWith(text: Expression<unknown>, part: string): Expression<SqlBool>;
  /** A column of JSON, of whatever type, as text. */
  jsonText(column: Expression<unknown>): Expression<unknown>;
  /** Whether a value is in a list of values of that type, which is one parameter however long it is: what `list` gives. */
  isOneOf(
    value: Expression<unknown>,
    list: Expression<unknown>,
    type: 'text' | 'integer',
  ): Expression<SqlBool>;
  /** A list of texts, numbers or bigints as a parameter. */
  list(values: readonly unknown[]): unknown;
  /** A moment as a parameter, for a column of text, or of the engine's own type for it in UTC. */
  time(value: Date): unknown;
}

/**
 * How the rows of a result come: as objects by the names of their columns, or as arrays in the order of the columns, which loses
 * nothing when two of them have one name.
 */
export type RowMode = 'object' | 'array';

/** What a statement gave. `rows` is empty for a statement that returns none; in the row mode `array` each is an array. */
export interface StatementResult extends QueryResult<Readonly<Record<string, unknown>>> {
  /** How long it waited for a connection, in milliseconds; absent when it had one at once. */
  readonly waitedMs?: number | undefined;
  /** Names the replica that gave it; absent when there is none, or it was the primary. */
  readonly replica?: string | undefined;
}

/** What a statement gave in the row mode `array`. */
export interface ArrayResult extends Omit<StatementResult, 'rows'> {
  readonly rows: readonly (readonly unknown[])[];
}

/** The rows of a stream, in chunks. MUST release its connection when it ends, fails, or is returned early. */
export type StatementStream = AsyncIterableIterator<StatementResult>;

/** How a stream is read. */
export interface StreamOptions {
  /** Rows in a chunk, at most. At least 1. */
  readonly chunkSize: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A database engine. Every method throws the engine's raw error. Integers that are not safe as numbers MUST come back as
 * bigint; no value may be changed on its way in or out without an error.
 */
export interface DatabaseDriver extends Driver {
  readonly capabilities: DatabaseCapabilities;
  readonly dialect: SqlDialect;
  /** How far transactions are kept apart that do not say. */
  readonly isolation: Isolation;
  /** How many connections there are for transactions, at most. Default: no limit that matters. */
  readonly maxTransactions?: number | undefined;
  /** Runs one statement outside of any transaction; it takes effect by itself, or not at all. MAY answer at once. */
  execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): StatementResult | Promise<StatementResult>;
  /** Streams the rows of one statement outside of any transaction, all of one moment. */
  stream(query: CompiledQuery, options: StreamOptions): StatementStream;
  /**
   * Opens a transaction on a connection of its own. The wait for it MUST be bounded (`resource-exhausted`), fair, and end
   * with the signal.
   */
  begin(options?: BeginOptions): Promise<DriverTransaction>;
  /**
   * Calls `listener` for each notification on the channel, from now on until the returned function is called or the driver is
   * closed. MUST connect by itself, also again after the connection was lost; MUST NOT throw unless the driver is closed. Only with
   * the capability `notifications`.
   */
  listen?(channel: string, listener: NotificationListener): () => void;
}

/**
 * An open transaction. Calls on it MUST be served in their order. After `commit` or `rollback` has been called no other call
 * may reach the connection, which may by then be somebody else's.
 */
export interface DriverTransaction {
  /** How long it waited for its connection, in milliseconds; absent when it had one at once. */
  readonly waitedMs?: number | undefined;
  execute(
    query: CompiledQuery,
    signal?: AbortSignal,
    rowMode?: RowMode,
  ): StatementResult | Promise<StatementResult>;
  /** Runs one statement once for each row of parameters, in order. The first that fails ends it. Gives the sum of affected rows, and no rows. */
  executeMany(
    query: CompiledQuery,
    parameterRows: readonly (readonly unknown[])[],
    signal?: AbortSignal,
  ): StatementResult | Promise<StatementResult>;
  /** MUST end with `failed-precondition` when the transaction ends before the stream does. */
  stream(query: CompiledQuery, options: StreamOptions): StatementStream;
  /** Runs a text of several statements. Where DDL is not transactional, the error SHOULD tell which failed (`details.statement`, from 1). */
  script(text: string): void | Promise<void>;
  savepoint(name: string): void | Promise<void>;
  rollbackToSavepoint(name: string): void | Promise<void>;
  releaseSavepoint(name: string): void | Promise<void>;
  /**
   * Releases the connection, whether it succeeds or throws; when it throws, nothing of the transaction is left open. The signal
   * ends a commit that takes time: it is then undone, or its outcome is `unknown`.
   */
  commit(signal?: AbortSignal): void | Promise<void>;
  /** Releases the connection, whether it succeeds or throws; when it throws, nothing of the transaction is left open. */
  rollback(): void | Promise<void>;
}
