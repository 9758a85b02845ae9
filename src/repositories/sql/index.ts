import { type ErrorOrigin, invalidArgument } from '../../core/index.ts';
import type { Database } from '../../database/index.ts';
import type { EntityId, IdFieldOf } from '../criteria.ts';
import { EntityRepository, type RepositoryOptions } from '../entity-repository.ts';
import { type Columns, mapColumns, type MappedColumn } from '../columns.ts';
import { SqlRepositoryDriver } from './sql-driver.ts';
import type { AnySchema } from './translate.ts';

export type { Column, ColumnKind, Columns, ColumnType, ColumnTypeOf } from '../columns.ts';

/** A Database of any schema. Kysely's own type is invariant in its schema, so the part of it that has none. */
export type AnyDatabase = Pick<
  Database,
  'component' | 'adapter' | 'dialect' | 'inTransaction' | 'transaction'
>;

/** Options of {@link sqlRepository}. */
export interface SqlRepositoryOptions<
  Entity,
  IdField extends IdFieldOf<Entity>,
> extends RepositoryOptions<Entity, IdField> {
  /** Stays its creator's: the repository does not close it. */
  readonly database: AnyDatabase;
  /** The table, which a migration has made, with a primary key or unique index on the id's column. */
  readonly table: string;
  /** The column of every field. */
  readonly columns: Columns<Entity>;
}

/** What {@link sqlRepository} gives. */
export type SqlRepository<Entity, Id extends EntityId = string> = EntityRepository<
  Entity,
  Id,
  SqlRepositoryDriver
>;

/**
 * A repository in a table of a database. Joins the ambient transaction of the database. Throws `invalid-argument` for columns
 * that make no sense; a missing table or column shows at the first call.
 *
 * @example
 * const articles = sqlRepository<Article>({
 *   database,
 *   table: 'articles',
 *   columns: { id: 'text', title: 'text', tags: 'json', publishedAt: { name: 'published_at', type: 'date|null' } },
 * });
 */
export function sqlRepository<
  Entity extends object,
  IdField extends IdFieldOf<Entity> = Extract<'id', IdFieldOf<Entity>>,
>(
  options: SqlRepositoryOptions<Entity, IdField>,
): SqlRepository<Entity, Extract<Entity[IdField], EntityId>> {
  const { database, table, columns, id = 'id', version } = options;
  const origin: ErrorOrigin = { component: 'repositories', adapter: 'sql' };
  if (!/^\w+(\.\w+)?$/.test(table))
    throw invalidArgument(origin, `"${table}" is no table name of letters, digits and underscores`);
  const mapped = mapColumns(columns, origin);
  const columnOf = (field: string): MappedColumn => {
    const column = mapped.find((candidate) => candidate.field === field);
    if (column === undefined) throw invalidArgument(origin, `columns: "${field}" has none`);
    return column;
  };
  if (version !== undefined) columnOf(version);
  // What the driver builds names only this table and these columns, whatever the schema's type says of others.
  const untyped = database as unknown as Database<AnySchema>;
  return new EntityRepository(
    new SqlRepositoryDriver({ database: untyped, table, columns: mapped, id: columnOf(id) }),
    options,
  );
}
