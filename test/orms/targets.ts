import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { mysqlDatabase } from '../../src/database/mysql/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { givePgliteBack, takePglite } from '../conformance/pglite.ts';
import { makeMariadbDatabase, makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import type { Database } from '../../src/database/index.ts';

/** A database that ORMs are held to the rules on. */
export interface OrmTarget {
  readonly adapter: string;
  /** Why it cannot be used here. */
  readonly missing?: string | undefined;
  /** Makes an empty one. `remove` closes it too. */
  readonly create: () => Promise<{
    readonly database: Database;
    readonly remove: () => Promise<void>;
  }>;
}

const { missing: postgresMissing } = await service('postgres');
const { missing: mariadbMissing } = await service('mariadb');

/** The databases that ORMs are held to the rules on. */
export const targets: readonly OrmTarget[] = [
  {
    adapter: 'sqlite',
    create: async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'underpin-orms-'));
      const database = sqliteDatabase({ file: path.join(folder, 'test.db') });
      const remove = async (): Promise<void> => {
        await database.close();
        await rm(folder, { recursive: true });
      };
      return { database, remove };
    },
  },
  {
    adapter: 'postgres',
    missing: postgresMissing,
    create: async () => {
      const made = await makePostgresDatabase();
      const database = postgresDatabase({ url: made.url });
      const remove = async (): Promise<void> => {
        await database.close();
        await made.remove();
      };
      return { database, remove };
    },
  },
  {
    adapter: 'pglite',
    create: async () => {
      const database = await takePglite('memory');
      return { database, remove: async () => await givePgliteBack(database) };
    },
  },
  {
    adapter: 'mysql',
    missing: mariadbMissing,
    create: async () => {
      const made = await makeMariadbDatabase();
      const database = mysqlDatabase({ url: made.url });
      const remove = async (): Promise<void> => {
        await database.close();
        await made.remove();
      };
      return { database, remove };
    },
  },
];
