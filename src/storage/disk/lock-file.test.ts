import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fakeClock, systemClock } from '../../core/index.ts';
import { withLockFile } from './lock-file.ts';

let folder: string;
let lock: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-lock-'));
  lock = path.join(folder, 'lock');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('disk storage › lock files', () => {
  it('holders come one after another, and the last leaves nothing behind', async () => {
    let holders = 0;
    let most = 0;
    const hold = async (): Promise<void> => {
      await withLockFile(lock, systemClock, async () => {
        holders += 1;
        most = Math.max(most, holders);
        await readdir(folder);
        holders -= 1;
      });
    };
    await Promise.all(Array.from({ length: 8 }, hold));
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it('a failure inside ends the lock', async () => {
    const failing = withLockFile(lock, systemClock, async () => {
      throw new Error('inside');
    });
    await expect(failing).rejects.toThrow('inside');
    expect(await readdir(folder)).toEqual([]);
  });

  it('whoever was taken for dead does not end the lock of the next', async () => {
    await withLockFile(lock, systemClock, async () => {
      await writeFile(lock, 'the next');
    });
    expect(await readFile(lock, 'utf8')).toBe('the next');
  });

  it('one that a crashed process held is taken over, and a fresh one is not', async () => {
    await writeFile(lock, 'crashed');
    const past = Date.now() / 1000 - 60;
    await utimes(lock, past, past);
    expect(await withLockFile(lock, systemClock, async () => 'taken over')).toBe('taken over');
    await writeFile(lock, 'alive');
    const clock = fakeClock();
    const waiting = withLockFile(lock, clock, async () => 'released');
    while (clock.sleepers === 0) await readdir(folder);
    expect(await readFile(lock, 'utf8')).toBe('alive');
    await rm(lock);
    await clock.advance(5);
    expect(await waiting).toBe('released');
  });
});
