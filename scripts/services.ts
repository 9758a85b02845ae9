// `npm run services -- up NAME…` starts servers for a person, prints the environment to use them with, and keeps them until it is
// interrupted. `npm run services -- install [NAME…]` installs what is missing for tests, on Debian and Ubuntu.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';

import {
  definitionOf,
  isServerName,
  serverNames,
  type ServiceName,
  serviceNames,
} from '../test/services/definitions.ts';
import { isRoot } from '../test/services/processes.ts';
import { startServer } from '../test/services/servers.ts';

const [command, ...names] = process.argv.slice(2);
if (command === 'up' && names.length > 0) await up();
else if (command === 'install') await install();
else usage();

async function up(): Promise<void> {
  for (const name of names) if (!isServerName(name)) usage(name);
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await using started = new AsyncDisposableStack();
  const servers = names.filter(isServerName).map(async (name) => {
    const definition = definitionOf(name);
    const { url } = started.use(await startServer(name));
    const environment = { ...(await definition.forApplication(url)), [definition.variable]: url };
    return Object.entries(environment).map(([variable, value]) => {
      const quoted = `'${value.replaceAll("'", String.raw`'\''`)}'`;
      return `export ${variable}=${quoted}\n`;
    });
  });
  process.stdout.write((await Promise.all(servers)).flat().join(''));
  process.stderr.write('Press Ctrl+C to end them.\n');
  const staysAlive = setInterval(() => {}, 1 << 30);
  await stopped;
  clearInterval(staysAlive);
}

async function install(): Promise<void> {
  const wanted = names.length === 0 ? serviceNames : names.map(serviceNamed);
  const missing: ServiceName[] = [];
  for (const name of wanted) {
    const { locate, needsRoot = false, installedByHand } = definitionOf(name);
    if ((await locate()) !== undefined) continue;
    if (installedByHand !== undefined) {
      process.stderr.write(`Leaving out ${name}, which no test must have: ${installedByHand}\n`);
      continue;
    }
    if (!needsRoot || isRoot()) missing.push(name);
    else if (names.length > 0) fail(`${name} can only be started by root.`);
    else process.stderr.write(`Leaving out ${name}, which only root can start.\n`);
  }

  const packages = missing.flatMap((name) => definitionOf(name).packages);
  if (packages.length > 0) {
    process.stderr.write(`Installing ${packages.join(' ')}\n`);
    apt('update', '-qq');
    apt('install', '-y', '-qq', '--no-install-recommends', ...packages);
  }
  for (const name of missing) {
    const { install: installRest, locate } = definitionOf(name);
    if (installRest !== undefined) process.stderr.write(`Installing ${name}\n`);
    await installRest?.();
    if ((await locate()) === undefined) fail(`${name} was installed, and is still not found.`);
  }
}

function apt(...args: readonly string[]): void {
  const line = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
  const [program = '', ...rest] = isRoot() ? line : ['sudo', '--non-interactive', ...line];
  const { status, error } = spawnSync(program, rest, { stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    const how = error?.message ?? `it ended with ${status}`;
    fail(`"apt-get ${args.join(' ')}" failed: ${how}. Run it as root, then this again.`);
  }
}

function serviceNamed(name: string): ServiceName {
  return serviceNames.find((known) => known === name) ?? usage(name);
}

function usage(unknown?: string): never {
  if (unknown !== undefined) process.stderr.write(`There is no service ${unknown}.\n`);
  return fail(
    `usage: npm run services -- up NAME…           of ${serverNames.join(', ')}\n` +
      `       npm run services -- install [NAME…]    of ${serviceNames.join(', ')}`,
    2,
  );
}

function fail(message: string, code = 1): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}
