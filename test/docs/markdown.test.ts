import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { readDocument } from './markdown.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'underpin-markdown-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function read(lines: readonly string[]): ReturnType<typeof readDocument> {
  writeFileSync(path.join(root, 'a.md'), lines.join('\n'));
  return readDocument(root, 'a.md');
}

describe('documents', () => {
  test('TypeScript blocks are found with the line of their code, other languages are not', () => {
    const { blocks } = read([
      '# A',
      '',
      '```ts',
      'one();',
      '```',
      '```sh',
      'ls',
      '```',
      '```ts no-run',
      'two();',
      '```',
    ]);
    expect(blocks).toEqual([
      { file: 'a.md', line: 4, code: 'one();', runs: true },
      { file: 'a.md', line: 10, code: 'two();', runs: false },
    ]);
  });

  test('a block in a list is taken without its indentation', () => {
    const { blocks } = read(['1. A', '', '   ```ts', '   if (a) {', '     b();', '   }', '   ```']);
    expect(blocks.map(({ code }) => code)).toEqual(['if (a) {\n  b();\n}']);
  });

  test('a longer fence holds shorter ones', () => {
    const { blocks } = read(['````md', '```ts', 'inner();', '```', '````']);
    expect(blocks).toEqual([]);
  });

  test('a fence that is never closed is an error, since it would hide what follows', () => {
    expect(() => read(['```ts', 'one();'])).toThrow('a.md:1');
  });

  test('relative links are found, without their fragment; addresses, code and fragments alone are not', () => {
    const { links } = read([
      'See [one](docs/a.md#part), [two](../b.ts "title") and [three](https://example.com/c).',
      '`[code](d.md)` and [four](#here)',
      '```sh',
      '[five](e.md)',
      '```',
    ]);
    expect(links.map(({ target }) => target)).toEqual(['docs/a.md', '../b.ts']);
  });
});
