import {
  type CallOptions,
  Component,
  type ComponentOptions,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  type OperationAttributes,
  requireCapability,
} from '../core/index.ts';
import { BatchLoader } from './batch-loader.ts';
import {
  equals,
  everything,
  type Order,
  parseCriteria,
  parseOrder,
  type Shape,
} from './condition.ts';
import type { Criteria, EntityId, FieldOf, IdFieldOf, VersionFieldOf } from './criteria.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { RepositoryDriver, Row } from './driver.ts';
import type {
  FindOneOptions,
  FindOptions,
  Page,
  PageOptions,
  Repository,
  StreamOptions,
} from './repository.ts';
import { checkedRow, checkValue, copyRow, copyValue } from './row.ts';

/** An entity's data: its properties, without methods. */
export type EntityData<Entity> = Pick<Entity, FieldOf<Entity>>;

/** Options of every repository. */
export interface RepositoryOptions<
  Entity,
  IdField extends IdFieldOf<Entity>,
> extends ComponentOptions {
  /** The field that holds the id. Default `id`. */
  readonly id?: IdField;
  /** The field that counts versions, for optimistic locking. Default: none. */
  readonly version?: VersionFieldOf<Entity>;
  /** The data of an entity to store. Default: its own enumerable properties. */
  readonly toRow?: (entity: Entity) => EntityData<Entity>;
  /** Builds an entity of stored data, for entities that are more than data. Default: the data itself. */
  readonly toEntity?: (row: EntityData<Entity>) => Entity;
}

type AnyFunction = (...args: never[]) => unknown;

const largestPage = 10_000;

/**
 * The {@link Repository} that users hold: checks what it is given, counts versions, pages, batches, and leaves the storing to
 * its driver.
 */
export class EntityRepository<
  Entity,
  Id extends EntityId = string,
  AnyDriver extends RepositoryDriver = RepositoryDriver,
>
  extends Component<AnyDriver>
  implements Repository<Entity, Id>
{
  readonly #idField: string;
  readonly #versionField: string | undefined;
  readonly #toRow: (entity: Entity) => object;
  readonly #toEntity: (row: Row) => Entity;
  readonly #loader: BatchLoader;

  constructor(driver: AnyDriver, options: RepositoryOptions<Entity, IdFieldOf<Entity>> = {}) {
    super('repositories', driver, options);
    const { id = 'id', version, toRow, toEntity } = options;
    this.#idField = id;
    this.#versionField = version;
    if (version !== undefined)
      requireCapability(driver.capabilities, 'versions', {
        component: 'repositories',
        adapter: driver.adapter,
      });
    this.#toRow = toRow ?? ((entity) => entity as object);
    // The row holds what the entity was stored as; the cast restores the type that this lost.
    this.#toEntity = (toEntity as ((row: Row) => Entity) | undefined) ?? ((row) => row as Entity);
    this.#loader = new BatchLoader(this.#idField, (ids, signal) =>
      this.driver.findByIds(ids, signal),
    );
  }

  /**
   * Adds methods of the domain's own interface to this repository, and gives it back.
   *
   * @example
   * const articles: ArticleRepository = memoryRepository<Article>().extend((articles) => ({
   *   findBySlug: (slug: string) => articles.findOne({ slug }),
   * }));
   */
  extend<Methods extends Record<string, AnyFunction>>(
    define: (repository: Repository<Entity, Id>) => Methods,
  ): this & Methods {
    const methods = define(this);
    for (const name of Object.keys(methods)) {
      if (name in this)
        throw invalidArgument(
          this.#origin('extend'),
          `a repository already has "${name}": give the method another name`,
        );
    }
    return Object.assign(this, methods);
  }

  async findById(id: Id, options: CallOptions = {}): Promise<Entity | undefined> {
    return await this.run(
      'findById',
      this.#attributes(),
      { ...options, repeatable: true },
      async (signal) => {
        const row = await this.#findRow(this.#checkId(id, 'findById'), signal);
        return row && this.#toEntity(row);
      },
    );
  }

  async getById(id: Id, options: CallOptions = {}): Promise<Entity> {
    return await this.run(
      'getById',
      this.#attributes(),
      { ...options, repeatable: true },
      async (signal) => {
        const row = await this.#findRow(this.#checkId(id, 'getById'), signal);
        if (row === undefined) throw this.#notFound(id, 'getById');
        return this.#toEntity(row);
      },
    );
  }

  async findByIds(ids: readonly Id[], options: CallOptions = {}): Promise<(Entity | undefined)[]> {
    const attributes = this.#attributes({ ids: ids.length });
    return await this.run(
      'findByIds',
      attributes,
      { ...options, repeatable: true },
      async (signal) => {
        const unique = new Set(ids.map((id) => this.#checkId(id, 'findByIds')));
        const rows = unique.size === 0 ? [] : await this.driver.findByIds([...unique], signal);
        const rowsById = new Map(rows.map((row) => [row[this.#idField], row]));
        attributes['rows'] = rows.length;
        return ids.map((id) => {
          const row = rowsById.get(id);
          // A copy, since an id may have been asked for twice.
          return row && this.#toEntity(unique.size === ids.length ? row : copyRow(row));
        });
      },
    );
  }

  async find(
    criteria: Criteria<Entity> = {},
    options: FindOptions<Entity> = {},
  ): Promise<Entity[]> {
    const attributes = this.#attributes();
    return await this.run(
      'find',
      attributes,
      { signal: options.signal, repeatable: true },
      async (signal) => {
        const shape = this.#shape('find');
        const where = parseCriteria(criteria, shape);
        const orderBy = parseOrder(options.orderBy, shape);
        const limit =
          options.limit === undefined
            ? undefined
            : this.#checkLimit(options.limit, {
                name: 'limit',
                operation: 'find',
                most: Number.MAX_SAFE_INTEGER,
              });
        const rows = await this.driver.find({ where, orderBy, after: undefined, limit }, signal);
        attributes['rows'] = rows.length;
        return rows.map((row) => this.#toEntity(row));
      },
    );
  }

  async findOne(
    criteria: Criteria<Entity>,
    options: FindOneOptions<Entity> = {},
  ): Promise<Entity | undefined> {
    return await this.run(
      'findOne',
      this.#attributes(),
      { signal: options.signal, repeatable: true },
      async (signal) => {
        const shape = this.#shape('findOne');
        const orderBy = parseOrder(options.orderBy, shape);
        const [row] = await this.driver.find(
          { where: parseCriteria(criteria, shape), orderBy, after: undefined, limit: 1 },
          signal,
        );
        return row && this.#toEntity(row);
      },
    );
  }

  async count(criteria: Criteria<Entity> = {}, options: CallOptions = {}): Promise<number> {
    return await this.run(
      'count',
      this.#attributes(),
      { ...options, repeatable: true },
      async (signal) => this.driver.count(parseCriteria(criteria, this.#shape('count')), signal),
    );
  }

  async exists(criteria: Criteria<Entity> = {}, options: CallOptions = {}): Promise<boolean> {
    return await this.run(
      'exists',
      this.#attributes(),
      { ...options, repeatable: true },
      async (signal) => {
        const where = parseCriteria(criteria, this.#shape('exists'));
        const query = { where, orderBy: [], after: undefined, limit: 1 };
        return (await this.driver.find(query, signal)).length > 0;
      },
    );
  }

  async page(
    criteria: Criteria<Entity> = {},
    options: PageOptions<Entity> = {},
  ): Promise<Page<Entity>> {
    const attributes = this.#attributes();
    return await this.run(
      'page',
      attributes,
      { signal: options.signal, repeatable: true },
      async (signal) => {
        const shape = this.#shape('page');
        const where = parseCriteria(criteria, shape);
        const orderBy = parseOrder(options.orderBy, shape);
        const limit = this.#checkLimit(options.limit ?? 50, {
          name: 'limit',
          operation: 'page',
          most: largestPage,
        });
        const after =
          options.after === undefined ? undefined : decodeCursor(options.after, orderBy, shape);
        const rows = await this.driver.find({ where, orderBy, after, limit: limit + 1 }, signal);
        const onPage = rows.slice(0, limit);
        const last = onPage.at(-1);
        attributes['rows'] = onPage.length;
        // Before the rows are given away: an entity may be its row.
        const next =
          rows.length > limit && last !== undefined
            ? encodeCursor(orderBy, placeOf(last, orderBy))
            : undefined;
        const items = onPage.map((row) => this.#toEntity(row));
        return next === undefined ? { items } : { items, next };
      },
    );
  }

  async *stream(
    criteria: Criteria<Entity> = {},
    options: StreamOptions<Entity> = {},
  ): AsyncIterableIterator<Entity> {
    const shape = this.#shape('stream');
    const orderBy = parseOrder(options.orderBy, shape);
    const limit = this.#checkLimit(options.batchSize ?? 500, {
      name: 'batchSize',
      operation: 'stream',
      most: largestPage,
    });
    const where = parseCriteria(criteria, shape);
    let after: readonly unknown[] | undefined;
    for (;;) {
      // One event for each batch: a consumer may take what is in one over hours.
      const attributes = this.#attributes();
      const rows = await this.run(
        'stream',
        attributes,
        { signal: options.signal, repeatable: true },
        async (signal) => {
          const batch = await this.driver.find({ where, orderBy, after, limit }, signal);
          attributes['rows'] = batch.length;
          return batch;
        },
      );
      const last = rows.at(-1);
      // Before the rows are given away: an entity may be its row.
      if (last !== undefined) after = placeOf(last, orderBy);
      for (const row of rows) yield this.#toEntity(row);
      if (rows.length < limit) return;
    }
  }

  async insert(entity: Entity, options: CallOptions = {}): Promise<Entity> {
    return await this.run('insert', this.#attributes(), options, async (signal) => {
      const row = this.#newRow(entity, 'insert');
      const stored = copyRow(row);
      await this.driver.insert([row], signal);
      return this.#toEntity(stored);
    });
  }

  async insertMany(entities: readonly Entity[], options: CallOptions = {}): Promise<Entity[]> {
    return await this.run(
      'insertMany',
      this.#attributes({ rows: entities.length }),
      options,
      async (signal) => {
        const rows = entities.map((entity) => this.#newRow(entity, 'insertMany'));
        const stored = rows.map((row) => copyRow(row));
        if (rows.length > 0) await this.driver.insert(rows, signal);
        return stored.map((row) => this.#toEntity(row));
      },
    );
  }

  async save(entity: Entity, options: CallOptions = {}): Promise<Entity> {
    return await this.run(
      'save',
      this.#attributes(),
      { ...options, repeatable: this.#versionField === undefined },
      async (signal) => {
        const row = this.#rowOf(entity, 'save');
        if (this.#versionField === undefined) {
          const stored = copyRow(row);
          await this.driver.upsert(row, signal);
          return this.#toEntity(stored);
        }
        if (row[this.#versionField] !== 0) return await this.#replace(row, 'save', signal);
        row[this.#versionField] = 1;
        const stored = copyRow(row);
        await this.driver.insert([row], signal);
        return this.#toEntity(stored);
      },
    );
  }

  async update(entity: Entity, options: CallOptions = {}): Promise<Entity> {
    return await this.run(
      'update',
      this.#attributes(),
      { ...options, repeatable: this.#versionField === undefined },
      async (signal) => this.#replace(this.#rowOf(entity, 'update'), 'update', signal),
    );
  }

  async delete(id: Id, options: CallOptions = {}): Promise<boolean> {
    return await this.run('delete', this.#attributes(), options, async (signal) => {
      return (
        (await this.driver.delete(equals(this.#idField, this.#checkId(id, 'delete')), signal)) > 0
      );
    });
  }

  async deleteWhere(
    criteria: Criteria<Entity> | 'all',
    options: CallOptions = {},
  ): Promise<number> {
    const attributes = this.#attributes();
    return await this.run('deleteWhere', attributes, options, async (signal) => {
      const where =
        criteria === 'all' ? everything : parseCriteria(criteria, this.#shape('deleteWhere'));
      if (criteria !== 'all' && where.kind === 'all' && where.of.length === 0) {
        throw invalidArgument(
          this.#origin('deleteWhere'),
          "deleteWhere: these criteria mean every entity: say 'all' if you do",
        );
      }
      const deleted = await this.driver.delete(where, signal);
      attributes['rows'] = deleted;
      return deleted;
    });
  }

  async #findRow(id: Id, signal: AbortSignal | undefined): Promise<Row | undefined> {
    if (this.driver.inTransaction) return (await this.driver.findByIds([id], signal))[0];
    return await this.#loader.load(id, signal);
  }

  async #replace(row: Row, operation: string, signal: AbortSignal | undefined): Promise<Entity> {
    const id = row[this.#idField] as Id;
    let condition = everything;
    if (this.#versionField !== undefined) {
      const version = row[this.#versionField] as number;
      condition = equals(this.#versionField, version);
      row[this.#versionField] = version + 1;
    }
    const stored = copyRow(row);
    if (await this.driver.replace(row, condition, signal)) return this.#toEntity(stored);
    if (operation === 'update' && (await this.driver.findByIds([id], signal)).length === 0)
      throw this.#notFound(id, operation);
    throw new InfrastructureError({
      code: 'aborted',
      ...this.#origin(operation),
      message: `${this.driver.collection}: somebody has changed or deleted the entity with id ${JSON.stringify(String(id))} since it was read: read it again and repeat the change`,
      // The same entity never has the right version again.
      retryable: false,
      details: { id },
    });
  }

  #newRow(entity: Entity, operation: string): Row {
    const row = this.#rowOf(entity, operation);
    if (this.#versionField !== undefined) row[this.#versionField] = 1;
    return row;
  }

  #rowOf(entity: Entity, operation: string): Row {
    const origin = this.#origin(operation);
    const { collection, fields } = this.driver;
    if (typeof entity !== 'object' || entity === null)
      throw invalidArgument(origin, `${collection}: an entity must be an object`);
    const row = checkedRow(this.#toRow(entity), { origin, collection });
    if (fields !== undefined) {
      for (const field of Object.keys(row)) {
        if (!fields.has(field))
          throw invalidArgument(
            origin,
            `${collection}: "${field}" has no column and would be lost: declare one`,
          );
      }
    }
    this.#checkId(row[this.#idField] as Id, operation);
    const version = this.#versionField === undefined ? 0 : row[this.#versionField];
    if (!Number.isSafeInteger(version) || (version as number) < 0) {
      throw invalidArgument(
        origin,
        `${collection}: "${this.#versionField ?? ''}" must be a whole number, 0 for a new entity`,
      );
    }
    return row;
  }

  #checkId(id: Id, operation: string): Id {
    const origin = this.#origin(operation);
    if (typeof id !== 'string' && typeof id !== 'number' && typeof id !== 'bigint') {
      throw invalidArgument(
        origin,
        `${this.driver.collection}: "${this.#idField}" must be text, a number or a bigint: give every entity an id`,
      );
    }
    checkValue(this.#idField, id, { origin, collection: this.driver.collection });
    return id;
  }

  #checkLimit(
    value: number,
    {
      name,
      operation,
      most,
    }: { readonly name: string; readonly operation: string; readonly most: number },
  ): number {
    if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
    throw invalidArgument(
      this.#origin(operation),
      `${name} must be a whole number from 1 to ${most}`,
    );
  }

  #notFound(id: Id, operation: string): InfrastructureError {
    return new InfrastructureError({
      code: 'not-found',
      ...this.#origin(operation),
      message: `${this.driver.collection}: there is no entity with id ${JSON.stringify(String(id))}`,
      details: { id },
    });
  }

  #attributes(more: OperationAttributes = {}): OperationAttributes {
    more['collection'] = this.driver.collection;
    return more;
  }

  #shape(operation: string): Shape {
    const { collection, fields } = this.driver;
    const { capabilities } = this.driver;
    return {
      origin: this.#origin(operation),
      collection,
      idField: this.#idField,
      fields,
      capabilities,
    };
  }

  #origin(operation: string): ErrorOrigin {
    return { component: this.component, adapter: this.adapter, operation };
  }
}

function placeOf(row: Row, order: readonly Order[]): readonly unknown[] {
  return order.map(({ field }) => copyValue(row[field] ?? null));
}
