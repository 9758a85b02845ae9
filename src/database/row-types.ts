import { literal } from './literal.ts';
import type { ColumnDescription, TableDescription } from './table-description.ts';

const header = `// Generated from the live schema by \`underpin types\`: change the schema by a migration, and run it again.
`;

/**
 * The `Schema` of a Database as TypeScript, one property for each table and view, with the types that its adapter gives and
 * takes. The same schema gives the same text. The library's own tables (`underpin_…`) are left out.
 */
export function rowTypes(tables: readonly TableDescription[]): string {
  const own = tables
    .filter(({ name }) => !name.startsWith('underpin_'))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const helpers = new Set<string>();
  const body = own.flatMap(({ name, columns }) => [
    `  ${property(name)}: {`,
    ...columns.map((column) => `    ${property(column.name)}: ${typeOf(column, helpers)};`),
    '  };',
  ]);
  const imports =
    helpers.size === 0
      ? ''
      : `import type { ${[...helpers].toSorted().join(', ')} } from 'kysely';\n\n`;
  const lines =
    body.length === 0
      ? 'export interface Schema {}'
      : ['export interface Schema {', ...body, '}'].join('\n');
  return `${header}\n${imports}${lines}\n`;
}

/** What is selected, inserted and updated, in the fewest words that Kysely has for it. */
function typeOf(
  { given, taken = given, isNullable, insert }: ColumnDescription,
  helpers: Set<string>,
): string {
  const [select, update] = [given, taken].map((type) => orNull(type, isNullable));
  const helper = (name: string, ...types: (string | undefined)[]): string => {
    helpers.add(name);
    return `${name}<${types.join(', ')}>`;
  };
  if (insert === 'never') return helper('ColumnType', select, 'never', 'never');
  if (insert === 'required' || isNullable)
    return given === taken ? (select ?? '') : helper('ColumnType', select, update, update);
  return given === taken
    ? helper('Generated', select)
    : helper('ColumnType', select, `${update} | undefined`, update);
}

function orNull(type: string, isNullable: boolean): string {
  return isNullable && type !== 'unknown' ? `${type} | null` : type;
}

function property(name: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? name : literal(name);
}
