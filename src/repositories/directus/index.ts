import { type ErrorOrigin, invalidArgument } from '../../core/index.ts';
import type { EntityId, IdFieldOf } from '../criteria.ts';
import { EntityRepository, type RepositoryOptions } from '../entity-repository.ts';
import { type Columns, mapColumns } from '../columns.ts';
import { DirectusRepositoryDriver, type ItemsClient } from './directus-driver.ts';

export type { Column, ColumnKind, Columns, ColumnType, ColumnTypeOf } from '../columns.ts';
export type { ItemsClient };

/** Options of {@link directusRepository}. */
export interface DirectusRepositoryOptions<Entity, IdField extends IdFieldOf<Entity>> extends Omit<
  RepositoryOptions<Entity, IdField>,
  'version'
> {
  /** A `DirectusClient`. Stays its creator's: the repository does not close it, and its policy guards every request. */
  readonly client: ItemsClient;
  /** The collection, one of the project's own. Its primary key must be the id's field, whose values the application gives. */
  readonly collection: string;
  /** The field of every property of the entity. */
  readonly columns: Columns<Entity>;
}

/** What {@link directusRepository} gives. */
export type DirectusRepository<Entity, Id extends EntityId = string> = EntityRepository<
  Entity,
  Id,
  DirectusRepositoryDriver
>;

/**
 * A repository in a collection of Directus. Throws `invalid-argument` for columns that make no sense. `start` fails with
 * `permission-denied` when the collection or one of the fields cannot be read.
 *
 * What Directus cannot do is refused with `unimplemented`: looking into text, comparing it by order, any order of bigints,
 * and a version field.
 *
 * @example
 * const articles = directusRepository<Article>({
 *   client: directusClient({ url, token }),
 *   collection: 'articles',
 *   columns: { id: 'text', title: 'text', tags: 'json', publishedAt: { name: 'date_published', type: 'date|null' } },
 * });
 */
export function directusRepository<
  Entity extends object,
  IdField extends IdFieldOf<Entity> = Extract<'id', IdFieldOf<Entity>>,
>(
  options: DirectusRepositoryOptions<Entity, IdField>,
): DirectusRepository<Entity, Extract<Entity[IdField], EntityId>> {
  const { client, collection, columns, id = 'id' } = options;
  const origin: ErrorOrigin = { component: 'repositories', adapter: 'directus' };
  if (!/^(?!directus_)[A-Za-z_]\w*$/.test(collection)) {
    throw invalidArgument(
      origin,
      `"${collection}" is no collection of the project's own: those of Directus itself have commands in its SDK`,
    );
  }
  const mapped = mapColumns(columns, origin);
  const idColumn = mapped.find(({ field }) => field === id);
  if (idColumn === undefined) throw invalidArgument(origin, `columns: "${id}" has none`);
  return new EntityRepository(
    new DirectusRepositoryDriver({ client, collection, columns: mapped, id: idColumn }),
    options,
  );
}
