import type { RowMode } from '../driver.ts';
import type { WireValue } from '../postgres-sql/parameters.ts';
import { parserOf } from '../postgres-sql/results.ts';
import { pglite } from './pglite.ts';

// PGlite is spoken to by PostgreSQL's protocol (https://www.postgresql.org/docs/current/protocol-message-formats.html). Its own
// functions describe each statement first, several messages long, and its own reader drops a byte order mark that a text begins with.

type Row = Readonly<Record<string, unknown>>;

/** What PostgreSQL says of an error, in the properties that `pg` gives the same. */
export class PostgresError extends Error {
  override readonly name = 'error';
  readonly severity: string;
  readonly code: string;
  readonly detail: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;

  constructor(fields: ReadonlyMap<string, string>) {
    super(fields.get('M') ?? '');
    this.severity = fields.get('V') ?? 'ERROR';
    this.code = fields.get('C') ?? 'XX000';
    this.detail = fields.get('D');
    this.table = fields.get('t');
    this.column = fields.get('c');
    this.constraint = fields.get('n');
  }
}

/** What came back on a message. */
export interface Answer {
  readonly rows: Row[];
  /** What each statement says that it has done, such as `INSERT 0 1`. */
  readonly tags: readonly string[];
  /** The first error; the statements after it were not run. */
  readonly error: PostgresError | undefined;
  readonly notifications: readonly { readonly channel: string; readonly payload: string }[];
  /** `I`: outside of a transaction; `T`: in one; `E`: in one that failed. Absent when the engine has ended. */
  readonly status: string | undefined;
}

/** One statement with its parameters; a text of several is refused. */
export function statementMessage(sql: string, values: readonly WireValue[]): Uint8Array {
  const { serialize } = pglite.protocol;
  return Buffer.concat([
    serialize.parse({ text: sql }),
    serialize.bind({ values: [...values] }),
    serialize.describe({ type: 'P' }),
    serialize.execute(),
    serialize.sync(),
  ]);
}

/** One statement, parsed once and run for each row of values. Its rows come without their types. */
export function batchMessage(sql: string, rows: readonly (readonly WireValue[])[]): Uint8Array {
  const { serialize } = pglite.protocol;
  const execute = serialize.execute();
  return Buffer.concat([
    serialize.parse({ text: sql }),
    ...rows.flatMap((values) => [serialize.bind({ values: [...values] }), execute]),
    serialize.sync(),
  ]);
}

/** A text of several statements. */
export function scriptMessage(text: string): Uint8Array {
  return pglite.protocol.serialize.query(text);
}

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}

/** Reads what the engine wrote. */
export function readAnswer(bytes: Buffer, rowMode: RowMode = 'object'): Answer {
  const rows: Row[] = [];
  const tags: string[] = [];
  const notifications: { channel: string; payload: string }[] = [];
  let columns: readonly Column[] = [];
  let error: PostgresError | undefined;
  let status: string | undefined;
  for (let start = 0; start < bytes.length;) {
    const end = start + 1 + bytes.readInt32BE(start + 1);
    const body = bytes.subarray(start + 5, end);
    switch (String.fromCodePoint(bytes[start] ?? 0)) {
      case 'T':
        columns = readColumns(body);
        break;
      case 'D':
        // The port types rows as objects, whatever the mode.
        rows.push((rowMode === 'array' ? readCells : readRow)(body, columns) as Row);
        break;
      case 'C':
        tags.push(readText(body, 0));
        break;
      case 'E':
        error ??= new PostgresError(readFields(body));
        break;
      case 'A': {
        const channel = readText(body, 4);
        const payload = readText(body, 4 + Buffer.byteLength(channel) + 1);
        notifications.push({ channel, payload });
        break;
      }
      case 'Z':
        status = body.toString('latin1');
        break;
      default:
      // Nothing that anybody asked for.
    }
    start = end;
  }
  return { rows, tags, error, notifications, status };
}

/** The text from here to the zero that ends it. */
function readText(body: Buffer, start: number): string {
  return body.toString('utf8', start, body.indexOf(0, start));
}

function readColumns(body: Buffer): Column[] {
  const columns: Column[] = [];
  let offset = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const zero = body.indexOf(0, offset);
    const type = body.readUInt32BE(zero + 7);
    columns.push({ name: body.toString('utf8', offset, zero), parse: parserOf(type) });
    offset = zero + 19;
  }
  return columns;
}

function readCells(body: Buffer, columns: readonly Column[]): unknown[] {
  const cells: unknown[] = [];
  let offset = 2;
  for (const { parse } of columns) {
    const length = body.readInt32BE(offset);
    offset += 4;
    if (length === -1) cells.push(null);
    else {
      cells.push(parse(body.toString('utf8', offset, offset + length)));
      offset += length;
    }
  }
  return cells;
}

function readRow(body: Buffer, columns: readonly Column[]): Record<string, unknown> {
  const cells = readCells(body, columns);
  const row: Record<string, unknown> = {};
  for (const [index, { name }] of columns.entries()) {
    // Assigning to this name would set the prototype.
    if (name === '__proto__')
      Object.defineProperty(row, name, {
        value: cells[index],
        configurable: true,
        enumerable: true,
        writable: true,
      });
    else row[name] = cells[index];
  }
  return row;
}

function readFields(body: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  for (let offset = 0; body[offset] !== 0;) {
    const text = readText(body, offset + 1);
    fields.set(String.fromCodePoint(body[offset] ?? 0), text);
    offset += 1 + Buffer.byteLength(text) + 1;
  }
  return fields;
}
