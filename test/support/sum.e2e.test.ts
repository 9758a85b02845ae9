import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { root, run } from '../../scripts/run.ts';

let project: string;

beforeEach(() => {
  project = mkdtempSync(path.join(tmpdir(), 'underpin-sum-'));
  symlinkSync(path.join(root, 'node_modules'), path.join(project, 'node_modules'), 'dir');
  writeFileSync(path.join(project, 'package.json'), '{ "type": "module" }');
});

afterEach(() => {
  rmSync(project, { recursive: true, force: true });
});

/** Runs `scripts/test.ts` over test files with these contents. */
async function runTests(
  ...files: readonly string[]
): Promise<{ code: number | null; last: string; output: string }> {
  for (const [index, content] of files.entries()) {
    writeFileSync(
      path.join(project, `${index}.test.ts`),
      `import { beforeAll, describe, test } from 'vitest';\n${content}`,
    );
  }
  const { code, stdout, output } = await run(
    process.execPath,
    [path.join(root, 'scripts/test.ts')],
    {
      cwd: project,
      // Not the variables that this run of vitest has set.
      env: { PATH: process.env['PATH'], HOME: project },
    },
  );
  return { code, last: stdout.trimEnd().split('\n').at(-1) ?? '', output };
}

const FAIL = `throw new Error('no');`;

describe('npm test › the last line', () => {
  test('is the sum of all files', async () => {
    const { code, last } = await runTests(
      `test('a', () => {}); test.skip('b', () => {});`,
      `test('c', () => {}); test.todo('d');`,
    );
    expect(last).toBe('2 passed, 0 failed, 2 skipped');
    expect(code).toBe(0);
  });

  test('a failed test fails the run', async () => {
    const { code, last } = await runTests(`test('a', () => {}); test('b', () => { ${FAIL} });`);
    expect(last).toBe('1 passed, 1 failed, 0 skipped');
    expect(code).toBe(1);
  });

  test('a file that cannot be loaded counts as a failure', async () => {
    const { code, last } = await runTests(`test('a', () => {});`, FAIL);
    expect(last).toBe('1 passed, 1 failed, 0 skipped');
    expect(code).toBe(1);
  });

  test('a hook that fails counts as a failure, and its tests not as passed', async () => {
    const { code, last } = await runTests(
      `test('a', () => {});`,
      `describe('b', () => { beforeAll(() => { ${FAIL} }); test('c', () => {}); });`,
    );
    expect(last).toBe('1 passed, 1 failed, 1 skipped');
    expect(code).toBe(1);
  });

  test('an error outside of tests fails the run', async () => {
    const { code, last, output } = await runTests(
      `test('a', async () => { setTimeout(() => { ${FAIL} }); await new Promise((done) => setTimeout(done, 50)); });`,
    );
    expect(last).toBe('1 passed, 0 failed, 0 skipped');
    expect(output).toContain('1 errors outside of tests');
    expect(code).toBe(1);
  });

  test('a process that dies fails the run', async () => {
    const { code, last } = await runTests(
      `test('a', () => {});`,
      `test('b', () => { process.kill(process.pid, 'SIGKILL'); });`,
    );
    expect(last).toMatch(/^1 passed, [01] failed, 0 skipped$/);
    expect(code).toBe(1);
  });

  test('a run in which nothing ran fails', async () => {
    const none = await runTests();
    expect(none.last).toBe('0 passed, 0 failed, 0 skipped');
    expect(none.code).toBe(1);
    const skipped = await runTests(`test.skip('a', () => {});`);
    expect(skipped.last).toBe('0 passed, 0 failed, 1 skipped');
    expect(skipped.code).toBe(1);
  });
});
