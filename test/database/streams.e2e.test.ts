import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { makeMariadbDatabase, makePostgresDatabase } from '../services/databases.ts';
import { service } from '../services/services.ts';

const { missing: postgresMissing } = await service('postgres');
const { missing: mariadbMissing } = await service('mariadb');

interface Engine {
  readonly name: string;
  readonly missing?: boolean | string | undefined;
  readonly make: () => Promise<{ readonly url: string; readonly remove: () => Promise<void> }>;
}

const engines: readonly Engine[] = [
  { name: 'sqlite', make: makeFile },
  { name: 'pglite', make: makeFile },
  { name: 'postgres', missing: postgresMissing, make: makePostgresDatabase },
  { name: 'mysql', missing: mariadbMissing, make: makeMariadbDatabase },
];

async function makeFile(): Promise<{ url: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-streams-'));
  const remove = async (): Promise<void> => await rm(folder, { recursive: true });
  return { url: path.join(folder, 'app.db'), remove };
}

/** Streams in a process whose heap holds a fraction of the rows; gives what it says, or rejects when it dies. */
async function stream(engine: Engine, ...words: readonly string[]): Promise<string> {
  const { url, remove } = await engine.make();
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=underpin-source',
      '--max-old-space-size=48',
      path.join(import.meta.dirname, 'stream-process.ts'),
      engine.name,
      url,
      ...words,
    ]);
    return stdout;
  } finally {
    await remove();
  }
}

for (const engine of engines) {
  describe.skipIf(engine.missing)(`database ${engine.name} › streams in constant memory`, () => {
    it('ten thousand rows of ten kilobytes', async () => {
      expect(await stream(engine, '4', '10000', '100')).toBe('10000 rows\n');
    });

    it('a million rows of a hundred bytes', async () => {
      expect(await stream(engine, '6', '100', '1000')).toBe('1000000 rows\n');
    });

    it('which whoever keeps the rows does not have', async () => {
      await expect(stream(engine, '4', '10000', '100', 'keep')).rejects.toThrow();
    });
  });
}
