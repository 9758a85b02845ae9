import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import {
  type ConformanceSchema,
  databaseConformance,
  type DatabaseSubject,
} from '../../src/database/conformance.ts';
import type { DatabaseCapabilities } from '../../src/database/index.ts';
import { mysqlDatabase } from '../../src/database/mysql/index.ts';
import { pgliteDatabase } from '../../src/database/pglite/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { makeMariadbDatabase, makePostgresDatabase } from '../services/databases.ts';
import { sharedServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { givePgliteBack, type PgliteKind, takePglite } from './pglite.ts';
import { port, type RegisteredPort } from './registry.ts';

type Target = ConformanceTarget<DatabaseSubject, keyof DatabaseCapabilities>;

const dropped = new WeakMap<DatabaseSubject, () => Promise<void>>();
const { missing: postgresMissing } = await service('postgres');
const { missing: mariadbMissing } = await service('mariadb');
const { missing: postgres18Missing } = await service('postgres18');

const folders = new WeakMap<DatabaseSubject, string>();

function pglite(adapter: string, kind: PgliteKind): Target {
  const directory = kind === 'memory' ? ':memory:' : 'unused';
  return {
    adapter,
    capabilities: pgliteDatabase({ directory }).capabilities,
    create: async () => await takePglite<ConformanceSchema>(kind),
    dispose: givePgliteBack,
  };
}

function postgres(
  adapter: string,
  server: 'postgres' | 'postgres18',
  skip: string | undefined,
): Target & { readonly skip: string | undefined } {
  return {
    adapter,
    capabilities: postgresDatabase({ url: 'postgres://unused' }).capabilities,
    skip,
    async create() {
      const made = await makePostgresDatabase((await sharedServer(server)).url);
      const subject = postgresDatabase<ConformanceSchema>({ url: made.url });
      dropped.set(subject, made.remove);
      return subject;
    },
    async dispose(subject) {
      await subject.close();
      await dropped.get(subject)?.();
    },
  };
}

/** The database port. */
export const databasePort: RegisteredPort = port(databaseConformance, [
  {
    adapter: 'sqlite',
    capabilities: sqliteDatabase({ file: 'unused.db' }).capabilities,
    async create() {
      const folder = await mkdtemp(path.join(tmpdir(), 'underpin-database-'));
      const subject = sqliteDatabase<ConformanceSchema>({ file: path.join(folder, 'test.db') });
      folders.set(subject, folder);
      return subject;
    },
    async dispose(subject) {
      await subject.close();
      await rm(folders.get(subject) ?? '', { recursive: true });
    },
  },
  {
    adapter: 'sqlite :memory:',
    capabilities: sqliteDatabase({ file: ':memory:' }).capabilities,
    create: async () => sqliteDatabase<ConformanceSchema>({ file: ':memory:' }),
    dispose: async (subject) => {
      await subject.close();
    },
  },
  pglite('pglite', 'folder'),
  pglite('pglite :memory:', 'memory'),
  postgres('postgres', 'postgres', postgresMissing),
  postgres('postgres 18', 'postgres18', postgres18Missing),
  {
    adapter: 'mysql',
    capabilities: mysqlDatabase({ url: 'mysql://unused' }).capabilities,
    skip: mariadbMissing,
    async create() {
      const made = await makeMariadbDatabase();
      const subject = mysqlDatabase<ConformanceSchema>({ url: made.url });
      dropped.set(subject, made.remove);
      return subject;
    },
    async dispose(subject) {
      await subject.close();
      await dropped.get(subject)?.();
    },
  },
]);
