// npm run bench -- <component> [--case ID] [--rounds N] [--json] [--no-peers]

import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { type Bench, type BenchResult, type CaseResult, machine, measure } from './harness.ts';
import { importPeerModule, installPeers, peerVersions } from './peers.ts';
import { toMarkdown, toTable } from './report.ts';

const usage = 'npm run bench -- <component> [--case ID] [--rounds N] [--json] [--no-peers]';
const notBenches = new Set([
  'run.ts',
  'harness.ts',
  'peers.ts',
  'report.ts',
  'temporary-folder.ts',
]);

process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      case: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '7' },
      count: { type: 'string' },
      json: { type: 'boolean', default: false },
      'no-peers': { type: 'boolean', default: false },
    },
  });
  const [component] = positionals;
  const file = path.join(import.meta.dirname, `${component}.ts`);
  if (component === undefined || notBenches.has(`${component}.ts`) || !existsSync(file)) {
    return refuse(`${usage}\ncomponents: ${components().join(', ')}`);
  }
  const rounds = Number(values.rounds);
  const count = values.count === undefined ? undefined : Number(values.count);
  for (const [name, value] of Object.entries({ rounds, count })) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0))
      return refuse(`--${name} is no whole number above zero`);
  }
  const { default: bench } = (await import(file)) as { default: Bench };
  const unknown = values.case?.find((id) => !bench.cases.some((each) => each.id === id));
  if (unknown !== undefined) {
    return refuse(
      `${component} has no case "${unknown}": ${bench.cases.map(({ id }) => id).join(', ')}`,
    );
  }
  const peerSet = values['no-peers'] ? undefined : bench.peerSet;
  if (peerSet !== undefined) await installPeers(peerSet);
  const cases: CaseResult[] = [];
  for (const each of bench.cases) {
    if (values.case !== undefined && !values.case.includes(each.id)) continue;
    const open = await each.open(async (module) =>
      peerSet === undefined ? undefined : await importPeerModule(peerSet, module),
    );
    try {
      const result = await measure(each, open, { rounds, count });
      cases.push(result);
      if (!values.json) console.log(`${toTable(result)}\n`);
    } finally {
      await open.close?.();
    }
  }
  const result: BenchResult = {
    component,
    node: process.version,
    machine: machine(),
    versions: peerSet === undefined ? {} : await peerVersions(peerSet),
    cases,
  };
  if (values.json) console.log(JSON.stringify(result));
  // A part of the cases, without the peers or with less work, is an experiment and no result.
  if (values.case === undefined && count === undefined && peerSet === bench.peerSet) {
    const folder = path.join(import.meta.dirname, 'results');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, `${component}.md`), toMarkdown(result, bench));
  }
  return 0;
}

function components(): string[] {
  return readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !notBenches.has(name))
    .map((name) => path.basename(name, '.ts'));
}

function refuse(message: string): number {
  console.error(message);
  return 2;
}
