import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import {
  madeUpTargets,
  pushConformance,
  type PushSubject,
} from '../../src/push/conformance/index.ts';
import type { PushCapabilities } from '../../src/push/index.ts';
import { memoryPush } from '../../src/push/memory.ts';
import { outboxPush } from '../../src/push/outbox.ts';
import { webPush } from '../../src/push/web-push/index.ts';
import { sharedServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { browsersOn, vapid } from '../services/web-push-client.ts';
import { port, type RegisteredPort } from './registry.ts';

type PushAdapter = ConformanceTarget<PushSubject, keyof PushCapabilities>;

const directories = new WeakMap<PushSubject, string>();

const memory: PushAdapter = {
  adapter: 'memory',
  capabilities: memoryPush().capabilities,
  create: async () => {
    const gone = new Set<string>();
    const sender = memoryPush({
      answer: (target) => (gone.has(JSON.stringify(target)) ? 'gone' : 'delivered'),
    });
    return {
      sender,
      targets: madeUpTargets,
      deliveries: async () => await Array.fromAsync(sender.native.deliveries()),
      retire: async (target) => {
        gone.add(JSON.stringify(target));
      },
    };
  },
  dispose: async ({ sender }) => {
    await sender.close();
  },
};

const outbox: PushAdapter = {
  adapter: 'outbox',
  capabilities: outboxPush({ directory: 'unused' }).capabilities,
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'underpin-push-'));
    const sender = outboxPush({ directory });
    const subject: PushSubject = {
      sender,
      targets: madeUpTargets,
      deliveries: async () => await Array.fromAsync(sender.native.deliveries()),
      retire: async () => {
        throw new Error('the outbox knows no targets');
      },
    };
    directories.set(subject, directory);
    return subject;
  },
  dispose: async (subject) => {
    await subject.sender.close();
    await rm(directories.get(subject) ?? '', { recursive: true, force: true });
  },
};

const web: PushAdapter = {
  adapter: 'web-push',
  capabilities: webPush({ vapid }).capabilities,
  create: async () => ({
    sender: webPush({ vapid, allowPrivateNetworks: true }),
    ...browsersOn((await sharedServer('webPush')).url),
  }),
  dispose: async ({ sender }) => {
    await sender.close();
  },
};

/** The adapters of the push port. */
export const pushPort: RegisteredPort = port(pushConformance, [
  memory,
  outbox,
  { ...web, skip: (await service('webPush')).missing },
]);
