import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { InfrastructureError } from '../../core/index.ts';
import { Random } from '../../../test/database/random.ts';
import { isKey } from '../key.ts';
import { diskStorage } from './index.ts';
import { DiskPaths } from './paths.ts';

const pieces: readonly string[] = [
  '/',
  '/',
  '/',
  '\\',
  '.',
  '..',
  '../',
  '/..',
  '...',
  '~',
  '~1',
  'UNDERP~1',
  '%2e%2e',
  '%2f',

  'a',
  'b',
  'A',
  'B',
  'name',
  'x'.repeat(250),
  'ä',
  'a\u0308',
  'é',
  '日本',
  '😀',
  '\u212a',
  'ß',

  '\0',
  '\n',
  '\u007f',
  '\u0085',
  ' ',
  '\u00a0',
  '\u200c',
  '\u200d',
  '\ufeff',
  '\u202e',

  '\ud800',
  '\udfff',
  '．．',
  '／',
  '＼',
  '\u2024\u2024',
  '\u2215',
  '\u2044',
  '：',
  ':',
  '*',
  '$DATA',

  '.underpin',
  '.UNDERPIN',
  '.under\u200cpin',
  'meta',
  'temp',
  'uploads',
  'con',
  'NUL.txt',
  'COM1',

  'C:',
  '//server/share',
  'file://',
  '-',
  '#',
  '?',
  '&',
  "'",
  '"',
  '`',
  '$(id)',
  ';',
];

/** A text that means harm, or looks as if it did. */
function hostileText(random: Random): string {
  let text = '';
  for (let left = random.between(1, 8); left > 0; left -= 1) text += random.oneOf(pieces);
  return text;
}

// As a file system without cases that ignores what HFS+ ignores compares names.
function folded(name: string): string {
  return name.replaceAll(/[\u200b-\u200f\ufeff]/g, '').toLowerCase();
}

describe('disk storage › a million hostile keys', () => {
  it('what is let through names a path of its own below the root, and nothing that the storage keeps for itself', () => {
    const random = new Random(5);
    const root = path.resolve('/srv/files');
    const paths = new DiskPaths(root, '.underpin');
    let accepted = 0;
    for (let count = 0; count < 1_000_000; count += 1) {
      const key = hostileText(random);
      if (!isKey(key)) continue;
      accepted += 1;
      const file = paths.file(key);
      const isHeld =
        file === path.resolve(file) &&
        file.startsWith(`${root}${path.sep}`) &&
        file
          .slice(root.length + 1)
          .split(path.sep)
          .join('/') === key &&
        folded(key.split('/')[0] ?? '') !== '.underpin';
      if (!isHeld) throw new Error(`${JSON.stringify(key)} leads to ${file}`);
    }
    // So many that the property is not empty.
    expect(accepted).toBeGreaterThan(50_000);
  }, 240_000);

  it('what is written lies below the root, reads back under its key alone, and all else is refused before the disk', async () => {
    const random = new Random(6);
    const jail = await mkdtemp(path.join(tmpdir(), 'underpin-jail-'));
    const root = path.join(jail, 'one', 'two', 'root');
    await mkdir(root, { recursive: true });
    const files = diskStorage({ directory: root });
    const written = new Set<string>();
    for (let count = 0; count < 4000; count += 1) {
      const key = hostileText(random);
      const code = await files.put(key, key, { contentType: 'text/plain' }).then(
        () => 'written',
        (error: unknown) => (InfrastructureError.is(error) ? error.code : error),
      );
      // A key may need a folder where a file is, or the other way round; anything else is a key that is none.
      expect(isKey(key) ? ['written', 'unimplemented'] : ['invalid-argument']).toContain(code);
      if (code === 'written') written.add(key);
    }
    expect(written.size).toBeGreaterThan(200);
    const listed: string[] = [];
    for await (const { key } of files.listAll()) listed.push(key);
    expect(listed.toSorted()).toEqual([...written].toSorted());
    for (const key of written)
      expect(Buffer.from(await (await files.get(key)).bytes()).toString()).toBe(key);
    await files.close();
    expect(await readdir(jail)).toEqual(['one']);
    expect(await readdir(path.join(jail, 'one'))).toEqual(['two']);
    expect(await readdir(path.join(jail, 'one', 'two'))).toEqual(['root']);
    await rm(jail, { recursive: true });
  }, 240_000);
});
