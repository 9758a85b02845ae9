import {
  type Duration,
  invalidArgument,
  longestTimer,
  systemClock,
  toMilliseconds,
} from '../../core/index.ts';
import { Database, type DatabaseOptions } from '../database.ts';
import { SqliteDriver, type SqliteNative } from './sqlite-driver.ts';

export type { SqliteNative };

/** Options of {@link sqliteDatabase}. */
export interface SqliteDatabaseOptions extends DatabaseOptions {
  /** The file, made with its folders when it is not there; or `:memory:`, which is gone when it is closed. */
  readonly file: string;
  /**
   * When a commit is on the disk. `normal`: shortly after; a power cut can undo the last commits, but never damages the file,
   * and a crash of the process loses nothing. `full`: before the commit resolves, at one fsync each. Default `normal`.
   */
  readonly synchronous?: 'normal' | 'full';
  /** How long to wait for the open transaction of this process, and then of another, to end. Default 10 s. */
  readonly waitTimeout?: Duration;
}

/** A Database on `node:sqlite`. */
export type SqliteDatabase<Schema = unknown> = Database<Schema, SqliteDriver>;

/**
 * A database in one file, with nothing to install: SQLite, in WAL mode with foreign keys on. Throws `invalid-argument` for
 * options that make no sense; the file itself is opened by `start()`, or the first use.
 *
 * @example
 * const database = sqliteDatabase<Schema>({ file: 'data/app.db' });
 */
export function sqliteDatabase<Schema = unknown>(
  options: SqliteDatabaseOptions,
): SqliteDatabase<Schema> {
  const { file, synchronous = 'normal', waitTimeout = '10s', clock = systemClock } = options;
  const origin = { component: 'database', adapter: 'sqlite' } as const;
  if (file === '' || file.includes('\0'))
    throw invalidArgument(origin, 'file is not a path: name a file, or ":memory:"');
  if (file.startsWith('file:'))
    throw invalidArgument(origin, `"${file}" is a URI: give the path of the file itself`);
  // It may hold a password.
  if (/^(?:[a-z][a-z0-9+.-]*:\/\/|sqlite:)/i.test(file))
    throw invalidArgument(origin, 'file is a URL: give the path of the file itself');
  // The value goes into a statement, and types hold nobody who reads it from the environment.
  if (!(['normal', 'full'] as readonly string[]).includes(synchronous)) {
    throw invalidArgument(origin, 'synchronous is neither "normal" nor "full"');
  }
  // SQLite takes whole milliseconds, and timers no more than these.
  const bound = Math.min(Math.ceil(toMilliseconds(waitTimeout)), longestTimer);
  return new Database<Schema, SqliteDriver>(
    new SqliteDriver({ file, synchronous, waitTimeout: bound, clock }),
    options,
  );
}
