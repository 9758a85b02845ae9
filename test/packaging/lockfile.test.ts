import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

import { root } from '../../scripts/run.ts';

interface LockEntry {
  readonly link?: boolean;
  readonly resolved?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Packages = Readonly<Record<string, LockEntry>>;

/** Also those that are installed by themselves: the peers of the benches, and servers for tests. */
const lockfiles = globSync('{.,bench/peers/*,test/services/*}/package-lock.json', { cwd: root });

function packagesOf(lockfile: string): Packages {
  const text = readFileSync(path.join(root, lockfile), 'utf8');
  return (JSON.parse(text) as { packages: Packages }).packages;
}

/** Finds a package as Node does: in the nearest node_modules folder on the way up. */
function resolves(packages: Packages, from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    if (packages[folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`])
      return true;
    if (folder === '') return false;
  }
}

describe.each(lockfiles)('%s', (lockfile) => {
  const packages = packagesOf(lockfile);

  // A mirror that lacks a platform's binary leaves it out of the lockfile silently, and then `npm ci` refuses it.
  test('names every dependency of every package, also those for other platforms', () => {
    const missing = Object.entries(packages).flatMap(([folder, entry]) =>
      Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
        .filter((name) => !resolves(packages, folder, name))
        .map((name) => `${folder} needs ${name}`),
    );
    expect(missing).toEqual([]);
  });

  test('names no registry, so that any mirror can serve it', () => {
    const named = Object.values(packages).filter(({ resolved }) => resolved?.includes('://'));
    expect(named).toEqual([]);
  });
});
