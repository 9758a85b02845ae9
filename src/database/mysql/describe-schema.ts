import { type Kysely, type RawBuilder, sql } from 'kysely';

import { literal } from '../literal.ts';
import type { ColumnDescription, TableDescription } from '../table-description.ts';

interface OfTable {
  readonly table_name: string;
}

interface ColumnRow extends OfTable {
  readonly name: string;
  /** `varchar(200)`. */
  readonly type: string;
  /** `varchar`. */
  readonly base: string;
  readonly is_nullable: 'YES' | 'NO';
  readonly default_value: string | null;
  readonly extra: string;
  readonly expression: string | null;
  readonly collation: string | null;
}

interface IndexRow extends OfTable {
  readonly name: string;
  readonly is_plain: number;
  readonly kind: string;
  readonly columns: string;
}

interface ForeignKeyRow extends OfTable {
  readonly name: string;
  readonly columns: string;
  readonly target: string;
  readonly target_columns: string;
  readonly on_update: string;
  readonly on_delete: string;
}

interface CheckRow extends OfTable {
  readonly name: string;
  readonly clause: string;
}

/** The tables and views of the connection's own database, on MySQL and MariaDB. */
export async function describeMysqlSchema(
  query: Kysely<unknown>,
): Promise<readonly TableDescription[]> {
  const all = async <Row>(statement: RawBuilder<Row>): Promise<Row[]> =>
    (await statement.execute(query)).rows;
  const tables = await all(sql<{ name: string; kind: string }>`
    select table_name as name, table_type as kind from information_schema.tables
    where table_schema = database() and table_type in ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') order by table_name`);
  const columns = await all(sql<ColumnRow>`
    select table_name as table_name, column_name as name, column_type as type, lower(data_type) as base, is_nullable as is_nullable,
      column_default as default_value, lower(extra) as extra, nullif(generation_expression, '') as expression, collation_name as collation
    from information_schema.columns where table_schema = database() order by table_name, ordinal_position`);
  const indexes = await all(sql<IndexRow>`
    select table_name as table_name, index_name as name, min(non_unique) as is_plain, min(index_type) as kind,
      group_concat(concat(coalesce(column_name, '(expression)'), coalesce(concat('(', sub_part, ')'), ''),
        if(collation = 'D', ' desc', '')) order by seq_in_index separator ', ') as columns
    from information_schema.statistics where table_schema = database() group by table_name, index_name`);
  const foreignKeys = await all(sql<ForeignKeyRow>`
    select part.table_name as table_name, part.constraint_name as name, min(part.referenced_table_name) as target,
      group_concat(part.column_name order by part.ordinal_position separator ', ') as columns,
      group_concat(part.referenced_column_name order by part.ordinal_position separator ', ') as target_columns,
      min(rule.update_rule) as on_update, min(rule.delete_rule) as on_delete
    from information_schema.key_column_usage as part
      join information_schema.referential_constraints as rule on rule.constraint_schema = part.constraint_schema
        and rule.constraint_name = part.constraint_name and rule.table_name = part.table_name
    where part.table_schema = database() and part.referenced_table_name is not null
    group by part.table_name, part.constraint_name`);
  const checks = await readChecks(all);
  return tables.map(({ name, kind }) => {
    const own = <Row extends OfTable>(rows: readonly Row[]): Row[] =>
      rows.filter(({ table_name }) => table_name === name);
    const isView = kind.endsWith('VIEW');
    const clauses = own(checks);
    return {
      name,
      kind: isView ? 'view' : 'table',
      columns: own(columns).map((column) => describeColumn(column, isView, clauses)),
      rules: Object.fromEntries([
        ...own(indexes).map(indexRule),
        ...own(foreignKeys).map(foreignKeyRule),
        ...clauses.map(({ name: check, clause }) => [`check ${check}`, clause]),
      ]) as Record<string, string>,
    };
  });
}

/** MariaDB says of a check which table it is of, and needs it, since its names are of the table; MySQL's are of the database. */
async function readChecks(
  all: <Row>(statement: RawBuilder<Row>) => Promise<Row[]>,
): Promise<CheckRow[]> {
  const rows = await all(sql<Record<string, string>>`
    select * from information_schema.check_constraints where constraint_schema = database() order by constraint_name`);
  const owners = await all(sql<OfTable & { name: string }>`
    select table_name as table_name, constraint_name as name from information_schema.table_constraints
    where table_schema = database() and constraint_type = 'CHECK'`);
  return rows.flatMap((row) => {
    const { CONSTRAINT_NAME: name = '', CHECK_CLAUSE: clause = '', TABLE_NAME } = row;
    const table = TABLE_NAME ?? owners.find((owner) => owner.name === name)?.table_name;
    return table === undefined ? [] : [{ table_name: table, name, clause }];
  });
}

function describeColumn(
  column: ColumnRow,
  isView: boolean,
  checks: readonly CheckRow[],
): ColumnDescription {
  const { name, type, is_nullable, expression, extra, collation } = column;
  const isNullable = is_nullable === 'YES';
  // MariaDB writes the word where there is none.
  const given = column.default_value === 'NULL' ? null : column.default_value;
  const isOptional = given !== null || extra.includes('auto_increment');
  return {
    name,
    definition: [
      type,
      ...(collation === null ? [] : [`collate ${collation}`]),
      ...(isNullable ? [] : ['not null']),
      ...(given === null ? [] : [`default ${given}`]),
      ...(expression === null ? [] : [`as (${expression})`]),
      ...(extra === '' ? [] : [extra]),
    ].join(' '),
    isNullable,
    insert: isView || expression !== null ? 'never' : isOptional ? 'optional' : 'required',
    ...valuesOf(column, checks),
  };
}

type Values = Pick<ColumnDescription, 'given' | 'taken'>;

const values: Readonly<Record<string, Values>> = {
  smallint: { given: 'number' },
  mediumint: { given: 'number' },
  int: { given: 'number' },
  year: { given: 'number' },
  bigint: { given: 'number | bigint' },
  float: { given: 'number' },
  double: { given: 'number' },
  decimal: { given: 'string', taken: 'string | number | bigint' },
  datetime: { given: 'string', taken: 'string | Date' },
  timestamp: { given: 'string', taken: 'string | Date' },
  json: { given: 'unknown', taken: 'string' },
  ...Object.fromEntries(
    [
      'date',
      'time',
      'char',
      'varchar',
      'tinytext',
      'text',
      'mediumtext',
      'longtext',
      'set',
      'uuid',
      'inet4',
      'inet6',
    ].map((name) => [name, { given: 'string' }]),
  ),
  ...Object.fromEntries(
    ['bit', 'binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob'].map((name) => [
      name,
      { given: 'Uint8Array' },
    ]),
  ),
};

function valuesOf({ name, type, base }: ColumnRow, checks: readonly CheckRow[]): Values {
  if (base === 'enum') return { given: labelsOf(type).map(literal).join(' | ') };
  // `boolean` is this type's other name.
  if (base === 'tinyint')
    return type.startsWith('tinyint(1)')
      ? { given: 'number', taken: 'boolean | number' }
      : { given: 'number' };
  // What JSON is on MariaDB.
  const isJson = checks.some(
    ({ clause }) => clause.toLowerCase() === `json_valid(\`${name.toLowerCase()}\`)`,
  );
  return (isJson ? values['json'] : values[base]) ?? { given: 'unknown' };
}

/** Of `enum('a','it''s')`. */
function labelsOf(type: string): string[] {
  return [...type.matchAll(/'((?:[^']|'')*)'/g)].map(([, label = '']) =>
    label.replaceAll("''", "'"),
  );
}

function indexRule({ name, is_plain, kind, columns }: IndexRow): [string, string] {
  if (name === 'PRIMARY') return ['primary key', columns];
  const words = [
    ...(is_plain === 0 ? ['unique'] : []),
    ...(kind === 'BTREE' ? [] : [kind.toLowerCase()]),
  ];
  return [`index ${name}`, [...words, `(${columns})`].join(' ')];
}

function foreignKeyRule(row: ForeignKeyRow): [string, string] {
  const actions = [
    ['update', row.on_update],
    ['delete', row.on_delete],
  ].flatMap(([event, action = '']) =>
    ['NO ACTION', 'RESTRICT'].includes(action) ? [] : [` on ${event} ${action.toLowerCase()}`],
  );
  return [
    `foreign key ${row.name}`,
    `(${row.columns}) references ${row.target} (${row.target_columns})${actions.join('')}`,
  ];
}
