import path from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { InfrastructureError } from '../core/index.ts';
import { DiskPaths } from './disk/paths.ts';
import { checkKey, compareKeys, isKey } from './key.ts';

const origin = { component: 'storage', operation: 'put' };

const pieces = [
  'a',
  'B',
  '.',
  '..',
  '/',
  '//',
  '\\',
  '\0',
  ':',
  ' ',
  '%2e',
  '%2f',
  '~',
  'é',
  'e\u0301',
  '\ud800',
  '\u202e',
  'con',
  'NUL',
  '\n',
  '.underpin',
];
const hostile = fc.oneof(
  fc.string({ unit: fc.constantFrom(...pieces), maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.webPath(),
);

describe('storage › keys', () => {
  it('a key that is let through names a path below the root, and no other key names it', () => {
    const root = path.resolve('/srv/files');
    const paths = new DiskPaths(root, '.underpin');
    fc.assert(
      fc.property(hostile, hostile, (a, b) => {
        if (!isKey(a)) return;
        const file = paths.file(a);
        expect(file.startsWith(root + path.sep)).toBe(true);
        expect(`${file}${path.sep}`.startsWith(path.join(root, `.underpin${path.sep}`))).toBe(
          false,
        );
        expect(path.relative(root, file).split(path.sep).join('/')).toBe(a);
        expect(isKey(b) && a !== b && paths.file(b) === file).toBe(false);
      }),
      { numRuns: 20_000, seed: 5 },
    );
  });

  it('a key that is let through comes back from a URL as it was', () => {
    fc.assert(
      fc.property(hostile, (key) => {
        if (!isKey(key)) return;
        const url = new URL(
          `https://example.com/files/${key.split('/').map(encodeURIComponent).join('/')}`,
        );
        expect(
          url.pathname.slice('/files/'.length).split('/').map(decodeURIComponent).join('/'),
        ).toBe(key);
      }),
      { numRuns: 20_000, seed: 6 },
    );
  });

  it('keys are ordered as their UTF-8 bytes are', () => {
    expect(['\u{1f600}', '\uff5e', 'a/', 'a-', 'a0', 'Z'].toSorted(compareKeys)).toEqual([
      'Z',
      'a-',
      'a/',
      'a0',
      '\uff5e',
      '\u{1f600}',
    ]);
  });

  it('the refusal says what is wrong, and cuts a long key', () => {
    const messages = ['../x', 'x'.repeat(5000), 'e\u0301'].map((key) => {
      try {
        checkKey(key, origin);
        return '';
      } catch (error) {
        return InfrastructureError.is(error, 'invalid-argument') ? error.message : String(error);
      }
    });
    expect(messages[0]).toContain('".." segment');
    expect(messages[1]).toContain('longer than 1024 bytes');
    expect(messages[1]?.length).toBeLessThan(250);
    expect(messages[2]).toContain("normalize('NFC')");
  });
});
