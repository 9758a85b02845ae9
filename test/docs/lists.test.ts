import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

import { root } from '../../scripts/run.ts';
import { findDocuments, readDocument } from './markdown.ts';

interface Manifest {
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const documents = findDocuments(root);

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

function readManifest(file: string): Manifest {
  return JSON.parse(read(file)) as Manifest;
}

/** The documents that a document links to, by their paths in the repository. */
function linkedFrom(file: string): string[] {
  const targets = readDocument(root, file).links.map(({ target }) =>
    path.posix.join(path.posix.dirname(file), target),
  );
  return [...new Set(targets)].filter((target) => target.endsWith('.md')).toSorted();
}

/** The text in backquotes of each first cell of a document's tables. */
function firstCells(file: string): string[] {
  const rows = read(file).matchAll(/^\| (`[^|]*`) \|/gm);
  return [...rows].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code),
  );
}

describe('documents › lists', () => {
  test.for(documents)('%s begins with its only title', (file) => {
    const withoutCode = read(file).replaceAll(/^(`{3,})[^]*?^\1$/gm, '');
    expect(withoutCode).toMatch(/^# \S/);
    expect(withoutCode.match(/^# /gm)).toHaveLength(1);
  });

  test('the list of guides names every guide', () => {
    const guides = documents.filter((file) => path.posix.dirname(file) === 'docs');
    expect(linkedFrom('docs/README.md')).toEqual(
      expect.arrayContaining(guides.filter((file) => file !== 'docs/README.md')),
    );
  });

  test('the list of decisions names every record once, in order', () => {
    const records = documents.filter((file) => /^docs\/decisions\/\d/.test(file));
    expect(linkedFrom('docs/decisions/README.md')).toEqual(records);
    // Those who decide at the same time have their numbers from different tens, so some may stay free.
    const numbers = records.map((file) => Number(path.posix.basename(file).slice(0, 4)));
    expect(new Set(numbers).size).toBe(records.length);
    for (const [index, file] of records.entries())
      expect(read(file)).toMatch(new RegExp(`^# ${numbers[index]}\\. `));
  });

  test('the README names every room that can be imported, and no other', () => {
    const subpaths = Object.keys(readManifest('package.json').exports ?? {});
    const rooms = subpaths
      .filter((subpath) => subpath.split('/').length <= 2)
      .map((subpath) => path.posix.join('underpin', subpath));
    const named = firstCells('README.md').filter((cell) => /^underpin(?:\/|$)/.test(cell));
    expect(named.toSorted()).toEqual(rooms.toSorted());
  });

  test('the record of dependencies names each one, and no other', () => {
    const manifests = ['package.json', 'examples/gazette/package.json'].map(readManifest);
    const installed = manifests.flatMap((manifest) =>
      Object.keys({
        ...manifest.dependencies,
        ...manifest.devDependencies,
        ...manifest.peerDependencies,
      }),
    );
    const named = new Set(firstCells('docs/decisions/0016-dependencies.md'));
    expect([...named].toSorted()).toEqual(
      [...new Set(installed)].filter((name) => name !== 'underpin').toSorted(),
    );
  });
});
