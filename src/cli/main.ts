#!/usr/bin/env node
import { runCommand } from './cli.ts';

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const)
  // A second one ends the process at once.
  process.once(name, () => {
    controller.abort();
  });

process.exitCode = await runCommand(process.argv.slice(2), {
  env: process.env,
  signal: controller.signal,
  print: (text) => {
    process.stdout.write(`${text}\n`);
  },
  complain: (text) => {
    process.stderr.write(`${text}\n`);
  },
});
// What a migration has left running must not keep a command that was interrupted.
if (controller.signal.aborted) process.exit();
