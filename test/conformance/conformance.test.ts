import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

import { root } from '../../scripts/run.ts';
import { ports } from './adapters.ts';
import { insertMatrix } from './matrix.ts';

for (const { port, adapters } of ports) {
  for (const { adapter, skip, register } of adapters) {
    if (skip === undefined) register({ describe, it });
    else it.skip(`${port} conformance: ${adapter}: ${skip}`);
  }
}

describe('conformance', () => {
  it('the matrix in docs/conformance.md is current (npm run docs:matrix)', () => {
    const document = readFileSync(path.join(root, 'docs/conformance.md'), 'utf8');
    expect(document).toBe(insertMatrix(document, ports));
  });
});
