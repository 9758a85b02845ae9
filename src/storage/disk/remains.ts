import { randomInt, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { ifThere, statPath } from './calls.ts';
import { parseFacts, versionOf } from './facts.ts';
import type { DiskPaths } from './paths.ts';

const dayMs = 24 * 3600 * 1000;
// After its last part has arrived.
const uploadKeptMs = 7 * dayMs;
// A start looks at so many sidecars, which takes some ten milliseconds, and begins at any place: of a larger tree each start sees a part.
const sidecarsInOneStart = 500;
const atOnce = 16;

/**
 * Removes what killed processes have left: bodies on their way in and sidecars that no file needs after a day, uploads after seven.
 * Within a day every put of another process has ended, so that nothing of one under way is taken.
 */
export async function removeRemains(paths: DiskPaths, now: number): Promise<void> {
  await removeOlder(paths.temp, now - dayMs);
  // What a process that took over a lock has left: locks themselves have no dot.
  await removeOlder(paths.locks, now - dayMs, (name) => name.includes('.'));
  await removeUploads(paths, now - uploadKeptMs);
  await removeSidecars(paths, now - dayMs);
}

async function removeOlder(
  folder: string,
  before: number,
  isRemains: (name: string) => boolean = () => true,
): Promise<void> {
  await forEach((await ifThere(readdir(folder))) ?? [], async (name) => {
    const file = path.join(folder, name);
    if (isRemains(name) && (await isOlder(file, before)))
      await rm(file, { recursive: true, force: true });
  });
}

async function removeUploads(paths: DiskPaths, before: number): Promise<void> {
  await forEach((await ifThere(readdir(paths.uploads))) ?? [], async (name) => {
    const folder = path.join(paths.uploads, name);
    if (await isOlder(folder, before)) await removeFolder(paths, folder);
  });
}

/** Removes a folder in one step for everybody who uses it: it is gone before what is in it. */
export async function removeFolder(paths: DiskPaths, folder: string): Promise<void> {
  const grave = path.join(paths.temp, randomUUID());
  if ((await ifThere(rename(folder, grave).then(() => true))) === true)
    await rm(grave, { recursive: true, force: true });
}

async function removeSidecars(paths: DiskPaths, before: number): Promise<void> {
  const folders = ((await ifThere(readdir(paths.sidecars))) ?? []).toSorted();
  const first = folders.length === 0 ? 0 : randomInt(folders.length);
  let seen = 0;
  for (const folder of [...folders.slice(first), ...folders.slice(0, first)]) {
    const names = (await ifThere(readdir(path.join(paths.sidecars, folder)))) ?? [];
    await forEach(names, async (name) => {
      const sidecar = path.join(paths.sidecars, folder, name);
      if ((await isOlder(sidecar, before)) && !(await isNeeded(paths, sidecar)))
        await rm(sidecar, { force: true });
    });
    seen += names.length;
    if (seen >= sidecarsInOneStart) return;
  }
}

// Whether the version whose facts these are is the one in place.
async function isNeeded(paths: DiskPaths, sidecar: string): Promise<boolean> {
  const text = await ifThere(readFile(sidecar, 'utf8'));
  const key = text === undefined ? undefined : parseFacts(text)?.key;
  if (key === undefined) return false;
  const stats = await ifThere(statPath(paths.file(key)));
  // By its own name, so that a sidecar which tells of another key, or whose key was changed, is none.
  return stats !== undefined && paths.sidecar(key, versionOf(stats)) === sidecar;
}

async function isOlder(file: string, before: number): Promise<boolean> {
  const stats = await ifThere(statPath(file));
  return stats !== undefined && stats.mtimeMs < before;
}

async function forEach<Item>(
  items: readonly Item[],
  fn: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const work = async (): Promise<void> => {
    for (const item of queue) await fn(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
}
