import type { Kysely } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
import type { TableDescription } from '../table-description.ts';
import { checksumOf, isUnchanged, type Migration } from './migration.ts';

/** One migration that was applied. */
export interface HistoryRow {
  /** From 0, within its set. */
  readonly position: number;
  readonly name: string;
  readonly checksum: string | null;
  /** ISO 8601, in UTC. */
  readonly applied_at: string;
}

// A type and no interface, which would lack the index signature that Kysely asks for.
type HistorySchema = {
  underpin_migration: HistoryRow & { readonly set_name: string };
};

/**
 * What has become of a migration. `edited`: it is not what was applied; `moved`: it stands elsewhere in the list than when it was
 * applied; `missing`: it was applied, and the list no longer has it; `ahead`: it was applied by a newer version, whose list has it.
 */
export type MigrationState = 'applied' | 'pending' | 'edited' | 'moved' | 'missing' | 'ahead';

/** A migration of the list, or one that was applied. */
export interface MigrationStatus {
  readonly name: string;
  readonly state: MigrationState;
  /** ISO 8601, in UTC. */
  readonly appliedAt?: string | undefined;
}

/** The history of one set: the table `underpin_migration`. */
export class History {
  readonly #query: Kysely<HistorySchema>;
  readonly #set: string;

  constructor(query: Kysely<unknown>, set: string) {
    this.#query = query.$extendTables<HistorySchema>();
    this.#set = set;
  }

  async makeTable(): Promise<void> {
    await this.#query.schema
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

  async read(): Promise<readonly HistoryRow[]> {
    return await this.#query
      .selectFrom('underpin_migration')
      .select(['position', 'name', 'checksum', 'applied_at'])
      .where('set_name', '=', this.#set)
      .orderBy('position')
      .execute();
  }

  /** Makes nothing; undefined where there is no history yet. An application may run as a role that can make no tables. */
  async readIfAny(live: readonly TableDescription[]): Promise<readonly HistoryRow[] | undefined> {
    return await readIfTable(live, 'underpin_migration', async () => await this.read());
  }

  async add(position: number, migration: Migration): Promise<void> {
    await this.#query
      .insertInto('underpin_migration')
      .values({
        set_name: this.#set,
        position,
        name: migration.name,
        checksum: checksumOf(migration),
        applied_at: new Date().toISOString(),
      })
      .execute();
  }

  async remove(position: number): Promise<void> {
    await this.#query
      .deleteFrom('underpin_migration')
      .where('set_name', '=', this.#set)
      .where('position', '=', position)
      .execute();
  }
}

/** What `read` gives, or undefined when the table that it reads is not there. */
export async function readIfTable<Result>(
  live: readonly TableDescription[],
  table: string,
  read: () => Promise<Result>,
): Promise<Result | undefined> {
  // Not by Kysely's introspection, which fails on PostgreSQL while another process drops a table.
  if (!live.some(({ name }) => name === table)) return undefined;
  try {
    return await read();
  } catch (error) {
    // The one that is there is in a schema that is not searched.
    if (InfrastructureError.is(error, 'invalid-argument')) return undefined;
    throw error;
  }
}

/** What has become of each migration: those that were applied first, in their order, then those that are pending. */
export function statusOf(
  history: readonly HistoryRow[],
  migrations: readonly Migration[],
): MigrationStatus[] {
  const applied = history.map((row) => ({
    name: row.name,
    state: stateOf(row, migrations),
    appliedAt: row.applied_at,
  }));
  const pending = migrations
    .filter(({ name }) => !history.some((row) => row.name === name))
    .map(({ name }) => ({ name, state: 'pending' as const }));
  return [...applied, ...pending];
}

/** Throws `failed-precondition` for the first that was applied and since edited, moved or removed. */
export function assertUnchanged(
  history: readonly HistoryRow[],
  migrations: readonly Migration[],
  set: string,
): void {
  for (const row of history) {
    const { name, position } = row;
    const problem = problems[stateOf(row, migrations)];
    if (problem === undefined) continue;
    const found = migrations.findIndex((other) => other.name === name);
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      operation: 'migrate',
      message: `migration "${name}" of set "${set}", applied to this database, ${problem(position, found)}`,
      details: { migration: name, set },
    });
  }
}

const problems: Partial<Record<MigrationState, (position: number, found: number) => string>> = {
  edited: () =>
    'has been edited since: restore its text, and put the change into a migration of its own',
  missing: () => 'is missing from the list: put it back where it was, under the same name',
  moved: (position, found) =>
    `was number ${position + 1} and now is number ${found + 1}: add new migrations at the end of the list`,
};

function stateOf(
  { position, name, checksum }: HistoryRow,
  migrations: readonly Migration[],
): MigrationState {
  const migration = migrations[position];
  if (migration?.name === name) return isUnchanged(checksum, migration) ? 'applied' : 'edited';
  if (migrations.some((other) => other.name === name)) return 'moved';
  // Another process of a newer version has migrated it, as in every rolling deploy.
  return migration === undefined ? 'ahead' : 'missing';
}
