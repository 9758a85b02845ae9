import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { peersOf } from './peers.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'underpin-peers-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function peers(files: Readonly<Record<string, string>>): string[] {
  for (const [name, code] of Object.entries(files)) writeFileSync(path.join(folder, name), code);
  return peersOf(path.join(folder, 'index.ts')).map(({ subpath, peer }) => `${subpath}: ${peer}`);
}

const NEEDS_SDK = `import { importPeer } from 'underpin/core';
const sdk: typeof import('sdk') = await importPeer(
  'underpin/room/sdk',
  'sdk',
  () => import('sdk'),
);`;

describe('needed peers', () => {
  test('a peer loaded at the top level of a module is needed by all that import the module', () => {
    const found = peers({
      'index.ts': `export { make } from './make.ts';`,
      'make.ts': `import {\n  sdk,\n  other,\n} from './sdk.ts';`,
      'sdk.ts': NEEDS_SDK,
    });
    expect(found).toEqual(['underpin/room/sdk: sdk']);
  });

  test('a peer loaded within a function is not needed by the import', () => {
    expect(
      peers({
        'index.ts': `export async function load() {\n  const sdk = await importPeer('a', 'b', c);\n}`,
      }),
    ).toEqual([]);
  });

  test('an import of types alone needs no peer', () => {
    const found = peers({
      'index.ts': `import type { Sdk } from './sdk.ts';\nexport type { Other } from './sdk.ts';`,
      'sdk.ts': NEEDS_SDK,
    });
    expect(found).toEqual([]);
  });
});
