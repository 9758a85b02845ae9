import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { packTarball } from '../../scripts/pack.ts';
import { root, run, runOrThrow } from '../../scripts/run.ts';
import { peersOf } from './peers.ts';

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  exports: Readonly<Record<string, { 'underpin-source': string }>>;
  peerDependencies: Readonly<Record<string, string>>;
  peerDependenciesMeta: Readonly<Record<string, { optional: boolean }>>;
};

const subpaths = Object.entries(manifest.exports).map(([subpath, conditions]) => ({
  specifier: path.posix.join('underpin', subpath),
  /** The optional peers without which the subpath cannot be imported, as its code declares them. */
  peers: peersOf(path.join(root, conditions['underpin-source'])),
}));

let consumer: string;
/** For each specifier: null when its import works, else the message of the error. */
let imports: Record<string, string | null>;

beforeAll(async () => {
  consumer = mkdtempSync(path.join(tmpdir(), 'underpin-consumer-'));
  const tarball = await packTarball(consumer);
  writeFileSync(path.join(consumer, 'package.json'), '{ "type": "module", "private": true }');
  await runOrThrow('npm', ['install', tarball, '--prefer-offline', '--no-audit', '--no-fund'], {
    cwd: consumer,
  });
  writeFileSync(
    path.join(consumer, 'import-all.js'),
    `const result = {};
    for (const specifier of ${JSON.stringify(subpaths.map(({ specifier }) => specifier))}) {
      result[specifier] = await import(specifier).then(() => null, (error) => error.message);
    }
    console.log(JSON.stringify(result));`,
  );
  // A module that leaves a handle open when it is imported would never let this end.
  const { stdout } = await runOrThrow(process.execPath, ['import-all.js'], { cwd: consumer });
  imports = JSON.parse(stdout) as typeof imports;
});

afterAll(() => {
  rmSync(consumer, { recursive: true, force: true });
});

describe('the packed tarball in an empty folder', () => {
  test('brings no optional peer', () => {
    const installed = Object.keys(manifest.peerDependencies).filter((peer) =>
      existsSync(path.join(consumer, 'node_modules', peer)),
    );
    expect(installed).toEqual([]);
  });

  test('holds no test', () => {
    const files = path.join(consumer, 'node_modules/underpin');
    expect(existsSync(path.join(files, 'dist/index.js'))).toBe(true);
    expect(existsSync(path.join(files, 'src/index.ts'))).toBe(true);
    expect(existsSync(path.join(files, 'test'))).toBe(false);
  });

  test.each(subpaths.filter(({ peers }) => peers.length === 0))(
    '$specifier › is imported without any peer',
    ({ specifier }) => {
      expect(imports[specifier]).toBeNull();
    },
  );

  test.each(subpaths.filter(({ peers }) => peers.length > 0))(
    '$specifier › without its peer $peers.0.peer, names the npm install line',
    ({ specifier, peers }) => {
      expect(imports[specifier]).toContain(`npm install ${peers[0]?.peer}`);
      // The message names the subpath that was imported.
      expect(imports[specifier]).toContain(specifier);
      expect(peers.map(({ subpath }) => subpath)).toContain(specifier);
    },
  );

  test('brings the command, which applies a migration in TypeScript', async () => {
    const folder = path.join(consumer, 'migrations');
    mkdirSync(folder);
    writeFileSync(path.join(folder, '0001-first.sql'), 'create table first (id integer)');
    writeFileSync(
      path.join(folder, '0002-second.ts'),
      `import type { Migration } from 'underpin/database';
      export const up: Migration['up'] = async (query) =>
        await query.schema.createTable('second').addColumn('id', 'integer').execute();`,
    );
    const env = { PATH: process.env['PATH'] };
    const underpin = path.join(consumer, 'node_modules/.bin/underpin');
    const migrated = await run(underpin, ['migrate'], { cwd: consumer, env });
    expect(migrated).toMatchObject({
      code: 0,
      stdout: 'applied 0001-first\napplied 0002-second\n2 migrations applied\n',
    });
    const types = await run(underpin, ['types'], { cwd: consumer, env });
    expect(types).toMatchObject({ code: 0, stdout: expect.stringContaining('second: {') });
    expect(await run(underpin, ['migrate', 'sttus'], { cwd: consumer, env })).toMatchObject({
      code: 2,
    });
    // The application's own compiler has nothing to do with them.
    rmSync(folder, { recursive: true });
  });

  test('type-checks in an application with plain nodenext resolution, every subpath in use', async () => {
    // The types of a peer are needed by who uses its adapter.
    for (const name of ['@types/node', 'undici-types', ...Object.keys(manifest.peerDependencies)]) {
      const link = path.join(consumer, 'node_modules', name);
      if (existsSync(link)) continue;
      mkdirSync(path.dirname(link), { recursive: true });
      symlinkSync(path.join(root, 'node_modules', name), link, 'dir');
    }
    const lines = subpaths.map(
      ({ specifier }, index) => `import * as m${index} from '${specifier}';`,
    );
    const uses = `export const all: object[] = [${subpaths.map((_, index) => `m${index}`).join(', ')}];`;
    writeFileSync(path.join(consumer, 'use-all.ts'), [...lines, uses].join('\n'));
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2024',
      strict: true,
      noEmit: true,
      types: ['node'],
    };
    writeFileSync(
      path.join(consumer, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['use-all.ts'] }),
    );
    const { output } = await run('tsc', ['-p', consumer], { cwd: consumer });
    // Whoever uses Drizzle sets `skipLibCheck`: its own declarations name packages that it does not bring, and do not agree.
    const errors = output
      .split('\n')
      .filter((line) => /^\S+\(\d+,\d+\): error /.test(line) || line.startsWith('error '))
      .filter((line) => !line.includes('node_modules/drizzle-orm/'));
    expect(errors).toEqual([]);
  });
});

describe('optional peers', () => {
  test('each is marked as optional, and none is marked that is not a peer', () => {
    expect(Object.keys(manifest.peerDependenciesMeta).toSorted()).toEqual(
      Object.keys(manifest.peerDependencies).toSorted(),
    );
    expect(Object.values(manifest.peerDependenciesMeta).every(({ optional }) => optional)).toBe(
      true,
    );
  });

  test('each peer that an adapter needs is declared in package.json', () => {
    const needed = subpaths.flatMap(({ peers }) => peers.map(({ peer }) => peer));
    expect(needed.filter((peer) => !(peer in manifest.peerDependencies))).toEqual([]);
  });

  test('each peer that package.json declares is loaded somewhere in the code', () => {
    const code = globSync('src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })
      .map((file) => readFileSync(path.join(root, file), 'utf8'))
      .join('\n');
    // `import('peer')` and `require('peer')`, but not the `import type … from 'peer'` that loads nothing.
    const unused = Object.keys(manifest.peerDependencies).filter(
      (peer) => !code.includes(`('${peer}')`),
    );
    expect(unused).toEqual([]);
  });
});
