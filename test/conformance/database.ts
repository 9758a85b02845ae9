import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';

import {
  type ConformanceSchema,
  databaseConformance,
  type DatabaseSubject,
} from '../../src/database/conformance.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { port, type RegisteredPort } from './registry.ts';

const server = process.env['POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';
let databases = 0;
const dropped = new WeakMap<DatabaseSubject, () => Promise<void>>();

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
    async create() {
      databases += 1;
      const name = `underpin_${process.pid}_${databases}`;
      await using admin = postgresDatabase({ url: server });
      await sql`create database ${sql.id(name)}`.execute(admin.query);
      const subject = postgresDatabase<ConformanceSchema>({ url: server.replace(/[^/]*$/, name) });
      dropped.set(subject, async () => {
        await using owner = postgresDatabase({ url: server });
        await sql`drop database ${sql.id(name)} with (force)`.execute(owner.query);
      });
      return subject;
    },
    async dispose(subject) {
      await subject.close();
      await dropped.get(subject)?.();
    },
  },
]);
