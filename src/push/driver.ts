import type { Driver } from '../core/index.ts';
import type { PushContent, PushTarget, PushUrgency } from './notification.ts';

/** What a push adapter can do. */
export type PushCapabilities = {
  /** Targets of kind `web-push`. */
  readonly webPush: boolean;
  /** Targets of kind `fcm`. */
  readonly fcm: boolean;
  /** Targets of kind `apns`. */
  readonly apns: boolean;
  /**
   * Delivers once per idempotency key and target, ever. Without it every send is delivered, and one with the key of another
   * may take its place while that one still waits for the device.
   */
  readonly idempotencyKeys: boolean;
  /** Tells targets that do not exist any more. Without it they look delivered. */
  readonly goneTargets: boolean;
};

/** A validated notification for one target, as a driver gets it. */
export interface OutgoingPush {
  /** 32 hexadecimal digits: derived from the idempotency key and the target, or random without a key. Safe as a file name. */
  readonly deliveryKey: string;
  readonly idempotencyKey: string | undefined;
  readonly target: PushTarget;
  readonly content: PushContent;
  /** Whole seconds, from 0 to 28 days. */
  readonly ttlSeconds: number;
  readonly urgency: PushUrgency;
  readonly collapseKey: string | undefined;
}

/** What a push adapter implements. */
export interface PushDriver extends Driver {
  readonly capabilities: PushCapabilities;
  /**
   * Hands one notification to the push service. Is called for many targets at once, and only for kinds that `capabilities` has.
   *
   * - MUST resolve to `delivered` only when the service has taken it over, and to `gone` only when the service says that this
   *   target does not exist any more: never on a general refusal, since a caller forgets such targets.
   * - With `idempotencyKeys`, MUST deliver at most once per `deliveryKey`, also across crashes and processes, and resolve to
   *   `delivered` again. A failed send MUST leave the key free.
   * - MUST throw for every other answer, without the token or the endpoint in the message.
   */
  send(push: OutgoingPush, signal?: AbortSignal): Promise<'delivered' | 'gone'>;
}
