import assert from 'node:assert';
import { describe, expect, test } from 'vitest';

import { formatMatrix, formatReport, insertMatrix, runPorts } from './matrix.ts';
import { port, type RegisteredPort } from './registry.ts';

/** A port of one rule that all must hold, one that needs a capability, and adapters of every kind. */
function examplePort(): RegisteredPort {
  const target = (adapter: string, count: number, doubling: boolean, skip?: string) => ({
    adapter,
    skip,
    capabilities: { doubling },
    create: async () => ({ count, doubling }),
    dispose: async () => {},
  });
  return port(
    {
      port: 'counter',
      cases: [
        { id: 'count › starts at one', run: async ({ count }) => assert.equal(count, 1) },
        {
          id: 'double › doubles',
          requires: ['doubling'],
          run: async ({ doubling }) => assert.ok(doubling),
          unsupported: async ({ doubling }) => assert.ok(!doubling),
        },
      ],
    },
    [
      target('good', 1, true),
      target('plain', 1, false),
      target('bad', 2, true),
      target('away', 1, true, 'no server'),
    ],
  );
}

describe('conformance › matrix', () => {
  test('cases are counted by how they ended, and failures are named', async () => {
    const { report, failures } = await runPorts([examplePort()]);
    expect(report).toEqual({
      ports: {
        counter: {
          good: { passed: 2, failed: 0, unsupported: 0, skipped: 0 },
          plain: { passed: 1, failed: 0, unsupported: 1, skipped: 0 },
          bad: { passed: 1, failed: 1, unsupported: 0, skipped: 0 },
          away: { passed: 0, failed: 0, unsupported: 0, skipped: 2, reason: 'no server' },
        },
      },
    });
    expect(failures.map(({ adapter, id }) => [adapter, id])).toEqual([
      ['bad', 'count › starts at one'],
    ]);
  });

  test('the terminal shows a row for each adapter, with the reason of a skip', async () => {
    const { report } = await runPorts([examplePort()]);
    expect(formatReport(report).split('\n')).toEqual([
      'port     adapter  passed  failed  unsupported  skipped',
      'counter  good     2       0       0            0',
      'counter  plain    1       0       1            0',
      'counter  bad      1       1       0            0',
      'counter  away     0       0       0            2        no server',
    ]);
  });

  test('the document shows what adapters declare', () => {
    expect(formatMatrix([examplePort()])).toBe(
      [
        '### counter',
        '',
        '|  | good | plain | bad | away |',
        '| --- | --- | --- | --- | --- |',
        '| cases held | 2 | 1 | 2 | 2 |',
        '| cases refused | 0 | 1 | 0 | 0 |',
        '| `doubling` | yes | no | yes | yes |',
        '',
      ].join('\n'),
    );
  });

  test('inserting again changes nothing, and a document without a place for it is refused', () => {
    const empty =
      'a\n<!-- matrix: written by `npm run docs:matrix` -->\n<!-- end of matrix -->\nb\n';
    const once = insertMatrix(empty, [examplePort()]);
    expect(once).toContain('### counter');
    expect(insertMatrix(once, [examplePort()])).toBe(once);
    expect(() => insertMatrix('a', [examplePort()])).toThrow('lacks');
  });
});
