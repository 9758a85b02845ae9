import type { Connection, FieldDef, Submittable } from 'pg';

import type { RowMode, StatementResult } from '../driver.ts';
import type { KnownStatement } from './known-statements.ts';
import type { WireValue } from '../postgres-sql/parameters.ts';
import { passAsQuery } from './pg.ts';
import { Recent } from './recent.ts';
import { parserOf } from '../postgres-sql/results.ts';
import { noteIfStale } from '../postgres-sql/stale-statements.ts';

/** Statements that a connection keeps prepared, at least. Each costs the server some kilobytes. */
const preparedStatements = 128;

/** How rows are made of what the server sends. */
interface Columns {
  readonly names: readonly string[];
  readonly parsers: readonly ((text: string) => unknown)[];
  /** All names as own properties, also one such as `__proto__`. */
  readonly template: Readonly<Record<string, unknown>>;
}

/** A statement that a connection keeps prepared. */
interface Prepared {
  readonly name: string;
  /** Once the server has said so; a change of them makes it refuse the statement. */
  columns: Columns | undefined;
}

const noColumns: Columns = { names: [], parsers: [], template: {} };

type PreparedStatements = Recent<string, Prepared>;

const preparedOn = new WeakMap<Connection, PreparedStatements>();

/** Called once, with the error or the result. */
export type Settle = (error: unknown, result: StatementResult | undefined) => void;

/** What an {@link Execution} is made of. */
export interface ExecutionOptions {
  readonly statement: KnownStatement;
  readonly values: readonly WireValue[];
  readonly rowMode?: RowMode | undefined;
}

/** One run of one statement, as `pg` wants it: it is called back by the connection, and leaves out what has been said before. */
export class Execution implements Submittable {
  readonly #statement: KnownStatement;
  readonly #values: readonly WireValue[];
  readonly #asArrays: boolean;
  readonly #settle: Settle;
  #on: PreparedStatements | undefined;
  #prepared: Prepared | undefined;
  /** Whether it was prepared by an earlier execution. */
  #isReused = false;
  #columns: Columns | undefined;
  #rows: unknown[] = [];
  #numAffectedRows: bigint | undefined;
  #failure: unknown;

  constructor({ statement, values, rowMode }: ExecutionOptions, settle: Settle) {
    this.#statement = statement;
    this.#values = values;
    this.#asArrays = rowMode === 'array';
    this.#settle = settle;
  }

  /** Called by `pg`, as all that follow. */
  submit(connection: Connection): void {
    const { text, name } = this.#statement;
    gather(connection);
    if (name === undefined) connection.parse({ name: '', text, types: [] }, true);
    else this.#prepare(connection, name);
    connection.bind({ statement: name ?? '', values: this.#values as WireValue[] }, true);
    this.#columns = this.#prepared?.columns;
    if (this.#columns === undefined) connection.describe({ type: 'P' }, true);
    connection.execute(null, true);
    connection.sync();
  }

  handleRowDescription({ fields }: { readonly fields: readonly FieldDef[] }): void {
    this.#columns = columnsOf(fields);
    if (this.#prepared !== undefined) this.#prepared.columns = this.#columns;
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    if (this.#columns === undefined || this.#failure !== undefined) return;
    try {
      this.#rows.push(
        this.#asArrays ? arrayOf(this.#columns, fields) : objectOf(this.#columns, fields),
      );
    } catch (error) {
      this.#failure = error;
    }
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const [, affected] = /^(?:INSERT 0|UPDATE|DELETE|MERGE) (\d+)$/.exec(text) ?? [];
    if (affected !== undefined) this.#numAffectedRows = BigInt(affected);
  }

  handleReadyForQuery(): void {
    // It said nothing of columns: there are none.
    if (this.#prepared !== undefined) this.#prepared.columns ??= noColumns;
    if (this.#failure !== undefined) {
      this.#settle(this.#failure, undefined);
      return;
    }
    const rows = this.#rows as Record<string, unknown>[];
    this.#settle(
      undefined,
      this.#numAffectedRows === undefined
        ? { rows }
        : { rows, numAffectedRows: this.#numAffectedRows },
    );
  }

  handleError(error: unknown): void {
    if (this.#prepared !== undefined && error instanceof Error) {
      // Another may have prepared it anew meanwhile.
      if (this.#on?.get(this.#prepared.name) === this.#prepared)
        this.#on.delete(this.#prepared.name);
      if (this.#isReused) noteIfStale(error);
    }
    this.#settle(error, undefined);
  }

  #prepare(connection: Connection, name: string): void {
    let on = preparedOn.get(connection);
    if (on === undefined) {
      on = new Recent(preparedStatements);
      preparedOn.set(connection, on);
    }
    this.#on = on;
    this.#prepared = on.get(name);
    this.#isReused = this.#prepared !== undefined;
    if (this.#isReused) return;
    this.#prepared = { name, columns: undefined };
    for (const dropped of on.add(name, this.#prepared))
      connection.close({ type: 'S', name: dropped.name }, true);
    // There may be one of an earlier schema, and to close what is not there is no error.
    connection.close({ type: 'S', name }, true);
    connection.parse({ name, text: this.#statement.text, types: [] }, true);
  }
}

passAsQuery(Execution);

/** Sends all that one turn of the event loop has for a connection in one piece: a system call costs more than a statement. */
function gather({ stream }: Connection): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => {
    stream.uncork();
  });
}

function columnsOf(fields: readonly FieldDef[]): Columns {
  const names = fields.map(({ name }) => name);
  return {
    names,
    parsers: fields.map(({ dataTypeID }) => parserOf(dataTypeID)),
    template: Object.fromEntries(names.map((name) => [name, null])),
  };
}

function objectOf(
  { names, parsers, template }: Columns,
  fields: readonly (string | null)[],
): Record<string, unknown> {
  const row = { ...template };
  for (let index = 0; index < fields.length; index += 1) {
    const text = fields[index] as string | null;
    row[names[index] as string] = text === null ? null : parsers[index]?.(text);
  }
  return row;
}

function arrayOf({ parsers }: Columns, fields: readonly (string | null)[]): unknown[] {
  return fields.map((text, index) => (text === null ? null : parsers[index]?.(text)));
}
