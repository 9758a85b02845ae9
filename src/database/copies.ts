import type { QueryExecutorProvider } from 'kysely';

import type { Database } from './database.ts';

/** A Database of any schema. Kysely's own type is invariant in its schema, so the part of it that has none. */
export type AnyDatabase = Pick<
  Database,
  'adapter' | 'start' | 'transaction' | 'close' | typeof Symbol.asyncDispose
> & {
  readonly query: QueryExecutorProvider;
};

/** How an engine keeps templates and their copies, all by names of letters, digits and `_`. */
export interface Copies {
  /**
   * Makes a template, unless it is there. `fill` gets an empty database; what it failed to fill, or was killed over, is no template.
   * Of several that call it at once, in whatever process, one fills and the others wait.
   */
  makeTemplate(name: string, fill: (target: string) => Promise<void>): Promise<void>;
  /** Gives what `open` gets. */
  copy(template: string, name: string): Promise<string>;
  /** Removes a template or a copy that nobody uses. */
  remove(name: string): Promise<void>;
  /** The names of all templates and copies, and of what was left of their making. */
  names(): Promise<readonly string[]>;
}
