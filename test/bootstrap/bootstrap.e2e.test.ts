import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { root } from '../../scripts/run.ts';

/** A project with one dependency, the pinned Node, whose version is the one that runs this test. */
let project: string;

const version = process.versions.node;

interface LockEntry {
  readonly version?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
}

beforeEach(() => {
  project = mkdtempSync(path.join(tmpdir(), 'underpin-bootstrap-'));
  mkdirSync(path.join(project, 'scripts'));
  copyFileSync(
    path.join(root, 'scripts/bootstrap.mjs'),
    path.join(project, 'scripts/bootstrap.mjs'),
  );
  lock('package-lock.json', { '': {}, 'node_modules/node': { version } });
  // Stands in for npm: `npm ci` makes node_modules match the lockfile, or fails when asked to.
  write(
    'npm.js',
    `const fs = require('node:fs');
    if (process.argv[2] !== 'ci') throw new Error('unexpected: npm ' + process.argv.slice(2));
    if (fs.existsSync('npm-must-fail')) process.exit(1);
    fs.appendFileSync('npm-ran', 'x');
    fs.mkdirSync('node_modules/node/bin', { recursive: true });
    fs.rmSync('node_modules/node/bin/node', { force: true });
    fs.symlinkSync(${JSON.stringify(process.execPath)}, 'node_modules/node/bin/node');
    fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json');`,
  );
  write('main.ts', 'process.stdout.write(JSON.stringify(process.argv.slice(2)));');
});

afterEach(() => {
  rmSync(project, { recursive: true, force: true });
});

function write(file: string, content: string): void {
  mkdirSync(path.dirname(path.join(project, file)), { recursive: true });
  writeFileSync(path.join(project, file), content);
}

function lock(file: string, packages: Readonly<Record<string, LockEntry>>): void {
  write(file, JSON.stringify({ packages }));
}

/** Installs what `packages` lists, as npm would have left it. */
function installed(packages: Readonly<Record<string, LockEntry>>): void {
  lock('node_modules/.package-lock.json', packages);
  mkdirSync(path.join(project, 'node_modules/node/bin'), { recursive: true });
  symlinkSync(process.execPath, path.join(project, 'node_modules/node/bin/node'));
}

function start(args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, ['scripts/bootstrap.mjs', ...args], {
    cwd: project,
    env: { ...process.env, npm_execpath: path.join(project, 'npm.js') },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, as a terminal gives to a command.
    detached: true,
  });
}

async function bootstrap(
  ...args: readonly string[]
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const child = start(args);
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[unknown]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

function npmRan(): boolean {
  return existsSync(path.join(project, 'npm-ran'));
}

describe('bootstrap › installing', () => {
  test('a fresh clone is installed first, and says so on standard error alone', async () => {
    const { code, stdout, stderr } = await bootstrap('main.ts', 'one', '--two');
    expect(stderr).toContain('Installing dependencies (nothing is installed yet)');
    expect(stdout).toBe('["one","--two"]');
    expect(code).toBe(0);
    expect(npmRan()).toBe(true);
  });

  test('what matches the lockfile is not installed again', async () => {
    installed({ 'node_modules/node': { version } });
    expect(await bootstrap('main.ts')).toEqual({ code: 0, stdout: '[]', stderr: '' });
    expect(npmRan()).toBe(false);
  });

  test('optional packages for other platforms may be absent', async () => {
    lock('package-lock.json', {
      'node_modules/node': { version },
      'node_modules/binary-elsewhere': { version: '1.0.0', optional: true, os: ['elsewhere'] },
    });
    installed({ 'node_modules/node': { version } });
    await bootstrap('main.ts');
    expect(npmRan()).toBe(false);
  });

  test.each([
    ['a package is missing', { 'node_modules/a': { version: '1.0.0' } }, {}],
    [
      'a package has another version',
      { 'node_modules/a': { version: '2.0.0' } },
      { 'node_modules/a': { version: '1.0.0' } },
    ],
    ['a package is no longer wanted', {}, { 'node_modules/a': { version: '1.0.0' } }],
    [
      'a package is for another platform',
      { 'node_modules/a': { version: '1.0.0' } },
      { 'node_modules/a': { version: '1.0.0', os: ['elsewhere'] } },
    ],
  ])('installs again when %s', async (_, wanted, found) => {
    lock('package-lock.json', { 'node_modules/node': { version }, ...wanted });
    installed({ 'node_modules/node': { version }, ...found });
    const { stdout, stderr } = await bootstrap('main.ts');
    expect(stderr).toContain('node_modules/a');
    expect(stdout).toBe('[]');
    expect(npmRan()).toBe(true);
  });

  test('installs again when the pinned Node is gone', async () => {
    lock('node_modules/.package-lock.json', { 'node_modules/node': { version } });
    const { stderr } = await bootstrap('main.ts');
    expect(stderr).toContain('the pinned Node is missing');
    expect(npmRan()).toBe(true);
  });

  test('when npm ci fails, says so and runs nothing', async () => {
    write('npm-must-fail', '');
    const { code, stdout, stderr } = await bootstrap('main.ts');
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('npm ci failed');
  });

  test('an installation that leaves no usable Node is an error, not a loop', async () => {
    lock('package-lock.json', { 'node_modules/node': { version: '1.2.3' } });
    const { code, stderr } = await bootstrap('main.ts');
    expect(code).toBe(1);
    expect(stderr).toContain('npm ci ended well, but the pinned Node has another version');
  });
});

describe('bootstrap › running', () => {
  beforeEach(() => installed({ 'node_modules/node': { version } }));

  test('the exit code is passed on', async () => {
    write('main.ts', 'process.exit(42);');
    expect((await bootstrap('main.ts')).code).toBe(42);
  });

  test('a death by signal becomes the exit code that shells use', async () => {
    write('main.ts', `process.kill(process.pid, 'SIGKILL');`);
    expect((await bootstrap('main.ts')).code).toBe(137);
  });

  test('the program runs with the source condition, and finds the project’s tools first', async () => {
    write(
      'main.ts',
      `process.stdout.write(process.execArgv + ' ' + process.env.PATH?.split(':')[0]);`,
    );
    const { stdout } = await bootstrap('main.ts');
    expect(stdout).toBe(`--conditions=underpin-source ${path.join(project, 'node_modules/.bin')}`);
  });

  test('Ctrl+C, which a terminal sends to the whole group, reaches the program once', async () => {
    write(
      'main.ts',
      `let interrupts = 0;
      setInterval(() => {}, 1_000);
      process.on('SIGINT', () => { interrupts += 1; process.stdout.write('interrupted '); });
      process.on('SIGTERM', () => { process.stdout.write(String(interrupts)); process.exit(3); });
      process.stdout.write('ready ');`,
    );
    const child = start(['main.ts']);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (child.pid === undefined) throw new Error('not started');
      if (output === 'ready ') process.kill(-child.pid, 'SIGINT');
      if (output === 'ready interrupted ') process.kill(child.pid, 'SIGTERM');
    });
    const [code] = (await once(child, 'close')) as [unknown];
    expect(output).toBe('ready interrupted 1');
    expect(code).toBe(3);
  });

  test('when npm is told to stop, which ends only its shell, the program is told too', async () => {
    write(
      'main.ts',
      `setInterval(() => {}, 1_000);
      process.on('SIGTERM', () => { process.stdout.write('told'); process.exit(); });
      process.stdout.write('ready ');`,
    );
    // The second command keeps the shell from becoming the first one.
    const shell = spawn('sh', ['-c', `"${process.execPath}" scripts/bootstrap.mjs main.ts; true`], {
      cwd: project,
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    shell.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (output === 'ready ') shell.kill('SIGTERM');
    });
    // Standard output closes when the last of them has ended.
    await once(shell, 'close');
    expect(output).toBe('ready told');
  });
});
