import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
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

import { isRunning } from '../processes.ts';

const execute = promisify(execFile);
const lockfile = path.join(import.meta.dirname, 'package-lock.json');

/** Those that are built on this machine, or fetched for it; what else would run at an installation is not needed. */
const builtPackages = ['isolated-vm', 'sqlite3', 'argon2'];

/** The administrator that a new database has; the password is in {@link DirectusInstallation.passwordFile}. */
export const administrator = 'admin@example.com';

/** A Directus with the Node that it runs on, and an empty database. */
export class DirectusInstallation {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  get cli(): string {
    return path.join(this.folder, 'node_modules/directus/cli.js');
  }

  get node(): string {
    return path.join(this.folder, 'node_modules/node/bin/node');
  }

  /** The SQLite file of a database that was bootstrapped and never used. */
  get database(): string {
    return path.join(this.folder, 'template.db');
  }

  get passwordFile(): string {
    return path.join(this.folder, 'password');
  }
}

/** The installation of this lockfile, if it is there. */
export function findDirectus(): DirectusInstallation | undefined {
  const installation = new DirectusInstallation(installationFolder());
  return existsSync(installation.cli) ? installation : undefined;
}

/**
 * Installs Directus by its lockfile into the user's cache, which takes some minutes, once. Needs npm, and what builds native
 * packages: Python, make and a C++ compiler. Of several processes one does it, and the others wait.
 */
export async function installDirectus(): Promise<DirectusInstallation> {
  const folder = installationFolder();
  mkdirSync(path.dirname(folder), { recursive: true });
  const unlock = await lock(`${folder}.lock`);
  try {
    const found = findDirectus();
    if (found) return found;
    const temporary = mkdtempSync(`${folder}-`);
    try {
      await install(new DirectusInstallation(temporary));
      renameSync(temporary, folder);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
    return new DirectusInstallation(folder);
  } finally {
    unlock();
  }
}

function installationFolder(): string {
  const hash = createHash('sha256')
    .update(readFileSync(lockfile))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex');
  const cache = process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache');
  return path.join(cache, 'underpin', `directus-${hash.slice(0, 16)}`);
}

async function install(installation: DirectusInstallation): Promise<void> {
  const { folder, node } = installation;
  for (const file of ['package.json', 'package-lock.json'])
    copyFileSync(path.join(import.meta.dirname, file), path.join(folder, file));
  const npm = async (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> => {
    const options = { cwd: folder, maxBuffer: 64 * 2 ** 20, env: { ...environment(), ...env } };
    await execute('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], options);
  };
  // SQLite's driver is optional.
  await npm(['ci', '--include=optional', '--ignore-scripts']);
  await npm(['rebuild', 'node', '--ignore-scripts=false']);
  // The headers that the native packages are built with must be those of the Node that they run on.
  await npm(['rebuild', ...builtPackages, '--ignore-scripts=false'], {
    PATH: [path.dirname(node), process.env['PATH']].join(path.delimiter),
    npm_config_nodedir: headersOf(folder),
  });
  await bootstrap(installation);
}

/** The package of the Node for this platform, wherever npm has put it, holds its headers. */
function headersOf(folder: string): string {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const candidates = ['node_modules/node/node_modules', 'node_modules'].map((parent) =>
    path.join(folder, parent, name),
  );
  const found = candidates.find((candidate) => existsSync(path.join(candidate, 'include')));
  if (found === undefined) throw new Error(`${name} has brought no headers to build Directus with`);
  return found;
}

async function bootstrap({ folder, cli, node, database, passwordFile }: DirectusInstallation) {
  const password = randomBytes(12).toString('hex');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  await execute(node, [cli, 'bootstrap'], {
    cwd: folder,
    env: {
      ...environment(),
      ...quietly,
      DB_CLIENT: 'sqlite3',
      DB_FILENAME: database,
      SECRET: randomBytes(24).toString('hex'),
      ADMIN_EMAIL: administrator,
      ADMIN_PASSWORD: password,
    },
  });
}

/** What keeps a Directus to itself. */
export const quietly: Readonly<Record<string, string>> = {
  // Else it asks for news of itself.
  NODE_ENV: 'production',
  TELEMETRY: 'false',
  LOG_LEVEL: 'warn',
};

/** Without what this Node has been told for itself. */
function environment(): NodeJS.ProcessEnv {
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
