import { unknownOf } from './arguments.ts';
import { migrateCommand, migrateUsage } from './migrate-command.ts';
import { type ExitCode, messageOf, type Surroundings, UsageError } from './surroundings.ts';
import { typesCommand, typesUsage } from './types-command.ts';

type Command = (args: readonly string[], surroundings: Surroundings) => Promise<ExitCode>;

const commands: Readonly<Record<string, { readonly run: Command; readonly usage: string }>> = {
  migrate: { run: migrateCommand, usage: migrateUsage },
  types: { run: typesCommand, usage: typesUsage },
};

const usage = `underpin COMMAND

  migrate   applies, reverts, lists and creates migrations of the database
  types     writes the TypeScript types of the database's rows

underpin COMMAND --help tells more. The database is that of DATABASE_URL, or of --database URL.`;

/** Runs a command line, without `node` and the program's name. Never rejects: what went wrong is complained about. */
export async function runCommand(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<ExitCode> {
  const { print, complain } = surroundings;
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    print(usage);
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  try {
    if (command === undefined)
      throw new UsageError(unknownOf('command', name, Object.keys(commands)));
    if (rest.includes('--help') || rest.includes('-h')) {
      print(command.usage);
      return 0;
    }
    return await command.run(rest, surroundings);
  } catch (error) {
    complain(`underpin: ${messageOf(error)}`);
    if (!(error instanceof UsageError)) return 1;
    complain(`Run: underpin ${command === undefined ? '' : `${name} `}--help`);
    return 2;
  }
}
