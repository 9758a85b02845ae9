import type { TablesRelationalConfig } from 'drizzle-orm';

import { drizzle } from './library.ts';

/** Tables and relations, by the names that `db.query` has for them. */
export type Tables = Record<string, unknown>;

/** What Drizzle's relational queries know of tables. */
export interface Relations {
  readonly fullSchema: Tables;
  readonly schema: TablesRelationalConfig;
  readonly tableNamesMap: Record<string, string>;
}

/** Finds the relations between tables. */
export function relationsOf(tables: Tables | undefined): Relations | undefined {
  if (tables === undefined) return undefined;
  const { tables: schema, tableNamesMap } = drizzle.extractTablesRelationalConfig(
    tables,
    drizzle.createTableRelationsHelpers,
  );
  return { fullSchema: tables, schema, tableNamesMap };
}
