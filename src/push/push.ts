import { createHash, randomBytes } from 'node:crypto';

import {
  type CallOptions,
  Component,
  type ComponentOptions,
  invalidArgument,
  type OperationAttributes,
  requireCapability,
} from '../core/index.ts';
import type { PushCapabilities, PushDriver } from './driver.ts';
import type { PushNotification, PushResult, PushTarget } from './notification.ts';
import {
  targetIdentity,
  validateNotification,
  validateTarget,
  type ValidNotification,
} from './validate.ts';

/** Options of {@link PushSender.send}. */
export interface PushSendOptions extends CallOptions {
  /**
   * Names this notification among all that this sender ever sends, such as `article-12`. With the capability
   * `idempotencyKeys`, a target gets it once, also when it is sent again after a crash or from another process. Without it, as
   * with push services, a target gets it again; where the first one still waits for the device, the last one alone. 1 to 255
   * characters.
   */
  readonly idempotencyKey?: string | undefined;
}

type Unable<Capabilities extends PushCapabilities> =
  | (Capabilities['webPush'] extends false ? 'web-push' : never)
  | (Capabilities['fcm'] extends false ? 'fcm' : never)
  | (Capabilities['apns'] extends false ? 'apns' : never);

/** The targets that a driver can reach: the others do not compile. */
export type PushTargetOf<AnyDriver extends PushDriver> = Exclude<
  PushTarget,
  { readonly kind: Unable<AnyDriver['capabilities']> }
>;

const capabilityOf = { 'web-push': 'webPush', fcm: 'fcm', apns: 'apns' } as const;
// Enough to fill one HTTP/2 connection; a policy's `limit` narrows it.
const atOnce = 64;

/**
 * Sends notifications to apps and browsers.
 *
 * @example
 * const push = outboxPush({ directory: 'data/push' });
 * const results = await push.send(targets, { title: 'Issue 12 is out', url: '/12' }, { idempotencyKey: 'issue-12' });
 * for (const { target, status } of results) if (status === 'gone') await forget(target);
 */
export class PushSender<AnyDriver extends PushDriver = PushDriver> extends Component<AnyDriver> {
  constructor(driver: AnyDriver, options: ComponentOptions = {}) {
    super('push', driver, options);
  }

  /**
   * Sends one notification to each target, and tells for each, in their order, what became of it. A target that fails does not
   * keep the others from theirs: it is one result. A target named twice gets one notification. After an abort on the way, what
   * was not sent yet is `failed` as `cancelled`.
   *
   * Throws `invalid-argument` for a notification that cannot be sent to anyone, and when nothing has begun: `cancelled`,
   * `failed-precondition` (closed), and what the adapter's start throws.
   */
  async send(
    targets: readonly PushTargetOf<AnyDriver>[],
    notification: PushNotification,
    options: PushSendOptions = {},
  ): Promise<PushResult[]> {
    const { idempotencyKey, signal } = options;
    const attributes: OperationAttributes = { targets: targets.length };
    return await this.run('send', attributes, { signal, guarded: false }, async (current) => {
      const origin = { component: this.component, adapter: this.adapter, operation: 'send' };
      const valid = validateNotification(notification, idempotencyKey, (message) =>
        invalidArgument(origin, message),
      );
      attributes['size'] = valid.size;
      const results = await this.#sendAll(targets, valid, current);
      for (const status of ['delivered', 'gone', 'failed'] as const) {
        attributes[status] = results.filter((result) => result.status === status).length;
      }
      return results;
    });
  }

  async #sendAll(
    targets: readonly PushTarget[],
    notification: ValidNotification,
    signal: AbortSignal | undefined,
  ): Promise<PushResult[]> {
    const results: PushResult[] = [];
    const byIdentity = new Map<string, Promise<PushResult>>();
    const queue = targets.entries();
    const work = async (): Promise<void> => {
      // One iterator for all workers: each target is taken once.
      for (const [index, given] of queue) {
        const target = this.#check(given);
        if ('status' in target) {
          results[index] = target;
          continue;
        }
        const identity = targetIdentity(target);
        let sending = byIdentity.get(identity);
        if (sending === undefined) {
          sending = this.#sendOne(target, { notification, identity, signal });
          byIdentity.set(identity, sending);
        }
        results[index] = { ...(await sending), target: given };
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, targets.length) }, work));
    return results;
  }

  /** The target as it is understood, or the result that refuses it. */
  #check(target: PushTarget): PushTarget | PushResult {
    const origin = { component: this.component, adapter: this.adapter, operation: 'deliver' };
    try {
      const valid = validateTarget(target, (message) => invalidArgument(origin, message));
      requireCapability(this.capabilities, capabilityOf[valid.kind], origin);
      return valid;
    } catch (error) {
      return { target, status: 'failed', error: this.wrap(error, 'deliver') };
    }
  }

  async #sendOne(
    target: PushTarget,
    { notification, identity, signal }: SendOne,
  ): Promise<PushResult> {
    const { content, ttlSeconds, urgency, collapseKey, idempotencyKey } = notification;
    const deliveryKey =
      idempotencyKey === undefined
        ? randomBytes(16).toString('hex')
        : hash(JSON.stringify([idempotencyKey, identity]));
    const push = { deliveryKey, idempotencyKey, target, content, ttlSeconds, urgency, collapseKey };
    const attributes: OperationAttributes = { kind: target.kind };
    try {
      const repeatable = idempotencyKey !== undefined && this.capabilities.idempotencyKeys;
      const status = await this.run(
        'deliver',
        attributes,
        { signal, repeatable },
        async (current) => {
          const answer = await this.driver.send(push, current);
          attributes['status'] = answer;
          return answer;
        },
      );
      return { target, status };
    } catch (error) {
      return { target, status: 'failed', error: this.wrap(error, 'deliver', signal) };
    }
  }
}

interface SendOne {
  readonly notification: ValidNotification;
  readonly identity: string;
  readonly signal: AbortSignal | undefined;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
