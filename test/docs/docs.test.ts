import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { root, run } from '../../scripts/run.ts';
import { findDocuments, readDocument } from './markdown.ts';

const documents = findDocuments(root).map((file) => readDocument(root, file));
const blocks = documents.flatMap((document) => document.blocks);
const links = documents.flatMap((document) => document.links);

describe('documents', () => {
  test('every relative link leads to a file', () => {
    const broken = links.filter(
      ({ file, target }) => !existsSync(path.join(root, path.dirname(file), decodeURI(target))),
    );
    expect(broken.map(({ file, line, target }) => `${file}:${line} ${target}`)).toEqual([]);
  });
});

describe.skipIf(blocks.length === 0)('documents › code', () => {
  let scratch: string;
  /** What the compiler says, by the block's file name. */
  const diagnostics = new Map<string, string[]>();

  beforeAll(async () => {
    scratch = mkdtempSync(path.join(tmpdir(), 'underpin-docs-'));
    symlinkSync(path.join(root, 'node_modules'), path.join(scratch, 'node_modules'), 'dir');
    writeFileSync(path.join(scratch, 'package.json'), '{ "type": "module" }');
    const tsconfig = {
      extends: path.join(root, 'tsconfig.json'),
      compilerOptions: {
        declaration: false,
        isolatedDeclarations: false,
        moduleDetection: 'force',
        noUnusedLocals: false,
        noUnusedParameters: false,
      },
      include: ['*.ts'],
    };
    writeFileSync(path.join(scratch, 'tsconfig.json'), JSON.stringify(tsconfig));
    for (const [index, { code }] of blocks.entries()) {
      writeFileSync(path.join(scratch, fileName(index)), code);
    }
    const { code, output } = await run('tsc', ['-p', scratch, '--pretty', 'false'], {
      cwd: scratch,
    });
    let last: string[] = [];
    for (const line of output.split('\n')) {
      const [, file, rest] = /^(block-\d+\.ts)(\(.*)$/.exec(line) ?? [];
      if (file !== undefined && rest !== undefined) {
        last = diagnostics.get(file) ?? [];
        diagnostics.set(file, last);
        last.push(rest);
      } else if (line.startsWith(' ')) {
        last.push(line);
      }
    }
    if (code !== 0 && diagnostics.size === 0) throw new Error(`The compiler failed:\n${output}`);
  });

  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  test.for(blocks.map((block, index) => ({ ...block, index })))(
    '$file:$line',
    { timeout: 60_000 },
    async ({ index, runs }, { signal }) => {
      expect(diagnostics.get(fileName(index)) ?? []).toEqual([]);
      if (!runs) return;
      const folder = path.join(scratch, `run-${index}`);
      mkdirSync(folder);
      const { code, output } = await run(
        process.execPath,
        ['--conditions=underpin-source', path.join(scratch, fileName(index))],
        // As on a fresh machine: nothing that happens to be set for this run may reach the example.
        { cwd: folder, env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder }, signal },
      );
      expect(code, output).toBe(0);
    },
  );
});

function fileName(index: number): string {
  return `block-${index}.ts`;
}
