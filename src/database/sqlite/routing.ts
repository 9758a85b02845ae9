import type { CompiledQuery } from 'kysely';

import { firstWordOf } from '../transaction-statements.ts';

/** What a statement is, as far as its text tells. */
export interface StatementKind {
  /** Whether it may be tried on a read-only connection, which refuses it if it writes after all. */
  readonly isRead: boolean;
  /** Whether what SQLite says of changed rows is about this statement, and not left over from an earlier one. */
  readonly changesRows: boolean;
  /** Whether a new row's id is about this statement. */
  readonly insertsRows: boolean;
  /** Whether it is the user's own text, which could begin or end a transaction. */
  readonly isRaw: boolean;
}

const read: StatementKind = { isRead: true, changesRows: false, insertsRows: false, isRaw: false };
const insert: StatementKind = { isRead: false, changesRows: true, insertsRows: true, isRaw: false };
const change: StatementKind = {
  isRead: false,
  changesRows: true,
  insertsRows: false,
  isRaw: false,
};
const other: StatementKind = {
  isRead: false,
  changesRows: false,
  insertsRows: false,
  isRaw: false,
};

const rawRead: StatementKind = { ...read, isRaw: true };
const rawInsert: StatementKind = { ...insert, isRaw: true };
const rawChange: StatementKind = { ...change, isRaw: true };
// It may update or delete too, upon which an id would be that of an earlier insert.
const rawWith: StatementKind = { isRead: true, changesRows: true, insertsRows: false, isRaw: true };
const rawOther: StatementKind = { ...other, isRaw: true };

const byNode: Readonly<Partial<Record<CompiledQuery['query']['kind'], StatementKind>>> = {
  SelectQueryNode: read,
  InsertQueryNode: insert,
  UpdateQueryNode: change,
  DeleteQueryNode: change,
};

const byFirstWord: ReadonlyMap<string | undefined, StatementKind> = new Map([
  ['select', rawRead],
  ['values', rawRead],
  ['with', rawWith],
  ['insert', rawInsert],
  ['replace', rawInsert],
  ['update', rawChange],
  ['delete', rawChange],
]);

/** Says what a statement is: by Kysely's node for what its builders made, by its first word for raw SQL. */
export function kindOf({ query, sql }: Pick<CompiledQuery, 'query' | 'sql'>): StatementKind {
  if (query.kind === 'RawNode') return kindOfText(sql);
  // One that updates the row that is there leaves the id of an earlier insert behind.
  if (query.kind === 'InsertQueryNode' && query.onConflict?.updates !== undefined) return change;
  return byNode[query.kind] ?? other;
}

/** Says what raw SQL is. */
export function kindOfText(sql: string): StatementKind {
  return byFirstWord.get(firstWordOf(sql)) ?? rawOther;
}
