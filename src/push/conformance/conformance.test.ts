import { describe, expect, it } from 'vitest';

import {
  type ConformanceTarget,
  registerConformance,
  runConformanceCase,
} from '../../core/index.ts';
import type { PushDelivery } from '../delivery.ts';
import type { OutgoingPush, PushCapabilities, PushDriver } from '../driver.ts';
import { MemoryPushDriver, type MemoryPushOptions } from '../memory.ts';
import { PushSender } from '../push.ts';
import { madeUpTargets, pushConformance, type PushSubject } from './index.ts';

type Target = ConformanceTarget<PushSubject, keyof PushCapabilities>;
type Make = (options: MemoryPushOptions) => MemoryPushDriver;
type Read = (deliveries: readonly PushDelivery[]) => readonly PushDelivery[];

function target(adapter: string, make: Make, read: Read = (deliveries) => deliveries): Target {
  return {
    adapter,
    capabilities: make({}).capabilities,
    create: async () => {
      const gone = new Set<string>();
      const driver = make({
        answer: (each) => (gone.has(JSON.stringify(each)) ? 'gone' : 'delivered'),
      });
      return {
        sender: new PushSender<PushDriver>(driver),
        targets: madeUpTargets,
        deliveries: async () => read(await Array.fromAsync(driver.native.deliveries())),
        retire: async (each) => {
          gone.add(JSON.stringify(each));
        },
      };
    },
    dispose: async ({ sender }) => {
      await sender.close();
    },
  };
}

let unique = 0;

function without(...missing: readonly (keyof PushCapabilities)[]): Make {
  return (options) =>
    new (class extends MemoryPushDriver {
      override readonly capabilities = {
        webPush: true,
        fcm: true,
        apns: true,
        idempotencyKeys: true,
        goneTargets: true,
        ...Object.fromEntries(missing.map((name) => [name, false])),
      } as never;

      override async send(push: OutgoingPush): Promise<'delivered' | 'gone'> {
        if (!missing.includes('idempotencyKeys')) return await super.send(push);
        unique += 1;
        return await super.send({ ...push, deliveryKey: String(unique) });
      }
    })(options);
}

// Every inverse rule runs on one of these.
for (const [adapter, make] of [
  ['for browsers alone', without('fcm', 'apns', 'idempotencyKeys')],
  ['for FCM alone', without('webPush', 'apns', 'goneTargets')],
  ['for APNs alone', without('webPush', 'fcm', 'idempotencyKeys', 'goneTargets')],
] as const) {
  registerConformance(pushConformance, target(adapter, make), { describe, it });
}

/** Changes what the driver is asked to send. */
function sending(change: (push: OutgoingPush) => OutgoingPush): Make {
  return (options) =>
    new (class extends MemoryPushDriver {
      override async send(push: OutgoingPush): Promise<'delivered' | 'gone'> {
        return await super.send(change(push));
      }
    })(options);
}

const attempts = new Set<string>();
const good: Make = (options) => new MemoryPushDriver(options);

/** Each flaw with the rule that must catch it. */
const flawed: Readonly<Record<string, readonly [rule: string, make: Make, read?: Read]>> = {
  'delivers every send, whatever its key': [
    'idempotency › a second send with the same key delivers nothing and has the same results',
    sending((push) => ({ ...push, deliveryKey: String((unique += 1)) })),
  ],
  'takes a key for all targets together': [
    'idempotency › a key counts for each target: those that are new get theirs',
    sending((push) => ({ ...push, deliveryKey: push.idempotencyKey ?? push.deliveryKey })),
  ],
  'takes keys that differ in case for one': [
    'idempotency › keys that differ in anything are different keys',
    sending((push) => ({
      ...push,
      deliveryKey: push.idempotencyKey?.toLowerCase() ?? push.deliveryKey,
    })),
  ],
  'tells a gone target as delivered': [
    'target › one that is gone is told as such, and the others get theirs',
    () => new MemoryPushDriver(),
  ],
  'tells a gone target once only': [
    'target › one that is gone is gone again, under the same key too',
    ({ answer }) =>
      new MemoryPushDriver({
        answer: (each) => {
          const name = JSON.stringify(each);
          if (attempts.has(name) || answer?.(each) === 'delivered') return 'delivered';
          attempts.add(name);
          return 'gone';
        },
      }),
  ],
  'forgets the time to live': [
    'send › a time to live may be nothing, and parts of a second count as one',
    sending((push) => ({ ...push, ttlSeconds: push.ttlSeconds || 28 * 24 * 3600 })),
  ],
  'drops what it carries for the app': [
    'send › everything that a notification says arrives',
    sending((push) => {
      const { data: _, ...content } = push.content;
      return { ...push, content };
    }),
  ],
  'drops the collapse key': [
    'send › everything that a notification says arrives',
    sending((push) => ({ ...push, collapseKey: undefined })),
  ],
  'cuts long texts': [
    'send › 3 KiB arrive, and a byte more is refused',
    sending((push) => ({
      ...push,
      content: {
        ...push.content,
        ...(push.content.body === undefined ? {} : { body: push.content.body.slice(0, 1024) }),
      },
    })),
  ],
  'delivers to another target': [
    'send › a target of kind fcm gets the notification under its own address',
    sending((push) => ({ ...push, target: { kind: 'fcm', token: 'another' } })),
  ],
  'fails when there are many': [
    'send › each target gets its own, and the results are in the order of the targets',
    (options) =>
      new (class extends MemoryPushDriver {
        #count = 0;
        override async send(push: OutgoingPush): Promise<'delivered' | 'gone'> {
          if ((this.#count += 1) > 100) throw new Error('too many');
          return await super.send(push);
        }
      })(options),
  ],
  'delivers out of order': [
    'send › notifications arrive in the order in which they were sent',
    good,
    (deliveries) => deliveries.toReversed(),
  ],
  'loses the last delivery': [
    'send › equal notifications without a key are as many deliveries',
    good,
    (deliveries) => deliveries.slice(0, -1),
  ],
};

describe('push conformance', () => {
  it('has at least 20 cases, each under a name of its own', () => {
    const ids = pushConformance.cases.map(({ id }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(20);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(Object.entries(flawed))('catches a driver that %s', async (name, [rule, make, read]) => {
    const conformanceCase = pushConformance.cases.find(({ id }) => id === rule);
    if (!conformanceCase) throw new Error(`there is no rule "${rule}"`);
    expect(await runConformanceCase(conformanceCase, target(name, make, read))).toMatchObject({
      status: 'failed',
    });
  });
});
