import path from 'node:path';

import {
  defineConfig,
  type TestProjectInlineConfiguration,
  type ViteUserConfig,
} from 'vitest/config';

/** Makes `underpin/…` mean this checkout's sources, in transformed modules and in Node's own loader. */
const SOURCE_CONDITION = 'underpin-source';

/** As many files at once as the smallest machine of CI has cores. vitest leaves one core idle by itself. */
const AT_ONCE = 2;

/** Tests that start processes, install packages or drive a browser: few at a time. */
const HEAVY = [
  '**/*.e2e.test.ts',
  'test/packaging/**/*.test.ts',
  'test/docs/**/*.test.ts',
  'test/rules/**/*.test.ts',
];

/** Those that put a whole machine under load, or measure it: nothing runs beside them. */
const ALONE = [
  'bench/**/*.e2e.test.ts',
  'examples/gazette/web/engines.e2e.test.ts',
  'test/database/chaos.e2e.test.ts',
];

const IGNORED = ['**/node_modules/**', '**/dist/**', 'data/**'];

const common: TestProjectInlineConfiguration = {
  extends: true,
  resolve: { conditions: [SOURCE_CONDITION] },
  ssr: { resolve: { conditions: [SOURCE_CONDITION], externalConditions: [SOURCE_CONDITION] } },
};

const heavy: TestProjectInlineConfiguration['test'] = {
  execArgv: [`--conditions=${SOURCE_CONDITION}`],
  // The processes that tests start compile what those before them have compiled, unless they find it here.
  env: { NODE_COMPILE_CACHE: path.join(import.meta.dirname, 'node_modules/.cache/compiled') },
  testTimeout: 300_000,
  hookTimeout: 300_000,
};

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        ...common,
        test: {
          name: 'unit',
          include: ['{src,test,bench,examples}/**/*.test.ts'],
          exclude: [...IGNORED, ...HEAVY],
          execArgv: [`--conditions=${SOURCE_CONDITION}`],
          // Generous: a loaded machine must not fail a test that asserts no time.
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: AT_ONCE,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...common,
        test: {
          ...heavy,
          name: 'heavy',
          include: HEAVY,
          exclude: [...IGNORED, ...ALONE],
          maxWorkers: AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        ...common,
        test: {
          ...heavy,
          name: 'alone',
          include: ALONE,
          exclude: IGNORED,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        ...common,
        test: {
          name: 'types',
          include: [],
          exclude: IGNORED,
          typecheck: {
            enabled: true,
            only: true,
            checker: 'tsc',
            tsconfig: 'tsconfig.json',
            include: ['{src,test}/**/*.test-d.ts'],
            exclude: IGNORED,
            spawnTimeout: 120_000,
          },
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});

export default config;
