import { type Duration, invalidArgument, longestTimer, toMilliseconds } from '../../core/index.ts';
import { Database, type DatabaseOptions } from '../database.ts';
import { PgliteDriver, type PgliteInstance, type PgliteNative } from './pglite-driver.ts';

export type { PgliteDriver, PgliteInstance, PgliteNative };

/** Options of {@link pgliteDatabase}. */
export interface PgliteDatabaseOptions extends DatabaseOptions {
  /**
   * The folder, made with those above it when it is not there; or `:memory:`, which is gone when it is closed. One database of one
   * process has it at a time.
   */
  readonly directory: string;
  /**
   * What a new database begins with: what `database.native.pglite.dumpDataDir()` gave of another. To start from a dump takes a sixth of the time that
   * it takes from nothing. A folder that has a database keeps it.
   */
  readonly dump?: Blob;
  /** How long to wait for the open transaction to end. Default 10 s. */
  readonly waitTimeout?: Duration;
}

/** A Database on PGlite. */
export type PgliteDatabase<Schema = unknown> = Database<Schema, PgliteDriver>;

/**
 * PostgreSQL within the process, with nothing to install but the optional peer `@electric-sql/pglite`. Throws `invalid-argument` for
 * options that make no sense; the folder itself is opened by `start()`, or the first use, and refused as `failed-precondition` when
 * somebody else has it open, or it holds something else.
 *
 * @example
 * const database = pgliteDatabase<Schema>({ directory: 'data/app' });
 */
export function pgliteDatabase<Schema = unknown>(
  options: PgliteDatabaseOptions,
): PgliteDatabase<Schema> {
  const { directory, dump, waitTimeout = '10s' } = options;
  const origin = { component: 'database', adapter: 'pglite' } as const;
  if (directory === '' || directory.includes('\0'))
    throw invalidArgument(origin, 'directory is not a path: name a folder, or ":memory:"');
  // PGlite's own spelling, for other places than a folder.
  if (/^[a-z0-9-]+:\/\//.test(directory))
    throw invalidArgument(
      origin,
      `"${directory}" is a URL: give the path of the folder itself, or ":memory:"`,
    );
  const driver = new PgliteDriver({
    directory: directory === ':memory:' ? undefined : directory,
    dump,
    waitTimeout: Math.min(Math.ceil(toMilliseconds(waitTimeout)), longestTimer),
  });
  return new Database<Schema, PgliteDriver>(driver, options);
}
