import type { Classify } from '../core/index.ts';
import { afterPlace, all, type Condition } from './condition.ts';
import type { FieldOf, IdFieldOf, EntityId } from './criteria.ts';
import type { DriverFind, RepositoryDriver, Row } from './driver.ts';
import { EntityRepository, type RepositoryOptions } from './entity-repository.ts';
import { compareRows, evaluate } from './evaluate.ts';
import { copyRow } from './row.ts';

/** Options of {@link memoryRepository}. */
export interface MemoryRepositoryOptions<
  Entity,
  IdField extends IdFieldOf<Entity>,
> extends RepositoryOptions<Entity, IdField> {
  /** Names the collection in messages and events. Default `entities`. */
  readonly name?: string;
  /** Fields, or groups of them, that no two entities have the same of; nulls are never the same. Default: only the id. */
  readonly unique?: readonly (FieldOf<Entity> | readonly FieldOf<Entity>[])[];
}

/** What {@link memoryRepository} gives. */
export type MemoryRepository<Entity, Id extends EntityId = string> = EntityRepository<
  Entity,
  Id,
  MemoryRepositoryDriver
>;

/**
 * A repository in the memory of this process, with the semantics of the SQL one: copies, unique fields, order, nulls. Every
 * call is all or nothing by itself, but takes no part in transactions; for code that needs those, use
 * `sqlRepository` on `sqliteDatabase({ file: ':memory:' })`.
 *
 * @example
 * const articles = memoryRepository<Article>({ unique: ['slug'] });
 */
export function memoryRepository<
  Entity extends object,
  IdField extends IdFieldOf<Entity> = Extract<'id', IdFieldOf<Entity>>,
>(
  options: MemoryRepositoryOptions<Entity, IdField> = {},
): MemoryRepository<Entity, Extract<Entity[IdField], EntityId>> {
  const { id = 'id', name = 'entities', unique = [] } = options;
  const uniqueGroups = unique.map((fields) => (typeof fields === 'string' ? [fields] : fields));
  return new EntityRepository(new MemoryRepositoryDriver(name, id, uniqueGroups), options);
}

class Taken extends Error {
  readonly fields: readonly string[];

  constructor(collection: string, fields: readonly string[]) {
    super(
      `${collection}: there is already an entity with this ${fields.map((field) => `"${field}"`).join(' and ')}`,
    );
    this.fields = fields;
  }
}

/** Rows in a map by their id. */
export class MemoryRepositoryDriver implements RepositoryDriver {
  readonly adapter = 'memory';
  readonly capabilities = {
    transactions: false,
    versions: true,
    textComparisons: true,
    bigintOrder: true,
  } as const;
  readonly collection: string;
  readonly fields: undefined;
  readonly inTransaction = false;
  /** The stored rows by id. */
  readonly native: Map<unknown, Row> = new Map();
  readonly #idField: string;
  /** For each unique group, what its fields hold, and the id of the entity that holds it. */
  readonly #indexes: readonly {
    readonly fields: readonly string[];
    readonly holders: Map<string, unknown>;
  }[];

  constructor(collection: string, idField: string, unique: readonly (readonly string[])[] = []) {
    this.collection = collection;
    this.#idField = idField;
    this.#indexes = unique.map((fields) => ({ fields, holders: new Map() }));
  }

  readonly classify: Classify = (error) =>
    error instanceof Taken
      ? { code: 'already-exists', message: error.message, details: { columns: error.fields } }
      : undefined;

  async findByIds(ids: readonly unknown[]): Promise<readonly Row[]> {
    return ids.flatMap((id) => {
      const row = this.native.get(id);
      return row === undefined ? [] : [copyRow(row)];
    });
  }

  async find({ where, orderBy, after, limit }: DriverFind): Promise<readonly Row[]> {
    const found = this.#matching(after ? all([where, afterPlace(orderBy, after)]) : where);
    if (orderBy.length > 0) found.sort(compareRows(orderBy));
    return found.slice(0, limit).map((row) => copyRow(row));
  }

  async count(where: Condition): Promise<number> {
    return this.#matching(where).length;
  }

  async insert(rows: readonly Row[]): Promise<void> {
    const inserted: Row[] = [];
    try {
      for (const row of rows) {
        if (this.native.has(row[this.#idField])) throw new Taken(this.collection, [this.#idField]);
        this.#put(row);
        inserted.push(row);
      }
    } catch (error) {
      for (const row of inserted) this.#remove(row);
      throw error;
    }
  }

  async upsert(row: Row): Promise<void> {
    this.#put(row);
  }

  async replace(row: Row, condition: Condition): Promise<boolean> {
    const stored = this.native.get(row[this.#idField]);
    if (stored === undefined || !evaluate(condition, stored)) return false;
    this.#put(row);
    return true;
  }

  async delete(where: Condition): Promise<number> {
    const rows = this.#matching(where);
    for (const row of rows) this.#remove(row);
    return rows.length;
  }

  async close(): Promise<void> {
    this.native.clear();
  }

  #matching(where: Condition): Row[] {
    // By id there is one at most, and no need to look at the others.
    if (where.kind === 'compare' && where.by === 'eq' && where.field === this.#idField) {
      const row = this.native.get(where.value);
      return row === undefined ? [] : [row];
    }
    return this.native
      .values()
      .filter((row) => evaluate(where, row))
      .toArray();
  }

  #put(row: Row): void {
    const id = row[this.#idField];
    for (const { fields, holders } of this.#indexes) {
      const key = uniqueKey(row, fields);
      if (key !== undefined && holders.has(key) && holders.get(key) !== id)
        throw new Taken(this.collection, fields);
    }
    const replaced = this.native.get(id);
    if (replaced !== undefined) this.#remove(replaced);
    this.native.set(id, row);
    for (const { fields, holders } of this.#indexes) {
      const key = uniqueKey(row, fields);
      if (key !== undefined) holders.set(key, id);
    }
  }

  #remove(row: Row): void {
    this.native.delete(row[this.#idField]);
    for (const { fields, holders } of this.#indexes) {
      const key = uniqueKey(row, fields);
      if (key !== undefined) holders.delete(key);
    }
  }
}

function uniqueKey(row: Row, fields: readonly string[]): string | undefined {
  const values = fields.map((field) => row[field] ?? null);
  if (values.includes(null)) return undefined;
  return JSON.stringify(values.map((value) => (typeof value === 'bigint' ? `${value}n` : value)));
}
