import { parseArgs, type ParseArgsConfig } from 'node:util';

import { nearestName } from '../core/index.ts';
import { UsageError } from './surroundings.ts';

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<Known extends Options> = ReturnType<
  typeof parseArgs<{ readonly options: Known; readonly allowPositionals: true }>
>;

/** Parses a command's arguments. Throws a {@link UsageError} for an option that it does not have, with the nearest that it has. */
export function parseArguments<const Known extends Options>(
  args: readonly string[],
  options: Known,
): Parsed<Known> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const [, option] = /^Unknown option '(-[^' ]*)/.exec(error.message) ?? [];
    if (option === undefined) throw new UsageError(error.message.split('\n')[0]);
    throw new UsageError(
      unknownOf(
        'option',
        option,
        Object.keys(options).map((name) => `--${name}`),
      ),
    );
  }
}

/** What to say of a word that is not known. */
export function unknownOf(what: string, word: string, known: readonly string[]): string {
  const nearest = nearestName(word, known);
  const hint = nearest === undefined ? `there are ${known.join(', ')}` : `did you mean ${nearest}?`;
  return `there is no ${what} ${word}: ${hint}`;
}
