// `npm test [-- FILTER… --option…]`: every suite through vitest, then a table of the services that the tests used, and
// as the last line the sum of all suites. Takes the arguments of `vitest run`.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseCLI, startVitest, type Vitest } from 'vitest/node';

import { serviceNames } from '../test/services/definitions.ts';
import { SERVICE_USES_VARIABLE, type ServiceUse } from '../test/services/services.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'underpin-test-'));
const usesFile = path.join(scratch, 'service-uses');
process.env[SERVICE_USES_VARIABLE] = usesFile;
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const vitest = await startVitest(filter, { ...options, watch: false });
const sum = add(vitest);
await vitest.close();

process.stdout.write(`\nServices\n${serviceTable()}\n`);
if (sum.errors > 0) process.stdout.write(`${sum.errors} errors outside of tests, see above.\n`);
if (sum.passed + sum.failed === 0) process.stdout.write('No test ran.\n');
const line = `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`;
const ok = sum.failed === 0 && sum.errors === 0 && sum.passed > 0 && !process.exitCode;
// Leaves only when the line is out, also into a pipe; a handle that a test leaked must not keep the run alive.
process.stdout.write(line, () => process.exit(ok ? 0 : 1));

interface Sum {
  passed: number;
  failed: number;
  skipped: number;
  /** Errors that belong to no test. */
  errors: number;
}

function add({ state }: Vitest): Sum {
  const result: Sum = {
    passed: 0,
    failed: 0,
    skipped: 0,
    errors: state.getUnhandledErrors().length,
  };
  for (const module of state.getTestModules()) {
    for (const test of module.children.allTests()) {
      // A test that never came to an end (its process died) has not passed.
      const outcome = test.result().state;
      result[outcome === 'pending' ? 'failed' : outcome] += 1;
    }
    // A file that could not be loaded, or whose hooks failed, counts as one failure of its own.
    if (module.errors().length > 0) result.failed += 1;
    for (const suite of module.children.allSuites())
      if (suite.errors().length > 0) result.failed += 1;
  }
  return result;
}

function serviceTable(): string {
  const uses = readUses();
  const width = Math.max(...serviceNames.map((name) => name.length));
  return serviceNames
    .map((name) => {
      const use = uses.find((candidate) => candidate.name === name);
      let status = 'not used  no test that ran asks for it';
      if (use?.address !== undefined) status = `used      ${use.address}`;
      else if (use?.missing !== undefined) status = `not used  ${use.missing}`;
      return `  ${name.padEnd(width)}  ${status}`;
    })
    .join('\n');
}

function readUses(): ServiceUse[] {
  try {
    const lines = readFileSync(usesFile, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as ServiceUse);
  } catch {
    return [];
  }
}
