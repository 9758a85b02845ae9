import { execFileSync } from 'node:child_process';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';

import { describe, expect, it } from 'vitest';

import {
  type Classification,
  defaultOutcome,
  defaultRetryable,
  errorCodes,
  InfrastructureError,
  withOutcome,
  wrapError,
} from './errors.ts';

const origin = { component: 'storage', adapter: 'disk', operation: 'put' };

function withCode(code: string, message = `${code}: it failed`, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code });
}

describe('wrapping', () => {
  it('an InfrastructureError passes unchanged', () => {
    const error = new InfrastructureError({
      code: 'not-found',
      component: 'cache',
      message: 'gone',
    });
    expect(wrapError(error, origin)).toBe(error);
  });

  it('the raw error is kept as the cause', () => {
    const raw = new Error('engine');
    expect(wrapError(raw, origin).cause).toBe(raw);
  });

  it('an error that nobody knows is internal, and its outcome is unknown', () => {
    expect(wrapError(new Error('engine'), origin)).toMatchObject({
      code: 'internal',
      outcome: 'unknown',
      retryable: false,
      message: 'engine',
      ...origin,
    });
  });

  it('what classify says wins over abort and system codes', () => {
    const classify = (): Classification => ({
      code: 'aborted',
      outcome: 'applied',
      retryable: false,
      retryAfterMs: 7,
      message: 'said',
      details: { constraint: 'c' },
    });
    expect(wrapError(withCode('ENOENT'), origin, classify)).toMatchObject({
      code: 'aborted',
      outcome: 'applied',
      retryable: false,
      retryAfterMs: 7,
      message: 'said',
      details: { constraint: 'c' },
    });
  });

  it('a classify that throws does not hide the error', () => {
    const classify = (): never => {
      throw new TypeError('bug in the driver');
    };
    expect(wrapError(withCode('ENOSPC'), origin, classify).code).toBe('resource-exhausted');
  });

  it.each([
    ['a string', 'text', 'text'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object with a message', { message: 'not allowed', errors: [] }, 'not allowed'],
    ['an object without a prototype', Object.create(null), 'an object that is no error was thrown'],
    [
      'an object whose toString throws',
      {
        toString: () => {
          throw new Error('x');
        },
      },
      'an object that is no error was thrown',
    ],
    ['an error without a message', new TypeError(), 'TypeError'],
    ['an error with only a code', withCode('EOOPS', ''), 'EOOPS'],
    [
      'several errors in one',
      new AggregateError([new Error('first'), new Error('second')]),
      'first',
    ],
  ])('%s is wrapped with a message', (_what, thrown, message) => {
    const error = wrapError(thrown, origin);
    expect(error.message).toBe(message);
    expect(() => [inspect(error), JSON.stringify(error)]).not.toThrow();
  });

  it.each([
    ['TimeoutError', 'deadline-exceeded', true],
    ['AbortError', 'cancelled', false],
  ])('a %s is %s', (name, code, retryable) => {
    expect(wrapError(new DOMException('x', name), origin)).toMatchObject({
      code,
      retryable,
      outcome: 'unknown',
    });
  });

  it.each([
    ['ENOENT', { code: 'not-found', outcome: 'not-applied' }],
    ['EEXIST', { code: 'already-exists', outcome: 'not-applied' }],
    ['EACCES', { code: 'permission-denied', outcome: 'not-applied' }],
    ['ENOSPC', { code: 'resource-exhausted', retryable: false }],
    ['EMFILE', { code: 'resource-exhausted', retryable: true }],
    ['ECONNREFUSED', { code: 'unavailable', outcome: 'not-applied', retryable: true }],
    ['ECONNRESET', { code: 'unavailable', outcome: 'unknown', retryable: true }],
    ['ETIMEDOUT', { code: 'deadline-exceeded', outcome: 'unknown' }],
    ['EIO', { code: 'data-loss' }],
    ['constructor', { code: 'internal' }],
  ])('the system code %s is known', (code, expected) => {
    expect(wrapError(withCode(code), origin)).toMatchObject(expected);
  });

  it.each([
    ['connect', 'not-applied'],
    ['read', 'unknown'],
    ['write', 'unknown'],
  ])('a host that is not reachable any more: after a failed %s it is %s', (syscall, outcome) => {
    for (const code of ['EHOSTUNREACH', 'ENETUNREACH']) {
      const error = Object.assign(withCode(code), { syscall });
      expect(wrapError(error, origin)).toMatchObject({ code: 'unavailable', outcome });
    }
  });

  it('a system code is found in nested causes, and the message says both', () => {
    const fetchFailed = new TypeError('fetch failed', {
      cause: withCode('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'),
    });
    expect(wrapError(fetchFailed, origin)).toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
      message: 'fetch failed: connect ECONNREFUSED 127.0.0.1:1',
    });
  });

  it('a failed connect over several addresses says why, though its own message is empty', () => {
    const both = Object.assign(
      new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('other')], ''),
      { code: 'ECONNREFUSED' },
    );
    expect(wrapError(both, origin)).toMatchObject({
      code: 'unavailable',
      message: 'connect ECONNREFUSED ::1:1',
    });
  });

  it('an error of another realm counts as an error', () => {
    const foreign: unknown = runInNewContext(
      `Object.assign(new Error('no space'), { code: 'ENOSPC' })`,
    );
    expect(wrapError(foreign, origin)).toMatchObject({
      code: 'resource-exhausted',
      message: 'no space',
    });
  });
});

describe('codes', () => {
  it('every code has a default outcome and retryability', () => {
    expect(
      Object.fromEntries(
        errorCodes.map((code) => [code, [defaultOutcome(code), defaultRetryable(code)]]),
      ),
    ).toEqual({
      'invalid-argument': ['not-applied', false],
      'not-found': ['not-applied', false],
      'already-exists': ['not-applied', false],
      'failed-precondition': ['not-applied', false],
      aborted: ['not-applied', true],
      'permission-denied': ['not-applied', false],
      unauthenticated: ['not-applied', false],
      'resource-exhausted': ['not-applied', true],
      'deadline-exceeded': ['unknown', true],
      cancelled: ['unknown', false],
      unavailable: ['unknown', true],
      unimplemented: ['not-applied', false],
      'data-loss': ['unknown', false],
      internal: ['unknown', false],
    });
  });
});

describe('InfrastructureError.is', () => {
  const error = new InfrastructureError({ code: 'not-found', component: 'cache', message: 'gone' });

  it('knows an error, and its code', () => {
    expect(InfrastructureError.is(error)).toBe(true);
    expect(InfrastructureError.is(error, 'not-found')).toBe(true);
    expect(InfrastructureError.is(error, 'aborted')).toBe(false);
  });

  it.each([
    null,
    undefined,
    'not-found',
    5,
    {},
    new Error('x'),
    { code: 'not-found', name: 'InfrastructureError' },
  ])('refuses %j', (value) => {
    expect(InfrastructureError.is(value)).toBe(false);
  });

  it('knows an error of another copy of the package', async () => {
    const url = new URL('./errors.ts?copy', import.meta.url);
    const copy = (await import(url.href)) as { InfrastructureError: typeof InfrastructureError };
    expect(copy.InfrastructureError).not.toBe(InfrastructureError);
    const foreign = new copy.InfrastructureError({
      code: 'aborted',
      component: 'queue',
      message: 'elsewhere',
    });
    expect(foreign).not.toBeInstanceOf(InfrastructureError);
    expect(InfrastructureError.is(foreign, 'aborted')).toBe(true);
    expect(wrapError(foreign, origin)).toBe(foreign);
    expect(wrapError(new Error('outer', { cause: foreign }), origin).toJSON()).toMatchObject({
      cause: { cause: { code: 'aborted', component: 'queue' } },
    });
  });
});

describe('rendering', () => {
  it('the stack begins with the name and the message', () => {
    const error = new InfrastructureError({
      code: 'not-found',
      component: 'cache',
      message: 'gone',
    });
    expect(error.stack).toMatch(/^InfrastructureError: gone\n/);
    expect(Object.keys(error)).not.toContain('name');
  });

  const raw = Object.assign(new Error('cannot reach postgres://app:hunter2@db/shop'), {
    request: { headers: { authorization: 'Bearer hunter2hunter2' }, body: 'hunter2' },
    cause: new Error('GET https://h/?token=hunter2', {
      cause: { body: 'hunter2', message: 'at redis://:hunter2@r' },
    }),
  });

  it.each([
    ['message', (error: InfrastructureError) => error.message],
    ['stack', (error: InfrastructureError) => String(error.stack)],
    ['String()', String],
    ['inspect', (error: InfrastructureError) => inspect(error, { depth: 9, showHidden: true })],
    [
      'inspect of what holds it',
      (error: InfrastructureError) => inspect({ error: [error] }, { depth: 9 }),
    ],
    [
      'inspect of an error that it caused',
      (error: InfrastructureError) => inspect(new Error('outer', { cause: error })),
    ],
    ['JSON', (error: InfrastructureError) => JSON.stringify(error)],
  ])('no secret of a cause stands in its %s', (_where, render) => {
    const text = render(wrapError(raw, origin));
    expect(text).not.toContain('hunter2');
  });

  it('the causes stand in inspect and in JSON', () => {
    const error = wrapError(raw, origin);
    expect(inspect(error)).toContain('[cause]: Error: GET https://h/?token=[redacted]');
    expect(inspect(error)).toContain("code: 'internal'");
    expect(error.toJSON()).toMatchObject({
      cause: {
        name: 'Error',
        cause: {
          message: 'GET https://h/?token=[redacted]',
          cause: { message: 'at redis://[redacted]@r' },
        },
      },
    });
  });

  it('a message with credentials is scrubbed, also one that classify or a caller wrote', () => {
    const classify = (): Classification => ({
      code: 'unavailable',
      message: 'no amqp://u:hunter2@mq',
    });
    expect(wrapError(new Error('x'), origin, classify).message).toBe('no amqp://[redacted]@mq');
  });

  it('each error of several stands in inspect and in JSON', () => {
    const error = wrapError(
      new AggregateError([withCode('E1', 'one'), new Error('two')], 'both'),
      origin,
    );
    expect(inspect(error)).toMatch(/\[errors 0\]: Error: one[\s\S]*\[errors 1\]: Error: two/);
    expect(error.toJSON()).toMatchObject({
      cause: { message: 'both', errors: [{ message: 'one', code: 'E1' }, { message: 'two' }] },
    });
  });

  it('causes that form a ring end', () => {
    const first = new Error('first');
    first.cause = new Error('second', { cause: first });
    const error = wrapError(first, origin);
    expect(inspect(error).length).toBeLessThan(100_000);
    expect(JSON.stringify(error).length).toBeLessThan(100_000);
    expect(wrapError(error.cause, origin).code).toBe('internal');
  });

  it('an uncaught one ends the process without showing secrets', () => {
    const module = new URL('./errors.ts', import.meta.url).href;
    const script = `import { wrapError } from ${JSON.stringify(module)};
      throw wrapError(new Error('at postgres://app:hunter2@db', { cause: { password: 'hunter2' } }), { component: 'database' });`;
    let stderr = '';
    try {
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' });
    } catch (error) {
      stderr = String((error as { stderr: unknown }).stderr);
    }
    expect(stderr).toContain('InfrastructureError: at postgres://[redacted]@db');
    expect(stderr).not.toContain('hunter2');
  });
});

describe('withOutcome', () => {
  it('changes the outcome and nothing else', () => {
    const error = wrapError(withCode('ECONNRESET'), origin, () => ({
      code: 'unavailable',
      retryAfterMs: 3,
      details: { a: 1 },
    }));
    const changed = withOutcome(error, 'applied');
    expect(changed).toMatchObject({
      code: 'unavailable',
      outcome: 'applied',
      retryable: true,
      retryAfterMs: 3,
      details: { a: 1 },
      ...origin,
    });
    expect(changed.cause).toBe(error.cause);
    expect(withOutcome(changed, 'applied')).toBe(changed);
  });
});
