import { constants } from 'node:fs';
import { access, copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { Copies } from '../copies.ts';
import { sqliteDatabase } from './index.ts';

/** How long another process may take to fill a template. */
const fillTimeout = '10m';

/** What belongs to one database, by what its name ends with. */
const suffixes = ['.db', '.db-wal', '.db-shm', '.filling', '.filling-wal', '.filling-shm'];

/** Files of SQLite in a folder of the user's own, among the system's temporary ones. */
export class SqliteCopies implements Copies {
  readonly #folder: string = path.join(
    tmpdir(),
    ['underpin-templates', process.getuid?.()].filter((part) => part !== undefined).join('-'),
  );

  async makeTemplate(name: string, fill: (target: string) => Promise<void>): Promise<void> {
    const template = this.#path(`${name}.db`);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    if (await exists(template)) return;
    // The lock is one of SQLite's own, which a process that is killed lets go of.
    await using lock = sqliteDatabase({ file: this.#path('lock.db'), waitTimeout: fillTimeout });
    await lock.transaction(async () => {
      if (await exists(template)) return;
      const filling = this.#path(`${name}.filling`);
      const removeFilling = async (): Promise<void> => {
        for (const suffix of ['', '-wal', '-shm']) await rm(filling + suffix, { force: true });
      };
      await removeFilling();
      try {
        await fill(filling);
        // It was closed, upon which all of it is in the one file.
        await rename(filling, template);
      } finally {
        await removeFilling();
      }
    });
  }

  async copy(template: string, name: string): Promise<string> {
    const file = this.#path(`${name}.db`);
    // Where the file system can, both share their pages until they are written.
    await copyFile(this.#path(`${template}.db`), file, constants.COPYFILE_FICLONE);
    return file;
  }

  async remove(name: string): Promise<void> {
    for (const suffix of suffixes) await rm(this.#path(name + suffix), { force: true });
  }

  async names(): Promise<readonly string[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const files = await readdir(this.#folder);
    return [...new Set(files.map((file) => file.replace(/\..*$/, '')))];
  }

  #path(file: string): string {
    return path.join(this.#folder, file);
  }
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
