import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { backoffDelay, defineJob } from './job.ts';

const payload = z.object({ key: z.string() });

describe('defineJob', () => {
  it.each([
    ['an empty name', { name: '' }, /1 to 200 characters/],
    ['a name of two lines', { name: 'a\nb' }, /control characters/],
    ['no attempts', { name: 'a', attempts: 0 }, /attempts/],
    ['half a version', { name: 'a', version: 1.5 }, /version/],
    ['a timeout beyond what timers keep', { name: 'a', timeout: '25d' }, /24 days/],
    [
      'a version without its upcasters',
      { name: 'a', version: 3, upcast: { 1: String } },
      /version 2/,
    ],
  ] as const)('refuses %s', (_, options, message) => {
    expect(() => defineJob({ ...options, payload })).toThrow(message);
  });
});

describe('backoffDelay', () => {
  it('is between the half and the whole of a bound that doubles up to its limit', () => {
    const backoff = { initialDelay: 1000, maxDelay: 5000 };
    expect([1, 2, 3, 4, 50].map((attempt) => backoffDelay(backoff, attempt, 0))).toEqual([
      500, 1000, 2000, 2500, 2500,
    ]);
    expect([1, 2, 3, 4, 50].map((attempt) => backoffDelay(backoff, attempt, 1))).toEqual([
      1000, 2000, 4000, 5000, 5000,
    ]);
  });
});
