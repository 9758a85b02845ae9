import { describe, expect, it } from 'vitest';

import { definePolicy, fakeClock } from '../../core/index.ts';
import { memoryStorage } from '../memory.ts';
import { type Fault, faulty } from './faulty.ts';

const bytes = new Uint8Array(300_000).fill(7);

describe('faulty', () => {
  it('fails before the effect as not-applied, and only the calls that are named', async () => {
    const inner = memoryStorage();
    const files = faulty(inner, {
      faults: [{ calls: ['put'], prefix: 'a', which: [2], fail: 'before' }],
    });
    await files.put('a1', 'x');
    await files.put('b', 'x');
    await expect(files.put('a2', 'x')).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
      retryable: true,
    });
    expect([...inner.native.keys()]).toEqual(['a1', 'b']);
    await files.put('a2', 'x');
    await files.head('a2');
  });

  it('fails after the effect as unknown: an answer that was lost', async () => {
    const inner = memoryStorage();
    const files = faulty(inner, { faults: [{ which: [1], fail: 'after' }] });
    await expect(files.put('a', 'x')).rejects.toMatchObject({ outcome: 'unknown' });
    expect(await inner.exists('a')).toBe(true);
    await files.delete('a');
  });

  it('is retried by the policy that it was given', async () => {
    const policy = definePolicy('retrying', { retry: { attempts: 2, initialDelay: 0 } });
    const inner = memoryStorage();
    const files = faulty(inner, { faults: [{ which: [1], fail: 'after' }], policy });
    await files.put('a', 'x');
    expect(await inner.exists('a')).toBe(true);
  });

  it('breaks a content midway: a put stores nothing, a get gives its first half', async () => {
    const inner = memoryStorage();
    const files = faulty(inner, {
      faults: [{ calls: ['put', 'get'], which: [1, 3], fail: 'midway' }],
    });
    await expect(files.put('a', bytes)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
    expect(await inner.exists('a')).toBe(false);
    await files.put('a', bytes);
    let seen = 0;
    const read = async (): Promise<void> => {
      for await (const piece of (await files.get('a')).stream()) seen += piece.byteLength;
    };
    await expect(read()).rejects.toMatchObject({ code: 'unavailable' });
    expect(seen).toBe(150_000);
  });

  it('releases a content that breaks midway and is never read', async () => {
    const inner = memoryStorage();
    const files = faulty(inner, { faults: [{ calls: ['get'], fail: 'midway' }] });
    await files.put('a', bytes);
    let cancelled = 0;
    const get = inner.get.bind(inner);
    inner.get = async (...call) => {
      const file = await get(...call);
      const cancel = (): void => void (cancelled += 1);
      file.stream = () => new ReadableStream<Uint8Array<ArrayBuffer>>({ cancel });
      return file;
    };
    await (await files.get('a')).cancel();
    expect(cancelled).toBe(1);
  });

  it('hits the same calls for the same seed, and others for another', async () => {
    const hits = async (seed: number): Promise<string> => {
      const files = faulty(memoryStorage(), {
        seed,
        faults: [{ calls: ['put'], probability: 0.3, fail: 'before' }],
      });
      const marks: string[] = [];
      for (let index = 0; index < 200; index += 1)
        marks.push(
          await files.put(`k${index}`, 'x').then(
            () => '.',
            () => 'x',
          ),
        );
      return marks.join('');
    };
    const first = await hits(1);
    expect(await hits(1)).toBe(first);
    expect(await hits(2)).not.toBe(first);
    expect(first.replaceAll('.', '').length).toBeGreaterThan(40);
    expect(first.replaceAll('.', '').length).toBeLessThan(80);
  });

  it('delays on the clock, and an abort ends the wait', async () => {
    const clock = fakeClock();
    const files = faulty(memoryStorage(), {
      clock,
      faults: [{ calls: ['head'], delay: '10s' }],
    });
    await files.put('a', 'x');
    let isThere = false;
    const head = files.head('a').then(() => (isThere = true));
    await clock.advance(9_999);
    expect(isThere).toBe(false);
    await clock.advance(1);
    await head;
    const controller = new AbortController();
    const aborted = files.head('a', { signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('fails uploads in parts too', async () => {
    const files = faulty(memoryStorage(), {
      faults: [{ calls: ['completeUpload'], which: [1], fail: 'after' }],
    });
    const upload = await files.createUpload('a');
    await upload.putPart(1, 'x');
    await expect(upload.complete()).rejects.toMatchObject({ outcome: 'unknown' });
    expect(await files.exists('a')).toBe(true);
  });

  it('refuses faults that mean nothing', () => {
    const bad: readonly Fault[] = [
      {},
      { fail: 'midway' },
      { calls: ['head'], fail: 'midway' },
      { fail: 'before', probability: 2 },
      { fail: 'before', which: [0] },
      { fail: 'before', calls: ['exists' as never] },
    ];
    for (const fault of bad)
      expect(() => faulty(memoryStorage(), { faults: [fault] }), JSON.stringify(fault)).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }) as Error,
      );
  });
});
