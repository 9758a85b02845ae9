// `npm run conformance -- [port…] [--json]`: holds every adapter to the suite of its port, and prints the matrix.
// `npm run docs:matrix` (--docs): writes what the adapters declare into docs/conformance.md, and runs nothing.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect, parseArgs } from 'node:util';

import { ports } from '../test/conformance/adapters.ts';
import { formatReport, insertMatrix, runPorts } from '../test/conformance/matrix.ts';
import { root } from './run.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, docs: { type: 'boolean' } },
});

const unknown = positionals.filter((name) => !ports.some(({ port }) => port === name));
if (unknown.length > 0) {
  const known = ports.map(({ port }) => port).join(', ');
  process.stderr.write(`There is no port ${unknown.join(', ')}. The ports are: ${known}\n`);
  process.exitCode = 2;
} else if (values.docs === true) {
  const file = path.join(root, 'docs/conformance.md');
  writeFileSync(file, insertMatrix(readFileSync(file, 'utf8'), ports));
} else {
  await report();
}

async function report(): Promise<void> {
  const chosen = ports.filter(({ port }) => positionals.length === 0 || positionals.includes(port));
  const { report: result, failures } = await runPorts(chosen);
  process.stdout.write(
    `${values.json === true ? JSON.stringify(result, null, 2) : formatReport(result)}\n`,
  );
  for (const { port, adapter, id, error } of failures) {
    process.stderr.write(
      `\nFAILED  ${port} ${adapter}: ${id}\n${inspect(error).replace(/^/gm, '  ')}\n`,
    );
  }
  if (failures.length > 0) process.exitCode = 1;
}
