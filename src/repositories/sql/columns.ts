import { type ErrorOrigin, InfrastructureError, invalidArgument } from '../../core/index.ts';
import type { FieldOf } from '../criteria.ts';
import type { Row } from '../driver.ts';

/**
 * How a field is kept: `text`; `integer`, a whole number up to 2^53; `real`; `bigint`, up to 64 bits; `boolean`, as 0 or 1, or
 * the engine's own; `date`, as ISO 8601 text in UTC with milliseconds, which sorts by time, or the engine's own; `json`, as text, or the
 * engine's own; `bytes`.
 */
export type ColumnKind =
  | 'text'
  | 'integer'
  | 'real'
  | 'bigint'
  | 'boolean'
  | 'date'
  | 'json'
  | 'bytes';

/** A kind, and what NULL stands for: nothing (it is refused), with `?` an absent field, with `|null` null. */
export type ColumnType = ColumnKind | `${ColumnKind}?` | `${ColumnKind}|null`;

// What JSON gives back as it was.
type Json<Value> = Value extends string | number | boolean | null | undefined
  ? Value
  : Value extends Date | Uint8Array | bigint | symbol | ((...args: never[]) => unknown)
    ? never
    : { [Name in keyof Value]: Json<Value[Name]> };

type KindOf<Value> = [Value] extends [string]
  ? 'text'
  : [Value] extends [number]
    ? 'integer' | 'real'
    : [Value] extends [bigint]
      ? 'bigint'
      : [Value] extends [boolean]
        ? 'boolean'
        : [Value] extends [Date]
          ? 'date'
          : [Value] extends [Uint8Array]
            ? 'bytes'
            : [Value] extends [Json<Value>]
              ? 'json'
              : never;

/** The column types that fit a field of this type. */
export type ColumnTypeOf<Value> = undefined extends Value
  ? `${KindOf<NonNullable<Value>>}?`
  : null extends Value
    ? `${KindOf<NonNullable<Value>>}|null`
    : KindOf<Value>;

/** A column type; with a name where the column is not called as its field. */
export type Column<Type extends ColumnType = ColumnType> =
  | Type
  | { readonly name: string; readonly type: Type };

/** A column for every field of an entity. */
export type Columns<Entity> = {
  readonly [Name in FieldOf<Entity>]-?: Column<ColumnTypeOf<Entity[Name]>>;
};

/** A field and its column. */
export interface MappedColumn {
  readonly field: string;
  readonly name: string;
  readonly kind: ColumnKind;
  /** What NULL stands for. */
  readonly whenNull: 'refused' | 'absent' | 'null';
}

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Reads the columns of an entity. Throws `invalid-argument` for what is none. */
export function mapColumns(
  columns: Readonly<Record<string, Column>>,
  origin: ErrorOrigin,
): readonly MappedColumn[] {
  const names = new Set<string>();
  return Object.entries(columns).map(([field, column]) => {
    if (['and', 'or', 'not'].includes(field))
      throw invalidArgument(
        origin,
        `columns: a field cannot be called "${field}", which combines criteria`,
      );
    const { name, type } = typeof column === 'string' ? { name: field, type: column } : column;
    if (!identifier.test(name))
      throw invalidArgument(
        origin,
        `columns: "${name}" is no column name of letters, digits and underscores`,
      );
    if (names.has(name))
      throw invalidArgument(origin, `columns: "${name}" is the column of two fields`);
    names.add(name);
    const [, kind, mark] =
      /^(text|integer|real|bigint|boolean|date|json|bytes)(\?|\|null)?$/.exec(type) ?? [];
    if (kind === undefined)
      throw invalidArgument(origin, `columns: "${field}" has the unknown type "${type}"`);
    return {
      field,
      name,
      kind: kind as ColumnKind,
      whenNull: mark === '?' ? 'absent' : mark === undefined ? 'refused' : 'null',
    };
  });
}

/** What is stored for a value. Throws `invalid-argument` for a value of another kind. */
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
      if (typeof value === 'bigint') return value;
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value ? 1 : 0;
      break;
    case 'date':
      if (value instanceof Date) return value.toISOString();
      break;
    case 'bytes':
      if (value instanceof Uint8Array) return value;
      break;
    case 'json':
      return JSON.stringify(value);
  }
  throw invalidArgument(origin, `"${field}" is not of its column's type, ${kind}`, { field });
}

/** The values of a row, by column, for an INSERT or UPDATE. */
export function encodeRow(
  columns: readonly MappedColumn[],
  row: Row,
  origin: ErrorOrigin,
): Record<string, unknown> {
  const encoded: Record<string, unknown> = {};
  for (const column of columns) {
    const value = row[column.field] ?? null;
    if (value === null && column.whenNull === 'refused') {
      throw invalidArgument(
        origin,
        `"${column.field}" is missing, and its column takes no null: give a value, or declare it as "${column.kind}?"`,
        {
          field: column.field,
        },
      );
    }
    encoded[column.name] = value === null ? null : encodeValue(column, value, origin);
  }
  return encoded;
}

/** A row of what the database gave. Throws `data-loss` for what no write of this repository can have stored. */
export function decodeRow(
  columns: readonly MappedColumn[],
  stored: Readonly<Record<string, unknown>>,
  origin: ErrorOrigin,
): Row {
  const row: Row = {};
  for (const column of columns) {
    const value = stored[column.name] ?? null;
    if (value !== null) row[column.field] = decodeValue(column, value, origin);
    else if (column.whenNull === 'null') row[column.field] = null;
    else if (column.whenNull === 'refused') throw unreadable(column, 'is NULL', origin);
  }
  return row;
}

function decodeValue(column: MappedColumn, value: unknown, origin: ErrorOrigin): unknown {
  switch (column.kind) {
    case 'text':
      if (typeof value === 'string') return value;
      break;
    case 'integer':
      if (Number.isSafeInteger(value)) return value;
      break;
    case 'real':
      // A column of integer affinity gives large whole numbers as bigint.
      if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
      break;
    case 'bigint':
      if (typeof value === 'bigint' || Number.isSafeInteger(value))
        return BigInt(value as number | bigint);
      break;
    case 'boolean':
      // Engines that have the type give it as such.
      if (typeof value === 'boolean') return value;
      if (value === 0 || value === 1) return value === 1;
      break;
    case 'date': {
      const date = new Date(typeof value === 'string' ? value : Number.NaN);
      if (!Number.isNaN(date.getTime())) return date;
      break;
    }
    case 'bytes':
      if (value instanceof Uint8Array) return value;
      break;
    case 'json':
      try {
        return JSON.parse(String(value));
      } catch {
        break;
      }
  }
  throw unreadable(column, `holds what is no ${column.kind}`, origin);
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
    message: `column "${name}" ${what}: mend the row, or change the type that the repository declares for "${field}"`,
    details: { column: name },
  });
}
