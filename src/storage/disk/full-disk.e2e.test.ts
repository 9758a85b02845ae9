import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { FileStorage } from '../storage.ts';
import { type DiskStorageDriver, diskStorage } from './index.ts';

const run = promisify(execFile);
const large = new Uint8Array(2 * 2 ** 20).fill(7);
const middling = large.subarray(0, 60_000);

let folder: string;
let directory: string;
let files: FileStorage<DiskStorageDriver>;

/** Only root of a machine that lets it can mount; elsewhere these tests say why they cannot run. */
const cannotMount = await probeMount();

async function probeMount(): Promise<string | undefined> {
  const probe = await mkdtemp(path.join(os.tmpdir(), 'underpin-mount-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', probe]);
    await run('umount', [probe]);
    return undefined;
  } catch (error) {
    return `a file system cannot be mounted here: ${(error as Error).message.split('\n')[0]}`;
  } finally {
    await rm(probe, { recursive: true });
  }
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'underpin-full-'));
  directory = path.join(folder, 'disk');
  await mkdir(directory);
  if (cannotMount === undefined)
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
  files = diskStorage({ directory });
});

afterEach(async () => {
  await files.close();
  if (cannotMount === undefined) await run('umount', [directory]);
  await rm(folder, { recursive: true });
});

async function filesBelow(below: string): Promise<string[]> {
  const entries = await readdir(path.join(directory, '.underpin', below), {
    recursive: true,
    withFileTypes: true,
  });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('disk storage › a disk that cannot take more', () => {
  it('a full one refuses bytes and streams, keeps what was there, and works on when there is space', async ({
    skip,
  }) => {
    skip(cannotMount !== undefined, cannotMount);
    await files.put('a', 'old', { metadata: { version: 'old' } });
    const full = { code: 'resource-exhausted', outcome: 'not-applied', retryable: false };
    await expect(files.put('a', large)).rejects.toMatchObject(full);
    await expect(files.put('a', new Blob([large]).stream())).rejects.toMatchObject(full);
    let stored = 0;
    const fill = async (): Promise<void> => {
      for (; stored < 100; stored += 1) await files.put(`fill/${stored}`, middling);
    };
    await expect(fill()).rejects.toMatchObject(full);
    expect(stored).toBeGreaterThan(5);
    await expect(files.copy('fill/0', 'copied')).rejects.toMatchObject(full);
    expect(await filesBelow('temp')).toEqual([]);
    expect(await filesBelow('meta')).toHaveLength(stored + 1);
    const file = await files.get('a');
    expect([await file.text(), file.info.metadata]).toEqual(['old', { version: 'old' }]);
    expect(await files.exists('copied')).toBe(false);
    await files.deletePrefix('fill/');
    await files.put('a', middling);
    expect((await files.head('a')).size).toBe(middling.byteLength);
  });

  it('a full one refuses a part, and a completion that it has no space for, and the upload goes on', async ({
    skip,
  }) => {
    skip(cannotMount !== undefined, cannotMount);
    const full = { code: 'resource-exhausted', outcome: 'not-applied' };
    const upload = await files.createUpload('a');
    await expect(upload.putPart(1, large)).rejects.toMatchObject(full);
    expect(await upload.parts()).toEqual([]);
    await upload.putPart(1, large.subarray(0, 700_000));
    await expect(upload.complete()).rejects.toMatchObject(full);
    expect(await files.exists('a')).toBe(false);
    expect(await filesBelow('temp')).toEqual([]);
    await upload.putPart(1, middling);
    expect((await upload.complete()).size).toBe(middling.byteLength);
    expect(await filesBelow('uploads')).toEqual([]);
  });

  it('a read-only one is read, and refuses every change', async ({ skip }) => {
    skip(cannotMount !== undefined, cannotMount);
    await files.put('a', 'old');
    const upload = await files.createUpload('b');
    await upload.putPart(1, 'part');
    await run('mount', ['-o', 'remount,ro', directory]);
    const denied = { code: 'permission-denied' };
    await expect(files.put('a', 'new')).rejects.toMatchObject(denied);
    await expect(files.put('a', new Blob(['new']).stream())).rejects.toMatchObject(denied);
    await expect(files.copy('a', 'c')).rejects.toMatchObject(denied);
    await expect(files.move('a', 'c')).rejects.toMatchObject(denied);
    await expect(files.delete('a')).rejects.toMatchObject(denied);
    await expect(files.createUpload('c')).rejects.toMatchObject(denied);
    await expect(upload.putPart(2, 'more')).rejects.toMatchObject(denied);
    await expect(upload.complete()).rejects.toMatchObject(denied);
    expect((await files.checkHealth()).status).toBe('down');
    expect(await (await files.get('a')).text()).toBe('old');
    const other = diskStorage({ directory: path.join(directory, 'other') });
    await expect(other.start()).rejects.toMatchObject(denied);
    await run('mount', ['-o', 'remount,rw', directory]);
    await upload.complete();
    expect(await (await files.get('b')).text()).toBe('part');
  });

  it('one that this user may not write says so, and what is not readable too', async ({ skip }) => {
    skip(process.getuid?.() !== 0, 'only root can become a user without permission');
    await files.put('a', 'old');
    await files.put('secret', 'old');
    await chmod(folder, 0o755);
    await chmod(path.join(directory, 'secret'), 0o600);
    await chmod(directory, 0o555);
    const asNobody = `
      import { setgid, setuid } from 'node:process';
      import { diskStorage } from 'underpin/storage/disk';
      const files = diskStorage({ directory: process.argv[1] });
      await files.start();
      setgid(65534); setuid(65534);
      const codeOf = (call) => call.then(() => 'fine', (error) => error.code);
      console.log(await codeOf(files.get('a')), await codeOf(files.get('secret')), await codeOf(files.put('b', 'x')), await codeOf(files.delete('a')));
      await files.close();
    `;
    const { stdout } = await run(process.execPath, [
      '--conditions=underpin-source',
      '--input-type=module',
      '--eval',
      asNobody,
      directory,
    ]);
    expect(stdout.trim()).toBe('fine permission-denied permission-denied permission-denied');
    expect(await (await files.get('a')).text()).toBe('old');
  });
});
