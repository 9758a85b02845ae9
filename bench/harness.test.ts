import { describe, expect, it } from 'vitest';

import { type BenchCase, measure, median } from './harness.ts';
import { toMarkdown } from './report.ts';

function caseOf(unit: BenchCase['unit'], goals: BenchCase['goals']): BenchCase {
  return { id: 'case', unit, count: 3, goals, open: () => ({ variants: [] }) };
}

describe('bench › measure', () => {
  it('lets the variants take turns, and warms up for a round', async () => {
    const calls: string[] = [];
    const variants = ['underpin', 'limit'].map((id) => ({
      id,
      reset: () => void calls.push(`reset ${id}`),
      run: (count: number) => void calls.push(`${id} ${count}`),
    }));
    const result = await measure(caseOf('ops/s', []), { variants }, { rounds: 2 });
    const round = ['reset underpin', 'underpin 3', 'reset limit', 'limit 3'];
    expect(calls).toEqual([...round, ...round, ...round]);
    expect(result.variants.map(({ id }) => id)).toEqual(['underpin', 'limit']);
  });

  it('gives a ratio above one to the faster, whichever way the unit points', async () => {
    let nanoseconds = 0n;
    const lasting = (duration: bigint) => (): void => {
      nanoseconds += duration;
    };
    const variants = [
      { id: 'underpin', run: lasting(1000n) },
      { id: 'slow', run: lasting(4000n) },
    ];
    for (const unit of ['ops/s', 'ns'] as const) {
      const goals = [
        { against: 'slow', ratioAtLeast: 4 },
        { against: 'slow', ratioAtLeast: 5 },
      ];
      const result = await measure(
        caseOf(unit, goals),
        { variants },
        { rounds: 3, now: () => nanoseconds },
      );
      expect(result.higherIsBetter).toBe(unit === 'ops/s');
      expect(result.variants[1]?.ratio).toBe(4);
      expect(result.goals.map(({ isMet }) => isMet)).toEqual([true, false]);
    }
  });

  it.for([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
    [[], Number.NaN],
  ] as const)('the median of %j is %d', ([values, middle]) => {
    expect(median(values)).toBe(middle);
  });
});

describe('bench › report', () => {
  it('names the machine, the versions, every variant and every missed goal', () => {
    const variant = { median: 1234, min: 1000, max: 2000, rssMiB: 80 };
    const markdown = toMarkdown(
      {
        component: 'thing',
        node: 'v24.0.0',
        machine: '2 cores',
        versions: { peer: '1.2.3' },
        cases: [
          {
            id: 'do-it',
            unit: 'ops/s',
            higherIsBetter: true,
            variants: [
              { id: 'underpin', ratio: 1, ...variant },
              { id: 'peer', ratio: 0.5, ...variant },
            ],
            goals: [{ against: 'peer', ratioAtLeast: 2, reached: 0.5, isMet: false }],
          },
        ],
      },
      { notes: ['A note.'] },
    );
    for (const part of [
      'v24.0.0',
      '2 cores',
      'peer 1.2.3',
      'A note.',
      '| underpin | 1,230 |',
      '| peer |',
      '**missed**',
    ]) {
      expect(markdown).toContain(part);
    }
  });
});
