import { describe, expect, it } from 'vitest';

import { KeyedMutex } from './keyed-mutex.ts';

describe('KeyedMutex', () => {
  it('runs functions of one key one after another, in the order of their calls', async () => {
    const mutex = new KeyedMutex();
    const log: string[] = [];
    const step = async (name: string): Promise<string> =>
      await mutex.run('key', async () => {
        log.push(`${name} begins`);
        await Promise.resolve();
        log.push(`${name} ends`);
        return name;
      });
    expect(await Promise.all(['a', 'b', 'c'].map(step))).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('those of different keys do not wait for each other', async () => {
    const mutex = new KeyedMutex();
    const blocked = Promise.withResolvers<void>();
    const first = mutex.run('a', async () => await blocked.promise);
    expect(await mutex.run('b', async () => await Promise.resolve('free'))).toBe('free');
    blocked.resolve();
    await first;
  });

  it('a failure reaches its own caller, and the next goes on', async () => {
    const mutex = new KeyedMutex();
    const failing = mutex.run('key', async () => await Promise.reject(new Error('no')));
    const next = mutex.run('key', async () => await Promise.resolve('next'));
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('next');
    await expect(
      mutex.run('key', () => {
        throw new Error('before any promise');
      }),
    ).rejects.toThrow('before any promise');
    expect(await mutex.run('key', async () => await Promise.resolve('again'))).toBe('again');
  });
});
