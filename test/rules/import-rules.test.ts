import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { findImportViolations, importRuleNames, VENDORS } from '../../scripts/import-rules.ts';

/** A tree that keeps every rule. Each case below adds one deliberate violation to it. */
const GOOD_TREE: Readonly<Record<string, string>> = {
  'package.json': '{ "type": "module" }',
  'src/index.ts': `export * from './core/index.ts'; export { thing } from './storage/index.ts';`,
  'src/core/index.ts': `export const core = 1;`,
  'src/storage/index.ts': `export { thing } from './storage.ts'; export type { Thing } from './storage.ts';`,
  'src/storage/storage.ts': `import { core } from '../core/index.ts'; import path from 'node:path';
    export const thing = core + path.sep; export type Thing = string;`,
  'src/storage/disk.ts': `import { thing } from './storage.ts'; export const disk = thing;`,
  'src/storage/disk.test.ts': `import { disk } from './disk.ts'; import { cached } from '../cache/cache.ts';
    import { it } from 'vitest'; it(disk, () => cached);`,
  'src/cache/cache.ts': `import type { Thing } from '../storage/index.ts'; export const cached = (thing: Thing) => thing;`,
  'src/redis/index.ts': `export { connection } from './connection.ts';`,
  'src/redis/connection.ts': `import { core } from '../core/index.ts'; export const connection = core;`,
  'src/cache/redis/driver.ts': `import { connection } from '../../redis/index.ts'; export const driver = connection;`,
  'src/directus/client.ts': `import type { Client } from '@directus/sdk';
    export const load = async (): Promise<Client> => (await import('@directus/sdk')).create();`,
  'src/testing/index.ts': `import { disk } from '../storage/disk.ts'; export const fake = disk;`,
  'examples/gazette/domain/article.ts': `import type { Thing } from '../../../src/storage/index.ts';
    export interface Article { picture: Thing }`,
  'examples/gazette/application/publish.ts': `import type { Article } from '../domain/article.ts';
    export const publish = (article: Article) => article;`,
  'examples/gazette/infrastructure/files.ts': `import { disk } from '../../../src/storage/disk.ts'; export const files = disk;`,
  'examples/gazette/web/main.ts': `import { files } from '../infrastructure/files.ts'; export const main = files;`,
};

/** Files that break a rule, and what must be found: the rules that fire, and from where. */
const VIOLATIONS: readonly { rule: string; file: string; code: string }[] = [
  {
    rule: 'core-imports-no-room',
    file: 'src/core/bad.ts',
    code: `import type { Thing } from '../storage/index.ts'; export type Bad = Thing;`,
  },
  {
    rule: 'room-imports-only-types-of-rooms',
    file: 'src/cache/bad.ts',
    code: `import { thing } from '../storage/index.ts'; export const bad = thing;`,
  },
  {
    rule: 'room-imports-only-types-of-rooms',
    file: 'src/cache/dynamic.ts',
    code: `export const bad = async () => import('../storage/index.ts');`,
  },
  {
    rule: 'room-imports-only-types-of-rooms',
    file: 'src/cache/reexport.ts',
    code: `export { thing } from '../storage/index.ts';`,
  },
  {
    rule: 'room-imports-only-public-faces',
    file: 'src/cache/bad.ts',
    code: `import type { Thing } from '../storage/storage.ts'; export type Bad = Thing;`,
  },
  {
    rule: 'room-imports-only-types-of-rooms',
    file: 'src/cache/redis/bad.ts',
    code: `import { connection } from '../../redis/connection.ts'; export const bad = connection;`,
  },
  {
    rule: 'shared-by-adapters-redis',
    file: 'src/cache/bad.ts',
    code: `import { connection } from '../redis/index.ts'; export const bad = connection;`,
  },
  {
    rule: 'shared-by-adapters-redis',
    file: 'src/testing/bad.ts',
    code: `export const bad = async () => import('../redis/connection.ts');`,
  },
  {
    rule: 'source-imports-only-source',
    file: 'src/cache/bad.ts',
    code: `import { main } from '../../examples/gazette/web/main.ts'; export const bad = main;`,
  },
  ...Object.keys(VENDORS).map((vendor) => ({
    rule: `vendor-stays-home-${vendor}`,
    // A dynamic import breaks no other rule, also where the vendor is an optional peer.
    file: 'src/testing/bad.ts',
    code: `export const bad = async () => import('${vendor}');`,
  })),
  {
    rule: 'vendor-is-listed',
    file: 'src/cache/bad.ts',
    code: `import bad from 'left-pad'; export { bad };`,
  },
  {
    rule: 'vendor-is-listed',
    file: 'src/cache/using.ts',
    code: `export const bad = async () => { await using it = (await import('left-pad')).open(); return it; };`,
  },
  {
    rule: 'optional-peer-is-loaded-by-importPeer',
    file: 'src/directus/bad.ts',
    code: `import { create } from '@directus/sdk'; export const bad = create;`,
  },
  {
    rule: 'no-cycle',
    file: 'src/cache/bad.ts',
    code: `import { self } from './bad.ts'; export const self: unknown = () => self;`,
  },
  ...['application/publish', 'infrastructure/files', 'web/main'].map((layer) => ({
    rule: 'gazette-domain-is-pure',
    file: 'examples/gazette/domain/bad.ts',
    code: `import type * as bad from '../${layer}.ts'; export type Bad = typeof bad;`,
  })),
  {
    rule: 'gazette-domain-names-only-types-of-underpin',
    file: 'examples/gazette/domain/bad.ts',
    code: `import { core } from 'underpin/core'; export const bad = core;`,
  },
  ...['infrastructure/files', 'web/main'].map((layer) => ({
    rule: 'gazette-application-knows-no-infrastructure',
    file: 'examples/gazette/application/bad.ts',
    code: `import type * as bad from '../${layer}.ts'; export type Bad = typeof bad;`,
  })),
  {
    rule: 'gazette-infrastructure-knows-no-web',
    file: 'examples/gazette/infrastructure/bad.ts',
    code: `import { main } from '../web/main.ts'; export const bad = main;`,
  },
];

/** Stand-ins for installed packages: of those, dependency-cruiser tells how they are imported. */
const PACKAGES = [...Object.keys(VENDORS), 'left-pad', 'underpin', 'vitest'];

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'underpin-rules-'));
  for (const [file, code] of Object.entries(GOOD_TREE)) write(file, code);
  for (const name of PACKAGES) {
    write(
      `node_modules/${name}/package.json`,
      `{ "name": "${name}", "exports": { "./*": "./index.js", ".": "./index.js" } }`,
    );
    write(`node_modules/${name}/index.js`, 'export default 1;');
  }
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(file: string, code: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), code);
}

describe('import rules', () => {
  test('a tree that keeps them all has no violation', async () => {
    expect(await findImportViolations(root, ['src', 'examples'])).toEqual([]);
  });

  test.each(VIOLATIONS)('$rule › $file: $code', async ({ rule, file, code }) => {
    write(file, code);
    const violations = await findImportViolations(root, ['src', 'examples']);
    expect(violations.map((violation) => [violation.rule, violation.from])).toEqual([[rule, file]]);
  });

  test('every rule is shown to fail', () => {
    expect(new Set(VIOLATIONS.map(({ rule }) => rule))).toEqual(new Set(importRuleNames));
  });

  test('a folder in which no module is found is an error', async () => {
    mkdirSync(path.join(root, 'bench'));
    await expect(findImportViolations(root, ['src', 'bench'])).rejects.toThrow(
      'No module was found',
    );
  });
});
