import { type Clock, systemClock } from '../core/index.ts';
import type { MailDriver, OutgoingMail } from './driver.ts';
import { Mailer, type MailerOptions } from './mail.ts';
import type { MailReceipt } from './message.ts';
import {
  type DeliveryFacts,
  type Inbox,
  parseReceivedMail,
  type ReceivedMail,
} from './received.ts';

/** Delivers into memory, for tests. */
export class MemoryMailDriver implements MailDriver {
  readonly adapter = 'memory';
  readonly capabilities = { idempotencyKeys: true, unicodeAddresses: true } as const;
  readonly #deliveries = new Map<
    string,
    { readonly raw: Uint8Array; readonly facts: DeliveryFacts; readonly receipt: MailReceipt }
  >();
  readonly #clock: Clock;
  readonly #inbox: Inbox;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    const deliveries = this.#deliveries;
    this.#inbox = {
      async *messages(): AsyncGenerator<ReceivedMail> {
        for (const { raw, facts } of deliveries.values()) {
          yield await parseReceivedMail(new Uint8Array(raw), facts);
        }
      },
      async clear() {
        deliveries.clear();
      },
    };
  }

  get native(): Inbox {
    return this.#inbox;
  }

  async send({
    id,
    deliveryKey,
    idempotencyKey,
    envelope,
    raw,
  }: OutgoingMail): Promise<MailReceipt> {
    let delivery = this.#deliveries.get(deliveryKey);
    if (delivery === undefined) {
      const facts = { id, idempotencyKey, receivedAt: new Date(this.#clock.now()), envelope };
      delivery = { raw, facts, receipt: { id, accepted: envelope.to, rejected: [] } };
      this.#deliveries.set(deliveryKey, delivery);
    }
    return delivery.receipt;
  }

  classify(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#deliveries.clear();
  }
}

/**
 * A mailer that keeps its messages in memory until it is closed: `mailer.native.messages()` reads them.
 *
 * @example
 * const mailer = memoryMailer({ from: 'news@gazette.example' });
 */
export function memoryMailer(options: MailerOptions = {}): Mailer<MemoryMailDriver> {
  return new Mailer(new MemoryMailDriver(options.clock), options);
}
