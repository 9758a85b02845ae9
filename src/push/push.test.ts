import { describe, expect, it } from 'vitest';

import { definePolicy, runWithContext } from '../core/index.ts';
import type { OutgoingPush } from './driver.ts';
import { MemoryPushDriver, memoryPush } from './memory.ts';
import type { FcmTarget, PushTarget } from './notification.ts';
import { PushSender } from './push.ts';

const hello = { title: 'Issue 12 is out' };

function app(number: number): FcmTarget {
  return { kind: 'fcm', token: `token-${number}` };
}

function refuseConnection(): never {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

describe('push sender', () => {
  it('fails a target whose send throws, with an error of the one model, and leaves its key free', async () => {
    let isDown = true;
    const push = memoryPush({
      answer: (target: PushTarget) => {
        if (isDown && target.kind === 'fcm') refuseConnection();
        return 'delivered';
      },
    });
    const apns = { kind: 'apns', token: 'ab'.repeat(32), topic: 'example.gazette' } as const;
    expect(await push.send([app(1), apns], hello, { idempotencyKey: 'k' })).toMatchObject([
      {
        status: 'failed',
        error: {
          code: 'unavailable',
          outcome: 'not-applied',
          retryable: true,
          operation: 'deliver',
        },
      },
      { status: 'delivered' },
    ]);
    isDown = false;
    const results = await push.send([app(1), apns], hello, { idempotencyKey: 'k' });
    expect(results.map(({ status }) => status)).toEqual(['delivered', 'delivered']);
    expect(await Array.fromAsync(push.native.deliveries())).toHaveLength(2);
  });

  it('a policy guards each delivery by itself, within its limit, and repeats what is safe', async () => {
    const calls = new Map<string, number>();
    let running = 0;
    let most = 0;
    class BusyDriver extends MemoryPushDriver {
      override async send(push: OutgoingPush): Promise<'delivered' | 'gone'> {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => void setImmediate(resolve));
        running -= 1;
        const count = (calls.get(push.deliveryKey) ?? 0) + 1;
        calls.set(push.deliveryKey, count);
        if (count === 1) refuseConnection();
        return await super.send(push);
      }
    }
    const policy = definePolicy('careful', {
      limit: { concurrency: 3, queue: 100 },
      retry: { attempts: 1, initialDelay: 0, maxDelay: 0 },
    });
    const push = new PushSender(new BusyDriver(), { policy });
    const results = await push.send(
      Array.from({ length: 20 }, (_, index) => app(index)),
      hello,
    );
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['delivered']));
    expect([...calls.values()]).toEqual(Array.from({ length: 20 }, () => 2));
    expect(most).toBe(3);
  });

  it('has no more than 64 deliveries under way at once', async () => {
    let running = 0;
    let most = 0;
    class SlowDriver extends MemoryPushDriver {
      override async send(): Promise<'delivered'> {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => void setImmediate(resolve));
        running -= 1;
        return 'delivered';
      }
    }
    const push = new PushSender(new SlowDriver());
    await push.send(
      Array.from({ length: 500 }, (_, index) => app(index)),
      hello,
    );
    expect(most).toBe(64);
  });

  it('gives back the caller’s own targets, so that a gone one can be found where it is kept', async () => {
    const kept = { ...app(1), savedAs: 7 };
    const push = memoryPush({ answer: () => 'gone' });
    const [result] = await push.send([kept], hello);
    expect(result).toEqual({ target: kept, status: 'gone' });
    expect(result?.target).toBe(kept);
  });

  it('hands the driver what is known of a target and nothing else', async () => {
    const push = memoryPush();
    await push.send([{ ...app(1), userId: 'ada' } as FcmTarget], hello);
    const [delivery] = await Array.fromAsync(push.native.deliveries());
    expect(delivery?.target).toEqual(app(1));
  });

  it('the signal of the context is that of the send', async () => {
    const push = memoryPush();
    const sending = runWithContext(
      { signal: AbortSignal.abort() },
      async () => await push.send([app(1)], hello),
    );
    await expect(sending).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
  });
});
