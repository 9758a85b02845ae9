import { describe, expect, it } from 'vitest';

import { classifyFetchError, classifyHttpStatus, parseRetryAfter } from './http.ts';

const now = Date.parse('2026-01-01T00:00:00Z');

describe('core › http', () => {
  it.each([
    [400, 'invalid-argument', 'not-applied'],
    [401, 'unauthenticated', 'not-applied'],
    [403, 'permission-denied', 'not-applied'],
    [404, 'not-found', 'not-applied'],
    [409, 'failed-precondition', 'not-applied'],
    [410, 'not-found', 'not-applied'],
    [422, 'invalid-argument', 'not-applied'],
    [429, 'resource-exhausted', 'not-applied'],
    [500, 'internal', 'unknown'],
    [501, 'unimplemented', 'unknown'],
    [502, 'unavailable', 'unknown'],
    [503, 'unavailable', 'unknown'],
    [504, 'deadline-exceeded', 'unknown'],
    [599, 'internal', 'unknown'],
  ])('%i is %s, %s', (status, code, outcome) => {
    expect(classifyHttpStatus({ status, headers: new Headers() }, now)).toMatchObject({
      code,
      outcome,
      details: { status },
    });
  });

  it.each([
    ['0', 0],
    ['120', 120_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['', undefined],
    [null, undefined],
  ])('a Retry-After of %j is %j ms', (header, milliseconds) => {
    expect(parseRetryAfter(header, now)).toBe(milliseconds);
  });

  it('an error of fetch is known by its cause', () => {
    const error = (code: string): TypeError =>
      new TypeError('fetch failed', { cause: Object.assign(new Error('why'), { code }) });
    expect(classifyFetchError(error('UND_ERR_CONNECT_TIMEOUT'))).toEqual({
      code: 'unavailable',
      outcome: 'not-applied',
      message: 'fetch failed: why',
    });
    expect(classifyFetchError(error('ESOMETHING'))).toBeUndefined();
    expect(classifyFetchError(new TypeError('x is no function'))).toBeUndefined();
  });
});
