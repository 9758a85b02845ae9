import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { isRunning } from './processes.ts';

const execute = promisify(execFile);

/** Runs npm in the folder of an installation. */
export type Npm = (args: readonly string[], env?: NodeJS.ProcessEnv) => Promise<void>;

/** What is installed from npm by a lockfile of its own, for tests alone. */
export interface NpmPackages {
  readonly name: string;
  /** The folder of its `package.json` and `package-lock.json`. */
  readonly source: string;
  /** What remains to be done in the folder once the packages are there. None of their scripts has been run. */
  readonly finish: (folder: string, npm: Npm) => Promise<void>;
}

/** The folder of the installation of this lockfile, if it is there. */
export function findInstallation(packages: NpmPackages): string | undefined {
  const folder = folderOf(packages);
  return existsSync(folder) ? folder : undefined;
}

/**
 * Installs the packages into the user's cache, once, and gives the folder. Of several processes one does it, and the others
 * wait.
 */
export async function installFromNpm(packages: NpmPackages): Promise<string> {
  const folder = folderOf(packages);
  mkdirSync(path.dirname(folder), { recursive: true });
  const unlock = await lock(`${folder}.lock`);
  try {
    if (existsSync(folder)) return folder;
    const temporary = mkdtempSync(`${folder}-`);
    try {
      await install(packages, temporary);
      renameSync(temporary, folder);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
    return folder;
  } finally {
    unlock();
  }
}

function folderOf({ name, source }: NpmPackages): string {
  const hash = createHash('sha256')
    .update(readFileSync(path.join(source, 'package-lock.json')))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex');
  const cache = process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache');
  return path.join(cache, 'underpin', `${name}-${hash.slice(0, 16)}`);
}

async function install({ source, finish }: NpmPackages, folder: string): Promise<void> {
  for (const file of ['package.json', 'package-lock.json'])
    copyFileSync(path.join(source, file), path.join(folder, file));
  const npm: Npm = async (args, env = {}) => {
    const options = { cwd: folder, maxBuffer: 64 * 2 ** 20, env: { ...environment(), ...env } };
    await execute('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], options);
  };
  // Binaries for this platform are optional packages.
  await npm(['ci', '--include=optional', '--ignore-scripts']);
  await finish(folder, npm);
}

/** Without what this Node has been told for itself. */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|NODE_ENV$|VITEST)/.test(name)),
  );
}

/** Waits until no other process holds the lock. One that has ended holds none. */
async function lock(file: string): Promise<() => void> {
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => unlinkSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (!isRunning(ownerOf(file))) rmSync(file, { force: true });
      else await sleep(500);
    }
  }
}

function ownerOf(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || process.pid;
  } catch {
    // It was let go of in between.
    return process.pid;
  }
}
