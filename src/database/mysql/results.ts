import type { FieldPacket, ResultSetHeader } from 'mysql2';

import type { RowMode, StatementResult } from '../driver.ts';
import { parseInteger, parseJson } from '../exact-json.ts';
import { mysql } from './mysql.ts';

type Convert = (value: never) => unknown;
type Row = Record<string | number, unknown>;

/** What `mysql2` gives: rows and their columns, or counts; of a procedure, several of them. */
export type Answer = readonly [rows: unknown, fields: FieldPacket[] | undefined];

/** How `mysql2` reads values, so that none is changed before {@link rowConverter} has it. */
export const resultOptions = {
  supportBigNumbers: true,
  bigNumberStrings: false,
  dateStrings: true,
  jsonStrings: true,
  decimalNumbers: false,
} as const;

const { Types } = mysql;

const byType: Readonly<Record<number, Convert>> = {
  // A number where that is safe, else its digits.
  [Types.LONGLONG]: (value: number | string) =>
    typeof value === 'string' ? parseInteger(value) : value,
  // A DATETIME has no zone; the session's is UTC, in which a TIMESTAMP comes.
  [Types.DATETIME]: isoDateTime,
  [Types.TIMESTAMP]: (value: string) => `${isoDateTime(value)}Z`,
  [Types.JSON]: json,
};

/**
 * How values come back where `mysql2` would change some: whole numbers of 64 bits as number where that is safe, else as bigint;
 * times as ISO 8601 text with all their digits; bytes as Uint8Array; JSON parsed, with bigint for whole numbers that no number
 * holds. Gives undefined when there is nothing to do.
 */
export function rowConverter(
  fields: readonly FieldPacket[],
  rowMode: RowMode,
): ((row: object) => void) | undefined {
  const converted = fields.flatMap((field, index) => {
    const convert = converterOf(field);
    return convert === undefined
      ? []
      : [{ key: rowMode === 'array' ? index : field.name, convert }];
  });
  if (converted.length === 0) return undefined;
  // Two columns of one name are one property, which is converted once.
  const unique = new Map(converted.map(({ key, convert }) => [key, convert]));
  return (row) => {
    const values = row as Row;
    for (const [key, convert] of unique) {
      const value = values[key];
      // The type of the column says what it is.
      if (value !== null) values[key] = convert(value as never);
    }
  };
}

/** The counts, where it is no rows. */
export function headerOf(value: unknown): ResultSetHeader | undefined {
  return typeof value === 'object' && value?.constructor.name === 'ResultSetHeader'
    ? (value as ResultSetHeader)
    : undefined;
}

/** What a statement gave, with its values converted. */
export function toStatementResult([rows, fields]: Answer, rowMode: RowMode): StatementResult {
  const header = headerOf(rows);
  if (header !== undefined) {
    const { affectedRows, insertId, changedRows } = header;
    return {
      rows: [],
      numAffectedRows: BigInt(affectedRows),
      ...(changedRows > 0 && { numChangedRows: BigInt(changedRows) }),
      ...(insertId ? { insertId: BigInt(insertId) } : {}),
    };
  }
  // A procedure gives several results, of which the first that has rows is its own.
  if (
    Array.isArray(fields) &&
    (fields.some(Array.isArray) || fields.includes(undefined as never))
  ) {
    const index = fields.findIndex(Array.isArray);
    const all = rows as readonly unknown[];
    return index === -1
      ? toStatementResult([all.at(-1), undefined], rowMode)
      : toStatementResult([all[index], fields[index] as unknown as FieldPacket[]], rowMode);
  }
  const results = (rows ?? []) as Record<string, unknown>[];
  const convert = fields && rowConverter(fields, rowMode);
  if (convert !== undefined) for (const row of results) convert(row);
  return { rows: results };
}

function converterOf({ columnType, type, extendedFormat }: FieldPacket): Convert | undefined {
  if (extendedFormat === 'json') return json;
  return byType[columnType ?? type ?? -1] ?? bytesIfAny;
}

/** MariaDB's own JSON is text, which some functions give without having looked at it: what is none stays as it is. */
function json(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

// What is text and what is bytes, `mysql2` tells by the column's character set.
function bytesIfAny(value: unknown): unknown {
  // A copy: the buffer shares its memory with all that came in the same message.
  return Buffer.isBuffer(value) ? Uint8Array.from(value) : value;
}

function isoDateTime(text: string): string {
  const [date, time = '00:00:00'] = text.split(' ');
  const [seconds, fraction = ''] = time.split('.');
  // Three digits at least, as toISOString() writes.
  return `${date}T${seconds}.${fraction.padEnd(3, '0')}`;
}
