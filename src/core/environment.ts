import { readFileSync } from 'node:fs';

import { InfrastructureError } from './errors.ts';
import { type Duration, toMilliseconds } from './quantities.ts';
import { Redacted } from './redacted.ts';

/** One mistake in the environment, with its fix. */
export interface EnvironmentProblem {
  readonly name: string;
  readonly problem: string;
}

/** What an environment variable is when it is not set. Without a default it must be set. */
export interface VariableOptions<Value> {
  readonly default?: Value;
}

/**
 * Reads environment variables, and collects every mistake so that all are reported at once. For any `NAME`, `NAME_FILE` may
 * hold the path of a file with the value (one trailing line break is dropped), as container secrets do. Setting both is a
 * mistake. A reader of a variable that is wrong gives a placeholder; {@link Environment.throwProblems} then refuses the whole.
 */
export class Environment {
  readonly problems: EnvironmentProblem[] = [];
  readonly #variables: Readonly<Record<string, string | undefined>>;

  constructor(variables: Readonly<Record<string, string | undefined>>) {
    this.#variables = variables;
  }

  /** The value as it stands; an empty one counts as not set. */
  string(name: string, options: VariableOptions<string> = {}): string {
    return this.optional(name) ?? options.default ?? this.#missing(name, '');
  }

  /** The value, if it is set. */
  optional(name: string): string | undefined {
    const own = this.#variables[name] || undefined;
    const file = this.#variables[`${name}_FILE`] || undefined;
    if (file === undefined) return own;
    if (own !== undefined)
      return this.problem(name, `set ${name} or ${name}_FILE, not both`, undefined);
    try {
      return (
        readFileSync(file, 'utf8').replace(/\r?\n$/, '') ||
        this.problem(
          name,
          `${name}_FILE names ${file}, which is empty: write the value into it`,
          undefined,
        )
      );
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      return this.problem(
        name,
        `${name}_FILE names ${file}, which cannot be read (${reason}): name a readable file, or set ${name} itself`,
        undefined,
      );
    }
  }

  /** The value as a secret. */
  secret(name: string, options: VariableOptions<string> = {}): Redacted {
    return new Redacted(this.string(name, options));
  }

  /** A secret, if it is set. */
  optionalSecret(name: string): Redacted | undefined {
    const value = this.optional(name);
    return value === undefined ? undefined : new Redacted(value);
  }

  /** A whole number within bounds. */
  integer(
    name: string,
    options: VariableOptions<number> & { readonly min?: number; readonly max?: number } = {},
  ): number {
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
    const text = this.optional(name);
    if (text === undefined) return options.default ?? this.#missing(name, 0);
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    return this.problem(
      name,
      `${JSON.stringify(text)} is not a whole number from ${min} to ${max}`,
      options.default ?? 0,
    );
  }

  /** `true` or `false`, also written `1` or `0`. */
  boolean(name: string, options: VariableOptions<boolean> = {}): boolean {
    const text = this.optional(name);
    if (text === undefined) return options.default ?? this.#missing(name, false);
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    return this.problem(name, `${JSON.stringify(text)} is neither true nor false`, false);
  }

  /** A length of time in milliseconds, from `250`, `'30s'`, `'5m'`. */
  duration(name: string, options: VariableOptions<Duration> = {}): number {
    const text = this.optional(name) ?? options.default;
    if (text === undefined) return this.#missing(name, 0);
    try {
      return toMilliseconds(
        typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : (text as Duration),
      );
    } catch (error) {
      return this.problem(name, (error as Error).message, 0);
    }
  }

  /** One of a few words. */
  oneOf<const Word extends string>(
    name: string,
    words: readonly [Word, ...Word[]],
    options: VariableOptions<Word> = {},
  ): Word {
    const text = this.optional(name);
    const placeholder = options.default ?? words[0];
    const known = `give one of ${words.join(', ')}`;
    if (text === undefined) return options.default ?? this.#missing(name, placeholder, known);
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    return this.problem(name, `${JSON.stringify(text)} is not known: ${known}`, placeholder);
  }

  /** A URL with one of these schemes (without the colon). A wrong one is not shown in the report: it may hold credentials. */
  url(name: string, schemes: readonly string[], options: VariableOptions<string> = {}): URL {
    const placeholder = new URL(`${schemes[0] ?? 'unset'}:placeholder`);
    const text = this.optional(name) ?? options.default;
    if (text === undefined) return this.#missing(name, placeholder);
    const known = `give a URL that starts with ${schemes.map((scheme) => `${scheme}:`).join(', ')}`;
    if (!URL.canParse(text))
      return this.problem(name, `its value is not a URL: ${known}`, placeholder);
    const url = new URL(text);
    if (schemes.includes(url.protocol.slice(0, -1))) return url;
    return this.problem(
      name,
      `the scheme ${url.protocol} is not known here: ${known}`,
      placeholder,
    );
  }

  /** Records a mistake that a caller found, and gives the placeholder back. A variable is reported once, by its first mistake. */
  problem<Placeholder>(name: string, problem: string, placeholder: Placeholder): Placeholder {
    if (!this.problems.some((known) => known.name === name)) this.problems.push({ name, problem });
    return placeholder;
  }

  /** Throws one `invalid-argument` error that lists every mistake, if there is any. */
  throwProblems(): void {
    if (this.problems.length === 0) return;
    const lines = this.problems.map(({ name, problem }) => `${name}: ${problem}`);
    throw new InfrastructureError({
      code: 'invalid-argument',
      component: 'core',
      operation: 'start',
      message:
        lines.length === 1
          ? `the environment is wrong: ${lines[0]}`
          : `the environment has ${lines.length} mistakes:\n${lines.map((line) => `  - ${line}`).join('\n')}`,
      details: { problems: [...this.problems] },
    });
  }

  #missing<Placeholder>(name: string, placeholder: Placeholder, known?: string): Placeholder {
    const hint = known === undefined ? '' : `; ${known}`;
    return this.problem(
      name,
      `it is not set: set ${name}, or ${name}_FILE to a file that holds it${hint}`,
      placeholder,
    );
  }
}
