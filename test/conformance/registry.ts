import {
  type ConformanceResult,
  type ConformanceRunner,
  type ConformanceSuite,
  type ConformanceTarget,
  registerConformance,
  runConformanceCase,
} from '../../src/core/index.ts';

/** A port with its adapters, whatever the types of their subjects. */
export interface RegisteredPort {
  readonly port: string;
  readonly adapters: readonly RegisteredAdapter[];
}

/** An adapter put to the suite of its port. */
export interface RegisteredAdapter {
  readonly adapter: string;
  readonly capabilities: Readonly<Record<string, boolean>>;
  /** Why the suite cannot run here, if so. */
  readonly skip: string | undefined;
  /** How many cases hold the adapter to a rule, and how many to its refusal for want of a capability. */
  readonly cases: { readonly passed: number; readonly unsupported: number };
  /** Runs every case, one after the other. */
  readonly run: () => Promise<ConformanceResult[]>;
  /** Registers every case with a test runner. */
  readonly register: (runner: ConformanceRunner) => void;
}

/**
 * Puts adapters to the suite of their port. An adapter whose service is missing says so in `skip`.
 *
 * @example
 * const postgres = await service('postgres');
 * port(queueConformance, [memoryTarget, { ...postgresTarget, skip: postgres.missing }]);
 */
export function port<Subject, Capability extends string>(
  suite: ConformanceSuite<Subject, Capability>,
  targets: readonly (ConformanceTarget<Subject, Capability> & {
    readonly skip?: string | undefined;
    /** Cases that would tell of the server alone, which does not keep them. They are not run and not counted. */
    readonly leavesOut?: (id: string) => boolean;
  })[],
): RegisteredPort {
  const adapters = targets.map((target) => {
    const cases = suite.cases.filter(({ id }) => target.leavesOut?.(id) !== true);
    const unsupported = cases.filter(({ requires = [] }) =>
      requires.some((capability) => !target.capabilities[capability]),
    ).length;
    return {
      adapter: target.adapter,
      capabilities: target.capabilities,
      skip: target.skip,
      cases: { passed: cases.length - unsupported, unsupported },
      run: async () => {
        const results: ConformanceResult[] = [];
        for (const one of cases) results.push(await runConformanceCase(one, target));
        return results;
      },
      register: (runner: ConformanceRunner) =>
        registerConformance({ ...suite, cases }, target, runner),
    };
  });
  return { port: suite.port, adapters };
}
