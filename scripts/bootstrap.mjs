// Runs one of the project's TypeScript files under the pinned Node, installing what is missing first:
//
//   node scripts/bootstrap.mjs FILE [argument…]
//
// Plain JavaScript without dependencies, since it runs before anything is installed, on any Node >= 20.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const binaries = path.join(root, 'node_modules', '.bin');
const windows = process.platform === 'win32';
const pinnedNode = path.join(root, 'node_modules/node/bin', windows ? 'node.exe' : 'node');

/** One key press in a terminal can arrive twice: from the terminal and again from npm. */
const REPEATED_SIGNAL_MS = 300;

const PARENT_CHECK_MS = 250;

const [file, ...args] = process.argv.slice(2);
if (file === undefined) fail('usage: node scripts/bootstrap.mjs FILE [argument…]', 2);
if (Number.parseInt(process.versions.node, 10) < 20) {
  fail(`Node ${process.versions.node} is too old to install this project: use Node 20 or newer.`);
}

const stale = reasonToInstall();
if (stale !== undefined) install(stale);
run();

/** Why `node_modules` cannot be used as it is, or undefined when it matches the lockfile. */
function reasonToInstall() {
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  if (wanted === undefined) fail('package-lock.json is missing or damaged: restore it with git.');
  const installed = readPackages(path.join(root, 'node_modules/.package-lock.json'));
  if (installed === undefined) return 'nothing is installed yet';

  for (const [name, entry] of Object.entries(wanted)) {
    if (name === '') continue;
    const found = installed[name];
    if (found === undefined) {
      // npm leaves out optional packages that are made for other platforms.
      if (entry.optional || entry.devOptional || entry.peer) continue;
      return `${name} is missing`;
    }
    if (identity(found) !== identity(entry)) return `${name} is not the version in the lockfile`;
  }
  for (const [name, entry] of Object.entries(installed)) {
    if (wanted[name] === undefined) return `${name} is no longer in the lockfile`;
    if (!isFor(entry.os, process.platform) || !isFor(entry.cpu, process.arch)) {
      return `${name} was installed for another platform`;
    }
  }
  return reasonNodeIsUnusable(wanted['node_modules/node']?.version);
}

function reasonNodeIsUnusable(version) {
  if (!existsSync(pinnedNode)) return 'the pinned Node is missing';
  const answer = spawnSync(pinnedNode, ['--version'], { encoding: 'utf8' });
  if (answer.status !== 0) return 'the pinned Node does not run';
  return answer.stdout.trim() === `v${version}` ? undefined : 'the pinned Node has another version';
}

function readPackages(lockfile) {
  try {
    return JSON.parse(readFileSync(lockfile, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** What makes two lockfile entries the same package; the other fields vary with npm's version. */
function identity(entry) {
  return JSON.stringify([entry.link ? entry.resolved : entry.version, entry.integrity]);
}

/** npm's `os` and `cpu` lists: names, or names excluded by a leading `!`. */
function isFor(list, value) {
  if (list === undefined) return true;
  if (list.includes(`!${value}`)) return false;
  return list.includes(value) || list.every((name) => name.startsWith('!'));
}

function install(reason) {
  process.stderr.write(`Installing dependencies (${reason}) …\n`);
  const started = Date.now();
  // Under `npm test` npm names its own script; started by hand, npm is found on the PATH.
  const npm = process.env.npm_execpath?.endsWith('.js')
    ? { command: process.execPath, prefix: [process.env.npm_execpath], shell: false }
    : { command: 'npm', prefix: [], shell: windows };
  // NODE_ENV=production or a user's `omit` setting must not leave out the tools that run the project, nor may
  // `npm test --silent` hide why the installation failed.
  const flags = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  const result = spawnSync(npm.command, [...npm.prefix, ...flags], {
    cwd: root,
    shell: npm.shell,
    // Standard output belongs to the command that runs afterwards (it may print JSON).
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (result.error) fail(`npm could not be started: ${result.error.message}. Is npm on the PATH?`);
  if (result.status !== 0) {
    fail(
      'npm ci failed (see above). Check the network and the free disk space, then run this again.',
    );
  }
  const unusable = reasonToInstall();
  if (unusable !== undefined) {
    fail(
      `npm ci ended well, but ${unusable}. If install scripts are switched off (ignore-scripts), ` +
        'run: npm rebuild node --ignore-scripts=false',
    );
  }
  process.stderr.write(`Installed in ${((Date.now() - started) / 1000).toFixed(0)} s.\n`);
}

/** Runs the file in place of this process, as far as callers can see: arguments, signals, exit code. */
function run() {
  const child = spawn(
    pinnedNode,
    ['--conditions=underpin-source', path.resolve(root, file), ...args],
    {
      stdio: 'inherit',
      env: withBinariesFirst(process.env),
      // A group of its own, so that the terminal's Ctrl+C reaches the child once: through us.
      detached: !windows,
    },
  );

  const lastForwarded = new Map();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    if (windows && signal !== 'SIGINT' && signal !== 'SIGTERM') continue;
    process.on(signal, () => {
      const now = performance.now();
      const last = lastForwarded.get(signal) ?? -Infinity;
      if (now - last < REPEATED_SIGNAL_MS) return;
      lastForwarded.set(signal, now);
      child.kill(signal);
    });
  }

  // npm runs this within a shell, which does not pass on the signal that ends it: it leaves us without our parent.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, PARENT_CHECK_MS);
  if (process.env.npm_lifecycle_event === undefined) clearInterval(watch);

  child.on('error', (error) => fail(`the pinned Node could not be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    // A shell's convention for a child that a signal ended.
    process.exit(signal === null ? code : 128 + constants.signals[signal]);
  });
}

function withBinariesFirst(env) {
  // Windows names the variable Path and ignores its case; two spellings would fight.
  const name = Object.keys(env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  return { ...env, [name]: [binaries, env[name]].filter(Boolean).join(path.delimiter) };
}

function fail(message, code = 1) {
  process.stderr.write(`underpin: ${message}\n`);
  process.exit(code);
}
