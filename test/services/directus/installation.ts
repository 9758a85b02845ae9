import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import {
  environment,
  findInstallation,
  installFromNpm,
  type Npm,
  type NpmPackages,
} from '../npm-installation.ts';

const execute = promisify(execFile);

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

const packages: NpmPackages = { name: 'directus', source: import.meta.dirname, finish };

/** The installation of this lockfile, if it is there. */
export function findDirectus(): DirectusInstallation | undefined {
  const folder = findInstallation(packages);
  return folder === undefined ? undefined : new DirectusInstallation(folder);
}

/**
 * Installs Directus by its lockfile into the user's cache, which takes some minutes, once. Needs npm, and what builds native
 * packages: Python, make and a C++ compiler.
 */
export async function installDirectus(): Promise<DirectusInstallation> {
  return new DirectusInstallation(await installFromNpm(packages));
}

async function finish(folder: string, npm: Npm): Promise<void> {
  const installation = new DirectusInstallation(folder);
  await npm(['rebuild', 'node', '--ignore-scripts=false']);
  // The headers that the native packages are built with must be those of the Node that they run on.
  await npm(['rebuild', ...builtPackages, '--ignore-scripts=false'], {
    PATH: [path.dirname(installation.node), process.env['PATH']].join(path.delimiter),
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
