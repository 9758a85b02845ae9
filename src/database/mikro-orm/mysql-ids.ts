import type { EntityDictionary, EntityMetadata, QueryResult } from '@mikro-orm/core';

import { InfrastructureError } from '../../core/index.ts';

/** How {@link insertWithIds} reaches the server: all on one connection. */
export interface IdSource<Entity extends object> {
  /** Inserts rows by one statement. Gives the first id that was generated. */
  insert(rows: EntityDictionary<Entity>[]): Promise<QueryResult<Entity>>;
  /** How far apart the ids of one statement are, which clusters set. */
  step(): Promise<bigint>;
}

/** Whether a row of this entity leaves its id to the server, which numbers it. */
function leavesId<Entity extends object>(
  meta: EntityMetadata<Entity>,
  row: EntityDictionary<Entity>,
): boolean {
  const [key, ...others] = meta.getPrimaryProps();
  return (
    key !== undefined &&
    others.length === 0 &&
    key.autoincrement === true &&
    (row[key.name] ?? undefined) === undefined
  );
}

/**
 * Inserts rows, and says which ids the server made, for which MySQL has no `returning`. It makes those of one statement one after the
 * other, in every `innodb_autoinc_lock_mode`, unless some rows bring their own: then each row is a statement of its own.
 */
export async function insertWithIds<Entity extends object>(
  meta: EntityMetadata<Entity>,
  data: EntityDictionary<Entity>[],
  source: IdSource<Entity>,
): Promise<QueryResult<Entity>> {
  const left = data.filter((row) => leavesId(meta, row)).length;
  if (left > 0 && left < data.length) {
    let all: QueryResult<Entity> | undefined;
    for (const row of data) {
      const one = await insertWithIds(meta, [row], source);
      const rows = [...(all?.rows ?? []), ...(one.rows ?? [])];
      all = { ...(all ?? one), rows, affectedRows: (all?.affectedRows ?? 0) + one.affectedRows };
    }
    if (all !== undefined) return all;
  }
  const result = await source.insert(data);
  const [key] = meta.getPrimaryProps();
  const [field] = key?.fieldNames ?? [];
  if (key === undefined || field === undefined) return result;
  const first = left === 0 ? undefined : firstId(result, meta);
  const step = data.length > 1 && left > 0 ? await source.step() : 1n;
  const rows = data.map((row, index) => ({
    [field]: first === undefined ? row[key.name] : exact(first + BigInt(index) * step),
  }));
  return { ...result, rows, row: rows[0] ?? {} };
}

/** A number where it holds the id, as the database gives those that are read. */
export function exact(id: bigint): number | bigint {
  return Number.isSafeInteger(Number(id)) ? Number(id) : id;
}

function firstId<Entity extends object>(
  { insertId }: QueryResult<Entity>,
  { tableName }: EntityMetadata<Entity>,
): bigint {
  if (typeof insertId === 'number' || typeof insertId === 'bigint') return BigInt(insertId);
  throw new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'mysql',
    outcome: 'unknown',
    message: `the server made no id for a row of "${tableName}": declare its column auto_increment, or the property autoincrement(false)`,
  });
}
