import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import {
  type ConformanceSchema,
  databaseConformance,
  type DatabaseSubject,
} from '../../src/database/conformance.ts';
import { mysqlDatabase } from '../../src/database/mysql/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { makeMariadbDatabase, makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import { port, type RegisteredPort } from './registry.ts';

const dropped = new WeakMap<DatabaseSubject, () => Promise<void>>();
const { missing: postgresMissing } = await service('postgres');
const { missing: mariadbMissing } = await service('mariadb');

const folders = new WeakMap<DatabaseSubject, string>();

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
  {
    adapter: 'postgres',
    capabilities: postgresDatabase({ url: 'postgres://unused' }).capabilities,
    skip: postgresMissing,
    async create() {
      const made = await makePostgresDatabase();
      const subject = postgresDatabase<ConformanceSchema>({ url: made.url });
      dropped.set(subject, made.remove);
      return subject;
    },
    async dispose(subject) {
      await subject.close();
      await dropped.get(subject)?.();
    },
  },
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
