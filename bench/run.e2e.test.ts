import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

const run = promisify(execFile);

/** Runs the bench as `npm run bench` does, with next to no work and without peers. */
async function bench(
  ...parameters: string[]
): Promise<{ stdout: string; stderr: string; code: number }> {
  const script = path.join(import.meta.dirname, 'run.ts');
  try {
    const output = await run(process.execPath, [
      '--conditions=underpin-source',
      script,
      ...parameters,
    ]);
    return { ...output, code: 0 };
  } catch (error) {
    return error as { stdout: string; stderr: string; code: number };
  }
}

describe('bench › command', () => {
  it.for(['operations', 'database'])('%s runs, and prints one JSON object', async (component) => {
    const { stdout } = await bench(
      component,
      '--no-peers',
      '--rounds',
      '1',
      '--count',
      '2',
      '--json',
    );
    const result = JSON.parse(stdout) as {
      component: string;
      cases: { id: string; variants: { id: string; median: number }[] }[];
    };
    expect(result.component).toBe(component);
    expect(result.cases.length).toBeGreaterThan(0);
    for (const { variants } of result.cases) {
      expect(variants.map(({ id }) => id)).toContain('underpin');
      for (const { median } of variants) expect(median).toBeGreaterThan(0);
    }
  });

  it.for([
    [['nothing'], 'components: '],
    [[], 'components: '],
    [['operations', '--case', 'nothing'], 'no-subscriber'],
    [['operations', '--rounds', 'many'], '--rounds'],
  ] as const)('%j is refused with what there is', async ([parameters, message]) => {
    const { code, stderr } = await bench(...parameters);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
