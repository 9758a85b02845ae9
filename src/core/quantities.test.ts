import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { InfrastructureError } from './errors.ts';
import { type ByteSize, type Duration, toBytes, toMilliseconds } from './quantities.ts';

describe('durations', () => {
  it.each<[Duration, number]>([
    [0, 0],
    [250, 250],
    ['250ms', 250],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ])('%j is %d milliseconds', (duration, milliseconds) => {
    expect(toMilliseconds(duration)).toBe(milliseconds);
  });

  it.each([
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '',
    '5',
    '5 m',
    '-5m',
    '5M',
    '5constructor',
    '5toString',
    'm',
    '1e3s',
    null,
    undefined,
    {},
    5n,
  ])('%s is refused as an invalid argument that shows it and what to give', (duration) => {
    const error = thrownBy(() => toMilliseconds(duration as Duration));
    expect(InfrastructureError.is(error, 'invalid-argument')).toBe(true);
    expect((error as Error).message).toMatch(/is not a duration: give a number .* '30s'/);
  });

  it('the message names a number that JSON cannot show', () => {
    expect((thrownBy(() => toMilliseconds(Number.NaN)) as Error).message).toContain('NaN');
  });

  it('no text but a number with a known unit is taken', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/.test(text));
        expect(thrownBy(() => toMilliseconds(text as Duration))).toBeInstanceOf(
          InfrastructureError,
        );
      }),
      { seed: 1 },
    );
  });
});

describe('byte sizes', () => {
  it.each<[ByteSize, number]>([
    [12, 12],
    ['512B', 512],
    ['64KiB', 65_536],
    ['1.5MiB', 1_572_864],
    ['1GiB', 1_073_741_824],
    ['0.3B', 0],
  ])('%j is %d bytes', (size, bytes) => {
    expect(toBytes(size)).toBe(bytes);
  });

  it.each(['10MB', '10kib', '10', 'KiB', -1])('%j is refused', (size) => {
    expect(() => toBytes(size as ByteSize)).toThrow(/is not a byte size/);
  });
});

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}
