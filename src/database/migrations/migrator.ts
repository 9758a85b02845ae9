import type { CompiledQuery, Kysely } from 'kysely';

import { type CallOptions, InfrastructureError, invalidArgument } from '../../core/index.ts';
import type { DatabaseCapabilities, SqlDialect } from '../driver.ts';
import type { StatementRunner } from '../kysely-bridge.ts';
import {
  assertUnchanged,
  History,
  type HistoryRow,
  type MigrationStatus,
  statusOf,
} from './history.ts';
import { assertDistinct, indexOfMigration, type Migration } from './migration.ts';
import { type MigrationDirection, planMigrations, type PlannedMigration } from './plan.ts';
import { recordedQuery } from './recorded-query.ts';
import { type SchemaDrift, SchemaRecord } from './schema-record.ts';

/** Options of {@link Database.migrator}. */
export interface MigratorOptions {
  /** Names the history, so that several parties can keep their tables in one database. Default `app`. */
  readonly set?: string;
}

/** Options of {@link Migrator.up}. */
export interface MigrateUpOptions extends CallOptions {
  /** The last one to apply. Default: all. */
  readonly to?: string | undefined;
  /**
   * What to do when the live schema is not what the migrations of this set made it, and there is something to apply. `ignore`:
   * apply it; `status()` goes on telling of the drift. `refuse`: throw `failed-precondition`. `accept`: take the live schema for
   * theirs from now on. Default `ignore`, so that an index made by hand keeps no application from starting.
   */
  readonly drift?: 'ignore' | 'refuse' | 'accept' | undefined;
}

/** Options of {@link Migrator.down}: `steps`, or `to`. */
export interface MigrateDownOptions extends CallOptions {
  /** How many to revert, from the last one applied. Default 1. */
  readonly steps?: number | undefined;
  /** The last one that stays. */
  readonly to?: string | undefined;
  /** As in {@link MigrateUpOptions}. */
  readonly drift?: MigrateUpOptions['drift'];
}

/** Options of {@link Database.migrate}. */
export interface MigrateOptions extends MigratorOptions, MigrateUpOptions {}

/** What {@link Migrator.up} did. */
export interface AppliedMigrations {
  /** Names of those that this call applied, in their order. */
  readonly applied: readonly string[];
}

/** What {@link Migrator.down} did. */
export interface RevertedMigrations {
  /** Names of those that this call reverted, in that order: the last one applied is the first. */
  readonly reverted: readonly string[];
}

/** What {@link Migrator.status} found. */
export interface MigratorStatus {
  /** Those that were applied, in their order, then those that are pending. */
  readonly migrations: readonly MigrationStatus[];
  /** How the live schema differs from what the migrations of this set made of the tables they touched. */
  readonly drift: readonly SchemaDrift[];
}

/** What migrations need of a Database. */
export interface MigrationHost {
  readonly capabilities: DatabaseCapabilities;
  readonly dialect: SqlDialect;
  readonly query: Kysely<unknown>;
  readonly runner: StatementRunner;
  /** Runs `fn` in a transaction that holds the lock of migrations. Undone when it throws, where the engine can. */
  transaction<Result>(fn: () => Promise<Result>): Promise<Result>;
  script(text: string): Promise<void>;
  /** Runs `fn` as one operation of this name, with its signal for every query, and wraps what it throws. */
  operation<Result>(
    name: string,
    attributes: Record<string, unknown>,
    signal: AbortSignal | undefined,
    fn: () => Promise<Result>,
  ): Promise<Result>;
}

/**
 * Moves a database along a list of migrations. Each is applied, or reverted, in a transaction of its own and exactly once, also
 * when several processes do it at the same time.
 *
 * Every method throws `failed-precondition` when a migration that was applied has since been edited, moved or removed, but for
 * `status`, which tells; and `not-found` for a name that is not in the list.
 */
export class Migrator {
  readonly #host: MigrationHost;
  readonly #migrations: readonly Migration[];
  readonly #set: string;
  readonly #history: History;
  readonly #schema: SchemaRecord;

  constructor(
    host: MigrationHost,
    migrations: readonly Migration[],
    { set = 'app' }: MigratorOptions,
  ) {
    this.#host = host;
    this.#migrations = migrations;
    this.#set = set;
    this.#history = new History(host.query, set);
    this.#schema = new SchemaRecord(host.query, set);
  }

  /** Applies what has not been applied, in order; see {@link Database.migrate}. */
  async up(options: MigrateUpOptions = {}): Promise<AppliedMigrations> {
    return await this.#run('migrate', options.signal, async () => {
      const { to, drift = 'ignore' } = options;
      const end =
        to === undefined ? this.#migrations.length : indexOfMigration(this.#migrations, to) + 1;
      if (drift === 'accept') await this.#accept();
      const applied: string[] = [];
      if (await this.#isCurrent(end)) return { applied };
      for (const [position, migration] of this.#migrations.slice(0, end).entries()) {
        const isNew = await this.#locked(async (history) => {
          if (history.length > position) return false;
          await this.#step(migration, 'up', drift);
          await this.#history.add(position, migration);
          return true;
        });
        if (isNew) applied.push(migration.name);
      }
      return { applied };
    });
  }

  /**
   * Reverts the last ones that were applied. Nothing is reverted unless each of them has a `down`: throws `failed-precondition`
   * for one that has none, and for one that a newer version applied, whose list alone has it.
   */
  async down(options: MigrateDownOptions = {}): Promise<RevertedMigrations> {
    return await this.#run('rollback', options.signal, async () => {
      if (options.drift === 'accept') await this.#accept();
      const history = await this.#readUnchanged();
      const end = this.#endOfDown(history, options);
      const reverted: string[] = [];
      for (const { name, position } of this.#toRevert(history, end)) {
        const migration = this.#migrations[position];
        // Another process may have reverted it meanwhile; #toRevert has seen to it that it is in the list.
        const isDone = await this.#locked(async (current) => {
          if (migration === undefined || current.at(-1)?.position !== position) return false;
          await this.#step(migration, 'down', options.drift ?? 'ignore');
          await this.#history.remove(position);
          return true;
        });
        if (isDone) reverted.push(name);
      }
      return { reverted };
    });
  }

  /** What has become of each migration, and whether the live schema still is what they made it. Changes nothing. */
  async status({ signal }: CallOptions = {}): Promise<MigratorStatus> {
    return await this.#run('migrationStatus', signal, async () => {
      const live = await this.#describe();
      const history = (await this.#history.readIfAny(live)) ?? [];
      return {
        migrations: statusOf(history, this.#migrations),
        drift: await this.#schema.driftOf(live),
      };
    });
  }

  /**
   * What {@link Migrator.up} or {@link Migrator.down} would execute. Changes nothing: texts are only given back. A function has to
   * be run to know what it executes, in a transaction with all that comes before it, which is rolled back; on an engine that
   * cannot do that (`transactionalDdl`), its statements are not executed and its queries find nothing.
   */
  async plan(
    direction: 'up',
    options?: Omit<MigrateUpOptions, 'drift'>,
  ): Promise<readonly PlannedMigration[]>;
  async plan(
    direction: 'down',
    options?: Omit<MigrateDownOptions, 'drift'>,
  ): Promise<readonly PlannedMigration[]>;
  async plan(
    direction: MigrationDirection,
    options: MigrateDownOptions = {},
  ): Promise<readonly PlannedMigration[]> {
    return await this.#run('migrationPlan', options.signal, async () => {
      const history = await this.#readUnchanged();
      const { to } = options;
      const end =
        to === undefined ? this.#migrations.length : indexOfMigration(this.#migrations, to) + 1;
      const migrations =
        direction === 'up'
          ? this.#migrations.slice(history.length, end)
          : this.#toRevert(history, this.#endOfDown(history, options)).flatMap(
              ({ position }) => this.#migrations[position] ?? [],
            );
      return await planMigrations(this.#host, migrations, direction);
    });
  }

  async #run<Result>(
    name: string,
    signal: AbortSignal | undefined,
    fn: () => Promise<Result>,
  ): Promise<Result> {
    return await this.#host.operation(name, { set: this.#set }, signal, async () => {
      if (this.#host.runner.ambient.scope !== undefined) {
        throw new InfrastructureError({
          code: 'failed-precondition',
          component: 'database',
          operation: name,
          message: 'migrations run in transactions of their own: call this outside of any',
        });
      }
      assertDistinct(this.#migrations);
      return await fn();
    });
  }

  /** Reads the history anew under the lock: another process may have changed it a moment ago. */
  async #locked<Result>(fn: (history: readonly HistoryRow[]) => Promise<Result>): Promise<Result> {
    return await this.#host.transaction(async () => {
      await this.#history.makeTable();
      await this.#schema.makeTable();
      const history = await this.#history.read();
      assertUnchanged(history, this.#migrations, this.#set);
      return await fn(history);
    });
  }

  async #readUnchanged(): Promise<readonly HistoryRow[]> {
    const history = (await this.#history.readIfAny(await this.#describe())) ?? [];
    assertUnchanged(history, this.#migrations, this.#set);
    return history;
  }

  /** Whether there is nothing to apply. It only reads: an application may run as a role that can make no tables. */
  async #isCurrent(end: number): Promise<boolean> {
    const history = await this.#history.readIfAny(await this.#describe());
    if (history === undefined) return false;
    assertUnchanged(history, this.#migrations, this.#set);
    return history.length >= end;
  }

  async #describe(): ReturnType<SqlDialect['describeSchema']> {
    return await this.#host.dialect.describeSchema(this.#host.query);
  }

  async #accept(): Promise<void> {
    await this.#locked(async () => {
      await this.#schema.accept(await this.#describe());
    });
  }

  /** Takes one step, and records what it made of the schema. */
  async #step(
    migration: Migration,
    direction: MigrationDirection,
    drift: MigrateUpOptions['drift'],
  ): Promise<void> {
    const before = await this.#describe();
    if (drift === 'refuse') await this.#refuseDrift(before, migration);
    await this.#execute(migration, direction);
    await this.#schema.change(before, await this.#describe());
  }

  async #refuseDrift(
    live: Awaited<ReturnType<SqlDialect['describeSchema']>>,
    { name }: Migration,
  ): Promise<void> {
    const drift = await this.#schema.driftOf(live);
    if (drift.length === 0) return;
    throw new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      operation: 'migrate',
      message: `the schema is not what the migrations of set "${this.#set}" made it, so that "${name}" was not run: ${drift.map(({ message }) => message).join('; ')}. Undo that, or accept it (drift: 'accept', --accept-drift)`,
      details: { migration: name, set: this.#set, drift: drift.map(({ message }) => message) },
    });
  }

  async #execute(migration: Migration, direction: MigrationDirection): Promise<void> {
    const { name } = migration;
    const step = migration[direction];
    let executed = 0;
    let last: CompiledQuery | undefined;
    try {
      if (typeof step === 'string') await this.#host.script(step);
      else
        await step?.(
          recordedQuery(this.#host, (query) => {
            executed += 1;
            last = query;
          }),
        );
    } catch (error) {
      const known = InfrastructureError.is(error) ? error : undefined;
      const statement = statementNumber(known) ?? (last === undefined ? undefined : executed);
      const isUndone = this.#host.capabilities.transactionalDdl;
      const where = statement === undefined ? '' : ` at its statement ${statement}`;
      const what = direction === 'up' ? `migration "${name}"` : `reverting migration "${name}"`;
      const reason = error instanceof Error ? error.message : String(error);
      throw new InfrastructureError({
        code: known?.code ?? 'internal',
        component: 'database',
        operation: direction === 'up' ? 'migrate' : 'rollback',
        outcome: isUndone ? 'not-applied' : 'unknown',
        retryable: isUndone && known?.retryable === true,
        message: isUndone
          ? `${what} failed${where}: ${reason}`
          : `${what} failed${where}: ${reason}. What it did before that may have stayed, since this engine undoes no change of the schema, and it is not recorded as applied: undo by hand what it did, or write it so that it can run again (if not exists)`,
        details: { migration: name, ...(statement !== undefined && { statement }) },
        cause: error,
      });
    }
  }

  /** How many stay applied. */
  #endOfDown(history: readonly HistoryRow[], { steps, to }: MigrateDownOptions): number {
    const origin = { component: 'database', operation: 'rollback' };
    if (to === undefined) {
      if (steps !== undefined && (!Number.isSafeInteger(steps) || steps < 1))
        throw invalidArgument(origin, 'steps must be a whole number of at least 1');
      return Math.max(0, history.length - (steps ?? 1));
    }
    if (steps !== undefined) throw invalidArgument(origin, 'give steps or to, not both');
    const position = indexOfMigration(this.#migrations, to);
    if (position < history.length) return position + 1;
    throw new InfrastructureError({
      code: 'failed-precondition',
      ...origin,
      message: `migration "${to}" has not been applied, so that nothing was applied after it`,
      details: { migration: to, set: this.#set },
    });
  }

  /** What was applied from there on, the last one first. Throws unless all of it can be reverted. */
  #toRevert(history: readonly HistoryRow[], end: number): readonly HistoryRow[] {
    const rows = history.slice(end).toReversed();
    for (const { name, position } of rows) {
      const migration = this.#migrations[position];
      if (migration?.down !== undefined) continue;
      throw new InfrastructureError({
        code: 'failed-precondition',
        component: 'database',
        operation: 'rollback',
        message:
          migration === undefined
            ? `migration "${name}" of set "${this.#set}" was applied by a newer version, and is not in this list: revert it from there`
            : `migration "${name}" has no down, and nothing was reverted: give it one, or undo it by a migration of its own`,
        details: { migration: name, set: this.#set },
      });
    }
    return rows;
  }
}

/** Which statement of a text failed, from 1, where the engine tells. */
function statementNumber(error: InfrastructureError | undefined): number | undefined {
  const statement = error?.details['statement'];
  return typeof statement === 'number' ? statement : undefined;
}
