import type { CallOptions } from '../core/index.ts';
import type { Criteria, EntityId, OrderBy } from './criteria.ts';

/** Options of {@link Repository.findOne}. */
export interface FindOneOptions<Entity> extends CallOptions {
  /** Default: by id, ascending. */
  readonly orderBy?: OrderBy<Entity>;
}

/** Options of {@link Repository.find}. */
export interface FindOptions<Entity> extends FindOneOptions<Entity> {
  /** At most this many, at least 1. Default: all. */
  readonly limit?: number;
}

/** Options of {@link Repository.page}. */
export interface PageOptions<Entity> extends FindOneOptions<Entity> {
  /** Entities on a page, at most; 1 to 10,000. Default 50. */
  readonly limit?: number;
  /** The `next` of the page before, which was made with the same order. Default: the first page. */
  readonly after?: string | undefined;
}

/** Options of {@link Repository.stream}. */
export interface StreamOptions<Entity> extends FindOneOptions<Entity> {
  /** Entities read at a time and held in memory; 1 to 10,000. Default 500. */
  readonly batchSize?: number;
}

/** One page of entities. */
export interface Page<Entity> {
  readonly items: Entity[];
  /** Give it as `after` for the next page; absent on the last one. Opaque, but not secret: it holds the fields of the order. */
  readonly next?: string;
}

/**
 * A collection of entities. The domain owns the interface, and names what it needs beyond this:
 * `interface ArticleRepository extends Repository<Article, string> { findBySlug(slug: string): Promise<Article | undefined> }`.
 *
 * Entities go in and come out as copies: changing one changes nothing stored. A field that is `undefined` is the same as an
 * absent one and comes back absent. Where a version field is declared, the repository counts it: see
 * {@link Repository.save}.
 *
 * Every call rejects with an InfrastructureError; the codes beside those of every component stand at each method.
 */
export interface Repository<Entity, Id extends EntityId = string> {
  /** The entity with this id. Calls of one tick outside of transactions are answered by one query. */
  findById(id: Id, options?: CallOptions): Promise<Entity | undefined>;
  /** The entities with these ids, each at the place of its id; `undefined` where there is none. */
  findByIds(ids: readonly Id[], options?: CallOptions): Promise<(Entity | undefined)[]>;
  /** The entity with this id. Throws `not-found` when there is none. */
  getById(id: Id, options?: CallOptions): Promise<Entity>;
  /** All that meet the criteria, in order. */
  find(criteria?: Criteria<Entity>, options?: FindOptions<Entity>): Promise<Entity[]>;
  /** The first that meets the criteria. */
  findOne(
    criteria: Criteria<Entity>,
    options?: FindOneOptions<Entity>,
  ): Promise<Entity | undefined>;
  /** How many meet the criteria. */
  count(criteria?: Criteria<Entity>, options?: CallOptions): Promise<number>;
  /** Whether any meets the criteria. */
  exists(criteria?: Criteria<Entity>, options?: CallOptions): Promise<boolean>;
  /**
   * One page of those that meet the criteria. The next one goes on behind the last entity of this one, wherever that is by
   * then: what is inserted or deleted in between never makes another entity appear twice or be left out. Throws
   * `invalid-argument` for a cursor that is damaged or was made with another order.
   */
  page(criteria?: Criteria<Entity>, options?: PageOptions<Entity>): Promise<Page<Entity>>;
  /** All that meet the criteria, read page by page: bounded in memory, and not one moment's snapshot. */
  stream(
    criteria?: Criteria<Entity>,
    options?: StreamOptions<Entity>,
  ): AsyncIterableIterator<Entity>;
  /** Adds an entity, as version 1, and gives it as stored. Throws `already-exists` when its id, or another unique field, is taken. */
  insert(entity: Entity, options?: CallOptions): Promise<Entity>;
  /** Adds all of these or, when it throws, none. */
  insertMany(entities: readonly Entity[], options?: CallOptions): Promise<Entity[]>;
  /**
   * Adds the entity or replaces the one with its id, and gives it as stored.
   *
   * With a version field: an entity of version 0 is new (`already-exists` when it is not); any other must still have that
   * version in the repository, else `aborted`: somebody changed or deleted it, so read it again and repeat the change.
   */
  save(entity: Entity, options?: CallOptions): Promise<Entity>;
  /** Replaces the entity with this id and gives it as stored. Throws `not-found` when there is none, `aborted` as {@link Repository.save}. */
  update(entity: Entity, options?: CallOptions): Promise<Entity>;
  /** Removes the entity. Gives whether there was one. */
  delete(id: Id, options?: CallOptions): Promise<boolean>;
  /**
   * Removes those that meet the criteria and gives their number. Criteria that mean everything are refused with
   * `invalid-argument`, since they are so often a mistake: `'all'` says it.
   */
  deleteWhere(criteria: Criteria<Entity> | 'all', options?: CallOptions): Promise<number>;
}
