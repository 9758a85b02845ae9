import { type ErrorOrigin, InfrastructureError, invalidArgument } from '../../core/index.ts';
import type { Row } from '../driver.ts';
import type { MappedColumn } from '../sql/columns.ts';

/** A value as Directus' JSON has it. Throws `invalid-argument` for a value of another kind than its field's. */
export function encodeValue(
  { field, kind }: MappedColumn,
  value: unknown,
  origin: ErrorOrigin,
): unknown {
  switch (kind) {
    case 'text':
      if (typeof value === 'string') return value;
      break;
    case 'integer':
      if (Number.isSafeInteger(value)) return value;
      break;
    case 'real':
      if (typeof value === 'number') return value;
      break;
    case 'bigint':
      if (typeof value === 'bigint') return value.toString();
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value;
      break;
    case 'date':
      if (value instanceof Date) return value.toISOString();
      break;
    case 'bytes':
      if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
      break;
    case 'json':
      return value;
  }
  throw invalidArgument(origin, `"${field}" is not of its column's type, ${kind}`, { field });
}

/** An item to write. Every column is named, so that it replaces the one that is there whole. */
export function encodeItem(
  columns: readonly MappedColumn[],
  row: Row,
  origin: ErrorOrigin,
): Record<string, unknown> {
  const item: Record<string, unknown> = {};
  for (const column of columns) {
    const value = row[column.field] ?? null;
    if (value === null && column.whenNull === 'refused') {
      throw invalidArgument(
        origin,
        `"${column.field}" is missing, and its column takes no null: give a value, or declare it as "${column.kind}?"`,
        { field: column.field },
      );
    }
    item[column.name] = value === null ? null : encodeValue(column, value, origin);
  }
  return item;
}

/** The row of an item. Throws `data-loss` for what the declared columns cannot hold. */
export function decodeItem(
  columns: readonly MappedColumn[],
  item: Readonly<Record<string, unknown>>,
  origin: ErrorOrigin,
): Row {
  const row: Row = {};
  for (const column of columns) {
    const value = item[column.name] ?? null;
    if (value !== null) {
      const decoded = decodeValue(column, value);
      if (decoded === undefined)
        throw unreadable(column, `holds what is no ${column.kind}${hintFor(column)}`, origin);
      row[column.field] = decoded;
    } else if (column.whenNull === 'null') row[column.field] = null;
    else if (column.whenNull === 'refused') throw unreadable(column, 'is null', origin);
  }
  return row;
}

// Which JSON a field is given as depends on the database behind Directus: whole numbers of 64 bits and decimals come as text
// where they might not fit, and booleans of a field without the cast as 0 and 1.
function decodeValue({ kind }: MappedColumn, value: unknown): unknown {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  switch (kind) {
    case 'text':
      return typeof value === 'string' ? value : undefined;
    case 'integer':
      return Number.isSafeInteger(number) ? number : undefined;
    case 'real':
      return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
    case 'bigint':
      if (typeof value === 'string') return /^-?\d{1,19}$/.test(value) ? BigInt(value) : undefined;
      return Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
    case 'boolean':
      return value === true || value === 1
        ? true
        : value === false || value === 0
          ? false
          : undefined;
    case 'date': {
      // Without a zone it is a different moment on every machine.
      const isMoment = typeof value === 'string' && /T.*(?:Z|[+-]\d\d:\d\d)$/.test(value);
      // On SQLite, the very beginning of 1970 comes as the number that it is kept as.
      const date = new Date(isMoment || value === 0 ? value : Number.NaN);
      return Number.isNaN(date.getTime()) ? undefined : date;
    }
    case 'bytes': {
      if (typeof value !== 'string') return undefined;
      const bytes = Buffer.from(value, 'base64');
      return bytes.toString('base64') === value ? Uint8Array.from(bytes) : undefined;
    }
    case 'json':
    default:
      return value;
  }
}

function hintFor({ kind }: MappedColumn): string {
  return kind === 'date' ? ' (its type in Directus must be Timestamp, which has a time zone)' : '';
}

function unreadable(
  { name, field }: MappedColumn,
  what: string,
  origin: ErrorOrigin,
): InfrastructureError {
  return new InfrastructureError({
    code: 'data-loss',
    ...origin,
    outcome: 'not-applied',
    message: `the field "${name}" ${what}: mend the item, or change the type that the repository declares for "${field}"`,
    details: { column: name },
  });
}
