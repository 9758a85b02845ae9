// `npm run check`: everything static that decides whether a change may land. Runs all steps, then lists those that
// failed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { findImportViolations } from './import-rules.ts';
import { packTarball } from './pack.ts';
import { root, run } from './run.ts';

interface Step {
  readonly name: string;
  /** Resolves to what is wrong; an empty text passes. */
  readonly run: () => Promise<string>;
}

const scratch = mkdtempSync(path.join(tmpdir(), 'underpin-check-'));
let tarball: string | undefined;

const steps: readonly Step[] = [
  command('types of the package', 'tsc', '-p', '.'),
  command('types of Gazette', 'tsc', '-p', 'examples/gazette'),
  command('types of the benches', 'tsc', '-p', 'bench'),
  command('lint', 'oxlint', '--type-aware', '--deny-warnings'),
  command('format (npm run format)', 'oxfmt', '--check', '.'),
  { name: 'import rules', run: checkImports },
  command('unused files, exports and dependencies', 'knip'),
  {
    name: 'build and pack',
    run: async () => {
      tarball = await packTarball(scratch);
      return '';
    },
  },
  onTarball('publint', (file) => ['publint', 'run', file, '--strict']),
  onTarball('are the types wrong', (file) => ['attw', file, '--profile', 'esm-only']),
];

const failed: string[] = [];
try {
  for (const step of steps) {
    const started = performance.now();
    const problem = await step
      .run()
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (problem === '') {
      process.stdout.write(`ok      ${step.name} (${seconds} s)\n`);
    } else {
      failed.push(step.name);
      process.stdout.write(
        `FAILED  ${step.name} (${seconds} s)\n${problem.trimEnd().replace(/^/gm, '        ')}\n`,
      );
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.stdout.write(
  failed.length === 0 ? 'All checks passed.\n' : `Failed: ${failed.join(', ')}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

function command(name: string, tool: string, ...args: readonly string[]): Step {
  return {
    name,
    run: async () => {
      const { code, output } = await run(tool, args);
      return code === 0 ? '' : output || `${tool} ended with ${code}`;
    },
  };
}

function onTarball(name: string, line: (file: string) => readonly [string, ...string[]]): Step {
  return {
    name,
    run: async () => {
      if (tarball === undefined) return 'There is no tarball, since packing failed.';
      const [tool, ...args] = line(tarball);
      return command(name, tool, ...args).run();
    },
  };
}

async function checkImports(): Promise<string> {
  const folders = ['src', 'test', 'scripts', 'examples', 'bench'];
  const violations = await findImportViolations(root, folders);
  return violations.map(({ rule, from, to }) => `${rule}: ${from} imports ${to}`).join('\n');
}
