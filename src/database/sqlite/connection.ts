import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';

import { invalidArgument } from '../../core/index.ts';
import type { RowMode } from '../driver.ts';
import { toSqliteValues } from './parameters.ts';

/** A row as SQLite gives it; in the row mode `array` it is an array, and its keys are the columns' places. */
export type Row = Record<string, SQLOutputValue>;

/** What a statement that returns no rows did. Both are left over from the one before when it was no write. */
export interface Changes {
  readonly changes: number;
  readonly lastInsertRowid: number | bigint;
}

/** What a statement gave: its rows, or what it changed when it is of the kind that returns none. */
export interface Executed {
  readonly rows: Row[];
  readonly changes: Changes | undefined;
}

interface Statement {
  readonly prepared: StatementSync;
  /** Whether its columns can change with the schema: it has a star. */
  readonly isOpenEnded: boolean;
  /** The names of its columns; none when it returns no rows. */
  columns: readonly string[];
  lastUse: number;
}

/**
 * How many prepared statements a connection keeps. They cost about 5 to 20 KB each. Preparing anew on each call costs two
 * thirds of a point select.
 */
const statementLimit = 256;

const largestSafe = BigInt(Number.MAX_SAFE_INTEGER);
const smallestSafe = BigInt(Number.MIN_SAFE_INTEGER);

/** One connection and its prepared statements, the most recently used ones. Everything it does is done when it returns. */
export class SqliteConnection {
  readonly native: DatabaseSync;
  readonly #statements = new Map<string, Statement>();
  #uses = 0;

  constructor(native: DatabaseSync) {
    this.native = native;
  }

  /** Whether it is inside of a transaction. SQLite ends one by itself on some errors, such as a full disk. */
  get inTransaction(): boolean {
    return this.native.isTransaction;
  }

  /** Runs a statement. */
  execute(sql: string, values: readonly SQLInputValue[], rowMode?: RowMode): Executed {
    const statement = this.#statement(sql);
    if (statement.columns.length > 0)
      return { rows: all(statement, values, rowMode), changes: undefined };
    const { changes, lastInsertRowid } = statement.prepared.run(...values);
    return {
      rows: [],
      changes: {
        changes: Number(changes),
        lastInsertRowid: Number.isSafeInteger(lastInsertRowid)
          ? lastInsertRowid
          : this.#exactLastInsertRowid(),
      },
    };
  }

  /** Runs a statement once for each row of parameters; gives the sum of changed or returned rows. */
  executeMany(sql: string, parameterRows: readonly (readonly unknown[])[]): number {
    const statement = this.#statement(sql);
    let affected = 0;
    for (const parameters of parameterRows) {
      const values = toSqliteValues(parameters);
      affected +=
        statement.columns.length > 0
          ? all(statement, values).length
          : Number(statement.prepared.run(...values).changes);
    }
    return affected;
  }

  /** Iterates over the rows of a statement of its own, since a cached one could be run again meanwhile. */
  *iterate(
    sql: string,
    values: readonly SQLInputValue[],
    chunkSize: number,
  ): Generator<Row[], undefined> {
    const statement = prepare(this.native, sql);
    let tuples: SQLOutputValue[][] = [];
    for (const tuple of statement.prepared.iterate(...values)) {
      tuples.push(tuple as unknown as SQLOutputValue[]);
      if (tuples.length < chunkSize) continue;
      yield toRows(statement, tuples);
      tuples = [];
    }
    if (tuples.length > 0) yield toRows(statement, tuples);
    return undefined;
  }

  /** Runs a text of several statements. `check` gets each before it is run, and throws for one that must not be. */
  script(text: string, check: (statement: string) => void): void {
    for (let rest = withoutBlank(text); rest !== '';) {
      const statement = this.native.prepare(rest);
      check(statement.sourceSQL);
      statement.all();
      rest = withoutBlank(rest.slice(statement.sourceSQL.length));
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.native.isOpen) this.native.close();
  }

  #exactLastInsertRowid(): bigint {
    return BigInt(
      this.execute('select last_insert_rowid() as id', []).rows[0]?.['id'] as number | bigint,
    );
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = prepare(this.native, sql);
      if (this.#statements.size >= statementLimit) this.#forgetLeastRecent();
      this.#statements.set(sql, statement);
    }
    this.#uses += 1;
    statement.lastUse = this.#uses;
    return statement;
  }

  // A search over all of them is small beside the preparation that it makes room for, and a hit has nothing to reorder.
  #forgetLeastRecent(): void {
    let least: string | undefined;
    let leastUse = Infinity;
    for (const [sql, { lastUse }] of this.#statements) {
      if (lastUse >= leastUse) continue;
      least = sql;
      leastUse = lastUse;
    }
    if (least !== undefined) this.#statements.delete(least);
  }
}

function prepare(native: DatabaseSync, sql: string): Statement {
  const prepared = native.prepare(sql);
  assertNothingFollows(sql, prepared.sourceSQL);
  const columns = columnNames(prepared);
  // Arrays and our own objects take 0.85 of the time that `node:sqlite` takes for objects, which have no prototype; bigints
  // for all integers keep those beyond 2^53 exact, and converting the safe ones back costs a tenth of that.
  prepared.setReturnArrays(true);
  // For a write they would cost a fifth of an insert.
  if (columns.length > 0) prepared.setReadBigInts(true);
  return { prepared, isOpenEnded: sql.replaceAll('(*)', '').includes('*'), columns, lastUse: 0 };
}

function all(statement: Statement, values: readonly SQLInputValue[], rowMode?: RowMode): Row[] {
  // Typed by its default; the statement was switched to arrays.
  const tuples = statement.prepared.all(...values) as unknown as SQLOutputValue[][];
  return rowMode === 'array' ? narrowed(tuples) : toRows(statement, tuples);
}

/** The rows of the row mode `array`. */
function narrowed(tuples: SQLOutputValue[][]): Row[] {
  for (const tuple of tuples)
    for (let index = 0; index < tuple.length; index += 1)
      tuple[index] = toValue(tuple[index] as SQLOutputValue);
  return tuples as unknown as Row[];
}

function toValue(value: SQLOutputValue): SQLOutputValue {
  return typeof value === 'bigint' && value >= smallestSafe && value <= largestSafe
    ? Number(value)
    : value;
}

// SQLite compiles the first statement of a text and would leave the others out without a word.
function assertNothingFollows(sql: string, compiled: string): void {
  if (withoutBlank(sql.slice(compiled.length)) === '') return;
  throw invalidArgument(
    { component: 'database', adapter: 'sqlite' },
    'the text holds more than one statement: execute them one by one',
  );
}

/** A text from its first statement on. */
function withoutBlank(text: string): string {
  return text.replace(/^(?:[\s;]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))+/, '');
}

function columnNames(prepared: StatementSync): string[] {
  return prepared.columns().map(({ name }) => name);
}

function toRows(statement: Statement, tuples: readonly (readonly SQLOutputValue[])[]): Row[] {
  const [first] = tuples;
  if (first === undefined) return [];
  // Another process may have changed the schema, upon which SQLite compiles the statement anew. Only a star gives other
  // columns then; asking for their names costs half a point select.
  if (statement.isOpenEnded || first.length !== statement.columns.length)
    statement.columns = columnNames(statement.prepared);
  const { columns } = statement;
  const rows: Row[] = [];
  for (const tuple of tuples) rows.push(toRow(columns, tuple));
  return rows;
}

function toRow(columns: readonly string[], tuple: readonly SQLOutputValue[]): Row {
  const row: Row = {};
  for (let index = 0; index < columns.length; index += 1) {
    // Both arrays have the same length.
    const name = columns[index] as string;
    const value = toValue(tuple[index] as SQLOutputValue);
    // Assigning to this name would set the prototype.
    if (name === '__proto__')
      Object.defineProperty(row, name, {
        value,
        configurable: true,
        enumerable: true,
        writable: true,
      });
    else row[name] = value;
  }
  return row;
}
