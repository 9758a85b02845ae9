import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Random } from '../../../test/database/random.ts';
import { ownKeys } from '../../../test/storage/crash-content.ts';
import { diskStorage } from './index.ts';

// CRASH_ROUNDS=500 CRASH_SEED=7 for a long pass.
const rounds = Number(process.env['CRASH_ROUNDS'] ?? 5);
const seed = Number(process.env['CRASH_SEED'] ?? 20_261_128);

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'underpin-crash-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** What the killed process said of each of its own keys: the ids that it had begun to put and that were confirmed, last. */
type Said = Map<string, { begun: string; done: string }>;

/** Runs the writing process until it has said so many lines, and kills it there. */
async function writeUntilKilled(round: number, lines: number): Promise<Said> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=underpin-source',
      path.join(import.meta.dirname, '../../../test/storage/crash-process.ts'),
      directory,
      String(round),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  const said: Said = new Map();
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key = '', id = ''] = line.split(' ');
    const of = said.get(key) ?? { begun: '', done: '' };
    said.set(key, of);
    of[what === 'begun' ? 'begun' : 'done'] = id;
    seen += 1;
    if (seen === lines) child.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return said;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(path.join(directory, folder), {
    recursive: true,
    withFileTypes: true,
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

describe('disk storage › kill -9', () => {
  it('at any moment leaves whole files, each with its own facts, all that was confirmed, and nothing that stays', async () => {
    const random = new Random(seed);
    for (let round = 1; round <= rounds; round += 1) {
      const said = await writeUntilKilled(round, random.between(1, 120));
      const files = diskStorage({ directory });
      let found = 0;
      for await (const { key, size } of files.listAll()) {
        found += 1;
        const file = await files.get(key);
        const { id = 'none' } = file.info.metadata;
        // Reading it verifies its checksum.
        const text = await file.text();
        const line = `${id}\n`;
        expect(text === line.repeat(text.length / line.length), `${key} in round ${round}`).toBe(
          true,
        );
        expect([file.info.contentType, file.info.size]).toEqual([`text/x-${id}`, size]);
        expect(text).toHaveLength(size);
      }
      for (const key of ownKeys) {
        const { begun, done } = said.get(key) ?? { begun: '', done: '' };
        if (done === '') continue;
        const { id } = (await files.head(key)).metadata;
        expect([done, begun], `${key} in round ${round}`).toContain(id);
      }
      await files.close();

      // What is left of unfinished work goes at a start a day, or a week, later.
      const old = Date.now() / 1000 - 8 * 24 * 3600;
      const own = path.join(directory, '.underpin');
      for (const name of await readdir(own, { recursive: true }))
        await utimes(path.join(own, name), old, old);
      const later = diskStorage({ directory });
      await later.start();
      expect(await filesBelow('.underpin/temp')).toEqual([]);
      expect(await filesBelow('.underpin/uploads')).toEqual([]);
      expect(await filesBelow('.underpin/meta')).toHaveLength(found);
      await later.close();
    }
  });
});
