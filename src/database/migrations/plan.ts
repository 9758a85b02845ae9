import { InfrastructureError } from '../../core/index.ts';
import type { Migration } from './migration.ts';
import type { MigrationHost } from './migrator.ts';
import { recordedQuery, unexecutedQuery } from './recorded-query.ts';

/** Which way a migration is run. */
export type MigrationDirection = 'up' | 'down';

/** What a migration would execute. */
export interface PlannedMigration {
  readonly name: string;
  readonly direction: MigrationDirection;
  /** A text as it stands, or the statements of a function one by one. */
  readonly statements: readonly PlannedStatement[];
  /** False when its queries were not executed, so that what it would do by what they find is not known. */
  readonly isExact: boolean;
}

/** A statement as it would be sent. */
export interface PlannedStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** What these migrations, of which none has been run, would execute; see {@link Migrator.plan}. */
export async function planMigrations(
  host: MigrationHost,
  migrations: readonly Migration[],
  direction: MigrationDirection,
): Promise<readonly PlannedMigration[]> {
  const isExact = host.capabilities.transactionalDdl;
  const planned = migrations.map(
    (migration): PlannedMigration & { statements: PlannedStatement[] } => {
      const step = migration[direction];
      const isText = typeof step === 'string';
      return {
        name: migration.name,
        direction,
        statements: isText ? [{ sql: step, parameters: [] }] : [],
        isExact: isText || isExact,
      };
    },
  );
  const lastFunction = migrations.findLastIndex(
    (migration) => typeof migration[direction] === 'function',
  );
  const run = async (): Promise<void> => {
    for (const [index, migration] of migrations.slice(0, lastFunction + 1).entries())
      await dryRun(host, migration[direction], {
        name: migration.name,
        statements: planned[index]?.statements ?? [],
      });
  };
  if (lastFunction === -1) return planned;
  if (!isExact) {
    await run();
    return planned;
  }
  const undo = new Error('a dry run is rolled back');
  try {
    await host.transaction(async () => {
      await run();
      throw undo;
    });
  } catch (error) {
    if (error !== undo) throw error;
  }
  return planned;
}

async function dryRun(
  host: MigrationHost,
  step: Migration['down'],
  { name, statements }: { readonly name: string; readonly statements: PlannedStatement[] },
): Promise<void> {
  const isExecuted = host.capabilities.transactionalDdl;
  const tell = ({ sql, parameters }: PlannedStatement): void => {
    statements.push({ sql, parameters });
  };
  try {
    if (typeof step === 'function')
      await step(isExecuted ? recordedQuery(host, tell) : unexecutedQuery(host.dialect, tell));
    else if (step !== undefined && isExecuted) await host.script(step);
  } catch (error) {
    const known = InfrastructureError.is(error) ? error : undefined;
    throw new InfrastructureError({
      code: known?.code ?? 'internal',
      component: 'database',
      operation: 'migrationPlan',
      outcome: 'not-applied',
      retryable: known?.retryable ?? false,
      message: `the dry run of migration "${name}" failed: ${error instanceof Error ? error.message : String(error)}`,
      details: { migration: name },
      cause: error,
    });
  }
}
