import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import {
  type Classify,
  type Clock,
  type ComponentOptions,
  ifPresent,
  InfrastructureError,
  PrivateDirectory,
  systemClock,
  wrapError,
  writeFileAtomically,
} from '../core/index.ts';
import { type DeliveryFacts, deliveryStates, type Outbox, type PushDelivery } from './delivery.ts';
import type { OutgoingPush, PushDriver } from './driver.ts';
import { PushSender } from './push.ts';

/** Options of {@link outboxPush}. */
export interface OutboxPushOptions extends ComponentOptions {
  /** Folder of the deliveries; made, for this user alone, if it is not there. Several processes may share it. */
  readonly directory: string;
  /** Whether a delivery is on the disk before `send` resolves, so that it outlives a power cut. A killed process loses nothing either way. Default: no. */
  readonly sync?: boolean | undefined;
  /** Times deliveries and their expiry. Default: the machine's time. */
  readonly clock?: Clock | undefined;
}

/** What a file holds. Its name is the delivery key. */
interface StoredDelivery extends Omit<
  OutgoingPush,
  'deliveryKey' | 'idempotencyKey' | 'collapseKey'
> {
  readonly idempotencyKey?: string | undefined;
  readonly collapseKey?: string | undefined;
  /** ISO 8601. */
  readonly sentAt: string;
  /** ISO 8601. */
  readonly expiresAt: string;
  /** Orders what one process sent within one millisecond. */
  readonly sequence: number;
}

const deliveryFile = /^([0-9a-f]{32})\.json$/;

/** Delivers into a folder, one JSON file for each target. */
export class OutboxPushDriver implements PushDriver {
  readonly adapter = 'outbox';
  readonly capabilities = {
    webPush: true,
    fcm: true,
    apns: true,
    idempotencyKeys: true,
    goneTargets: false,
  } as const;
  readonly native: Outbox;
  readonly #directory: PrivateDirectory;
  readonly #sync: boolean;
  readonly #clock: Clock;
  #sequence = 0;

  constructor({ directory, sync = false, clock = systemClock }: OutboxPushOptions) {
    this.#directory = new PrivateDirectory(directory, 'outbox');
    this.#sync = sync;
    this.#clock = clock;
    this.native = {
      deliveries: () => this.#deliveries(),
      clear: async () => {
        await this.#clear();
      },
    };
  }

  async start(): Promise<void> {
    await this.#directory.prepare();
  }

  async send({ deliveryKey, ...push }: OutgoingPush, signal?: AbortSignal): Promise<'delivered'> {
    const now = this.#clock.now();
    const stored: StoredDelivery = {
      ...push,
      sentAt: new Date(now).toISOString(),
      expiresAt: new Date(now + push.ttlSeconds * 1000).toISOString(),
      sequence: (this.#sequence += 1),
    };
    // Of all that write this key, in any process, one makes the file; for the others it is delivered already.
    const text = `${JSON.stringify(stored, undefined, 2)}\n`;
    await writeFileAtomically(this.#path(deliveryKey), text, {
      replace: false,
      sync: this.#sync,
      signal,
    });
    return 'delivered';
  }

  async checkHealth(): Promise<void> {
    await this.#directory.check();
  }

  readonly classify: Classify = (error) => this.#directory.classify(error);

  async close(): Promise<void> {
    // Holds nothing open.
  }

  async *#deliveries(): AsyncGenerator<PushDelivery> {
    try {
      const found: (DeliveryFacts & {
        readonly key: string;
        readonly at: string;
        readonly sequence: number;
      })[] = [];
      for (const key of await this.#keys()) {
        const stored = await this.#read(key);
        if (!stored) continue;
        const { target, collapseKey, expiresAt, sentAt: at, sequence } = stored;
        found.push({ key, at, sequence, target, collapseKey, expiresAt: new Date(expiresAt) });
      }
      found.sort((a, b) => a.at.localeCompare(b.at) || a.sequence - b.sequence);
      const states = deliveryStates(found, this.#clock.now());
      for (const [index, { key }] of found.entries()) {
        const stored = await this.#read(key);
        const state = states[index];
        // One that was cleared meanwhile.
        if (!stored || !state) continue;
        const { sequence: _, ...push } = stored;
        yield {
          ...push,
          deliveryKey: key,
          idempotencyKey: push.idempotencyKey,
          collapseKey: push.collapseKey,
          sentAt: new Date(push.sentAt),
          expiresAt: new Date(push.expiresAt),
          state,
        };
      }
    } catch (error) {
      throw this.#wrap(error, 'deliveries');
    }
  }

  async #clear(): Promise<void> {
    try {
      for (const key of await this.#keys()) await rm(this.#path(key), { force: true });
    } catch (error) {
      throw this.#wrap(error, 'clear');
    }
  }

  async #keys(): Promise<string[]> {
    const names = await ifPresent(readdir(this.#directory.path), []);
    return names.flatMap((name) => deliveryFile.exec(name)?.[1] ?? []);
  }

  async #read(key: string): Promise<StoredDelivery | undefined> {
    const text = await ifPresent(readFile(this.#path(key), 'utf8'), undefined);
    if (text === undefined) return undefined;
    try {
      const stored = JSON.parse(text) as Partial<StoredDelivery> | null;
      if (stored?.target && stored.content && stored.sentAt && stored.expiresAt)
        return stored as StoredDelivery;
    } catch {
      // Told below.
    }
    throw new InfrastructureError({
      code: 'data-loss',
      component: 'push',
      adapter: this.adapter,
      outcome: 'not-applied',
      message: `the delivery in ${this.#path(key)} is damaged: repair or remove the file`,
    });
  }

  #path(key: string): string {
    return join(this.#directory.path, `${key}.json`);
  }

  #wrap(error: unknown, operation: string): InfrastructureError {
    return wrapError(error, { component: 'push', adapter: this.adapter, operation }, this.classify);
  }
}

/**
 * A push sender that delivers into a folder, the embedded default: one JSON file for each target. `push.native.deliveries()`
 * reads them back.
 *
 * @example
 * const push = outboxPush({ directory: 'data/push' });
 */
export function outboxPush(options: OutboxPushOptions): PushSender<OutboxPushDriver> {
  return new PushSender(new OutboxPushDriver(options), options);
}
