import type { CompiledQuery } from 'kysely';

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
const rawWith: StatementKind = { isRead: true, changesRows: true, insertsRows: true, isRaw: true };
const rawOther: StatementKind = { ...other, isRaw: true };

const firstWord = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*([a-z]+)/i;

/** Says what a statement is: by Kysely's node for what its builders made, by its first word for raw SQL. */
export function kindOf({ query, sql }: CompiledQuery): StatementKind {
  switch (query.kind) {
    case 'SelectQueryNode':
      return read;
    case 'InsertQueryNode':
      return insert;
    case 'UpdateQueryNode':
    case 'DeleteQueryNode':
    case 'MergeQueryNode':
      return change;
    case 'RawNode':
      return kindOfText(sql);
    default:
      return other;
  }
}

function kindOfText(sql: string): StatementKind {
  switch (firstWord.exec(sql)?.[1]?.toLowerCase()) {
    case 'select':
    case 'values':
      return rawRead;
    case 'with':
      return rawWith;
    case 'insert':
    case 'replace':
      return rawInsert;
    case 'update':
    case 'delete':
      return rawChange;
    default:
      return rawOther;
  }
}
