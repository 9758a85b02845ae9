import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { migrationFilesIn } from '../database/migrations/files.ts';
import { UsageError } from './surroundings.ts';

/** Writes the files of a migration with the next number, and makes the folder. Gives their paths; nothing is overwritten. */
export async function createMigration(
  folder: string,
  name: string,
  isModule: boolean,
): Promise<readonly string[]> {
  const words = name.trim().toLowerCase().replaceAll(/\s+/g, '-');
  if (!/^[a-z\d][\w-]*$/.test(words) || words.length > 150)
    throw new UsageError(
      `"${name}" is no name for a migration: give letters, digits and -, as add-subtitle`,
    );
  await mkdir(folder, { recursive: true });
  const last = (await migrationFilesIn(folder)).at(-1);
  const width = last === undefined ? 4 : last.digits;
  const full = `${String((last?.number ?? 0n) + 1n).padStart(width, '0')}-${words}`;
  const texts = isModule
    ? { [`${full}.ts`]: moduleText(full) }
    : {
        [`${full}.sql`]: `-- What ${full} does.\n`,
        [`${full}.down.sql`]: `-- Undoes ${full}. Delete this file if nothing can.\n`,
      };
  const written: string[] = [];
  for (const [file, text] of Object.entries(texts)) {
    const target = path.join(folder, file);
    await writeFile(target, text, { flag: 'wx' });
    written.push(target);
  }
  return written;
}

function moduleText(name: string): string {
  return `import type { Migration } from 'underpin/database';

export const up: Migration['up'] = async (query) => {
  throw new Error('write what ${name} does, with query.schema or Kysely\\'s sql');
};

// Delete it if nothing can undo this.
export const down: Migration['down'] = async (query) => {
  throw new Error('write what undoes ${name}');
};
`;
}
