import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  isTemporaryFile,
  removeStaleTemporaryFiles,
  writeDirectoryAtomically,
  writeFileAtomically,
} from './atomic-file.ts';

const run = promisify(execFile);
const leftover = `.underpin-${'0a'.repeat(12)}.tmp`;

describe('atomic file', () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'underpin-atomic-'));
    path = join(directory, 'file.txt');
  });

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  describe.each([true, false])('sync: %s', (sync) => {
    it('writes text, bytes and streams, and leaves nothing else in the directory', async () => {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('chunk one, ');
        yield Buffer.from('chunk two');
      }
      expect(
        await writeFileAtomically(join(directory, 'text'), 'grün', { replace: false, sync }),
      ).toBe(true);
      expect(
        await writeFileAtomically(join(directory, 'bytes'), Uint8Array.of(0, 255), {
          replace: false,
          sync,
        }),
      ).toBe(true);
      expect(
        await writeFileAtomically(join(directory, 'stream'), chunks(), { replace: true, sync }),
      ).toBe(true);
      expect(await readFile(join(directory, 'text'), 'utf8')).toBe('grün');
      expect([...(await readFile(join(directory, 'bytes')))]).toEqual([0, 255]);
      expect(await readFile(join(directory, 'stream'), 'utf8')).toBe('chunk one, chunk two');
      expect((await readdir(directory)).toSorted()).toEqual(['bytes', 'stream', 'text']);
    });

    it('replaces an existing file when told to', async () => {
      await writeFile(path, 'old');
      expect(await writeFileAtomically(path, 'new', { replace: true, sync })).toBe(true);
      expect(await readFile(path, 'utf8')).toBe('new');
      expect(await readdir(directory)).toEqual(['file.txt']);
    });

    it('leaves an existing file alone when told not to replace, and says so', async () => {
      await writeFile(path, 'old');
      expect(await writeFileAtomically(path, 'new', { replace: false, sync })).toBe(false);
      expect(await readFile(path, 'utf8')).toBe('old');
      expect(await readdir(directory)).toEqual(['file.txt']);
    });

    it('has exactly one winner among 20 writers that do not replace', async () => {
      const results = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) =>
            await writeFileAtomically(path, `writer ${index}`, { replace: false, sync }),
        ),
      );
      expect(results.filter(Boolean)).toHaveLength(1);
      expect(await readFile(path, 'utf8')).toBe(`writer ${results.indexOf(true)}`);
      expect(await readdir(directory)).toEqual(['file.txt']);
    });
  });

  it('keeps the old file and no temporary one when the source fails midway', async () => {
    await writeFile(path, 'old');
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half of ');
      throw new Error('source failed');
    }
    await expect(
      writeFileAtomically(path, failing(), { replace: true, sync: false }),
    ).rejects.toThrow('source failed');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(directory)).toEqual(['file.txt']);
  });

  it('keeps the old file and no temporary one when aborted midway, and throws the reason', async () => {
    await writeFile(path, 'old');
    const controller = new AbortController();
    async function* aborting(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half of ');
      controller.abort(new Error('no longer wanted'));
      yield Buffer.from('it');
    }
    const writing = writeFileAtomically(path, aborting(), {
      replace: true,
      sync: false,
      signal: controller.signal,
    });
    await expect(writing).rejects.toThrow('aborted');
    await expect(
      writeFileAtomically(path, 'new', { replace: true, sync: false, signal: controller.signal }),
    ).rejects.toThrow('no longer wanted');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(directory)).toEqual(['file.txt']);
  });

  it('throws the file system’s error and leaves no temporary file when the target cannot be made', async () => {
    await mkdir(join(directory, 'folder'));
    await expect(
      writeFileAtomically(join(directory, 'folder'), 'x', { replace: true, sync: false }),
    ).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    await expect(
      writeFileAtomically(join(directory, 'none', 'x'), 'x', { replace: true, sync: false }),
    ).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readdir(directory)).toEqual(['folder']);
  });

  it('leaves a recognisable temporary file and no target when the process is killed midway', async () => {
    const script = `
      import { writeFileAtomically } from ${JSON.stringify(join(import.meta.dirname, 'atomic-file.ts'))};
      async function* chunks() { yield Buffer.from('half'); process.kill(process.pid, 'SIGKILL'); await new Promise(() => setInterval(() => {}, 1000)); }
      await writeFileAtomically(${JSON.stringify(path)}, chunks(), { replace: false, sync: true });`;
    await expect(
      run(process.execPath, ['--input-type=module', '--eval', script]),
    ).rejects.toMatchObject({ signal: 'SIGKILL' });
    const names = await readdir(directory);
    expect(names).toHaveLength(1);
    expect(names.every(isTemporaryFile)).toBe(true);
  });

  it('creates a directory with all its files, once among 20 writers', async () => {
    const folder = join(directory, 'folder');
    const results = await Promise.all(
      Array.from(
        { length: 20 },
        async (_, index) =>
          await writeDirectoryAtomically(
            folder,
            { one: `${index}`, two: Uint8Array.of(index) },
            { sync: index % 2 === 0 },
          ),
      ),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    const winner = results.indexOf(true);
    expect(await readFile(join(folder, 'one'), 'utf8')).toBe(String(winner));
    expect([...(await readFile(join(folder, 'two')))]).toEqual([winner]);
    expect(await readdir(directory)).toEqual(['folder']);
  });

  it('creates no directory, and leaves no temporary one, when it fails or is aborted', async () => {
    const folder = join(directory, 'folder');
    await expect(
      writeDirectoryAtomically(folder, { one: '1', 'none/two': '2' }, { sync: false }),
    ).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(
      writeDirectoryAtomically(
        folder,
        { one: '1' },
        { sync: false, signal: AbortSignal.abort(new Error('stop')) },
      ),
    ).rejects.toThrow('stop');
    await writeFile(folder, 'a file in its place');
    await expect(
      writeDirectoryAtomically(folder, { one: '1' }, { sync: false }),
    ).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(await readdir(directory)).toEqual(['folder']);
  });

  it('removes temporary files that are older than the given time, and nothing else', async () => {
    const young = `.underpin-${'0b'.repeat(12)}.tmp`;
    const folder = `.underpin-${'0c'.repeat(12)}.tmp`;
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (const name of [leftover, young, 'file.txt', '.underpin-notes.tmp']) {
      await writeFile(join(directory, name), '');
      if (name !== young) await utimes(join(directory, name), old, old);
    }
    await mkdir(join(directory, folder));
    await writeFile(join(directory, folder, 'message'), '');
    await utimes(join(directory, folder), old, old);
    expect(await removeStaleTemporaryFiles(directory, { olderThan: '1h' })).toBe(2);
    expect((await readdir(directory)).toSorted()).toEqual(
      [young, '.underpin-notes.tmp', 'file.txt'].toSorted(),
    );
    expect(await removeStaleTemporaryFiles(join(directory, 'none'), { olderThan: 0 })).toBe(0);
  });

  it('knows a temporary file by its whole name only', () => {
    expect(isTemporaryFile(leftover)).toBe(true);
    for (const name of [
      'file.txt',
      '.underpin-.tmp',
      `x${leftover}`,
      `${leftover}.json`,
      `${leftover}\n`,
      '',
    ]) {
      expect({ name, is: isTemporaryFile(name) }).toEqual({ name, is: false });
    }
  });
});
