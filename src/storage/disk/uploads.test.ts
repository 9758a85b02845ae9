import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { FileStorage } from '../storage.ts';
import { type DiskStorageDriver, diskStorage } from './index.ts';

const hour = 3600;

let directory: string;
let uploads: string;
let files: FileStorage<DiskStorageDriver>;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'underpin-uploads-'));
  uploads = path.join(directory, '.underpin/uploads');
  files = diskStorage({ directory });
});

afterEach(async () => {
  await files.close();
  await rm(directory, { recursive: true, force: true });
});

describe('disk storage › uploads', () => {
  it('one that got no part for seven days is removed at a start, and one that did goes on', async () => {
    const left = await files.createUpload('left');
    const active = await files.createUpload('active');
    const [one, two] = await readdir(uploads);
    const now = Date.now() / 1000;
    for (const name of [one, two])
      await utimes(path.join(uploads, name ?? ''), now, now - 7 * 24 * hour - hour);
    // A part that arrives is what keeps it.
    await active.putPart(1, 'x');
    const later = diskStorage({ directory });
    await later.start();
    await expect(later.resumeUpload(left.token).parts()).rejects.toMatchObject({
      code: 'not-found',
    });
    expect((await later.resumeUpload(active.token).complete()).size).toBe(1);
    expect(await readdir(uploads)).toEqual([]);
    expect(await readdir(path.join(directory, '.underpin/temp'))).toEqual([]);
    await later.close();
  });

  it('a part that rots before the completion is data-loss, and can be put again', async () => {
    const upload = await files.createUpload('a');
    await upload.putPart(1, 'hello');
    const [id = ''] = await readdir(uploads);
    const part = path.join(uploads, id, '1');
    const bytes = await readFile(part);
    bytes[0] = 0x6a;
    await writeFile(part, bytes);
    await expect(upload.complete()).rejects.toMatchObject({
      code: 'data-loss',
      outcome: 'not-applied',
    });
    expect(await files.exists('a')).toBe(false);
    await upload.putPart(1, 'hello');
    await upload.complete();
    expect(await (await files.get('a')).text()).toBe('hello');
  });

  it('a token whose id leads elsewhere is refused, and nothing there is touched', async () => {
    const { token } = await files.createUpload('a');
    const outside = path.join(directory, 'kept');
    await mkdir(outside);
    await writeFile(path.join(outside, 'upload.json'), JSON.stringify({ key: 'a', upload: {} }));
    const facts = JSON.parse(Buffer.from(token, 'base64url').toString()) as object;
    for (const id of ['../../kept', outside, '.', '', 'x', 7]) {
      const forged = Buffer.from(JSON.stringify({ ...facts, state: { id } })).toString('base64url');
      const upload = files.resumeUpload(forged);
      const refused = { code: 'invalid-argument' };
      await expect(upload.putPart(1, 'x')).rejects.toMatchObject(refused);
      await expect(upload.parts()).rejects.toMatchObject(refused);
      await expect(upload.complete()).rejects.toMatchObject(refused);
      await expect(upload.abort()).rejects.toMatchObject(refused);
    }
    expect(await readdir(outside)).toEqual(['upload.json']);
  });
});
