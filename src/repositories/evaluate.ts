import type { Condition, Order } from './condition.ts';
import type { Row } from './driver.ts';

/** Whether a condition holds of a row. The meaning of conditions: every other adapter is held to it. */
export function evaluate(condition: Condition, row: Row): boolean {
  switch (condition.kind) {
    case 'all':
      return condition.of.every((part) => evaluate(part, row));
    case 'any':
      return condition.of.some((part) => evaluate(part, row));
    case 'not':
      return !evaluate(condition.of, row);
    case 'in': {
      const value = row[condition.field] ?? null;
      return (
        value !== null &&
        condition.values.some((candidate) => compareValues(value, candidate) === 0)
      );
    }
    case 'compare':
    default:
      return evaluateComparison(condition, row[condition.field] ?? null);
  }
}

function evaluateComparison(
  { by, value: operand }: Extract<Condition, { kind: 'compare' }>,
  value: unknown,
): boolean {
  if (by === 'eq') return compareValues(value, operand) === 0;
  if (value === null) return false;
  const text = typeof value === 'string' ? value : '';
  switch (by) {
    case 'gt':
      return compareValues(value, operand) > 0;
    case 'gte':
      return compareValues(value, operand) >= 0;
    case 'lt':
      return compareValues(value, operand) < 0;
    case 'lte':
      return compareValues(value, operand) <= 0;
    case 'contains':
      return text.includes(String(operand));
    case 'startsWith':
      return text.startsWith(String(operand));
    case 'endsWith':
    default:
      return text.endsWith(String(operand));
  }
}

/** Compares two rows, for `toSorted`. */
export function compareRows(order: readonly Order[]): (a: Row, b: Row) => number {
  return (a, b) => {
    for (const { field, direction } of order) {
      const result = compareValues(a[field] ?? null, b[field] ?? null);
      if (result !== 0) return direction === 'asc' ? result : -result;
    }
    return 0;
  };
}

/** The order of two values of one field: nulls first, `false` before `true`, text by code points. */
function compareValues(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  // Dates and booleans order as their numbers, and numbers and bigints compare exactly with each other.
  const left = a instanceof Date ? a.getTime() : a;
  const right = b instanceof Date ? b.getTime() : b;
  if (typeof left !== typeof right && (typeof left === 'string' || typeof right === 'string')) {
    return compareText(typeof left, typeof right);
  }
  return (left as number) < (right as number) ? -1 : (left as number) > (right as number) ? 1 : 0;
}

// By code points, as databases with a binary collation do, and not by UTF-16 units, which put the astral planes before U+E000.
function compareText(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
