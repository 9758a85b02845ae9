import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Environment } from './environment.ts';
import { InfrastructureError } from './errors.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'underpin-environment-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function file(text: string): string {
  const path = join(folder, 'value');
  writeFileSync(path, text);
  return path;
}

function reportOf(env: Environment): InfrastructureError {
  try {
    env.throwProblems();
  } catch (error) {
    if (InfrastructureError.is(error)) return error;
  }
  throw new Error('no problem was reported');
}

describe('reading', () => {
  it('gives what is set, or else the default', () => {
    const env = new Environment({
      NAME: 'value',
      COUNT: '-7',
      FLAG: '0',
      WAIT: '30s',
      SHORT: '250',
      WORD: 'b',
      URL: 'redis://h:1/2',
    });
    expect(env.string('NAME')).toBe('value');
    expect(env.string('OTHER', { default: 'd' })).toBe('d');
    expect(env.optional('OTHER')).toBeUndefined();
    expect(env.integer('COUNT', { min: -7 })).toBe(-7);
    expect(env.integer('OTHER', { default: 3 })).toBe(3);
    expect(env.boolean('FLAG')).toBe(false);
    expect(env.boolean('OTHER', { default: true })).toBe(true);
    expect(env.duration('WAIT')).toBe(30_000);
    expect(env.duration('SHORT')).toBe(250);
    expect(env.duration('OTHER', { default: '5m' })).toBe(300_000);
    expect(env.oneOf('WORD', ['a', 'b'])).toBe('b');
    expect(env.oneOf('OTHER', ['a', 'b'], { default: 'a' })).toBe('a');
    expect(env.url('URL', ['redis', 'rediss']).port).toBe('1');
    expect(env.secret('NAME').reveal()).toBe('value');
    expect(env.optionalSecret('NAME')?.reveal()).toBe('value');
    expect(env.optionalSecret('OTHER')).toBeUndefined();
    expect(() => {
      env.throwProblems();
    }).not.toThrow();
  });

  it('an empty value counts as not set', () => {
    const env = new Environment({ NAME: '', NAME_FILE: '' });
    expect(env.optional('NAME')).toBeUndefined();
    expect(env.string('NAME', { default: 'd' })).toBe('d');
  });

  it('NAME_FILE gives the content of a file, less one trailing line break', () => {
    expect(new Environment({ NAME_FILE: file(' secret\n\n') }).string('NAME')).toBe(' secret\n');
    expect(new Environment({ NAME_FILE: file('secret\r\n') }).secret('NAME').reveal()).toBe(
      'secret',
    );
    expect(new Environment({ COUNT_FILE: file('12') }).integer('COUNT')).toBe(12);
  });
});

describe('mistakes', () => {
  it('are reported all at once, each with its fix, in the order in which they were found', () => {
    const env = new Environment({
      COUNT: '12x',
      BIG: '70000',
      FLAG: 'yes',
      WAIT: '5 minutes',
      WORD: 'c',
      DB: 'ftp://h',
      BOTH: '1',
      BOTH_FILE: 'x',
    });
    env.string('NAME');
    env.integer('COUNT', { min: 1, max: 9 });
    env.integer('BIG', { min: 0, max: 65_535 });
    env.boolean('FLAG');
    env.duration('WAIT');
    env.oneOf('WORD', ['a', 'b']);
    env.url('DB', ['sqlite', 'postgres']);
    env.string('BOTH', { default: 'd' });
    const error = reportOf(env);
    expect(error.code).toBe('invalid-argument');
    expect(error.message).toBe(
      [
        'the environment has 8 mistakes:',
        '  - NAME: it is not set: set NAME, or NAME_FILE to a file that holds it',
        '  - COUNT: "12x" is not a whole number from 1 to 9',
        '  - BIG: "70000" is not a whole number from 0 to 65535',
        '  - FLAG: "yes" is neither true nor false',
        `  - WAIT: '5 minutes' is not a duration: give a number that is not negative, or one with a unit such as '250ms', '30s' or '5m'`,
        '  - WORD: "c" is not known: give one of a, b',
        '  - DB: the scheme ftp: is not known here: give a URL that starts with sqlite:, postgres:',
        '  - BOTH: set BOTH or BOTH_FILE, not both',
      ].join('\n'),
    );
    expect(error.details['problems']).toHaveLength(8);
  });

  it('a single one is one line', () => {
    const env = new Environment({});
    env.oneOf('WORD', ['a', 'b']);
    expect(reportOf(env).message).toBe(
      'the environment is wrong: WORD: it is not set: set WORD, or WORD_FILE to a file that holds it; give one of a, b',
    );
  });

  it('each variable is reported once, however often it is read', () => {
    const env = new Environment({ NAME_FILE: join(folder, 'missing') });
    env.string('NAME');
    env.optional('NAME');
    env.duration('NAME');
    expect(env.problems).toHaveLength(1);
  });

  it.each([
    [
      'a missing file',
      () => join(folder, 'missing'),
      /NAME_FILE names .*missing, which cannot be read \(ENOENT\): name a readable file, or set NAME itself/,
    ],
    ['a folder', () => folder, /which cannot be read \(EISDIR\)/],
    ['an empty file', () => file(''), /which is empty: write the value into it/],
  ])('%s named by NAME_FILE', (_what, path, message) => {
    const env = new Environment({ NAME_FILE: path() });
    env.string('NAME');
    expect(reportOf(env).message).toMatch(message);
  });

  it('never show a secret, a URL’s credentials, or what should have been a URL', () => {
    const env = new Environment({
      BOTH: 'hunter2',
      BOTH_FILE: file('hunter2'),
      PLAIN: 'hunter2 is no URL',
      WRONG: 'ftp://app:hunter2@h',
      BROKEN: 'postgres://app:hunter2/x@h:port',
    });
    env.secret('BOTH');
    for (const name of ['PLAIN', 'WRONG', 'BROKEN']) env.url(name, ['postgres']);
    const error = reportOf(env);
    expect(env.problems).toHaveLength(4);
    expect(error.message + inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain(
      'hunter2',
    );
  });

  it('a caller’s own mistakes join the report, and the placeholder comes back', () => {
    const env = new Environment({});
    expect(env.problem('NAME', 'it is odd', 'placeholder')).toBe('placeholder');
    expect(reportOf(env).message).toContain('NAME: it is odd');
  });
});
