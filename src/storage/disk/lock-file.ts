import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';

import { type Clock, systemErrorCode } from '../../core/index.ts';

// What is done under a lock takes milliseconds; whoever has held it this long has crashed.
const staleAfterMs = 10_000;
const retryAfterMs = 5;

/** Runs `fn` while this process alone, among all that use the lock, holds the lock file. */
export async function withLockFile<Result>(
  file: string,
  clock: Clock,
  fn: () => Promise<Result>,
): Promise<Result> {
  const owner = randomUUID();
  await acquire(file, owner, clock);
  try {
    return await fn();
  } finally {
    // Whoever was taken for dead must not end the lock of the next.
    const holder = await readFile(file, 'utf8').catch(() => undefined);
    if (holder === owner) await rm(file, { force: true });
  }
}

async function acquire(file: string, owner: string, clock: Clock): Promise<void> {
  for (;;) {
    try {
      await writeFile(file, owner, { flag: 'wx' });
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    if (await isStale(file)) await takeAway(file);
    else await clock.sleep(retryAfterMs);
  }
}

// Of several that find it stale one renames it away; what another has renewed meanwhile is put back.
async function takeAway(file: string): Promise<void> {
  const grave = `${file}.${randomUUID()}`;
  try {
    await rename(file, grave);
  } catch {
    return;
  }
  if (!(await isStale(grave))) await link(grave, file).catch(() => undefined);
  await rm(grave, { force: true });
}

async function isStale(file: string): Promise<boolean> {
  const stats = await stat(file).catch(() => undefined);
  return stats !== undefined && Date.now() - stats.mtimeMs > staleAfterMs;
}
