import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, it } from 'vitest';

import { registerConformance } from '../core/index.ts';
import { databaseConformance } from './conformance.ts';
import { sqliteDatabase } from './sqlite/index.ts';

const folders = new WeakMap<object, string>();

registerConformance(
  databaseConformance,
  {
    adapter: 'sqlite',
    capabilities: sqliteDatabase({ file: 'x' }).capabilities,
    create: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'underpin-'));
      const database = sqliteDatabase<never>({ file: join(folder, 'a.db') });
      folders.set(database, folder);
      return database as never;
    },
    dispose: async (database) => {
      await database.close();
      await rm(folders.get(database) ?? '', { recursive: true });
    },
  },
  { describe, it },
);
registerConformance(
  databaseConformance,
  {
    adapter: 'sqlite (memory)',
    capabilities: sqliteDatabase({ file: ':memory:' }).capabilities,
    create: async () => sqliteDatabase<never>({ file: ':memory:' }) as never,
    dispose: async (database) => await database.close(),
  },
  { describe, it },
);
