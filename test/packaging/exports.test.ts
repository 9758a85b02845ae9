import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

import { root } from '../../scripts/run.ts';
import { ports } from '../conformance/adapters.ts';

const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
};

/** The subpath under which a source file is public: a folder by its index, any other file by its name. */
function subpathOf(file: string): string {
  const name = file
    .replace(/^src\//, './')
    .replace(/\.ts$/, '')
    .replace(/\/index$/, '');
  return name === './index' ? '.' : name;
}

describe('exports of package.json', () => {
  test.each(Object.entries(exports))(
    '%s › every condition means the same module',
    (subpath, conditions) => {
      const source = conditions['underpin-source'] ?? '';
      const built = source.replace('./src/', './dist/').replace(/\.ts$/, '');
      expect(conditions).toEqual({
        'underpin-source': source,
        types: `${built}.d.ts`,
        default: `${built}.js`,
      });
      // Conditions are tried in the order in which they stand.
      expect(Object.keys(conditions)).toEqual(['underpin-source', 'types', 'default']);
      expect(existsSync(path.join(root, source)), `${source} exists`).toBe(true);
      expect(subpathOf(source.slice(2))).toBe(subpath);
    },
  );

  test('every room, every adapter folder and every suite has its subpath', () => {
    const publicFiles = globSync(
      ['src/index.ts', 'src/*/index.ts', 'src/*/*/index.ts', 'src/*/conformance.ts'],
      {
        cwd: root,
      },
    );
    const missing = publicFiles
      // The helpers with which suites are written are part of core's public face.
      .filter((file) => file !== 'src/core/conformance.ts')
      // What adapters share is nobody's else.
      .filter((file) => file !== 'src/redis/index.ts')
      .filter((file) => !(subpathOf(file.split(path.sep).join('/')) in exports));
    expect(missing).toEqual([]);
  });

  test('every adapter in the conformance matrix has its subpath', () => {
    const missing = ports.flatMap(({ port, adapters }) =>
      // One adapter may stand in the matrix in several settings: `sqlite :memory:`.
      adapters
        .map(({ adapter }) => `./${port}/${adapter.split(' ')[0]}`)
        .filter((subpath) => !(subpath in exports)),
    );
    expect(missing).toEqual([]);
  });
});
