import { type ErrorOrigin, InfrastructureError, invalidArgument } from '../core/index.ts';
import type { FieldOf } from './criteria.ts';
import type { Row } from './driver.ts';

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

/** What an engine keeps of values. */
export interface ValueForm {
  /** What is kept for a value, which is of the kind. */
  readonly encode: (kind: ColumnKind, value: unknown) => unknown;
  /** The value of what is kept; undefined when that is none of the kind. */
  readonly decode: (kind: ColumnKind, kept: unknown) => unknown;
}

/** Turns rows into what an engine keeps, and back, by their columns. */
export class ColumnCodec {
  readonly #columns: readonly MappedColumn[];
  readonly #form: ValueForm;
  readonly #origin: ErrorOrigin;

  constructor(columns: readonly MappedColumn[], form: ValueForm, origin: ErrorOrigin) {
    this.#columns = columns;
    this.#form = form;
    this.#origin = origin;
  }

  /** What is kept for a value. Throws `invalid-argument` for a value of another kind. */
  encodeValue({ field, kind }: MappedColumn, value: unknown): unknown {
    if (!isOfKind(kind, value))
      throw invalidArgument(this.#origin, `"${field}" is not of its column's type, ${kind}`, {
        field,
      });
    return this.#form.encode(kind, value);
  }

  /** The values of a whole row, by the columns' names. */
  encodeRow(row: Row): Record<string, unknown> {
    const encoded: Record<string, unknown> = {};
    for (const column of this.#columns) {
      const value = row[column.field] ?? null;
      if (value === null && column.whenNull === 'refused') {
        throw invalidArgument(
          this.#origin,
          `"${column.field}" is missing, and its column takes no null: give a value, or declare it as "${column.kind}?"`,
          { field: column.field },
        );
      }
      encoded[column.name] = value === null ? null : this.encodeValue(column, value);
    }
    return encoded;
  }

  /** The row of what the engine gave, or of these columns of it. Throws `data-loss` for what no write of this repository can have stored. */
  decodeRow(
    stored: Readonly<Record<string, unknown>>,
    columns: readonly MappedColumn[] = this.#columns,
  ): Row {
    const row: Row = {};
    for (const column of columns) {
      const kept = stored[column.name] ?? null;
      if (kept !== null) {
        const value = this.#form.decode(column.kind, kept);
        if (value === undefined) throw this.#unreadable(column, `holds what is no ${column.kind}`);
        row[column.field] = value;
      } else if (column.whenNull === 'null') row[column.field] = null;
      else if (column.whenNull === 'refused') throw this.#unreadable(column, 'is NULL');
    }
    return row;
  }

  #unreadable({ name, field }: MappedColumn, what: string): InfrastructureError {
    return new InfrastructureError({
      code: 'data-loss',
      ...this.#origin,
      outcome: 'not-applied',
      message: `column "${name}" ${what}: mend the row, or change the type that the repository declares for "${field}"`,
      details: { column: name },
    });
  }
}

function isOfKind(kind: ColumnKind, value: unknown): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string';
    case 'integer':
      return Number.isSafeInteger(value);
    case 'real':
      return typeof value === 'number';
    case 'bigint':
      return typeof value === 'bigint';
    case 'boolean':
      return typeof value === 'boolean';
    case 'date':
      return value instanceof Date;
    case 'bytes':
      return value instanceof Uint8Array;
    case 'json':
    default:
      return true;
  }
}
