import { type ErrorOrigin, InfrastructureError, invalidArgument } from '../../core/index.ts';
import type { Condition } from '../condition.ts';
import type { ColumnCodec, MappedColumn } from '../columns.ts';

/** A filter in Directus' language. It is data all the way: a value is never read as anything else. */
export type DirectusFilter = Readonly<Record<string, unknown>>;

/** What a condition is translated for. */
export interface FilterTarget {
  readonly columnsByField: ReadonlyMap<string, MappedColumn>;
  readonly codec: ColumnCodec;
  readonly origin: ErrorOrigin;
}

type Compare = Extract<Condition, { kind: 'compare' }>;

/**
 * A condition as a filter; true or false where it holds of every item or of none, which Directus cannot say. It has no `not` either, so
 * that is carried down to the comparisons. Throws `unimplemented` for a value that Directus would take for something else.
 */
export function translate(
  condition: Condition,
  target: FilterTarget,
  negated = false,
): DirectusFilter | boolean {
  switch (condition.kind) {
    case 'not':
      return translate(condition.of, target, !negated);
    case 'all':
    case 'any': {
      const parts = condition.of.map((part) => translate(part, target, negated));
      return (condition.kind === 'all') === negated ? or(parts) : and(parts);
    }
    case 'in':
      return translateValues(condition.field, condition.values, target, negated);
    case 'compare':
    default:
      return condition.by === 'eq'
        ? translateEquals(condition, target, negated)
        : translateOrder(condition, target, negated);
  }
}

/** All of these hold. */
export function and(parts: readonly (DirectusFilter | boolean)[]): DirectusFilter | boolean {
  return combine(parts, '_and', false);
}

function or(parts: readonly (DirectusFilter | boolean)[]): DirectusFilter | boolean {
  return combine(parts, '_or', true);
}

// Directus leaves out an `_or` with an empty filter in it, which would mean the opposite.
function combine(
  parts: readonly (DirectusFilter | boolean)[],
  operator: '_and' | '_or',
  decisive: boolean,
): DirectusFilter | boolean {
  if (parts.includes(decisive)) return decisive;
  const filters = parts.filter((part) => typeof part !== 'boolean');
  const [first] = filters;
  if (first === undefined) return !decisive;
  return filters.length === 1 ? first : { [operator]: filters };
}

function translateEquals(
  { field, value }: Compare,
  target: FilterTarget,
  negated: boolean,
): DirectusFilter | boolean {
  if (value !== null) return translateValues(field, [value], target, negated);
  const { name, whenNull } = columnOf(field, target);
  if (whenNull === 'refused') return negated;
  return { [name]: negated ? { _nnull: true } : { _null: true } };
}

function translateValues(
  field: string,
  values: readonly unknown[],
  target: FilterTarget,
  negated: boolean,
): DirectusFilter | boolean {
  const column = columnOf(field, target);
  if (values.length === 0) return negated;
  const encoded = values.map((value) => comparable(column, value, target));
  const { name, kind } = column;
  let filter: DirectusFilter | boolean;
  if (kind === 'boolean') {
    const wanted = [true, false].filter((value) => encoded.includes(value) !== negated);
    filter = or(wanted.map((value) => ({ [name]: { _eq: value } })));
  } else if (kind === 'date') {
    // Directus gives the dates of `_in` to the database as text, whatever it keeps them as.
    filter = negated
      ? and(encoded.map((value) => ({ [name]: { _neq: value } })))
      : or(encoded.map((value) => ({ [name]: { _eq: value } })));
  } else {
    // Not `_eq`, which takes neither the empty text nor large numbers.
    filter = { [name]: { [negated ? '_nin' : '_in']: encoded } };
  }
  return negated ? orNull(filter, column) : filter;
}

const operators = { gt: '_gt', gte: '_gte', lt: '_lt', lte: '_lte' } as const;
const opposites = { gt: '_lte', gte: '_lt', lt: '_gte', lte: '_gt' } as const;

function translateOrder(
  { field, by, value }: Compare,
  target: FilterTarget,
  negated: boolean,
): DirectusFilter | boolean {
  const column = columnOf(field, target);
  // The portable class asks for nothing else, without the capability.
  if (by !== 'gt' && by !== 'gte' && by !== 'lt' && by !== 'lte')
    throw new TypeError(`no filter for ${by}`);
  const encoded = comparable(column, value, target);
  // Directus refuses numbers that may have lost digits, but reads them from text.
  const operand = typeof encoded === 'number' ? String(encoded) : encoded;
  const filter = { [column.name]: { [negated ? opposites[by] : operators[by]]: operand } };
  return negated ? orNull(filter, column) : filter;
}

function orNull(
  filter: DirectusFilter | boolean,
  { name, whenNull }: MappedColumn,
): DirectusFilter | boolean {
  return whenNull === 'refused' ? filter : or([filter, { [name]: { _null: true } }]);
}

function comparable(
  column: MappedColumn,
  value: unknown,
  { codec, origin }: FilterTarget,
): unknown {
  const { field, kind } = column;
  if (kind === 'json' || kind === 'bytes')
    throw invalidArgument(origin, `"${field}" can only be compared with null, since it is ${kind}`);
  const encoded = codec.encodeValue(column, value);
  if (typeof encoded === 'string' && isTakenForSomethingElse(encoded)) {
    throw new InfrastructureError({
      code: 'unimplemented',
      ...origin,
      message: `"${field}" is compared with text that Directus takes for something else: true, false, null, $NOW and $CURRENT_… cannot be asked for`,
      details: { field },
    });
  }
  return encoded;
}

// In a filter, wherever they stand: https://directus.io/docs/guides/connect/filter-rules#dynamic-variables
function isTakenForSomethingElse(text: string): boolean {
  return /^(?:true|false|null|NULL|\$NOW.*|\$CURRENT_.*)$/s.test(text);
}

function columnOf(field: string, { columnsByField }: FilterTarget): MappedColumn {
  const column = columnsByField.get(field);
  // The portable class lets only known fields through.
  if (column === undefined) throw new TypeError(`no column for "${field}"`);
  return column;
}
