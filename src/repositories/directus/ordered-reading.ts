import { type ErrorOrigin, InfrastructureError } from '../../core/index.ts';
import type { Order } from '../condition.ts';
import type { Row } from '../driver.ts';
import { compareRows } from '../evaluate.ts';
import type { MappedColumn } from '../columns.ts';
import { and, type DirectusFilter, type FilterTarget, translate } from './filter.ts';

/** A part of the items that a filter lets through, in an order. */
export interface Slice {
  readonly filter: DirectusFilter | boolean;
  readonly orderBy: readonly Order[];
  readonly offset: number;
  readonly limit: number;
}

/** Where slices come from. */
export interface OrderedSource {
  readonly read: (slice: Slice) => Promise<readonly Row[]>;
  readonly target: FilterTarget;
  /** The most rows of one slice. */
  readonly mostAtOnce: number;
}

/** What is read in order. The order is not empty, and ends with the id. */
export interface OrderedQuery {
  readonly filter: DirectusFilter | boolean;
  readonly orderBy: readonly Order[];
  readonly after: readonly unknown[] | undefined;
  readonly limit: number;
}

/** Read beside what is asked for, to get past the row of the place and some that equal it in the first field. */
const rowsAroundPlace = 16;
/** How often the place is looked for anew, when others insert and delete before it at that moment. */
const searches = 5;

/**
 * The first rows of an order, or the first behind a place. Where nulls stand is up to the database behind Directus, so those of the first
 * field are read apart.
 */
export async function readOrdered(source: OrderedSource, query: OrderedQuery): Promise<Row[]> {
  const { filter, orderBy, after, limit } = query;
  const [first, ...rest] = orderBy;
  const column = first && columnOf(source, first);
  if (column === undefined || column.whenNull === 'refused')
    return await readPresent(source, query);
  const nulls = {
    isNull: true,
    filter: and([filter, { [column.name]: { _null: true } }]),
    orderBy: rest,
  };
  const present = {
    isNull: false,
    filter: and([filter, { [column.name]: { _nnull: true } }]),
    orderBy,
  };
  const parts = first?.direction === 'asc' ? [nulls, present] : [present, nulls];
  const rows: Row[] = [];
  let isReached = after === undefined;
  for (const part of parts) {
    const isPlace = after !== undefined && part.isNull === (after[0] === null);
    isReached ||= isPlace;
    if (!isReached || rows.length >= limit) continue;
    const place = isPlace ? after.slice(part.isNull ? 1 : 0) : undefined;
    const remaining = { ...part, after: place, limit: limit - rows.length };
    const found = part.isNull
      ? await readOrdered(source, remaining)
      : await readPresent(source, remaining);
    for (const row of found) rows.push(row);
  }
  return rows;
}

/** Reads batch by batch, each behind the last row of the one before, since a server may give less at once than is asked for. */
async function readPresent(source: OrderedSource, query: OrderedQuery): Promise<Row[]> {
  const rows: Row[] = [];
  for (let { after } = query; ;) {
    const limit = Math.min(query.limit - rows.length, source.mostAtOnce);
    const batch = await readBatch(source, { ...query, after, limit });
    for (const row of batch.rows.slice(0, limit)) rows.push(row);
    const last = rows.at(-1);
    if (batch.isLast || rows.length >= query.limit || last === undefined) return rows;
    after = query.orderBy.map(({ field }) => last[field] ?? null);
  }
}

interface Batch {
  readonly rows: readonly Row[];
  /** Whether there is nothing behind them. */
  readonly isLast: boolean;
}

/** At least one row behind the place, unless there is none. */
async function readBatch(source: OrderedSource, query: OrderedQuery): Promise<Batch> {
  const { filter, orderBy, after } = query;
  if (after === undefined) {
    const rows = await readSlice(source, { ...query, offset: 0 });
    return { rows, isLast: rows.length < query.limit };
  }
  const limit = Math.min(query.limit + rowsAroundPlace, source.mostAtOnce);
  const slice = { filter: and([filter, boundOf(source, orderBy, after)]), orderBy, limit };
  const place = Object.fromEntries(orderBy.map(({ field }, index) => [field, after[index]]));
  const compare = compareRows(orderBy);
  const isBehind = (row: Row | undefined): boolean => row === undefined || compare(row, place) > 0;
  let offset = 0;
  for (let search = 0; search < searches; search += 1) {
    const rows = await readSlice(source, { ...slice, offset });
    // Whoever deleted before the place has moved what is behind it.
    const isOvershot = offset > 0 && isBehind(rows[0]);
    const behind = rows.filter((row) => isBehind(row));
    if (!isOvershot && (behind.length > 0 || rows.length < limit))
      return { rows: behind, isLast: rows.length < limit };
    offset = await lastBefore(isOvershot ? 0 : offset + rows.length - 1, async (index) =>
      isBehind((await readSlice(source, { ...slice, offset: index, limit: 1 }))[0]),
    );
  }
  throw new InfrastructureError({
    code: 'aborted',
    ...source.target.origin,
    message: 'the place of the page moved while it was looked for: read it again',
  });
}

/** The last index that is not behind, from one on that is not. Text has no `_gt` in Directus: this takes its place. */
async function lastBefore(
  from: number,
  isBehind: (index: number) => Promise<boolean>,
): Promise<number> {
  let low = from;
  let step = rowsAroundPlace;
  while (!(await isBehind(low + step))) {
    low += step;
    step *= 2;
  }
  let high = low + step;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await isBehind(middle)) high = middle;
    else low = middle;
  }
  return low;
}

/** What the first field of whatever is behind the place must be, as far as Directus can be asked for it. */
function boundOf(
  { target }: OrderedSource,
  [first]: readonly Order[],
  [value]: readonly unknown[],
): DirectusFilter | boolean {
  const column = first && target.columnsByField.get(first.field);
  if (column === undefined || !['integer', 'real', 'date'].includes(column.kind)) return true;
  const by = first?.direction === 'asc' ? 'gte' : 'lte';
  return translate({ kind: 'compare', field: column.field, by, value }, target);
}

async function readSlice(source: OrderedSource, slice: Slice): Promise<readonly Row[]> {
  const rows = await source.read(slice);
  const compare = compareRows(slice.orderBy);
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1];
    if (before !== undefined && compare(before, row) >= 0)
      throw otherRules(source.target.origin, slice);
  }
  return rows;
}

function otherRules(origin: ErrorOrigin, { orderBy }: Slice): InfrastructureError {
  const fields = orderBy.map(({ field }) => `"${field}"`).join(', ');
  return new InfrastructureError({
    code: 'failed-precondition',
    ...origin,
    message: `the database behind Directus sorts ${fields} by rules of its own, such as those of a language: give text columns a binary collation, sort by other fields, or read without a limit`,
    retryable: false,
  });
}

function columnOf({ target }: OrderedSource, { field }: Order): MappedColumn | undefined {
  return target.columnsByField.get(field);
}
