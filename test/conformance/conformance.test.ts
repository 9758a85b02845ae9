import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

import { root } from '../../scripts/run.ts';
import { ports } from './adapters.ts';
import { insertMatrix } from './matrix.ts';

describe('conformance', () => {
  it('every room that has a suite has its adapters registered', () => {
    const suites = globSync('src/*/conformance{.ts,/index.ts}', { cwd: root });
    const rooms = suites
      .map((file) => file.split(path.sep)[1] ?? '')
      .filter((room) => room !== 'core');
    expect(ports.map(({ port }) => port).toSorted()).toEqual(rooms.toSorted());
  });

  it('every port is put to its suite by a file of its own', () => {
    const files = globSync('test/conformance/*.test.ts', { cwd: root });
    const names = files.map((file) => path.basename(file, '.test.ts'));
    expect(ports.map(({ port }) => port).filter((port) => !names.includes(port))).toEqual([]);
  });

  it('the matrix in docs/conformance.md is current (npm run docs:matrix)', () => {
    const document = readFileSync(path.join(root, 'docs/conformance.md'), 'utf8');
    expect(document).toBe(insertMatrix(document, ports));
  });
});
