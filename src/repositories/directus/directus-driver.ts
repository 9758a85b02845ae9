import type { RestCommand } from '@directus/sdk';

import {
  type CallOptions,
  type Classify,
  type ErrorOrigin,
  InfrastructureError,
  requireCapability,
} from '../../core/index.ts';
import { type Condition, equals, everything } from '../condition.ts';
import type { DriverFind, RepositoryDriver, Row } from '../driver.ts';
import { compareRows } from '../evaluate.ts';
import { ColumnCodec, type MappedColumn } from '../columns.ts';
import { type DirectusFilter, type FilterTarget, translate } from './filter.ts';
import { readOrdered, type Slice } from './ordered-reading.ts';
import { directusValues } from './values.ts';

/** What the repository uses of a `DirectusClient`, whatever its schema. */
export interface ItemsClient {
  request<Output>(command: RestCommand<Output, never>, options?: CallOptions): Promise<Output>;
}

/** What the driver is made of. */
export interface DirectusRepositoryDriverOptions {
  readonly client: ItemsClient;
  readonly collection: string;
  readonly columns: readonly MappedColumn[];
  readonly id: MappedColumn;
}

type Item = Readonly<Record<string, unknown>>;

const capabilities = {
  transactions: false,
  // Directus reads and writes in two steps, so of two writers of one version both may win.
  versions: false,
  // Its `_contains` takes % and _ for wildcards, case depends on the database, and text has no `_gt`.
  textComparisons: false,
  // Some databases give numbers of 64 bits rounded; kept as text they have no order.
  bigintOrder: false,
} as const;

/** Ids in one request. Below the least number of parameters that a database takes. */
const idsAtOnce = 1000;

/** How often a deletion is tried, when others delete some of the same at that moment. */
const deletions = 5;

/**
 * Items of a collection. Reads are sent as SEARCH, whose filter stands in the body, for URLs have an end. The client has wrapped
 * and classified its errors, so this has none to add.
 */
export class DirectusRepositoryDriver implements RepositoryDriver {
  readonly adapter = 'directus';
  readonly capabilities: typeof capabilities = capabilities;
  readonly collection: string;
  readonly fields: ReadonlySet<string>;
  readonly inTransaction = false;
  /** The client, which stays its creator's. */
  readonly native: ItemsClient;
  readonly classify: Classify = () => undefined;
  readonly #columns: readonly MappedColumn[];
  readonly #names: readonly string[];
  readonly #id: MappedColumn;
  readonly #target: FilterTarget;
  readonly #codec: ColumnCodec;
  readonly #origin: ErrorOrigin;
  /** The most items that the server gives at once; told by it at the start. */
  #mostAtOnce = Number.POSITIVE_INFINITY;
  readonly #path: string;

  constructor({ client, collection, columns, id }: DirectusRepositoryDriverOptions) {
    this.native = client;
    this.collection = collection;
    this.fields = new Set(columns.map(({ field }) => field));
    this.#columns = columns;
    this.#names = columns.map(({ name }) => name);
    this.#id = id;
    this.#path = `/items/${collection}`;
    this.#origin = { component: 'repositories', adapter: this.adapter };
    this.#codec = new ColumnCodec(columns, directusValues, this.#origin);
    this.#target = {
      columnsByField: new Map(columns.map((column) => [column.field, column])),
      codec: this.#codec,
      origin: this.#origin,
    };
  }

  async start(signal?: AbortSignal): Promise<void> {
    const info = await this.#send<{ readonly queryLimit?: { readonly max?: unknown } } | null>(
      { path: '/server/info', method: 'GET' },
      signal,
    );
    const most = info?.queryLimit?.max;
    if (typeof most === 'number' && most > 0) this.#mostAtOnce = most;
    try {
      await this.#search({ fields: this.#names, limit: 1 }, signal);
    } catch (error) {
      if (!InfrastructureError.is(error, 'permission-denied')) throw error;
      throw new InfrastructureError({
        code: 'permission-denied',
        ...this.#origin,
        operation: 'start',
        outcome: 'not-applied',
        message: `the collection "${this.collection}" cannot be read with the fields ${this.#names.join(', ')}: it or one of them does not exist, or the role lacks the right to read it (Directus does not tell which)`,
        cause: error,
      });
    }
  }

  async findByIds(ids: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]> {
    const rows: Row[] = [];
    const size = Math.min(idsAtOnce, this.#mostAtOnce);
    for (let start = 0; start < ids.length; start += size) {
      const values = ids.slice(start, start + size);
      const filter = translate({ kind: 'in', field: this.#id.field, values }, this.#target);
      for (const row of await this.#items({ filter, limit: size }, this.#columns, signal))
        rows.push(row);
    }
    return rows;
  }

  async find(query: DriverFind, signal?: AbortSignal): Promise<readonly Row[]> {
    for (const { field } of query.orderBy) {
      if (this.#target.columnsByField.get(field)?.kind === 'bigint')
        requireCapability(this.capabilities, 'bigintOrder', this.#origin);
    }
    return await this.#find(query, this.#columns, signal);
  }

  async count(where: Condition, signal?: AbortSignal): Promise<number> {
    const filter = translate(where, this.#target);
    if (filter === false) return 0;
    const [answer] = await this.#search({ aggregate: { count: '*' }, ...asQuery(filter) }, signal);
    // Some databases count in 64 bits, which Directus gives as text.
    return Number(answer?.['count']);
  }

  async insert(rows: readonly Row[], signal?: AbortSignal): Promise<void> {
    // However many they are, they are one transaction of Directus.
    const items = rows.map((row) => this.#codec.encodeRow(row));
    await this.#write('POST', items, signal);
  }

  async upsert(row: Row, signal?: AbortSignal): Promise<void> {
    if (await this.replace(row, everything, signal)) return;
    try {
      await this.insert([row], signal);
    } catch (error) {
      if (!InfrastructureError.is(error, 'already-exists')) throw error;
      // Somebody was faster, unless it is another unique field.
      if (!(await this.replace(row, everything, signal))) throw error;
    }
  }

  async replace(row: Row, condition: Condition, signal?: AbortSignal): Promise<boolean> {
    const { [this.#id.name]: _id, ...data } = this.#codec.encodeRow(row);
    const isMeant = equals(this.#id.field, row[this.#id.field]);
    const filter = translate({ kind: 'all', of: [isMeant, condition] }, this.#target);
    if (filter === false) return false;
    const query = { ...asQuery(filter), limit: 1 };
    const written = await this.#write('PATCH', { query, data }, signal);
    return Array.isArray(written) && written.length > 0;
  }

  async delete(where: Condition, signal?: AbortSignal): Promise<number> {
    let ids = await this.#idsOf(where, signal);
    for (let attempt = 1; ids.length > 0; attempt += 1) {
      try {
        await this.#write('DELETE', ids, signal);
        return ids.length;
      } catch (error) {
        if (!InfrastructureError.is(error, 'permission-denied') || attempt === deletions)
          throw error;
        // So it also refuses all of them when others have deleted one meanwhile, unless the role may do everything.
        const left = await this.#idsOf(where, signal);
        const there = new Set(left);
        if (ids.every((id) => there.has(id))) throw error;
        ids = left;
      }
    }
    return 0;
  }

  /** Directus does not tell how many it deletes, nor which. */
  async #idsOf(where: Condition, signal: AbortSignal | undefined): Promise<readonly unknown[]> {
    const all = { where, orderBy: [], after: undefined, limit: undefined };
    const found = await this.#find(all, [this.#id], signal);
    const ids = found.map((row) => this.#codec.encodeValue(this.#id, row[this.#id.field]));
    if (!ids.includes('')) return ids;
    throw new InfrastructureError({
      code: 'unimplemented',
      ...this.#origin,
      message: `${this.collection}: Directus cannot delete an item whose id is the empty text, so nothing was deleted`,
    });
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#search({ fields: [this.#id.name], limit: 1 }, signal);
  }

  async close(): Promise<void> {}

  async #find(
    { where, orderBy, after, limit }: DriverFind,
    columns: readonly MappedColumn[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Row[]> {
    const filter = translate(where, this.#target);
    if (filter === false) return [];
    const isWhole = limit === undefined && after === undefined;
    // What is read whole is sorted here, where no database has rules of its own.
    if (isWhole && this.#mostAtOnce === Number.POSITIVE_INFINITY)
      return (await this.#items({ filter, limit: -1 }, columns, signal)).toSorted(
        compareRows(orderBy),
      );
    return await readOrdered(
      {
        read: async (slice) => await this.#items(slice, columns, signal),
        target: this.#target,
        mostAtOnce: this.#mostAtOnce,
      },
      {
        filter,
        // Any will do where none is asked for.
        orderBy: orderBy.length > 0 ? orderBy : [{ field: this.#id.field, direction: 'asc' }],
        after,
        limit: limit ?? Number.POSITIVE_INFINITY,
      },
    );
  }

  async #items(
    { filter, orderBy = [], ...range }: Partial<Slice> & Pick<Slice, 'filter'>,
    columns: readonly MappedColumn[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Row[]> {
    const sort = orderBy.map(({ field, direction }) => {
      const name = this.#target.columnsByField.get(field)?.name ?? field;
      return direction === 'desc' ? `-${name}` : name;
    });
    const fields = columns.map(({ name }) => name);
    const query = { fields, ...asQuery(filter), ...(sort.length > 0 && { sort }), ...range };
    const items = await this.#search(query, signal);
    return items.map((item) => this.#codec.decodeRow(item, columns));
  }

  async #search(query: object, signal: AbortSignal | undefined): Promise<readonly Item[]> {
    const body = JSON.stringify({ query });
    return await this.#send<readonly Item[]>({ path: this.#path, method: 'SEARCH', body }, signal);
  }

  async #write(
    method: 'POST' | 'PATCH' | 'DELETE',
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const options = { path: this.#path, method, body: JSON.stringify(body) };
    // What was written is known already.
    const params = method === 'DELETE' ? {} : { fields: [this.#id.name] };
    return await this.#send({ ...options, params }, signal);
  }

  async #send<Output>(
    options: ReturnType<RestCommand<Output, never>>,
    signal: AbortSignal | undefined,
  ): Promise<Output> {
    return await this.native.request<Output>(() => options, { signal });
  }
}

function asQuery(filter: DirectusFilter | boolean): { readonly filter?: DirectusFilter } {
  return typeof filter === 'boolean' ? {} : { filter };
}
