import {
  defineConfig,
  type TestProjectInlineConfiguration,
  type ViteUserConfig,
} from 'vitest/config';

/** Makes `underpin/…` mean this checkout's sources, in transformed modules and in Node's own loader. */
const SOURCE_CONDITION = 'underpin-source';

/** Tests that start processes, install packages or drive a browser: few at a time. */
const HEAVY = [
  '**/*.e2e.test.ts',
  'test/packaging/**/*.test.ts',
  'test/docs/**/*.test.ts',
  'test/rules/**/*.test.ts',
];

const IGNORED = ['**/node_modules/**', '**/dist/**', 'data/**'];

const common: TestProjectInlineConfiguration = {
  extends: true,
  resolve: { conditions: [SOURCE_CONDITION] },
  ssr: { resolve: { conditions: [SOURCE_CONDITION], externalConditions: [SOURCE_CONDITION] } },
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
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...common,
        test: {
          name: 'heavy',
          include: HEAVY,
          exclude: IGNORED,
          execArgv: [`--conditions=${SOURCE_CONDITION}`],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
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
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

export default config;
