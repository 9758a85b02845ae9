import { createHash } from 'node:crypto';

import type { Kysely } from 'kysely';

import { InfrastructureError, invalidArgument, nearestName } from '../../core/index.ts';

/** One step of a schema's history. Once it has been applied anywhere, it must not change: add another. */
export interface Migration {
  /** Unique in its set, and shown in errors: `0001-create-articles`. */
  readonly name: string;
  /**
   * SQL, one or more statements, which is recorded with a checksum; or a function that executes queries, whose text is not
   * compared, since a build may change it. Neither may begin or end a transaction: each migration runs in one.
   */
  readonly up: MigrationStep;
  /** Undoes it. It is not recorded: it may be mended until it has run. Without one the migration cannot be reverted. */
  readonly down?: MigrationStep | undefined;
  /** What is recorded in place of the checksum of `up`: that of the file it came from. */
  readonly checksum?: string | undefined;
}

/** What a migration does: SQL, or a function that executes queries with what it is given. */
export type MigrationStep = string | ((query: Kysely<unknown>) => Promise<unknown>);

/** Throws `invalid-argument` when two have one name. */
export function assertDistinct(migrations: readonly Migration[]): void {
  const names = new Set<string>();
  for (const { name } of migrations) {
    if (names.has(name))
      throw invalidArgument(
        { component: 'database', operation: 'migrate' },
        `two migrations are called "${name}": give each its own name`,
      );
    names.add(name);
  }
}

/** Where the migration of this name stands in the list. Throws `not-found` when it does not. */
export function indexOfMigration(migrations: readonly Migration[], wanted: string): number {
  const index = migrations.findIndex(({ name }) => name === wanted);
  if (index !== -1) return index;
  const names = migrations.map(({ name }) => name);
  const nearest = nearestName(wanted, names);
  const hint =
    nearest === undefined
      ? names.length === 0
        ? 'the list is empty'
        : `the first is "${names[0]}", the last "${names.at(-1)}"`
      : `did you mean "${nearest}"?`;
  throw new InfrastructureError({
    code: 'not-found',
    component: 'database',
    operation: 'migrate',
    message: `there is no migration "${wanted}": ${hint}`,
    details: { migration: wanted },
  });
}

/** What is recorded of a migration, to tell whether it was edited; null for a function, which cannot be compared. */
export function checksumOf({ up, checksum }: Migration): string | null {
  if (checksum !== undefined) return checksum;
  return typeof up === 'string' ? hashOf(up).digest('hex') : null;
}

/**
 * What is recorded of a module: source and build have one name and different texts, so that only two of one kind can be
 * compared.
 */
export function moduleChecksum(kind: 'ts' | 'js', text: string): string {
  return `${kind}:${hashOf(text).digest('base64url')}`;
}

/** Whether a migration still is what was recorded of it, as far as both can be compared. */
export function isUnchanged(recorded: string | null, migration: Migration): boolean {
  const current = checksumOf(migration);
  if (recorded === null || current === null || recorded === current) return true;
  const kinds = [recorded, current].map((text) => /^(?:ts|js):/.exec(text)?.[0]);
  return !kinds.includes(undefined) && kinds[0] !== kinds[1];
}

// Line endings differ between checkouts and mean nothing.
function hashOf(text: string): ReturnType<typeof createHash> {
  return createHash('sha256').update(text.replaceAll('\r\n', '\n').trim());
}
