import type { Row, SqliteConnection } from './connection.ts';
import { type DeclaredConstraint, declaredConstraints, unquoted } from './declared-constraints.ts';

/** What SQLite leaves out when it says that a constraint failed. */
export interface ConstraintFacts {
  readonly name?: string | undefined;
  readonly table?: string | undefined;
  readonly columns?: readonly string[] | undefined;
}

/** What a statement writes to, as far as its text tells. */
interface Target {
  readonly table: string;
  readonly verb: 'insert' | 'delete' | 'other';
}

interface ForeignKey {
  readonly table: string;
  readonly columns: readonly string[];
  /** The table that it refers to. */
  readonly to: string;
  /** Whether it does more than refuse. */
  readonly hasActions: boolean;
}

const identifier = String.raw`(?:"(?:[^"]|"")+"|\[[^\]]+\]|[\w$\u0080-\uffff]+)`;
const write = new RegExp(
  String.raw`\b(insert\s+into|insert\s+or\s+\w+\s+into|replace\s+into|update(?:\s+or\s+\w+)?|delete\s+from)\s+(?:main\s*\.\s*|"main"\s*\.\s*)?(${identifier})(?!\s*\.)`,
  'iu',
);

/** The constraint over these columns, by the name that it was given: in its table, or as an index. */
export function uniqueFacts(
  connection: SqliteConnection,
  { name: index, table, columns }: ConstraintFacts,
): ConstraintFacts {
  if (index !== undefined) {
    const [row] = rowsOf(connection, `select tbl_name from sqlite_schema where name = ?`, index);
    return { table: row === undefined ? undefined : String(row['tbl_name']) };
  }
  if (table === undefined || columns === undefined) return {};
  const declared = nameOf(connection, { kind: 'unique', table, columns });
  if (declared !== undefined) return { name: declared };
  const indexes = rowsOf(
    connection,
    `select i.name as name, c.name as column from pragma_index_list(?) as i, pragma_index_info(i.name) as c
     where i."unique" and i.origin = 'c' order by i.seq, c.seqno`,
    table,
  );
  for (const [name, parts] of Map.groupBy(indexes, (row) => String(row['name']))) {
    const indexed = parts.map((part) => String(part['column']));
    if (sameNames(indexed, columns)) return { name };
  }
  return {};
}

/** The table of a check that failed. */
export function checkFacts(connection: SqliteConnection, sql: string): ConstraintFacts {
  const target = targetOf(sql);
  return target === undefined || hasTriggers(connection, target.table)
    ? {}
    : { table: target.table };
}

/**
 * The foreign key that failed, of which SQLite says nothing: where the statement can have broken one alone. Not where triggers
 * or actions of keys write to other tables.
 */
export function foreignKeyFacts(connection: SqliteConnection, sql: string): ConstraintFacts {
  const target = targetOf(sql);
  if (target === undefined || hasTriggers(connection, target.table)) return {};
  const incoming = target.verb === 'insert' ? [] : foreignKeysTo(connection, target.table);
  if (incoming.some(({ hasActions }) => hasActions)) return {};
  const outgoing = target.verb === 'delete' ? [] : foreignKeysOf(connection, target.table);
  const [key, another] = [...outgoing, ...incoming];
  if (key === undefined || another !== undefined) return {};
  const { table, columns } = key;
  return { name: nameOf(connection, { kind: 'foreign-key', table, columns }), table, columns };
}

function targetOf(sql: string): Target | undefined {
  const [, words = '', name] = write.exec(sql) ?? [];
  if (name === undefined) return undefined;
  // One that replaces or updates what is there may break keys that refer to it too.
  const isPlainInsert = /^insert\s+into$/i.test(words) && !/\bdo\s+update\b/i.test(sql);
  const verb = /^delete/i.test(words) ? 'delete' : 'other';
  return { table: unquoted(name), verb: isPlainInsert ? 'insert' : verb };
}

function hasTriggers(connection: SqliteConnection, table: string): boolean {
  const triggers = `select 1 from sqlite_schema where type = 'trigger' and tbl_name = ? collate nocase limit 1`;
  return rowsOf(connection, triggers, table).length > 0;
}

function foreignKeysOf(connection: SqliteConnection, table: string): ForeignKey[] {
  const parts = rowsOf(
    connection,
    `select "id", "table", "from", on_update, on_delete from pragma_foreign_key_list(?) order by id, seq`,
    table,
  );
  return [...Map.groupBy(parts, (part) => part['id']).values()].map((key) => ({
    table,
    to: String(key[0]?.['table']),
    columns: key.map((part) => String(part['from'])),
    hasActions: key.some(({ on_delete, on_update }) =>
      [on_delete, on_update].some((action) => !/^(?:NO ACTION|RESTRICT)$/.test(String(action))),
    ),
  }));
}

/** Those of other tables, or of its own, that refer to a table. */
function foreignKeysTo(connection: SqliteConnection, table: string): ForeignKey[] {
  const referring = rowsOf(
    connection,
    `select distinct t.name as name from sqlite_schema as t, pragma_foreign_key_list(t.name) as k
     where t.type = 'table' and k."table" = ? collate nocase`,
    table,
  );
  return referring
    .flatMap(({ name }) => foreignKeysOf(connection, String(name)))
    .filter(({ to }) => to.toLowerCase() === table.toLowerCase());
}

function nameOf(
  connection: SqliteConnection,
  { kind, table, columns }: Omit<DeclaredConstraint, 'name'> & { readonly table: string },
): string | undefined {
  const [row] = rowsOf(
    connection,
    `select sql from sqlite_schema where type = 'table' and name = ? collate nocase`,
    table,
  );
  return declaredConstraints(String(row?.['sql'] ?? '')).find(
    (constraint) => constraint.kind === kind && sameNames(constraint.columns, columns),
  )?.name;
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return (
    some.length === others.length &&
    some.every((name, index) => name.toLowerCase() === others[index]?.toLowerCase())
  );
}

function rowsOf(connection: SqliteConnection, sql: string, value: string): Row[] {
  return connection.execute(sql, [value]).rows;
}
