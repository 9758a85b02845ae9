import type { Database } from '../../database/index.ts';
import { JobQueue, type QueueOptions } from '../queue.ts';
import { SqlQueueDriver } from './sql-queue-driver.ts';

export type { SqlQueueDriver };

/** Options of {@link sqlQueue}. */
export interface SqlQueueOptions<Schema> extends QueueOptions {
  /** The application's database. It stays the caller's to close. */
  readonly database: Database<Schema>;
}

/**
 * A queue in a table of the application's database, `underpin_job`, which it makes itself when it starts. Jobs survive a crash
 * of the process; an enqueue inside of `database.transaction` is part of it; several processes may share the database.
 *
 * Throws `unimplemented` for a database that is neither SQLite nor PostgreSQL (on a server, or as PGlite).
 *
 * @example
 * const database = sqliteDatabase({ file: 'data/app.db' });
 * const queue = sqlQueue({ database });
 */
export function sqlQueue<Schema>({
  database,
  ...options
}: SqlQueueOptions<Schema>): JobQueue<SqlQueueDriver> {
  return new JobQueue(SqlQueueDriver.on(database), options);
}
