import { type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely';

import { type Classify, InfrastructureError } from '../../core/index.ts';
import type { Database, PreparedQuery, SqlExpressions } from '../../database/index.ts';
import { ColumnCodec, type MappedColumn } from '../columns.ts';
import { afterPlace, all, type Condition } from '../condition.ts';
import type { DriverFind, RepositoryDriver, Row } from '../driver.ts';
import {
  type AnySchema,
  columnOf,
  sortable,
  translate,
  type TranslationTarget,
} from './translate.ts';
import { sqlValues } from './values.ts';

type Stored = Record<string, unknown>;

/** What the driver is made of. */
export interface SqlRepositoryDriverOptions {
  readonly database: Database<AnySchema>;
  readonly table: string;
  readonly columns: readonly MappedColumn[];
  readonly id: MappedColumn;
}

/** Rows in a table. The database has wrapped and classified its own errors, so this has none to add. */
export class SqlRepositoryDriver implements RepositoryDriver {
  readonly adapter = 'sql';
  readonly capabilities = {
    transactions: true,
    versions: true,
    textComparisons: true,
    bigintOrder: true,
  } as const;
  readonly collection: string;
  readonly fields: ReadonlySet<string>;
  /** The database, which stays its creator's. */
  readonly native: Database<AnySchema>;
  readonly classify: Classify = () => undefined;
  readonly #columns: readonly MappedColumn[];
  readonly #names: readonly string[];
  readonly #expressions: SqlExpressions;
  readonly #id: MappedColumn;
  readonly #target: TranslationTarget;
  readonly #codec: ColumnCodec;
  // Built once: what a repository does most is the same statement each time.
  readonly #selectOne: PreparedQuery<{ id: unknown }, Stored>;
  readonly #selectMany: PreparedQuery<{ ids: unknown }, Stored>;
  readonly #insert: PreparedQuery<Stored, unknown>;
  readonly #upsert: PreparedQuery<Stored, unknown>;

  constructor({ database, table, columns, id }: SqlRepositoryDriverOptions) {
    this.native = database;
    this.collection = table;
    this.fields = new Set(columns.map(({ field }) => field));
    this.#columns = columns;
    this.#names = columns.map(({ name }) => name);
    this.#id = id;
    this.#expressions = database.dialect.expressions;
    const origin = { component: 'repositories', adapter: this.adapter };
    this.#codec = new ColumnCodec(columns, sqlValues(this.#expressions), origin);
    this.#target = {
      expressions: this.#expressions,
      columnsByField: new Map(columns.map((column) => [column.field, column])),
      codec: this.#codec,
    };
    this.#selectOne = database.prepare<{ id: unknown }, Stored>((query, parameter) =>
      this.#select(query).where(id.name, '=', parameter('id')),
    );
    // One statement for any number of ids, where a list of parameters would be another for each length.
    this.#selectMany = database.prepare<{ ids: unknown }, Stored>((query, parameter) =>
      this.#select(query).where(
        this.#expressions.isOneOf(
          sql.ref(id.name),
          parameter('ids'),
          id.kind === 'text' ? 'text' : 'integer',
        ),
      ),
    );
    this.#insert = database.prepare<Stored, unknown>((query, parameter) =>
      query
        .insertInto(table)
        .values(Object.fromEntries(this.#names.map((name) => [name, parameter(name)]))),
    );
    this.#upsert = database.prepare<Stored, unknown>((query, parameter) =>
      query
        .insertInto(table)
        .values(Object.fromEntries(this.#names.map((name) => [name, parameter(name)])))
        .onConflict((conflict) =>
          conflict
            .column(id.name)
            .doUpdateSet((builder) =>
              Object.fromEntries(
                this.#names.map((name) => [name, builder.ref(`excluded.${name}`)]),
              ),
            ),
        ),
    );
  }

  get inTransaction(): boolean {
    return this.native.inTransaction;
  }

  async findByIds(ids: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]> {
    const encoded = ids.map((id) => this.#codec.encodeValue(this.#id, id));
    const stored =
      encoded.length === 1
        ? await this.#selectOne.execute({ id: encoded[0] }, { signal })
        : await this.#selectMany.execute({ ids: this.#expressions.list(encoded) }, { signal });
    return this.#decode(stored);
  }

  async find(
    { where, orderBy, after, limit }: DriverFind,
    signal?: AbortSignal,
  ): Promise<readonly Row[]> {
    const condition = after === undefined ? where : all([where, afterPlace(orderBy, after)]);
    let query = this.#select(this.native.query).where(translate(condition, this.#target));
    for (const { field, direction } of orderBy) {
      query = query.orderBy(this.#ordering(field), (order) => {
        const directed = direction === 'asc' ? order.asc() : order.desc();
        if (!this.#mustPlaceNulls(field)) return directed;
        return direction === 'asc' ? directed.nullsFirst() : directed.nullsLast();
      });
    }
    if (limit !== undefined) query = query.limit(limit);
    return this.#decode(await query.execute({ signal }));
  }

  async count(where: Condition, signal?: AbortSignal): Promise<number> {
    const query = this.native.query
      .selectFrom(this.collection)
      .select(({ fn }) => fn.countAll<number | bigint>().as('count'))
      .where(translate(where, this.#target));
    return Number((await query.executeTakeFirstOrThrow({ signal })).count);
  }

  async insert(rows: readonly Row[], signal?: AbortSignal): Promise<void> {
    const [first, ...others] = rows.map((row) => this.#codec.encodeRow(row));
    if (first === undefined) return;
    if (others.length === 0)
      await this.#write(async () => await this.#insert.execute(first, { signal }), signal);
    // Inside of a transaction this is a savepoint: the statements before one that fails are undone with it.
    else
      await this.native.transaction(
        async () => await this.#insert.executeMany([first, ...others], { signal }),
        { signal },
      );
  }

  async upsert(row: Row, signal?: AbortSignal): Promise<void> {
    const encoded = this.#codec.encodeRow(row);
    if (this.#expressions.onConflict)
      await this.#write(async () => await this.#upsert.execute(encoded, { signal }), signal);
    else await this.#updateOrInsert(encoded, signal);
  }

  /**
   * Where the engine would update whichever row has any of the unique values, and not the one with this id alone. Each statement takes
   * effect by itself; whoever inserted the row between the two is overtaken by a second update.
   */
  async #updateOrInsert(encoded: Stored, signal: AbortSignal | undefined): Promise<void> {
    const update = this.native.query
      .updateTable(this.collection)
      .set(encoded)
      .where(this.#id.name, '=', encoded[this.#id.name]);
    const isUpdated = async (): Promise<boolean> =>
      (await this.#write(async () => await update.executeTakeFirst({ signal }), signal))
        .numUpdatedRows > 0n;
    if (await isUpdated()) return;
    try {
      await this.#write(async () => await this.#insert.execute(encoded, { signal }), signal);
    } catch (error) {
      if (!InfrastructureError.is(error, 'already-exists') || !(await isUpdated())) throw error;
    }
  }

  async replace(row: Row, condition: Condition, signal?: AbortSignal): Promise<boolean> {
    const encoded = this.#codec.encodeRow(row);
    const query = this.native.query
      .updateTable(this.collection)
      .set(encoded)
      .where(this.#id.name, '=', encoded[this.#id.name])
      .where(translate(condition, this.#target));
    const result = await this.#write(async () => await query.executeTakeFirst({ signal }), signal);
    return result.numUpdatedRows > 0n;
  }

  async delete(where: Condition, signal?: AbortSignal): Promise<number> {
    const query = this.native.query
      .deleteFrom(this.collection)
      .where(translate(where, this.#target));
    const result = await this.#write(async () => await query.executeTakeFirst({ signal }), signal);
    return Number(result.numDeletedRows);
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#select(this.native.query).limit(1).execute({ signal });
  }

  async close(): Promise<void> {}

  #select(query: Kysely<AnySchema>): SelectQueryBuilder<AnySchema, string, Stored> {
    const columns = this.#columns.map(({ name, kind }) =>
      kind === 'json' ? sql`${this.#expressions.jsonText(sql.ref(name))}`.as(name) : name,
    );
    return query.selectFrom(this.collection).select(columns);
  }

  #ordering(field: string): Expression<unknown> {
    return sortable(this.#column(field), this.#expressions);
  }

  /** Nulls are the smallest. Where a column has none, to say so would only keep an index from being used. */
  #mustPlaceNulls(field: string): boolean {
    return !this.#expressions.nullsFirst && this.#column(field).whenNull !== 'refused';
  }

  #column(field: string): MappedColumn {
    return columnOf(field, this.#target);
  }

  /** Inside of a transaction a write that fails leaves the rest of it usable. */
  async #write<Result>(
    fn: () => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    if (this.native.capabilities.statementRollback || !this.inTransaction) return await fn();
    return await this.native.transaction(fn, { signal });
  }

  #decode(stored: readonly Stored[]): readonly Row[] {
    return stored.map((row) => this.#codec.decodeRow(row));
  }
}
