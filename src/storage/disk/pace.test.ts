import { setImmediate as nextTurn } from 'node:timers/promises';

import { beforeEach, expect, it } from 'vitest';

import { Pace } from './pace.ts';

let now: number;
let pace: Pace;

beforeEach(() => {
  now = 1000;
  pace = new Pace(() => now);
});

function take(milliseconds: number): void {
  pace.run(() => {
    now += milliseconds;
  });
}

it('calls may block until they have taken four milliseconds of a turn, and again in the next', async () => {
  expect(pace.mayBlock()).toBe(true);
  take(2);
  take(1.75);
  expect(pace.mayBlock()).toBe(true);
  take(0.25);
  expect(pace.mayBlock()).toBe(false);
  await nextTurn();
  expect(pace.mayBlock()).toBe(true);
});

it('after a slow call none may for five hundred times as long, whether it failed or not', async () => {
  expect(() =>
    pace.run(() => {
      now += 100;
      throw new Error('no space');
    }),
  ).toThrow('no space');
  await nextTurn();
  now += 49_999;
  expect(pace.mayBlock()).toBe(false);
  now += 1;
  expect(pace.mayBlock()).toBe(true);
});

it('so it is after up to 32 calls that took more than ten milliseconds together', async () => {
  for (let call = 1; call <= 20; call += 1) take(0.5);
  await nextTurn();
  expect(pace.mayBlock()).toBe(true);
  take(0.5);
  await nextTurn();
  now += 10.5 * 500 - 1;
  expect(pace.mayBlock()).toBe(false);
  now += 1;
  expect(pace.mayBlock()).toBe(true);
});

it('a slow call among quick ones is forgotten with them', async () => {
  for (const _ of [1, 2, 3]) {
    take(6);
    for (let call = 2; call <= 32; call += 1) take(0.125);
    await nextTurn();
    expect(pace.mayBlock()).toBe(true);
  }
});
