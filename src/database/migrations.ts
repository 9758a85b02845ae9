import { createHash } from 'node:crypto';

import type { Kysely } from 'kysely';

import { type CallOptions, InfrastructureError, invalidArgument } from '../core/index.ts';

/** One step of a schema's history. Once it has been applied anywhere, it must not change: add another. */
export interface Migration {
  /** Unique in its set, and shown in errors: `0001-create-articles`. */
  readonly name: string;
  /**
   * SQL, one or more statements, which is recorded with a checksum; or a function that executes queries, whose text is not
   * compared, since a build may change it. Neither may begin or end a transaction: each migration runs in one.
   */
  readonly up: string | ((query: Kysely<unknown>) => Promise<unknown>);
}

/** Options of {@link Database.migrate}. */
export interface MigrateOptions extends CallOptions {
  /** Names the history, so that several parties can keep their tables in one database. Default `app`. */
  readonly set?: string;
}

/** What {@link Database.migrate} did. */
export interface AppliedMigrations {
  /** Names of those that this call applied, in their order. */
  readonly applied: readonly string[];
}

/** What migrations need of a Database. */
export interface MigrationHost {
  readonly inTransaction: boolean;
  /** Whether a migration that fails leaves nothing of itself. */
  readonly transactionalDdl: boolean;
  readonly query: Kysely<unknown>;
  transaction<Result>(fn: () => Promise<Result>): Promise<Result>;
  script(text: string): Promise<void>;
}

interface HistoryRow {
  readonly position: number;
  readonly name: string;
  readonly checksum: string | null;
}

// A type and no interface, which would lack the index signature that Kysely asks for.
type HistorySchema = {
  underpin_migration: HistoryRow & { readonly set_name: string; readonly applied_at: string };
};

const origin = { component: 'database', operation: 'migrate' } as const;

/** Applies what is missing; see {@link Database.migrate}. */
export async function applyMigrations(
  host: MigrationHost,
  migrations: readonly Migration[],
  { set = 'app' }: MigrateOptions,
): Promise<AppliedMigrations> {
  if (host.inTransaction) {
    throw new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message: 'migrations run in transactions of their own: call migrate() outside of any',
    });
  }
  const duplicate = migrations.find(
    ({ name }, index) => migrations.findIndex((other) => other.name === name) !== index,
  );
  if (duplicate)
    throw invalidArgument(
      origin,
      `two migrations are called "${duplicate.name}": give each its own name`,
    );
  if (await isCurrent(host, migrations, set)) return { applied: [] };
  const applied: string[] = [];
  // The history is read anew in the transaction of each migration, which holds the write lock: another process may have
  // applied it a moment ago.
  for (const [position, migration] of migrations.entries()) {
    const isNew = await host.transaction(async () => {
      await makeHistory(host);
      const history = await readHistory(host, set);
      assertUnchanged(history, migrations, set);
      if (history.length > position) return false;
      await apply(host, migration);
      await record(host, { set, position, migration });
      return true;
    });
    if (isNew) applied.push(migration.name);
  }
  return { applied };
}

/** Whether there is nothing to apply. It only reads: an application may run as a role that can make no tables. */
async function isCurrent(
  host: MigrationHost,
  migrations: readonly Migration[],
  set: string,
): Promise<boolean> {
  const tables = await host.query.introspection.getTables();
  if (!tables.some(({ name }) => name === 'underpin_migration')) return false;
  let history: readonly HistoryRow[];
  try {
    history = await readHistory(host, set);
  } catch (error) {
    // The one that is there is in a schema that is not searched.
    if (InfrastructureError.is(error, 'invalid-argument')) return false;
    throw error;
  }
  assertUnchanged(history, migrations, set);
  return history.length >= migrations.length;
}

async function makeHistory(host: MigrationHost): Promise<void> {
  await host.query.schema
    .createTable('underpin_migration')
    .ifNotExists()
    .addColumn('set_name', 'varchar(100)', (column) => column.notNull())
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', 'varchar(200)', (column) => column.notNull())
    .addColumn('checksum', 'varchar(64)')
    .addColumn('applied_at', 'varchar(30)', (column) => column.notNull())
    .addPrimaryKeyConstraint('underpin_migration_key', ['set_name', 'position'])
    .execute();
}

async function readHistory(host: MigrationHost, set: string): Promise<readonly HistoryRow[]> {
  return await host.query
    .$extendTables<HistorySchema>()
    .selectFrom('underpin_migration')
    .select(['position', 'name', 'checksum'])
    .where('set_name', '=', set)
    .orderBy('position')
    .execute();
}

function assertUnchanged(
  history: readonly HistoryRow[],
  migrations: readonly Migration[],
  set: string,
): void {
  for (const { position, name, checksum } of history) {
    const migration = migrations[position];
    if (migration?.name === name && (checksum === null || checksum === checksumOf(migration)))
      continue;
    const found = migrations.findIndex((other) => other.name === name);
    // The database is ahead: another process of a newer version has migrated it, as in every rolling deploy.
    if (migration === undefined && found === -1) continue;
    const problem =
      migration?.name === name
        ? 'has been edited since: restore its text, and put the change into a migration of its own'
        : found === -1
          ? 'is missing from the list: put it back where it was, under the same name'
          : `was number ${position + 1} and now is number ${found + 1}: add new migrations at the end of the list`;
    throw new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message: `migration "${name}" of set "${set}", applied to this database, ${problem}`,
      details: { migration: name, set },
    });
  }
}

async function apply(host: MigrationHost, { name, up }: Migration): Promise<void> {
  try {
    if (typeof up === 'string') await host.script(up);
    else await up(host.query);
  } catch (error) {
    throw new InfrastructureError({
      code: InfrastructureError.is(error) ? error.code : 'internal',
      ...origin,
      outcome: host.transactionalDdl ? 'not-applied' : 'unknown',
      retryable: InfrastructureError.is(error) && error.retryable,
      message: `migration "${name}" failed: ${error instanceof Error ? error.message : String(error)}${
        host.transactionalDdl
          ? ''
          : '. What came before that in it may have stayed, since this engine cannot undo a change of the schema: look, and write the migration so that it can run again (if not exists), or undo by hand what it did'
      }`,
      details: { migration: name },
      cause: error,
    });
  }
}

async function record(
  host: MigrationHost,
  {
    set,
    position,
    migration,
  }: { readonly set: string; readonly position: number; readonly migration: Migration },
): Promise<void> {
  await host.query
    .$extendTables<HistorySchema>()
    .insertInto('underpin_migration')
    .values({
      set_name: set,
      position,
      name: migration.name,
      checksum: checksumOf(migration),
      applied_at: new Date().toISOString(),
    })
    .execute();
}

// Line endings differ between checkouts and mean nothing.
function checksumOf({ up }: Migration): string | null {
  return typeof up === 'string'
    ? createHash('sha256').update(up.replaceAll('\r\n', '\n').trim()).digest('hex')
    : null;
}
