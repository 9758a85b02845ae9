import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import type { Database } from '../../src/database/index.ts';

/** A database that ORMs are held to the rules on. */
export interface OrmTarget {
  readonly adapter: string;
  /** Why it cannot be used here. */
  readonly missing?: string | undefined;
  /** Makes an empty one. */
  readonly create: () => Promise<{
    readonly database: Database;
    readonly remove: () => Promise<void>;
  }>;
}

const { missing: postgresMissing } = await service('postgres');

/** The databases that ORMs are held to the rules on. */
export const targets: readonly OrmTarget[] = [
  {
    adapter: 'sqlite',
    create: async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'underpin-orms-'));
      const database = sqliteDatabase({ file: path.join(folder, 'test.db') });
      return { database, remove: async () => await rm(folder, { recursive: true }) };
    },
  },
  {
    adapter: 'postgres',
    missing: postgresMissing,
    create: async () => {
      const { url, remove } = await makePostgresDatabase();
      return { database: postgresDatabase({ url }), remove };
    },
  },
];
