import { type ErrorOrigin, invalidArgument } from '../core/index.ts';
import type { Row } from './driver.ts';

const smallestBigint = -(2n ** 63n);
const largestBigint = 2n ** 63n - 1n;
const firstDate = new Date('0000-01-01T00:00:00.000Z').getTime();
const lastDate = new Date('9999-12-31T23:59:59.999Z').getTime();

/** Whose values are checked, for the error that refuses one. */
export interface RowOwner {
  readonly origin: ErrorOrigin;
  readonly collection: string;
}

/**
 * A copy of a row, down to what is nested in it, without absent fields. Throws `invalid-argument` for a value that not every
 * engine can give back unchanged.
 */
export function checkedRow(row: object, owner: RowOwner): Row {
  const copy: Row = {};
  for (const [field, value] of Object.entries(row)) {
    if (value === undefined) continue;
    // Assigning to it would set the copy's prototype, whose fields would then pass for its own.
    if (field === '__proto__')
      throw invalidArgument(
        owner.origin,
        `${owner.collection}: a field cannot be called "__proto__": do not store unchecked input`,
        { field },
      );
    copy[field] = copyValue(checkValue(field, value, owner));
  }
  return copy;
}

/** A copy of a row that has been checked before. */
export function copyRow(row: Row): Row {
  const copy: Row = {};
  for (const field in row) copy[field] = copyValue(row[field]);
  return copy;
}

/** A copy of a value of a row that has been checked before. */
export function copyValue(value: unknown): unknown {
  // Minus zero is zero, as JSON and integers have it.
  if (typeof value !== 'object' || value === null) return value === 0 ? 0 : value;
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  // Not structuredClone: what is nested is stored as JSON, and must come back the same from every adapter.
  return JSON.parse(JSON.stringify(value)) as unknown;
}

/** Throws `invalid-argument` for a value that not every engine can give back unchanged; else gives it. */
export function checkValue(
  field: string,
  value: unknown,
  { origin, collection }: RowOwner,
): unknown {
  const problem = problemOf(value);
  if (problem === undefined) return value;
  throw invalidArgument(origin, `${collection}: "${field}" ${problem}`, { field });
}

function problemOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        return 'holds half of a surrogate pair, which cannot be stored: clean it with toWellFormed()';
      return value.includes('\0')
        ? 'holds a NUL character, which not every database can store: remove it'
        : undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : 'is not a finite number';
    case 'bigint':
      return value < smallestBigint || value > largestBigint
        ? 'does not fit into 64 bits: keep such numbers as text'
        : undefined;
    case 'object':
      return value === null ? undefined : problemOfObject(value);
    case 'boolean':
      return undefined;
    case 'function':
    case 'symbol':
    case 'undefined':
    default:
      return `is a ${typeof value}, which cannot be stored`;
  }
}

function problemOfObject(value: object): string | undefined {
  if (value instanceof Date) {
    const time = value.getTime();
    return time >= firstDate && time <= lastDate
      ? undefined
      : 'is not a valid date of the years 0 to 9999';
  }
  return value instanceof Uint8Array ? undefined : problemOfJson(value);
}

/** Whatever JSON would drop or change in silence. */
function problemOfJson(value: unknown, depth = 0): string | undefined {
  if (depth > 100) return 'is nested deeper than 100 levels, or holds itself';
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value)
        ? undefined
        : 'holds a number that is not finite, which JSON cannot';
    case 'object': {
      if (value === null) return undefined;
      const prototype: unknown = Object.getPrototypeOf(value);
      if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
        return `holds a ${value.constructor.name}, which JSON would change: make it plain data first`;
      }
      for (const part of Object.values(value)) {
        // An absent property of an object stays absent; in an array it would become null.
        if (part === undefined && !Array.isArray(value)) continue;
        const problem = problemOfJson(part, depth + 1);
        if (problem !== undefined) return problem;
      }
      return undefined;
    }
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
    default:
      return `holds a ${typeof value}, which JSON cannot`;
  }
}
