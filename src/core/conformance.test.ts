import { describe, expect, it } from 'vitest';

import {
  type ConformanceCase,
  type ConformanceTarget,
  registerConformance,
  runConformanceCase,
} from './conformance.ts';

interface Subject {
  readonly log: string[];
}
type Capability = 'ranges';

function makeTarget(
  ranges: boolean,
  overrides: Partial<ConformanceTarget<Subject, Capability>> = {},
): ConformanceTarget<Subject, Capability> & Subject {
  const log: string[] = [];
  return {
    log,
    adapter: 'test',
    capabilities: { ranges },
    create: async () => {
      log.push('create');
      return { log };
    },
    dispose: async () => void log.push('dispose'),
    ...overrides,
  };
}

const rule: ConformanceCase<Subject, Capability> = {
  id: 'get › a range gives part',
  requires: ['ranges'],
  run: async ({ log }) => void log.push('run'),
  unsupported: async ({ log }) => void log.push('unsupported'),
};

const failing = async (): Promise<never> => await Promise.reject(new Error('broke the rule'));

describe('runConformanceCase', () => {
  it('runs the rule on a fresh subject and disposes of it', async () => {
    const target = makeTarget(true);
    expect(await runConformanceCase(rule, target)).toEqual({ id: rule.id, status: 'passed' });
    expect(target.log).toEqual(['create', 'run', 'dispose']);
  });

  it('runs the inverse rule where the capability is absent', async () => {
    const target = makeTarget(false);
    expect(await runConformanceCase(rule, target)).toEqual({ id: rule.id, status: 'unsupported' });
    expect(target.log).toEqual(['create', 'unsupported', 'dispose']);
  });

  it('an absent capability without an inverse rule fails', async () => {
    const result = await runConformanceCase(
      { id: 'x', requires: ['ranges'], run: rule.run },
      makeTarget(false),
    );
    expect(result).toMatchObject({
      status: 'failed',
      error: { message: 'x: the adapter lacks ranges and the case has no inverse rule to run' },
    });
  });

  it('a broken rule fails, and the subject is disposed of', async () => {
    const target = makeTarget(true);
    expect(await runConformanceCase({ ...rule, run: failing }, target)).toMatchObject({
      status: 'failed',
      error: { message: 'broke the rule' },
    });
    expect(target.log).toEqual(['create', 'dispose']);
  });

  it('what broke the rule is told, also when the clean-up fails then', async () => {
    const target = makeTarget(true, {
      dispose: async () => await Promise.reject(new Error('folder in use')),
    });
    expect(await runConformanceCase({ ...rule, run: failing }, target)).toMatchObject({
      error: { message: 'broke the rule' },
    });
    expect(await runConformanceCase(rule, target)).toMatchObject({
      status: 'failed',
      error: { message: 'folder in use' },
    });
  });

  it('a subject that cannot be made fails the case', async () => {
    expect(await runConformanceCase(rule, makeTarget(true, { create: failing }))).toMatchObject({
      status: 'failed',
    });
  });
});

describe('registerConformance', () => {
  it('registers one test a case, which throws what broke the rule', async () => {
    const tests = new Map<string, () => Promise<void>>();
    const groups: string[] = [];
    const runner = {
      describe: (name: string, fn: () => void): void => {
        groups.push(name);
        fn();
      },
      it: (name: string, fn: () => Promise<void>): unknown => tests.set(name, fn),
    };
    const suite = { port: 'storage', cases: [rule, { id: 'put › fails', run: failing }] };
    registerConformance(suite, makeTarget(false), runner);
    expect(groups).toEqual(['storage conformance: test']);
    expect([...tests.keys()]).toEqual([
      'get › a range gives part (refused: no ranges)',
      'put › fails',
    ]);
    await tests.get('get › a range gives part (refused: no ranges)')?.();
    await expect(tests.get('put › fails')?.()).rejects.toThrow('broke the rule');
  });
});
