import {
  type ErrorOrigin,
  type InfrastructureError,
  invalidArgument,
  requireCapability,
} from '../core/index.ts';
import type { Direction } from './criteria.ts';
import type { RepositoryCapabilities } from './driver.ts';
import { checkValue } from './row.ts';

/** How a field is compared with a value. `eq` with null means "is null"; the others hold of no null field. */
export type Comparison =
  | 'eq'
  | 'gt'
  | 'gte'
  | 'lt'
  | 'lte'
  | 'contains'
  | 'startsWith'
  | 'endsWith';

/** Criteria in the few forms that a driver must know. Two-valued: each is true or false of every row. */
export type Condition =
  | { readonly kind: 'all'; readonly of: readonly Condition[] }
  | { readonly kind: 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | {
      readonly kind: 'compare';
      readonly field: string;
      readonly by: Comparison;
      readonly value: unknown;
    }
  /** `values` holds no null. */
  | { readonly kind: 'in'; readonly field: string; readonly values: readonly unknown[] };

/** One field of an order. Nulls are the smallest. */
export interface Order {
  readonly field: string;
  readonly direction: Direction;
}

/** True of every row. */
export const everything: Condition = { kind: 'all', of: [] };

/** What the parser must know of the entity. */
export interface Shape {
  readonly origin: ErrorOrigin;
  readonly collection: string;
  readonly idField: string;
  /** Where they are known, any other field is refused. */
  readonly fields: ReadonlySet<string> | undefined;
  readonly capabilities: RepositoryCapabilities;
}

/** In one list of values: engines take a limited number of parameters, SQLite 32,766. */
const mostValues = 10_000;

const combinations = new Set(['and', 'or', 'not']);

/** `field = value`. */
export function equals(field: string, value: unknown): Condition {
  return { kind: 'compare', field, by: 'eq', value };
}

/** All of these hold; the shortest form of it. */
export function all(conditions: readonly Condition[]): Condition {
  const of = conditions.flatMap((condition) =>
    condition.kind === 'all' ? condition.of : [condition],
  );
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: 'all', of };
}

/** Criteria to a condition. Throws `invalid-argument` for whatever is no criteria: nothing is ever ignored. */
export function parseCriteria(criteria: unknown, shape: Shape): Condition {
  if (!isPlainObject(criteria))
    throw refuse(shape, `criteria must be an object of fields, not ${describe(criteria)}`);
  return all(Object.entries(criteria).map(([name, value]) => parseEntry(name, value, shape)));
}

function parseEntry(name: string, value: unknown, shape: Shape): Condition {
  if (value === undefined) {
    throw refuse(
      shape,
      `criteria: "${name}" is undefined: leave it out to not ask for it, or give null for entities without one`,
    );
  }
  if (name === 'not') return { kind: 'not', of: parseCriteria(value, shape) };
  if (combinations.has(name)) {
    if (!Array.isArray(value))
      throw refuse(shape, `criteria: "${name}" takes an array of criteria, not ${describe(value)}`);
    const of = value.map((part: unknown) => parseCriteria(part, shape));
    return name === 'and' ? all(of) : { kind: 'any', of };
  }
  checkField(name, shape);
  if (!isPlainObject(value)) return equals(name, checkedValue(name, value, shape));
  const operators = Object.entries(value);
  if (operators.length === 0)
    throw refuse(
      shape,
      `criteria: "${name}" is an empty object: give a value or comparisons such as { gte: 3 }`,
    );
  return all(
    operators.map(([operator, operand]) => parseOperator(name, { operator, operand }, shape)),
  );
}

function parseOperator(
  field: string,
  { operator, operand }: { readonly operator: string; readonly operand: unknown },
  shape: Shape,
): Condition {
  if (operand === undefined)
    throw refuse(
      shape,
      `criteria: "${field}.${operator}" is undefined: leave it out, or give a value`,
    );
  switch (operator) {
    case 'eq':
      return equals(field, checkedValue(field, operand, shape));
    case 'not':
      return { kind: 'not', of: equals(field, checkedValue(field, operand, shape)) };
    case 'in':
      return parseIn(field, operand, shape);
    case 'notIn':
      return { kind: 'not', of: parseIn(field, operand, shape) };
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      if (operand === null)
        throw refuse(
          shape,
          `criteria: "${field}.${operator}" is null, which is neither before nor after anything: use { not: null }`,
        );
      if (typeof operand === 'string')
        requireCapability(shape.capabilities, 'textComparisons', shape.origin);
      if (typeof operand === 'bigint')
        requireCapability(shape.capabilities, 'bigintOrder', shape.origin);
      return { kind: 'compare', field, by: operator, value: checkedValue(field, operand, shape) };
    }
    case 'contains':
    case 'startsWith':
    case 'endsWith': {
      if (typeof operand !== 'string')
        throw refuse(
          shape,
          `criteria: "${field}.${operator}" takes text, not ${describe(operand)}`,
        );
      requireCapability(shape.capabilities, 'textComparisons', shape.origin);
      return { kind: 'compare', field, by: operator, value: checkedValue(field, operand, shape) };
    }
    default:
      throw refuse(
        shape,
        `criteria: "${field}" has the unknown comparison "${operator}": use eq, not, in, notIn, gt, gte, lt, lte, contains, startsWith or endsWith`,
      );
  }
}

function parseIn(field: string, operand: unknown, shape: Shape): Condition {
  if (!Array.isArray(operand))
    throw refuse(
      shape,
      `criteria: "${field}.in" and "${field}.notIn" take an array, not ${describe(operand)}`,
    );
  if (operand.length > mostValues) {
    throw refuse(
      shape,
      `criteria: "${field}" is held against ${operand.length} values: give at most ${mostValues}, or read by ids with findByIds`,
    );
  }
  const values = operand.map((value: unknown) => checkedValue(field, value, shape));
  const present: Condition = {
    kind: 'in',
    field,
    values: values.filter((value) => value !== null),
  };
  return present.values.length === values.length
    ? present
    : { kind: 'any', of: [present, equals(field, null)] };
}

/** An `orderBy` to a total order. Throws `invalid-argument` for whatever is none. */
export function parseOrder(orderBy: unknown, shape: Shape): readonly Order[] {
  if (orderBy === undefined) return [{ field: shape.idField, direction: 'asc' }];
  if (!isPlainObject(orderBy))
    throw refuse(
      shape,
      `orderBy must be an object such as { title: 'asc' }, not ${describe(orderBy)}`,
    );
  const order: Order[] = [];
  for (const [field, direction] of Object.entries(orderBy)) {
    checkField(field, shape);
    if (direction !== 'asc' && direction !== 'desc')
      throw refuse(shape, `orderBy: "${field}" must be 'asc' or 'desc'`);
    order.push({ field, direction });
    // Nothing after the id can matter.
    if (field === shape.idField) return order;
  }
  return [...order, { field: shape.idField, direction: order.at(-1)?.direction ?? 'asc' }];
}

/** What comes after the place whose fields have these values, in this order. */
export function afterPlace(order: readonly Order[], values: readonly unknown[]): Condition {
  const alternatives: Condition[] = [];
  for (const [index, { field, direction }] of order.entries()) {
    const beyond = beyondValue(field, direction, values[index]);
    if (beyond === undefined) continue;
    const same = order
      .slice(0, index)
      .map(({ field: earlier }, position) => equals(earlier, values[position]));
    alternatives.push(all([...same, beyond]));
  }
  const [first, ...others] = alternatives;
  if (first !== undefined && others.length === 0) return first;
  // The bound says nothing new, but an index can be entered by it, and by alternatives it cannot.
  return all([...boundOf(order[0], values[0]), { kind: 'any', of: alternatives }]);
}

function boundOf(order: Order | undefined, value: unknown): readonly Condition[] {
  if (order === undefined || value === null) return [];
  const { field, direction } = order;
  if (direction === 'asc') return [{ kind: 'compare', field, by: 'gte', value }];
  return [{ kind: 'any', of: [{ kind: 'compare', field, by: 'lte', value }, equals(field, null)] }];
}

function beyondValue(field: string, direction: Direction, value: unknown): Condition | undefined {
  // Nulls are the smallest.
  if (value === null)
    return direction === 'asc' ? { kind: 'not', of: equals(field, null) } : undefined;
  if (direction === 'asc') return { kind: 'compare', field, by: 'gt', value };
  return { kind: 'any', of: [{ kind: 'compare', field, by: 'lt', value }, equals(field, null)] };
}

function checkField(field: string, { fields, ...shape }: Shape): void {
  if (fields === undefined || fields.has(field)) return;
  throw refuse(
    { ...shape, fields },
    `"${field}" is no field of ${shape.collection}: it has ${[...fields].join(', ')}`,
  );
}

function checkedValue(field: string, value: unknown, shape: Shape): unknown {
  if (value === null) return null;
  if (typeof value === 'object' && !(value instanceof Date)) {
    throw refuse(
      shape,
      `criteria: "${field}" is compared with ${describe(value)}: give text, a number, a bigint, a boolean, a Date or null`,
    );
  }
  return checkValue(field, value, shape);
}

function refuse({ origin }: Shape, message: string): InfrastructureError {
  return invalidArgument(origin, message);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
