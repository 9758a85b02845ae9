import { open, rename, rm, stat } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';

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
  await acquire(file, clock);
  try {
    return await fn();
  } finally {
    await rm(file, { force: true });
  }
}

async function acquire(file: string, clock: Clock): Promise<void> {
  for (;;) {
    try {
      await (await open(file, 'wx')).close();
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    const stats = await stat(file).catch(() => undefined);
    if (stats && Date.now() - stats.mtimeMs > staleAfterMs) {
      // Of several that find it stale, one renames it away; the others find it gone or renewed.
      const grave = `${file}.${randomUUID()}`;
      await rename(file, grave).catch(() => undefined);
      await rm(grave, { force: true });
    } else await clock.sleep(retryAfterMs);
  }
}
