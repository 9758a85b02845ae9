import { type Clock, type ComponentOptions, systemClock } from '../core/index.ts';
import type { OutgoingPush, PushDriver } from './driver.ts';
import type { PushTarget } from './notification.ts';
import { deliveryStates, type Outbox, type PushDelivery } from './delivery.ts';
import { PushSender } from './push.ts';

/** Options of {@link memoryPush}. */
export interface MemoryPushOptions extends ComponentOptions {
  /** Times deliveries and their expiry. Default: the machine's time. */
  readonly clock?: Clock | undefined;
  /** Answers in place of the push service, so that a test can have a target that is gone, or throw for one that fails. Default: every target is there. */
  readonly answer?: ((target: PushTarget) => 'delivered' | 'gone') | undefined;
}

/** Delivers into memory, for tests. */
export class MemoryPushDriver implements PushDriver {
  readonly adapter = 'memory';
  readonly capabilities = {
    webPush: true,
    fcm: true,
    apns: true,
    idempotencyKeys: true,
    goneTargets: true,
  } as const;
  readonly #deliveries = new Map<string, Omit<PushDelivery, 'state'>>();
  readonly #clock: Clock;
  readonly #answer: (target: PushTarget) => 'delivered' | 'gone';
  readonly #outbox: Outbox;

  constructor({
    clock = systemClock,
    answer = () => 'delivered',
  }: Pick<MemoryPushOptions, 'clock' | 'answer'> = {}) {
    this.#clock = clock;
    this.#answer = answer;
    const deliveries = this.#deliveries;
    this.#outbox = {
      async *deliveries(): AsyncGenerator<PushDelivery> {
        const all = [...deliveries.values()];
        const states = deliveryStates(all, clock.now());
        for (const [index, state] of states.entries()) {
          yield { ...structuredClone(all[index] as Omit<PushDelivery, 'state'>), state };
        }
      },
      async clear() {
        deliveries.clear();
      },
    };
  }

  get native(): Outbox {
    return this.#outbox;
  }

  async send(push: OutgoingPush): Promise<'delivered' | 'gone'> {
    if (this.#deliveries.has(push.deliveryKey)) return 'delivered';
    if (this.#answer(push.target) === 'gone') return 'gone';
    const now = this.#clock.now();
    const expiresAt = new Date(now + push.ttlSeconds * 1000);
    this.#deliveries.set(push.deliveryKey, { ...push, sentAt: new Date(now), expiresAt });
    return 'delivered';
  }

  classify(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#deliveries.clear();
  }
}

/**
 * A push sender that keeps its deliveries in memory until it is closed: `push.native.deliveries()` reads them.
 *
 * @example
 * const push = memoryPush({ answer: (target) => (target === oldPhone ? 'gone' : 'delivered') });
 */
export function memoryPush(options: MemoryPushOptions = {}): PushSender<MemoryPushDriver> {
  return new PushSender(new MemoryPushDriver(options), options);
}
