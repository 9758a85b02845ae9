import { type Kysely, sql } from 'kysely';

import { literal } from '../literal.ts';
import type { ColumnDescription, TableDescription } from '../table-description.ts';

interface TableRow {
  readonly name: string;
  readonly kind: 'table' | 'view';
  /** JSON, as text. */
  readonly columns: string;
  readonly rules: string | null;
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly default: string | null;
  readonly identity: '' | 'a' | 'd';
  readonly generated: '' | 's' | 'v';
  /** The type's own name in the catalog; of an array that of its elements, of a domain that of what it is over. */
  readonly base: string;
  readonly isArray: boolean;
  readonly labels: readonly string[] | null;
}

/** The tables and views of PostgreSQL, in one query; not those of extensions, nor the partitions of a table. */
export async function describePostgresSchema(
  query: Kysely<unknown>,
): Promise<readonly TableDescription[]> {
  const { rows } = await sql<TableRow>`
    select c.relname as name, case when c.relkind in ('v', 'm') then 'view' else 'table' end as kind,
      (select json_agg(json_build_object(
          'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
          'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
          'base', coalesce(element.typname, base.typname), 'isArray', element.oid is not null,
          'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e
            where e.enumtypid = coalesce(element.oid, base.oid))
        ) order by a.attnum)
        from pg_attribute a
          join pg_type t on t.oid = a.atttypid
          join pg_type base on base.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
          left join pg_type element on element.oid = base.typelem and base.typcategory = 'A'
          left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)::text as columns,
      (select json_object_agg(rule.name, rule.text order by rule.name) from (
          select 'constraint ' || conname as name, pg_get_constraintdef(oid) as text
            from pg_constraint where conrelid = c.oid and contype in ('p', 'u', 'f', 'c', 'x')
          union all
          select 'index ' || own.relname, pg_get_indexdef(i.indexrelid)
            from pg_index i join pg_class own on own.oid = i.indexrelid
            where i.indrelid = c.oid and not exists (
              select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u', 'x'))
          union all
          select 'trigger ' || tgname, pg_get_triggerdef(oid) from pg_trigger where tgrelid = c.oid and not tgisinternal
          union all
          select 'definition', pg_get_viewdef(c.oid) where c.relkind in ('v', 'm')
          union all
          select 'partitioned', pg_get_partkeydef(c.oid) where c.relkind = 'p'
        ) as rule)::text as rules
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
      and n.nspname = any(current_schemas(false)) and pg_table_is_visible(c.oid)
      and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
    order by c.relname collate "C"`.execute(query);
  return rows.map(({ name, kind, columns, rules }) => ({
    name,
    kind,
    // As the query makes them.
    columns: ((JSON.parse(columns ?? '[]') ?? []) as Column[]).map((column) =>
      describeColumn(column, kind),
    ),
    rules: JSON.parse(rules ?? '{}') as Record<string, string>,
  }));
}

function describeColumn(column: Column, kind: 'table' | 'view'): ColumnDescription {
  const { name, type, notNull, generated, identity } = column;
  const isNever = kind === 'view' || generated !== '' || identity === 'a';
  return {
    name,
    definition: [
      type,
      ...(column.labels === null ? [] : [`(${column.labels.map(literal).join(', ')})`]),
      ...(notNull ? ['not null'] : []),
      ...(identity === ''
        ? []
        : [`generated ${identity === 'a' ? 'always' : 'by default'} as identity`]),
      ...(column.default === null
        ? []
        : [
            generated === ''
              ? `default ${column.default}`
              : `generated always as (${column.default})`,
          ]),
    ].join(' '),
    isNullable: !notNull,
    insert: isNever
      ? 'never'
      : column.default !== null || identity === 'd'
        ? 'optional'
        : 'required',
    ...valuesOf(column),
  };
}

type Values = Pick<ColumnDescription, 'given' | 'taken'>;

/** What the adapter gives and takes; whoever it does not know comes back as `pg` makes it of its text. */
const known: Readonly<Record<string, Values>> = {
  int2: { given: 'number' },
  int4: { given: 'number' },
  oid: { given: 'number' },
  int8: { given: 'number | bigint' },
  float4: { given: 'number' },
  float8: { given: 'number' },
  numeric: { given: 'string', taken: 'string | number | bigint' },
  bool: { given: 'boolean' },
  bytea: { given: 'Uint8Array' },
  timestamp: { given: 'string', taken: 'string | Date' },
  timestamptz: { given: 'string', taken: 'string | Date' },
  json: { given: 'unknown', taken: 'string' },
  jsonb: { given: 'unknown', taken: 'string' },
  ...texts(['text', 'varchar', 'bpchar', 'uuid', 'date', 'time', 'timetz', 'interval', 'money']),
  ...texts(['inet', 'cidr', 'macaddr']),
};

/** What comes back as text, alone and in arrays, which nobody takes apart. */
const opaque: Readonly<Record<string, Values>> = texts([
  'char',
  'name',
  'citext',
  'bit',
  'varbit',
  'xml',
  'tsvector',
  'tsquery',
]);

function texts(names: readonly string[]): Readonly<Record<string, Values>> {
  return Object.fromEntries(names.map((name) => [name, { given: 'string' }]));
}

function valuesOf({ base, isArray, labels }: Column): Values {
  const one =
    labels === null
      ? (known[base] ?? opaque[base] ?? { given: 'unknown' })
      : { given: labels.map(literal).join(' | ') };
  if (!isArray) return one;
  const taken = arrayOf(one.taken ?? one.given);
  if (labels !== null || base in opaque) return { given: 'string', taken };
  const given = arrayOf(one.given);
  return given === taken ? { given } : { given, taken };
}

function arrayOf(type: string): string {
  return type.includes(' | ') ? `(${type})[]` : `${type}[]`;
}
