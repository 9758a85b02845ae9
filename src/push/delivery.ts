import type { OutgoingPush } from './driver.ts';
import { targetIdentity } from './validate.ts';

/**
 * Where a notification is on its way. `waiting`: for the device; `expired`: its time to live has passed; `replaced`: a later
 * one for the same target has its collapse key.
 */
export type PushDeliveryState = 'waiting' | 'expired' | 'replaced';

/** A notification as an embedded adapter holds it, in place of the push service. */
export interface PushDelivery extends OutgoingPush {
  readonly sentAt: Date;
  readonly expiresAt: Date;
  /** When it was read. */
  readonly state: PushDeliveryState;
}

/** What an embedded adapter delivered: `push.native`. */
export interface Outbox {
  /** Every delivery, in the order of sending, with what has become of it by now. */
  deliveries(): AsyncIterable<PushDelivery>;
  /** Removes every delivery. Idempotency keys are free again. */
  clear(): Promise<void>;
}

/** What decides on the state of a delivery. */
export type DeliveryFacts = Pick<PushDelivery, 'target' | 'collapseKey' | 'expiresAt'>;

/** Tells the states of deliveries that are given in the order of sending. */
export function deliveryStates(
  deliveries: readonly DeliveryFacts[],
  now: number,
): PushDeliveryState[] {
  const replaced = new Set<string>();
  return deliveries
    .toReversed()
    .map(({ target, collapseKey, expiresAt }): PushDeliveryState => {
      const slot =
        collapseKey === undefined
          ? undefined
          : JSON.stringify([collapseKey, targetIdentity(target)]);
      const isReplaced = slot !== undefined && replaced.has(slot);
      if (slot !== undefined) replaced.add(slot);
      if (isReplaced) return 'replaced';
      return now > expiresAt.getTime() ? 'expired' : 'waiting';
    })
    .toReversed();
}
