import { setTimeout } from 'node:timers/promises';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { fakeClock, longestTimer, systemClock } from './clock.ts';

describe('fakeClock', () => {
  it('stands still until it is told to move', async () => {
    const clock = fakeClock(1000);
    expect(clock.now()).toBe(1000);
    await clock.advance(5);
    expect(clock.now()).toBe(1005);
  });

  it('wakes sleepers in the order in which they are due, each at its own time', async () => {
    const clock = fakeClock(0);
    const woken: string[] = [];
    const sleep = async (name: string, milliseconds: number): Promise<void> => {
      await clock.sleep(milliseconds);
      woken.push(`${name}@${clock.now()}`);
    };
    void sleep('late', 30);
    void sleep('early', 10);
    void sleep('early too', 10);
    void sleep('never', 31);
    expect(clock.sleepers).toBe(4);
    await clock.advance(30);
    expect(woken).toEqual(['early@10', 'early too@10', 'late@30']);
    expect(clock.sleepers).toBe(1);
  });

  it('lets what was woken sleep again within the same advance', async () => {
    const clock = fakeClock(0);
    const times: number[] = [];
    void (async () => {
      for (;;) {
        await clock.sleep(10);
        times.push(clock.now());
      }
    })();
    await clock.advance(35);
    expect(times).toEqual([10, 20, 30]);
    expect(clock.now()).toBe(35);
  });

  it('waits, before it goes on, for what was woken to settle', async () => {
    let underWay = Promise.resolve();
    const clock = fakeClock(0, async () => {
      await setTimeout(1);
      await underWay;
    });
    const times: number[] = [];
    void (async () => {
      for (;;) {
        await clock.sleep(10);
        underWay = setTimeout(5);
        await underWay;
        times.push(clock.now());
      }
    })();
    await clock.advance(35);
    expect(times).toEqual([10, 20, 30]);
  });

  it('a sleep of nothing also waits to be woken', async () => {
    const clock = fakeClock(0);
    let woken = false;
    void clock.sleep(0).then(() => (woken = true));
    await Promise.resolve();
    expect(woken).toBe(false);
    await clock.advance(0);
    expect(woken).toBe(true);
  });

  it('an abort ends a sleep with the reason, before and during', async () => {
    const clock = fakeClock(0);
    await expect(clock.sleep(10, AbortSignal.abort('before'))).rejects.toBe('before');
    const controller = new AbortController();
    const sleeping = clock.sleep(10, controller.signal);
    controller.abort('during');
    await expect(sleeping).rejects.toBe('during');
    expect(clock.sleepers).toBe(0);
  });

  it('never goes back, also when two advance it at once', async () => {
    const clock = fakeClock(0);
    await Promise.all([clock.advance(100), clock.advance(10)]);
    expect(clock.now()).toBe(100);
    await expect(clock.advance(-1)).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(clock.advance(Number.NaN)).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('systemClock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('now is the machine’s time', () => {
    const before = Date.now();
    expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  });

  it('an abort ends a sleep with the reason itself', async () => {
    const controller = new AbortController();
    const sleeping = systemClock.sleep(60_000, controller.signal);
    controller.abort('why');
    await expect(sleeping).rejects.toBe('why');
    await expect(systemClock.sleep(1, AbortSignal.abort('before'))).rejects.toBe('before');
  });

  it('a sleep longer than the platform’s timers does not end at once', async () => {
    const controller = new AbortController();
    let ended = false;
    const sleeping = systemClock.sleep(longestTimer + 1, controller.signal).then(
      () => (ended = true),
      () => undefined,
    );
    // A timer that overflowed would fire after a millisecond.
    await systemClock.sleep(20);
    expect(ended).toBe(false);
    controller.abort();
    await sleeping;
  });
});
