import { type Kysely, type RawBuilder, sql } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
import type { ColumnDescription, TableDescription } from '../table-description.ts';
import { checksIn } from './checks.ts';

interface TableRow {
  readonly name: string;
  readonly type: 'table' | 'view' | 'virtual';
  readonly strict: number;
  readonly wr: number;
  readonly sql: string;
}

interface ColumnRow {
  readonly table_name: string;
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly dflt_value: string | null;
  readonly pk: number;
  /** 1: of a virtual table, to be ignored; 2 and 3: computed. */
  readonly hidden: number;
}

interface IndexRow {
  readonly table_name: string;
  readonly name: string;
  readonly origin: 'c' | 'u' | 'pk';
  readonly sql: string | null;
  readonly columns: string;
}

interface ForeignKeyRow {
  readonly table_name: string;
  readonly target: string;
  readonly columns: string;
  readonly target_columns: string | null;
  readonly on_update: string;
  readonly on_delete: string;
}

/** The tables and views of the main database of a file. */
export async function describeSqliteSchema(
  query: Kysely<unknown>,
): Promise<readonly TableDescription[]> {
  const all = async <Row>(statement: RawBuilder<Row>): Promise<Row[]> =>
    (await statement.execute(query)).rows;
  const tables = await all(sql<TableRow>`
    select list.name, list.type, list.strict, list.wr, made.sql
    from pragma_table_list as list join sqlite_schema as made on made.name = list.name
    where list.schema = 'main' and made.type in ('table', 'view') and list.type <> 'shadow'
      and list.name not like 'sqlite\\_%' escape '\\'
    order by list.name`);
  const columns = await all(columnsOf(sql`made.type = 'table'`));
  const views = tables.filter(({ type }) => type === 'view');
  for (const { name } of views) {
    try {
      columns.push(...(await all(columnsOf(sql`made.name = ${name}`))));
    } catch (error) {
      // A view of what is gone has no columns, and says so to whoever reads it.
      if (!InfrastructureError.is(error, 'invalid-argument')) throw error;
    }
  }
  const indexes = await all(sql<IndexRow>`
    select made.name as table_name, list.name, list.origin, own.sql,
      (select group_concat(coalesce(part.name, '(expression)'), ', ' order by part.seqno)
        from pragma_index_info(list.name) as part) as columns
    from sqlite_schema as made join pragma_index_list(made.name) as list
      left join sqlite_schema as own on own.type = 'index' and own.name = list.name
    where made.type = 'table' order by list.name`);
  const foreignKeys = await all(sql<ForeignKeyRow>`
    select made.name as table_name, part."table" as target, part.on_update, part.on_delete,
      group_concat(part."from", ', ' order by part.seq) as columns,
      group_concat(part."to", ', ' order by part.seq) as target_columns
    from sqlite_schema as made join pragma_foreign_key_list(made.name) as part
    where made.type = 'table' group by made.name, part.id`);
  const triggers = await all(sql<{ name: string; table_name: string; sql: string }>`
    select name, tbl_name as table_name, sql from sqlite_schema where type = 'trigger' order by name`);
  return tables.map((table) => {
    const own = <Row extends { readonly table_name: string }>(rows: readonly Row[]): Row[] =>
      rows.filter(({ table_name }) => table_name === table.name);
    return {
      name: table.name,
      kind: table.type === 'view' ? 'view' : 'table',
      columns: own(columns).map((column) => describeColumn(column, table, own(columns))),
      rules: Object.fromEntries([
        ...tableRules(table, own(columns)),
        ...own(indexes).flatMap(indexRule),
        ...own(foreignKeys).map(foreignKeyRule),
        ...own(triggers).map((trigger) => [`trigger ${trigger.name}`, spaced(trigger.sql)]),
      ]) as Record<string, string>,
    };
  });
}

function columnsOf(which: RawBuilder<unknown>): RawBuilder<ColumnRow> {
  return sql<ColumnRow>`
    select made.name as table_name, part.name, lower(part.type) as type, part."notnull", part.dflt_value, part.pk, part.hidden
    from sqlite_schema as made join pragma_table_xinfo(made.name) as part
    where ${which} and part.hidden <> 1 order by made.name, part.cid`;
}

function describeColumn(
  { name, type, notnull, dflt_value, pk, hidden }: ColumnRow,
  { strict, type: kind }: TableRow,
  columns: readonly ColumnRow[],
): ColumnDescription {
  const isRowId = type === 'integer' && pk === 1 && columns.every((other) => other.pk < 2);
  const isNullable = notnull === 0 && !isRowId;
  const isComputed = hidden > 1 || kind === 'view';
  return {
    name,
    definition: [
      type === '' ? 'any' : type,
      ...(notnull === 0 ? [] : ['not null']),
      ...(dflt_value === null ? [] : [`default ${dflt_value}`]),
      ...(hidden > 1 ? ['generated'] : []),
    ].join(' '),
    isNullable,
    insert: isComputed ? 'never' : isRowId || dflt_value !== null ? 'optional' : 'required',
    ...valuesOf(type, strict === 1),
  };
}

/**
 * What the adapter gives and takes, by the column's affinity (https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
 * A column of whole numbers is one of numbers, unless it is declared as `bigint`.
 */
function valuesOf(type: string, isStrict: boolean): Pick<ColumnDescription, 'given' | 'taken'> {
  if (isStrict && type === 'any') return { given: 'unknown' };
  if (type.startsWith('bool')) return { given: 'number', taken: 'boolean | number' };
  if (type.includes('bigint') || type === 'int8') return { given: 'number | bigint' };
  if (type.includes('int')) return { given: 'number' };
  if (/char|clob|text|json/.test(type)) return { given: 'string' };
  if (type.includes('blob')) return { given: 'Uint8Array' };
  if (type === '') return { given: 'unknown' };
  if (/real|floa|doub/.test(type)) return { given: 'number' };
  // A number where the value looks like one, else the text.
  return { given: 'string | number | bigint' };
}

function tableRules(
  { type, strict, wr, sql: text }: TableRow,
  columns: readonly ColumnRow[],
): [string, string][] {
  if (type !== 'table') return [['definition', spaced(text)]];
  const key = columns
    .filter(({ pk }) => pk > 0)
    .toSorted((a, b) => a.pk - b.pk)
    .map(({ name }) => name);
  const options = [...(strict === 1 ? ['strict'] : []), ...(wr === 1 ? ['without rowid'] : [])];
  return [
    ...(key.length > 0 ? [['primary key', key.join(', ')] as [string, string]] : []),
    ...(options.length > 0 ? [['options', options.join(', ')] as [string, string]] : []),
    ...checksIn(text).map((check): [string, string] => [`check (${check})`, 'holds']),
  ];
}

function indexRule({ name, origin, sql: text, columns }: IndexRow): [string, string][] {
  // What a constraint needs has a name of SQLite's own.
  if (origin === 'pk') return [];
  if (origin === 'u') return [[`unique (${columns})`, 'holds']];
  return [[`index ${name}`, spaced(text ?? '').replace(/^create (?:unique )?index /i, '')]];
}

function foreignKeyRule(row: ForeignKeyRow): [string, string] {
  const actions = [
    ...(row.on_update === 'NO ACTION' ? [] : [` on update ${row.on_update.toLowerCase()}`]),
    ...(row.on_delete === 'NO ACTION' ? [] : [` on delete ${row.on_delete.toLowerCase()}`]),
  ];
  const target = row.target_columns === null ? row.target : `${row.target} (${row.target_columns})`;
  return [`foreign key (${row.columns})`, `references ${target}${actions.join('')}`];
}

/** A text as the file keeps it has the line breaks of whoever wrote it. */
function spaced(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
