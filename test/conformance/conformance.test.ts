import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import { root } from '../../scripts/run.ts';
import { ports } from './adapters.ts';
import { insertMatrix } from './matrix.ts';
import { makePgliteDump } from './pglite.ts';

// Takes longer than a test should on a busy machine.
beforeAll(async () => void (await makePgliteDump()), 300_000);

for (const { port, adapters } of ports) {
  for (const { adapter, skip, register } of adapters) {
    if (skip === undefined) register({ describe, it });
    else it.skip(`${port} conformance: ${adapter}: ${skip}`);
  }
}

describe('conformance', () => {
  it('every room that has a suite has its adapters registered', () => {
    const suites = globSync('src/*/conformance{.ts,/index.ts}', { cwd: root });
    const rooms = suites
      .map((file) => file.split(path.sep)[1] ?? '')
      .filter((room) => room !== 'core');
    expect(ports.map(({ port }) => port).toSorted()).toEqual(rooms.toSorted());
  });

  it('the matrix in docs/conformance.md is current (npm run docs:matrix)', () => {
    const document = readFileSync(path.join(root, 'docs/conformance.md'), 'utf8');
    expect(document).toBe(insertMatrix(document, ports));
  });
});
