import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { InfrastructureError, PrivateDirectory, systemErrorCode } from '../../core/index.ts';
import { lockName, tryLock, type Unlock } from './folder-lock.ts';

/** A file that is there from before the first file of a new database until after its last. */
const markerName = 'underpin.unfinished';

/** The folder of a database, which one engine at a time may have. */
export class DataDirectory {
  readonly #directory: PrivateDirectory;
  #unlock: Unlock | undefined;

  constructor(path: string) {
    this.#directory = new PrivateDirectory(path, 'database');
  }

  /** Absolute. */
  get path(): string {
    return this.#directory.path;
  }

  /** Maps what the file system says. */
  get classify(): PrivateDirectory['classify'] {
    return this.#directory.classify;
  }

  /**
   * Makes the folder where there is none, and takes it for this process alone. Gives whether it is empty: what is left of a database
   * that was never finished is removed. Throws `failed-precondition` for a folder that holds something else, or that somebody else
   * has; it is left as it is.
   */
  async take(): Promise<boolean> {
    await this.#directory.prepare();
    // Before the lock, which puts a file there.
    await this.#refuseForeign();
    this.#unlock = tryLock(join(this.path, lockName));
    if (this.#unlock === undefined)
      throw refusal(
        `"${this.path}" is in use: PGlite takes one database of one process at a time for a folder. Close the other, or use SQLite or a PostgreSQL server where several processes share a database`,
      );
    try {
      // Whoever had it may have made it meanwhile.
      const names = await this.#refuseForeign();
      if (names.includes('PG_VERSION') && !names.includes(markerName)) return false;
      await writeFile(join(this.path, markerName), '', { mode: 0o600 });
      for (const name of names)
        if (name !== markerName) await rm(join(this.path, name), { recursive: true });
      return true;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** A new database is complete. */
  async finish(): Promise<void> {
    await rm(join(this.path, markerName));
  }

  release(): void {
    this.#unlock?.();
    this.#unlock = undefined;
  }

  /** Gives the names of what is in the folder, but for the lock. */
  async #refuseForeign(): Promise<string[]> {
    const names = (await readdir(this.path)).filter((name) => name !== lockName);
    const isOurs = names.length === 0 || names.includes('PG_VERSION') || names.includes(markerName);
    if (!isOurs)
      throw refusal(
        `"${this.path}" holds something else than a database, and was left as it is: name a folder that is empty, or not there`,
      );
    // A server writes the number of its process there, and PGlite a negative one.
    const server = await readFile(join(this.path, 'postmaster.pid'), 'utf8').catch(
      (error: unknown) => {
        if (systemErrorCode(error) === 'ENOENT') return '-';
        throw error;
      },
    );
    if (!server.trimStart().startsWith('-'))
      throw refusal(
        `"${this.path}" belongs to a PostgreSQL server, and was left as it is: reach that by postgresDatabase()`,
      );
    return names;
  }
}

function refusal(message: string): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'pglite',
    message,
  });
}
