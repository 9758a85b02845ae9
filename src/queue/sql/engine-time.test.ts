import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { EngineTime } from './engine-time.ts';

const start = Date.UTC(2026, 0, 2);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: start });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Measures a clock that is so far ahead, in so many milliseconds, of which the engine took all before its answer, or after. */
async function measured(
  time: EngineTime,
  ahead: number | null,
  took: { readonly before?: number; readonly after?: number } = {},
): Promise<number> {
  await time.measure(async () => {
    vi.setSystemTime(Date.now() + (took.before ?? 0));
    const clock = ahead === null ? null : Date.now() + ahead;
    vi.setSystemTime(Date.now() + (took.after ?? 0));
    return { clock };
  });
  return time.toEngine(0);
}

test('engine time › a clock that is off by more than a second is heeded, and times come back as they went', async () => {
  const time = new EngineTime();
  expect(await measured(time, null)).toBe(0);
  expect(await measured(time, 900)).toBe(0);
  expect(await measured(time, -60_000)).toBe(-60_000);
  expect(time.fromEngine(time.toEngine(start))).toBe(start);
  expect(await measured(time, 0)).toBe(0);
});

test('engine time › a slow answer leaves what is known, unless it proves that to be wrong', async () => {
  const time = new EngineTime();
  await measured(time, 10_000);
  expect(await measured(time, 10_000, { before: 30_000 })).toBe(10_000);
  expect(await measured(time, 10_000, { after: 30_000 })).toBe(10_000);
  const late = await measured(time, 60_000, { after: 2000 });
  expect(Math.abs(late - 60_000)).toBeLessThanOrEqual(1000);
});
