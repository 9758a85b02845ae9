import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { ifPresent } from '../core/index.ts';
import { rowTypes } from '../database/row-types.ts';
import { parseArguments } from './arguments.ts';
import { type ExitCode, type Surroundings, UsageError, withDatabase } from './surroundings.ts';

export const typesUsage: string = `underpin types [--out FILE] [OPTIONS]

Writes the TypeScript types of the rows of every table and view, as interface Schema.

  --out FILE          where to; default: prints them
  --check             writes nothing, and ends with 1 unless FILE is up to date
  --database URL      default DATABASE_URL, or the file that DATABASE_URL_FILE names, or sqlite:

Ends with 0 when it is done, 1 when it failed, 2 when the command line is wrong.`;

const options = {
  out: { type: 'string' },
  check: { type: 'boolean' },
  database: { type: 'string' },
} as const;

/** `underpin types`; see {@link typesUsage}. */
export async function typesCommand(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<ExitCode> {
  const { values, positionals } = parseArguments(args, options);
  const { out, check, database: url } = values;
  if (positionals.length > 0) throw new UsageError(`${positionals[0]} is one word too many`);
  if (check && out === undefined) throw new UsageError('--check needs --out FILE');
  const text = await withDatabase(url, surroundings, async ({ dialect, query }) =>
    rowTypes(await dialect.describeSchema(query)),
  );
  if (out === undefined) {
    surroundings.print(text.trimEnd());
    return 0;
  }
  const present = await ifPresent(readFile(out, 'utf8'), undefined);
  if (present !== undefined && isSame(present, text)) {
    surroundings.print(`${out} is up to date`);
    return 0;
  }
  if (check) {
    surroundings.complain(
      `underpin: ${out} is not what the schema is: run underpin types --out ${out}`,
    );
    return 1;
  }
  await mkdir(path.dirname(out), { recursive: true });
  await writeFile(out, text);
  surroundings.print(`wrote ${out}`);
  return 0;
}

/** Whether two texts say the same types: the project's formatter may have been over one of them. */
function isSame(one: string, other: string): boolean {
  const bare = (text: string): string => text.replaceAll(/[\s;,|]/g, '').replaceAll('"', "'");
  return bare(one) === bare(other);
}
