import { AssertionError } from 'node:assert';

/**
 * One rule of a port. `run` throws when the adapter breaks the rule; how it asserts is its own affair (the suites here use
 * `node:assert`).
 */
export interface ConformanceCase<Subject, Capability extends string = string> {
  /** States the rule, as `group › rule`, unique in its suite: `put › a failed stream leaves no object`. */
  readonly id: string;
  /** Capabilities that the rule needs. On an adapter that lacks one, `unsupported` is run in place of `run`. */
  readonly requires?: readonly Capability[];
  readonly run: (subject: Subject) => Promise<void>;
  /** The inverse rule for an adapter without the capability: the call is refused as `unimplemented`, never ignored. */
  readonly unsupported?: (subject: Subject) => Promise<void>;
}

/** The suite of a port. */
export interface ConformanceSuite<Subject, Capability extends string = string> {
  readonly port: string;
  readonly cases: readonly ConformanceCase<Subject, Capability>[];
}

/** An adapter put to the suite of its port. Each case gets a fresh subject. */
export interface ConformanceTarget<Subject, Capability extends string = string> {
  readonly adapter: string;
  readonly capabilities: Readonly<Record<Capability, boolean>>;
  /** Makes a subject with nothing in it: a fresh folder, database or namespace. */
  readonly create: () => Promise<Subject>;
  /** Releases the subject and what was made for it. */
  readonly dispose: (subject: Subject) => Promise<void>;
}

/** How one case ended. `unsupported`: the adapter lacks a capability and its inverse rule held. */
export type ConformanceStatus = 'passed' | 'failed' | 'unsupported';

/** The result of one case. */
export interface ConformanceResult {
  readonly id: string;
  readonly status: ConformanceStatus;
  readonly error?: unknown;
}

/** Runs one case on a fresh subject, and disposes of the subject whatever happens. Never rejects. */
export async function runConformanceCase<Subject, Capability extends string>(
  conformanceCase: ConformanceCase<Subject, Capability>,
  target: ConformanceTarget<Subject, Capability>,
): Promise<ConformanceResult> {
  const { id, requires = [] } = conformanceCase;
  const missing = requires.filter((capability) => !target.capabilities[capability]);
  // A case may wait for nothing but an AbortSignal.timeout, which does not keep the process alive.
  const alive = setInterval(() => undefined, 2 ** 31 - 1);
  try {
    const run = missing.length === 0 ? conformanceCase.run : conformanceCase.unsupported;
    if (!run) {
      throw new AssertionError({
        message: `${id}: the adapter lacks ${missing.join(', ')} and the case has no inverse rule to run`,
      });
    }
    const subject = await target.create();
    try {
      await run(subject);
    } catch (error) {
      // What broke the rule matters more than what its remains do to the clean-up.
      await target.dispose(subject).catch(() => undefined);
      throw error;
    }
    await target.dispose(subject);
    return { id, status: missing.length === 0 ? 'passed' : 'unsupported' };
  } catch (error) {
    return { id, status: 'failed', error };
  } finally {
    clearInterval(alive);
  }
}

/** The two functions of a test runner that {@link registerConformance} needs; vitest's and `node:test`'s both fit. */
export interface ConformanceRunner {
  readonly describe: (name: string, fn: () => void) => unknown;
  readonly it: (name: string, fn: () => Promise<void>) => unknown;
}

/**
 * Registers a suite with a test runner, one test a case.
 *
 * @example
 * registerConformance(storageConformance, target, { describe, it });
 */
export function registerConformance<Subject, Capability extends string>(
  suite: ConformanceSuite<Subject, Capability>,
  target: ConformanceTarget<Subject, Capability>,
  runner: ConformanceRunner,
): void {
  runner.describe(`${suite.port} conformance: ${target.adapter}`, () => {
    for (const conformanceCase of suite.cases) {
      const missing = (conformanceCase.requires ?? []).filter(
        (capability) => !target.capabilities[capability],
      );
      const suffix = missing.length === 0 ? '' : ` (refused: no ${missing.join(', ')})`;
      runner.it(`${conformanceCase.id}${suffix}`, async () => {
        const result = await runConformanceCase(conformanceCase, target);
        if (result.status === 'failed') throw result.error;
      });
    }
  });
}
