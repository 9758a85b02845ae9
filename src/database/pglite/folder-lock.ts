import { DatabaseSync } from 'node:sqlite';

/** The name of the file that is locked, within the folder. It stays there. */
export const lockName = 'underpin.lock';

/** Lets go of a folder. */
export type Unlock = () => void;

/**
 * Locks a file for this process and this caller alone; gives undefined when somebody else has it. The operating system holds the
 * lock, and lets go of it when the process ends, however that happens. Node can lock no file by itself, and SQLite can.
 */
export function tryLock(file: string): Unlock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // Else there would be a journal beside it.
    database.exec('pragma journal_mode = memory; begin exclusive');
    return () => {
      database.close();
    };
  } catch (error) {
    database.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return undefined;
    throw error;
  }
}

/** https://www.sqlite.org/rescode.html#busy */
const busy = 5;
