import { execFile } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { FileStorage } from '../storage.ts';
import { type DiskStorageDriver, diskStorage } from './index.ts';

const run = promisify(execFile);

let directory: string;
let files: FileStorage<DiskStorageDriver>;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'underpin-disk-'));
  files = diskStorage({ directory });
});

afterEach(async () => {
  await files.close();
  await rm(directory, { recursive: true, force: true });
});

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(path.join(directory, folder), {
    recursive: true,
    withFileTypes: true,
  });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('disk storage › the folder', () => {
  it('a file lies at its key, with its bytes and nothing else', async () => {
    await files.put('photos/2026/cat.txt', 'meow', { metadata: { a: '1' } });
    expect(await readFile(path.join(directory, 'photos/2026/cat.txt'), 'utf8')).toBe('meow');
    expect(await readdir(directory)).toEqual(['.underpin', 'photos']);
  });

  it('a file that somebody else put there is read, listed and replaced like any other', async () => {
    await files.start();
    await mkdir(path.join(directory, 'drop'));
    await writeFile(path.join(directory, 'drop/note.css'), 'b{}');
    expect(await (await files.get('drop/note.css')).text()).toBe('b{}');
    const info = await files.head('drop/note.css');
    expect(info).toMatchObject({ size: 3, contentType: 'text/css; charset=utf-8', metadata: {} });
    expect((await files.list()).files.map(({ key }) => key)).toEqual(['drop/note.css']);
    await files.put('drop/note.css', 'i{}', { ifMatch: info.etag });
    expect(await (await files.get('drop/note.css')).text()).toBe('i{}');
  });

  it('a file that somebody else changed has a new etag, and none of the facts of what was there', async () => {
    const { etag } = await files.put('a.css', 'b{}', {
      metadata: { by: 'ann' },
      contentType: 'x/y',
    });
    await writeFile(path.join(directory, 'a.css'), 'changed');
    const info = await files.head('a.css');
    expect(info.etag).not.toBe(etag);
    expect(info).toMatchObject({ metadata: {}, contentType: 'text/css; charset=utf-8' });
    expect(await (await files.get('a.css')).text()).toBe('changed');
  });

  it('a file that somebody else put there can be copied and moved, and then read', async () => {
    await files.start();
    const large = 'x'.repeat(200_000);
    await writeFile(path.join(directory, 'large.css'), large);
    await writeFile(path.join(directory, 'note.css'), 'b{}');
    const copied = await files.copy('note.css', 'copied.css');
    await files.copy('large.css', 'copied-large.css');
    const moved = await files.move('note.css', 'moved.css');
    expect(await (await files.get('copied.css')).text()).toBe('b{}');
    expect(await (await files.get('copied-large.css')).text()).toBe(large);
    expect(await (await files.get('moved.css')).text()).toBe('b{}');
    expect(copied).toEqual(await files.head('copied.css'));
    expect(moved).toEqual(await files.head('moved.css'));
    expect(copied.etag).not.toBe('');
    expect(moved.etag).not.toBe('');
  });

  it('content that rots without its time changing is data-loss', async () => {
    await files.put('a', 'hello');
    const file = path.join(directory, 'a');
    const { atime, mtime, mtimeMs } = await stat(file);
    await writeFile(file, 'jello');
    await utimes(file, atime.getTime() / 1000, mtimeMs / 1000);
    expect(Math.abs((await stat(file)).mtimeMs - mtime.getTime())).toBeLessThan(1);
    await expect((await files.get('a')).text()).rejects.toMatchObject({ code: 'data-loss' });
  });

  it('folders that become empty are removed, so that their names are free again', async () => {
    await files.put('a/b/c', 'x');
    await files.delete('a/b/c');
    await files.put('a', 'now a file');
    expect(await (await files.get('a')).text()).toBe('now a file');
  });

  it('replacing and deleting leave no facts behind', async () => {
    for (let index = 0; index < 5; index += 1) await files.put('a', `version ${index}`);
    expect(await filesBelow('.underpin/meta')).toHaveLength(1);
    await files.move('a', 'b/c');
    expect(await filesBelow('.underpin/meta')).toHaveLength(1);
    await files.delete('b/c');
    expect(await filesBelow('.underpin/meta')).toEqual([]);
    expect(await filesBelow('.underpin/temp')).toEqual([]);
  });

  it('a put that is refused leaves nothing behind', async () => {
    await files.put('a', 'first');
    await expect(files.put('a', 'x', { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'already-exists',
    });
    await expect(files.put('a/b', 'x')).rejects.toMatchObject({ code: 'unimplemented' });
    await expect(files.put('c', new Blob(['long']).stream(), { size: 2 })).rejects.toMatchObject({
      code: 'invalid-argument',
    });
    expect(await filesBelow('.underpin/temp')).toEqual([]);
    expect(await filesBelow('.underpin/meta')).toHaveLength(1);
  });
});

describe('disk storage › no way out', () => {
  it('a symbolic link, to a folder or to a file, is refused for reading and writing', async () => {
    const outside = await mkdtemp(path.join(tmpdir(), 'underpin-outside-'));
    await writeFile(path.join(outside, 'secret'), 'secret');
    await files.start();
    await symlink(outside, path.join(directory, 'folder'));
    await symlink(path.join(outside, 'secret'), path.join(directory, 'file'));
    await expect(files.get('folder/secret')).rejects.toMatchObject({ code: 'permission-denied' });
    await expect(files.get('file')).rejects.toMatchObject({ code: 'permission-denied' });
    await expect(files.put('folder/new', 'x')).rejects.toMatchObject({ code: 'permission-denied' });
    await expect(files.delete('folder/secret')).rejects.toMatchObject({
      code: 'permission-denied',
    });
    expect((await files.list()).files).toEqual([]);
    await files.put('file', 'replaces the link, not what it leads to');
    expect(await readFile(path.join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(await readdir(outside)).toEqual(['secret']);
    await rm(outside, { recursive: true });
  });
});

describe('disk storage › links that are swapped in', () => {
  it('a folder that becomes a link while it is in use is not written through', async () => {
    const outside = await mkdtemp(path.join(tmpdir(), 'underpin-outside-'));
    await files.put('folder/a', 'inside');
    await rename(path.join(directory, 'folder'), path.join(directory, 'moved'));
    await symlink(outside, path.join(directory, 'folder'));
    const denied = { code: 'permission-denied' };
    await expect(files.put('folder/a', 'x')).rejects.toMatchObject(denied);
    await expect(files.put('folder/b/c', 'x')).rejects.toMatchObject(denied);
    await expect(files.move('moved/a', 'folder/a')).rejects.toMatchObject(denied);
    await expect(files.delete('folder/a')).rejects.toMatchObject(denied);
    expect(await readdir(outside)).toEqual([]);
    await rm(outside, { recursive: true });
  });
});

describe('disk storage › crashes', () => {
  // What each moment of a put leaves behind when the process ends there.
  it('a body that was being written is no file, and its remains are removed a day later', async () => {
    await files.put('a', 'old');
    const temp = path.join(directory, '.underpin/temp/remains');
    await writeFile(temp, 'half of a bo');
    const reopened = diskStorage({ directory });
    await reopened.start();
    expect((await reopened.list()).files.map(({ key }) => key)).toEqual(['a']);
    expect(await readdir(path.join(directory, '.underpin/temp'))).toEqual(['remains']);
    const old = Date.now() / 1000 - 25 * 3600;
    await utimes(temp, old, old);
    await diskStorage({ directory }).start();
    expect(await readdir(path.join(directory, '.underpin/temp'))).toEqual([]);
  });

  it('facts that were written before their content was put in place change nothing', async () => {
    await files.put('a', 'old', { metadata: { version: 'old' } });
    const [folder] = await readdir(path.join(directory, '.underpin/meta'));
    const [sidecar] = await readdir(path.join(directory, '.underpin/meta', folder ?? ''));
    const [digest] = (sidecar ?? '').split('.');
    await writeFile(
      path.join(directory, '.underpin/meta', folder ?? '', `${digest}.zzzzzz.json`),
      JSON.stringify({
        key: 'a',
        contentType: 'x/y',
        metadata: { version: 'new' },
        sha256: 'f'.repeat(64),
      }),
    );
    const reopened = diskStorage({ directory });
    expect((await reopened.head('a')).metadata).toEqual({ version: 'old' });
    expect(await (await reopened.get('a')).text()).toBe('old');
  });

  it('facts that are cut short are as good as none', async () => {
    await files.put('a.css', 'b{}', { metadata: { x: '1' } });
    for (const name of await filesBelow('.underpin/meta')) {
      const [folder] = await readdir(path.join(directory, '.underpin/meta'));
      await writeFile(path.join(directory, '.underpin/meta', folder ?? '', name), '{"key":"a.c');
    }
    const reopened = diskStorage({ directory });
    expect(await reopened.head('a.css')).toMatchObject({
      metadata: {},
      contentType: 'text/css; charset=utf-8',
    });
  });

  it('facts that no file needs are removed at a start a day later, and those of files stay', async () => {
    await files.put('kept', 'kept', { metadata: { version: 'kept' } });
    await files.put('gone', 'gone');
    await rm(path.join(directory, 'gone'));
    const sidecars = path.join(directory, '.underpin/meta');
    const restart = async (): Promise<number> => {
      const later = diskStorage({ directory });
      await later.start();
      await later.close();
      return (await filesBelow('.underpin/meta')).length;
    };
    expect(await restart()).toBe(2);
    const old = Date.now() / 1000 - 25 * 3600;
    for (const folder of await readdir(sidecars))
      for (const name of await readdir(path.join(sidecars, folder)))
        await utimes(path.join(sidecars, folder, name), old, old);
    expect(await restart()).toBe(1);
    expect((await files.head('kept')).metadata).toEqual({ version: 'kept' });
  });

  it('a lock that a killed process held ends by itself', async () => {
    const { etag } = await files.put('a', 'old');
    const held = files.put('a', 'new', { ifMatch: etag });
    await held;
    const { etag: current } = await files.head('a');
    const locks = path.join(directory, '.underpin/locks');
    const { DiskPaths } = await import('./paths.ts');
    const lock = new DiskPaths(directory, '.underpin').lock('a');
    await writeFile(lock, '');
    const past = Date.now() / 1000 - 60;
    await utimes(lock, past, past);
    await files.put('a', 'newer', { ifMatch: current });
    expect(await readdir(locks)).toEqual([]);
  });
});

describe('disk storage › several processes', () => {
  const writer = `
    import { diskStorage } from 'underpin/storage/disk';
    const [directory, name] = process.argv.slice(1);
    const files = diskStorage({ directory });
    let won = 0;
    for (let round = 0; round < 20; round += 1) {
      await files.put('once/' + round, name, { ifNoneMatch: '*' }).then(() => { won += 1; }, (error) => { if (error.code !== 'already-exists') throw error; });
    }
    for (let step = 0; step < 10; ) {
      const file = await files.get('counter');
      await files.put('counter', String(Number(await file.text()) + 1), { ifMatch: file.info.etag }).then(() => { step += 1; }, (error) => { if (error.code !== 'failed-precondition') throw error; });
    }
    console.log(won);
  `;

  it('one of racing writers wins each conditional put, and no step of a counter is lost', async () => {
    await files.put('counter', '0');
    const started = ['one', 'two', 'three'].map(
      async (name) =>
        await run(process.execPath, [
          '--conditions=underpin-source',
          '--input-type=module',
          '--eval',
          writer,
          directory,
          name,
        ]),
    );
    const wins = (await Promise.all(started)).map(({ stdout }) => Number(stdout));
    expect(wins.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(await (await files.get('counter')).text()).toBe('30');
  });
});

describe('disk storage › what the file system refuses', () => {
  it('however many small puts follow each other, the event loop turns between them', async () => {
    await files.put('first', 'x');
    let turns = 0;
    let isOver = false;
    const turn = (): void => {
      turns += 1;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    for (let index = 0; index < 1000; index += 1) await files.put(`file-${index % 10}`, 'x');
    isOver = true;
    expect(turns).toBeGreaterThan(5);
  });

  it('a directory below a file says so', async () => {
    await writeFile(path.join(directory, 'file'), '');
    const below = diskStorage({ directory: path.join(directory, 'file/below') });
    await expect(below.start()).rejects.toMatchObject({ code: 'failed-precondition' });
    await expect(below.start()).rejects.toThrow(/choose another directory/);
  });
});
