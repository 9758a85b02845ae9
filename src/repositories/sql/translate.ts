import { type Expression, expressionBuilder, sql, type SqlBool } from 'kysely';

import type { SqlExpressions } from '../../database/index.ts';
import type { ColumnCodec, MappedColumn } from '../columns.ts';
import type { Condition } from '../condition.ts';

/** What the translation needs of a repository. */
export interface TranslationTarget {
  readonly columnsByField: ReadonlyMap<string, MappedColumn>;
  readonly expressions: SqlExpressions;
  readonly codec: ColumnCodec;
}

/** The tables as Kysely sees them here: any table with any columns. */
export type AnySchema = Record<string, Record<string, unknown>>;

type Comparison = Extract<Condition, { kind: 'compare' }>;

const operators = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;
const builder = expressionBuilder<AnySchema, string>();

/** A condition as SQL, with the meaning that `evaluate.ts` gives it. */
export function translate(condition: Condition, target: TranslationTarget): Expression<SqlBool> {
  return translatePart(condition, target, false);
}

/**
 * In SQL a comparison with NULL is neither true nor false. Where only truth counts, that does as well as false; under a NOT it
 * does not, so `exact` comparisons there are made false by a check for NULL, which would only hinder indexes elsewhere.
 */
function translatePart(
  condition: Condition,
  target: TranslationTarget,
  exact: boolean,
): Expression<SqlBool> {
  switch (condition.kind) {
    case 'all':
      return joined(
        condition.of.map((part) => translatePart(part, target, exact)),
        (parts) => builder.and(parts),
      );
    case 'any':
      return joined(
        condition.of
          // "or is null", of a column that never is, would only keep an index from being used.
          .filter((part) => !isNever(part, target))
          .map((part) => translatePart(part, target, exact)),
        (parts) => builder.or(parts),
      );
    case 'not':
      return builder.not(translatePart(condition.of, target, true));
    case 'in': {
      if (condition.values.length === 0) return sql<SqlBool>`1 = 0`;
      const column = columnOf(condition.field, target);
      const values = condition.values.map((value) => target.codec.encodeValue(column, value));
      return withoutNull(builder(column.name, 'in', values), column, exact);
    }
    case 'compare':
    default:
      return translateComparison(condition, target, exact);
  }
}

// To SQLite a chain of n parts is n levels deep, and it takes 1,000 of them: a long one is halved, and its halves are.
function joined(
  parts: readonly Expression<SqlBool>[],
  join: (parts: readonly Expression<SqlBool>[]) => Expression<SqlBool>,
): Expression<SqlBool> {
  if (parts.length <= 100) return join(parts);
  const middle = Math.floor(parts.length / 2);
  return join([joined(parts.slice(0, middle), join), joined(parts.slice(middle), join)]);
}

function translateComparison(
  { field, by, value }: Comparison,
  target: TranslationTarget,
  exact: boolean,
): Expression<SqlBool> {
  const column = columnOf(field, target);
  if (value === null) return builder(column.name, 'is', null);
  const encoded = target.codec.encodeValue(column, value);
  const ref = sql.ref(column.name);
  const { expressions } = target;
  switch (by) {
    case 'eq':
      return withoutNull(builder(column.name, '=', encoded), column, exact);
    // Not LIKE, which ignores case on some engines, and has wildcards.
    case 'contains':
    case 'startsWith':
    case 'endsWith':
      return withoutNull(expressions[by](ref, String(encoded)), column, exact);
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
    default:
      return withoutNull(
        builder(sortable(column, expressions), operators[by], encoded),
        column,
        exact,
      );
  }
}

/** A column as it is compared and sorted. */
export function sortable(
  { name, kind }: MappedColumn,
  expressions: SqlExpressions,
): Expression<unknown> {
  const ref = sql.ref(name);
  return kind === 'text' ? expressions.byCodePoint(ref) : ref;
}

function isNever(condition: Condition, target: TranslationTarget): boolean {
  return (
    condition.kind === 'compare' &&
    condition.by === 'eq' &&
    condition.value === null &&
    columnOf(condition.field, target).whenNull === 'refused'
  );
}

function withoutNull(
  expression: Expression<SqlBool>,
  { name, whenNull }: MappedColumn,
  exact: boolean,
): Expression<SqlBool> {
  return exact && whenNull !== 'refused'
    ? builder.and([expression, builder(name, 'is not', null)])
    : expression;
}

/** The column of a field. */
export function columnOf(field: string, { columnsByField }: TranslationTarget): MappedColumn {
  const column = columnsByField.get(field);
  // The portable class lets only known fields through.
  if (column === undefined) throw new TypeError(`no column for "${field}"`);
  return column;
}
