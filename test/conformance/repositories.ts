import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import { directusClient, type DirectusClientOptions } from '../../src/directus/index.ts';
import type { Database } from '../../src/database/index.ts';
import { mysqlDatabase } from '../../src/database/mysql/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import {
  repositoriesConformance,
  type RepositoryCapability,
  type RepositorySubject,
  type Sample,
  type VersionedSample,
} from '../../src/repositories/conformance/index.ts';
import {
  type DirectusRepository,
  directusRepository,
} from '../../src/repositories/directus/index.ts';
import { memoryRepository } from '../../src/repositories/memory.ts';
import { type SqlRepository, sqlRepository } from '../../src/repositories/sql/index.ts';
import { makeMariadbDatabase, makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';
import {
  directusAdministrator,
  type DirectusAdministrator,
  makeCollection,
  type TestField,
} from '../services/collections.ts';
import { sharedServer } from '../services/servers.ts';
import { givePgliteBack, takePglite } from './pglite.ts';
import { port, type RegisteredPort } from './registry.ts';

type Target = ConformanceTarget<RepositorySubject, RepositoryCapability>;

const memory: Target = {
  adapter: 'memory',
  capabilities: memoryRepository().capabilities,
  create: async () => ({
    repository: memoryRepository<Sample>({ name: 'samples', unique: ['code'] }),
    versioned: memoryRepository<VersionedSample>({ name: 'versioned', version: 'version' }),
  }),
  dispose: async ({ repository, versioned }) => {
    await repository.close();
    await versioned.close();
  },
};

const sqliteSamples = `create table samples (
    id text primary key not null, name text not null, code text unique, rank integer not null, score real,
    serial integer not null, active integer not null, created_at text not null, read_at text, labels text not null,
    detail text, bytes blob
  ) strict;
  create table versioned (id text primary key not null, name text not null, version integer not null) strict`;

// Its own types where there are some, and texts that sort otherwise unless they are told.
const postgresSamples = `create table samples (
    id text primary key, name text not null, code text unique, rank bigint not null, score double precision,
    serial bigint not null, active boolean not null, created_at text not null, read_at timestamptz, labels jsonb not null,
    detail text, bytes bytea
  );
  create table versioned (id text primary key, name text not null, version integer not null)`;

// Texts that are compared by their code points, which those of the database are not, unless they are told.
const mysqlSamples = `create table samples (
    id varchar(100) collate utf8mb4_nopad_bin primary key, name text collate utf8mb4_nopad_bin not null,
    code varchar(100) collate utf8mb4_nopad_bin unique, \`rank\` bigint not null, score double,
    serial bigint not null, active boolean not null, created_at varchar(30) not null, read_at datetime(3), labels json not null,
    detail json, bytes longblob
  );
  create table versioned (id varchar(100) primary key, name text not null, version integer not null)`;

const samplesOf: Readonly<Record<string, string>> = {
  mysql: mysqlSamples,
  pglite: postgresSamples,
  postgres: postgresSamples,
  sqlite: sqliteSamples,
};

/** How a sample is kept, in a table and in a collection. */
const sampleColumns = {
  id: 'text',
  name: 'text',
  code: 'text?',
  rank: 'integer',
  score: 'real|null',
  serial: 'bigint',
  active: 'boolean',
  createdAt: { name: 'created_at', type: 'date' },
  readAt: { name: 'read_at', type: 'date|null' },
  labels: 'json',
  detail: 'json|null',
  bytes: 'bytes|null',
} as const;

/** The table of the suite's samples, and the repository in it. */
export async function sqlSamples(database: Database): Promise<SqlRepository<Sample>> {
  await database.migrate([{ name: 'samples', up: samplesOf[database.adapter] ?? '' }]);
  return sqlRepository<Sample>({
    database,
    table: 'samples',
    columns: sampleColumns,
  });
}

async function sqlSubject(database: Database): Promise<RepositorySubject> {
  return {
    repository: await sqlSamples(database),
    versioned: sqlRepository<VersionedSample>({
      database,
      table: 'versioned',
      version: 'version',
      columns: { id: 'text', name: 'text', version: 'integer' },
    }),
    transaction: async (fn) => await database.transaction(fn),
  };
}

function sqlTarget(
  adapter: string,
  open: () => Promise<{ database: Database; release: () => Promise<void> }>,
): Target {
  const disposals = new WeakMap<RepositorySubject, () => Promise<void>>();
  return {
    adapter,
    capabilities: { transactions: true, versions: true, textComparisons: true, bigintOrder: true },
    create: async () => {
      const { database, release } = await open();
      const subject = await sqlSubject(database);
      disposals.set(subject, async () => {
        await subject.repository.close();
        await subject.versioned.close();
        await release();
      });
      return subject;
    },
    dispose: async (subject) => await disposals.get(subject)?.(),
  };
}

const sqliteFile = sqlTarget('sql (sqlite file)', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-repositories-'));
  const database = sqliteDatabase({ file: path.join(folder, 'app.db') });
  return {
    database,
    release: async () => {
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});

const sqliteMemory = sqlTarget('sql (sqlite memory)', async () => {
  const database = sqliteDatabase({ file: ':memory:' });
  return { database, release: async () => await database.close() };
});

const pglite = sqlTarget('sql (pglite)', async () => {
  const database = await takePglite('memory');
  return { database, release: async () => await givePgliteBack(database) };
});

const { missing: postgresMissing } = await service('postgres');

const postgres = sqlTarget('sql (postgres)', async () => {
  const { url, remove } = await makePostgresDatabase();
  const database = postgresDatabase({ url });
  return {
    database,
    release: async () => {
      await database.close();
      await remove();
    },
  };
});

const { missing: mariadbMissing } = await service('mariadb');

const mysql = sqlTarget('sql (mysql)', async () => {
  const { url, remove } = await makeMariadbDatabase();
  const database = mysqlDatabase({ url });
  return {
    database,
    release: async () => {
      await database.close();
      await remove();
    },
  };
});

const { missing: directusMissing } = await service('directus');
/** The fields of the suite's samples, as Directus has them. */
export const directusSampleFields: readonly TestField[] = [
  { field: 'id', type: 'string', schema: { is_primary_key: true, has_auto_increment: false } },
  { field: 'name', type: 'text' },
  { field: 'code', type: 'string', schema: { is_unique: true } },
  { field: 'rank', type: 'bigInteger' },
  { field: 'score', type: 'float' },
  { field: 'serial', type: 'string' },
  { field: 'active', type: 'boolean', meta: { special: ['cast-boolean'] } },
  { field: 'created_at', type: 'timestamp' },
  { field: 'read_at', type: 'timestamp' },
  { field: 'labels', type: 'json', meta: { special: ['cast-json'] } },
  { field: 'detail', type: 'json', meta: { special: ['cast-json'] } },
  { field: 'bytes', type: 'text' },
];
/** The repository in a collection of these fields. */
export function directusSamples(
  {
    url,
    token,
    fetch,
  }: Pick<DirectusAdministrator, 'url' | 'token'> & Pick<DirectusClientOptions, 'fetch'>,
  collection: string,
): DirectusRepository<Sample> {
  return directusRepository<Sample>({
    client: directusClient({ url, token, ...(fetch && { fetch }) }),
    collection,
    columns: sampleColumns,
  });
}
// To make a collection takes longer than most cases, so that each is used again when it is left empty.
const idleCollections: string[] = [];
const usedCollections = new WeakMap<RepositorySubject, string>();
const directus: Target = {
  adapter: 'directus',
  capabilities: directusSamples({ url: 'http://unused', token: 'unused' }, 'unused').capabilities,
  create: async () => {
    const administrator = await directusAdministrator((await sharedServer('directus')).url);
    const collection =
      idleCollections.pop() ?? (await makeCollection(administrator, directusSampleFields));
    const subject: RepositorySubject = {
      repository: directusSamples(administrator, collection),
      get versioned() {
        const options = {
          client: directusClient(administrator),
          collection,
          columns: { id: 'text', name: 'text', version: 'integer' },
          // The type of the options has no such thing.
          version: 'version',
        } as const;
        return directusRepository<VersionedSample>(options);
      },
    };
    usedCollections.set(subject, collection);
    return subject;
  },
  dispose: async (subject) => {
    await subject.repository.close();
    const collection = usedCollections.get(subject) ?? '';
    const administrator = await directusAdministrator((await sharedServer('directus')).url);
    await administrator.request('DELETE', `/items/${collection}`, { query: { limit: -1 } });
    const left = await administrator.request('GET', `/items/${collection}?limit=1`);
    if ((left as unknown[]).length === 0) idleCollections.push(collection);
  },
};
/** The repositories port's adapters. */
export const repositoriesPort: RegisteredPort = port(repositoriesConformance, [
  memory,
  sqliteFile,
  sqliteMemory,
  pglite,
  { ...postgres, skip: postgresMissing },
  { ...mysql, skip: mariadbMissing },
  { ...directus, skip: directusMissing },
]);
