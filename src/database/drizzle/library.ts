import type { Column, SQL, Subquery } from 'drizzle-orm';

import { importPeer } from '../../core/index.ts';

export const drizzle: typeof import('drizzle-orm') = await importPeer(
  'underpin/database/drizzle',
  'drizzle-orm',
  () => import('drizzle-orm'),
);

export const mysqlCore: typeof import('drizzle-orm/mysql-core') = await importPeer(
  'underpin/database/drizzle',
  'drizzle-orm',
  () => import('drizzle-orm/mysql-core'),
);

export const pgCore: typeof import('drizzle-orm/pg-core') = await importPeer(
  'underpin/database/drizzle',
  'drizzle-orm',
  () => import('drizzle-orm/pg-core'),
);

export const sqliteCore: typeof import('drizzle-orm/sqlite-core') = await importPeer(
  'underpin/database/drizzle',
  'drizzle-orm',
  () => import('drizzle-orm/sqlite-core'),
);

/** What a column of a query's rows is made from. */
export type SelectedField = Column | SQL | SQL.Aliased | Subquery;

/** The fields of a query, in the order of its columns. */
export type SelectedFields = { path: string[]; field: SelectedField }[];

/** Makes the result of a query from its rows, in place of its fields. */
export type ResultMapper = (rows: unknown[][]) => unknown;

/** Which tables of a join have columns that cannot be null, by name. The query builder sets it on what it has prepared. */
export type JoinedTables = Record<string, boolean>;

type MapResultRow = (
  fields: SelectedFields,
  row: readonly unknown[],
  joinsNotNullableMap: JoinedTables | undefined,
) => unknown;

const internals = drizzle as unknown as { readonly mapResultRow: MapResultRow };

/** Makes the object of a row. Every driver of Drizzle's own uses it, though its types leave it out. */
export const mapResultRow: MapResultRow = internals.mapResultRow;
