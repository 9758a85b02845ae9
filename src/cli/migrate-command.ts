import {
  type Database,
  type MigrationDirection,
  migrationsFrom,
  type Migrator,
  type MigratorStatus,
  type PlannedMigration,
} from '../database/index.ts';
import { parseArguments, unknownOf } from './arguments.ts';
import { createMigration } from './create-migration.ts';
import { type ExitCode, type Surroundings, UsageError, withDatabase } from './surroundings.ts';

export const migrateUsage: string = `underpin migrate [up | down | status | create NAME] [OPTIONS]

  up            applies what is pending (the default)
    --to NAME         up to this one
    --accept-drift    takes the live schema for what the migrations made it
    --dry-run         prints the SQL, and changes nothing
  down          reverts the last one
    --steps N         the last N
    --to NAME         all after this one
    --accept-drift, --dry-run
  status        lists what is applied, pending, edited, moved or missing, and what drifted
    --check           ends with 1 unless all is applied and nothing differs
  create NAME   writes the files of a new migration
    --ts              a module in place of SQL

  --folder FOLDER     where the migrations are; default migrations
  --set NAME          the history that they belong to; default app
  --database URL      default DATABASE_URL, or the file that DATABASE_URL_FILE names, or sqlite:

Ends with 0 when it is done, 1 when it failed, 2 when the command line is wrong.`;

const options = {
  to: { type: 'string' },
  steps: { type: 'string' },
  'accept-drift': { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  check: { type: 'boolean' },
  ts: { type: 'boolean' },
  folder: { type: 'string' },
  set: { type: 'string' },
  database: { type: 'string' },
} as const;

type Values = ReturnType<typeof parseArguments<typeof options>>['values'];
type Action = 'up' | 'down' | 'status' | 'create';

/** The options of each action, beside those of all. */
const own: Readonly<Record<Action, readonly (keyof Values)[]>> = {
  up: ['to', 'accept-drift', 'dry-run'],
  down: ['to', 'steps', 'accept-drift', 'dry-run'],
  status: ['check'],
  create: ['ts'],
};

/** `underpin migrate`; see {@link migrateUsage}. */
export async function migrateCommand(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<ExitCode> {
  const { values, positionals } = parseArguments(args, options);
  const [word = 'up', name, ...more] = positionals;
  if (!isAction(word)) throw new UsageError(unknownOf('action', word, Object.keys(own)));
  const unfit = ['to', 'steps', 'accept-drift', 'dry-run', 'check', 'ts'] as const;
  for (const option of unfit)
    if (values[option] !== undefined && !own[word].includes(option))
      throw new UsageError(`--${option} has no meaning for ${word}`);
  if (more.length > 0 || (name !== undefined && word !== 'create'))
    throw new UsageError(`${[name, ...more].at(-1)} is one word too many`);
  const { folder = 'migrations', set = 'app' } = values;
  if (word === 'create') {
    if (name === undefined) throw new UsageError('a migration needs a name: create add-subtitle');
    for (const file of await createMigration(folder, name, values.ts === true))
      surroundings.print(`wrote ${file}`);
    return 0;
  }
  const steps = values.steps === undefined ? undefined : stepsOf(values.steps);
  if (steps !== undefined && values.to !== undefined)
    throw new UsageError('give --steps or --to, not both');
  const migrations = await migrationsFrom(folder);
  return await withDatabase(values.database, surroundings, async (database: Database) => {
    const migrator = database.migrator(migrations, { set });
    if (word === 'status') return await showStatus(migrator, values, surroundings);
    if (values['dry-run'])
      return await showPlan(migrator, word, { ...values, steps }, surroundings);
    const drift = values['accept-drift'] ? 'accept' : 'refuse';
    const { signal } = surroundings;
    return word === 'up'
      ? await up(migrator, { to: values.to, drift }, surroundings)
      : await down(migrator, { to: values.to, steps, drift, signal }, surroundings);
  });
}

function isAction(word: string): word is Action {
  return Object.hasOwn(own, word);
}

function stepsOf(text: string): number {
  const steps = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (steps < 1) throw new UsageError('--steps takes a whole number of at least 1');
  return steps;
}

// One by one, so that each is told of when it is done.
async function up(
  migrator: Migrator,
  { to, drift }: { readonly to: string | undefined; readonly drift: 'accept' | 'refuse' },
  { signal, print }: Surroundings,
): Promise<ExitCode> {
  const { migrations } = await migrator.status({ signal });
  const pending = migrations.flatMap(({ name, state }) => (state === 'pending' ? [name] : []));
  const last = to === undefined ? pending.length - 1 : pending.indexOf(to);
  // Also when none is pending: one that was edited is to be told of, and so is a name that is none.
  const targets = last === -1 ? [to] : pending.slice(0, last + 1);
  let count = 0;
  for (const target of targets) {
    const { applied } = await migrator.up({ to: target, drift, signal });
    for (const name of applied) print(`applied ${name}`);
    count += applied.length;
  }
  print(count === 0 ? 'nothing to apply' : counted(count, 'applied'));
  return 0;
}

async function down(
  migrator: Migrator,
  revert: Parameters<Migrator['down']>[0],
  { print }: Surroundings,
): Promise<ExitCode> {
  const { reverted } = await migrator.down(revert);
  for (const name of reverted) print(`reverted ${name}`);
  print(reverted.length === 0 ? 'nothing to revert' : counted(reverted.length, 'reverted'));
  return 0;
}

async function showStatus(
  migrator: Migrator,
  { check }: Values,
  { signal, print }: Surroundings,
): Promise<ExitCode> {
  const status = await migrator.status({ signal });
  const { migrations, drift } = status;
  const width = Math.max(0, ...migrations.map(({ name }) => name.length));
  for (const { name, state, appliedAt = '' } of migrations)
    print(`${name.padEnd(width)}  ${state.padEnd('applied'.length)}  ${appliedAt}`.trimEnd());
  if (migrations.length === 0) print('there are no migrations');
  if (drift.length > 0) print('the schema is not what they made it:');
  for (const { message } of drift) print(`  ${message}`);
  return check === true && !isSettled(status) ? 1 : 0;
}

/** A database that is ahead has all that is in the list. */
function isSettled({ migrations, drift }: MigratorStatus): boolean {
  return (
    drift.length === 0 && migrations.every(({ state }) => state === 'applied' || state === 'ahead')
  );
}

async function showPlan(
  migrator: Migrator,
  direction: MigrationDirection,
  { to, steps }: { readonly to?: string | undefined; readonly steps: number | undefined },
  { signal, print }: Surroundings,
): Promise<ExitCode> {
  const plan =
    direction === 'up'
      ? await migrator.plan('up', { to, signal })
      : await migrator.plan('down', { to, steps, signal });
  if (plan.length === 0) print(`-- nothing to ${direction === 'up' ? 'apply' : 'revert'}`);
  for (const migration of plan) print(planned(migration));
  return 0;
}

function planned({ name, direction, statements, isExact }: PlannedMigration): string {
  const title = `-- ${direction === 'up' ? '' : 'reverting '}${name}`;
  const doubt = isExact ? [] : ['-- what it does by the data it reads is not known'];
  return [title, ...doubt, ...statements.map(statement), ''].join('\n');
}

// The values of parameters may be anybody's data.
function statement({ sql, parameters }: PlannedMigration['statements'][number]): string {
  const text = sql.trim();
  const end = text.endsWith(';') ? '' : ';';
  if (parameters.length === 0) return `${text}${/--[^\n]*$/.test(text) ? '\n' : ''}${end}`;
  return `${text}${end} -- with ${parameters.length} ${parameters.length === 1 ? 'parameter' : 'parameters'}`;
}

function counted(count: number, what: string): string {
  return `${count} ${count === 1 ? 'migration' : 'migrations'} ${what}`;
}
