import { Environment, InfrastructureError } from '../core/index.ts';
import type { Database } from '../database/index.ts';
import { databaseFromEnv } from '../infrastructure-from-env.ts';

/** What a command runs in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends the command. */
  readonly signal: AbortSignal;
  /** Writes a line of what the command is for. */
  readonly print: (line: string) => void;
  /** Writes a line of what went wrong. */
  readonly complain: (line: string) => void;
}

/** 0: done; 1: failed, or a check did not hold; 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2;

/** A command line that cannot be understood. */
export class UsageError extends Error {}

/**
 * Gives the database of the URL, or of `DATABASE_URL` without one, to `fn`, and closes it. Throws `invalid-argument` when the
 * environment is wrong.
 */
export async function withDatabase<Result>(
  url: string | undefined,
  { env: variables, signal }: Surroundings,
  fn: (database: Database) => Promise<Result>,
): Promise<Result> {
  const env = new Environment(
    url === undefined
      ? variables
      : { ...variables, DATABASE_URL: url, DATABASE_URL_FILE: undefined },
  );
  await using database = await databaseFromEnv(env);
  env.throwProblems();
  await database.start({ signal });
  return await fn(database);
}

/** What to tell of an error. Its cause may hold what nobody should see. */
export function messageOf(error: unknown): string {
  if (InfrastructureError.is(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
