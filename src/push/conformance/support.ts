import assert from 'node:assert/strict';
import { createECDH, randomBytes } from 'node:crypto';

import { type ConformanceCase, InfrastructureError } from '../../core/index.ts';
import type { OutgoingPush, PushCapabilities } from '../driver.ts';
import type {
  ApnsTarget,
  FcmTarget,
  PushNotification,
  PushResult,
  PushTarget,
  WebPushTarget,
} from '../notification.ts';
import type { PushSender } from '../push.ts';

/** What the suite is run on. */
export interface PushSubject {
  readonly sender: PushSender;
  /**
   * So many targets of this kind, each another one, which the push service knows; the first of them are the same at every
   * call. Where nobody looks, {@link madeUpTargets}. Only called for kinds that the adapter reaches.
   */
  readonly targets: (kind: PushTarget['kind'], count: number) => Promise<readonly PushTarget[]>;
  /** Everything that the push service took over so far, in order. */
  readonly deliveries: () => Promise<readonly Omit<OutgoingPush, 'deliveryKey'>[]>;
  /** Makes the push service say from now on that this target is gone. Only called with the capability `goneTargets`. */
  readonly retire: (target: PushTarget) => Promise<void>;
}

/** A rule of the push port. */
export type PushCase = ConformanceCase<PushSubject, keyof PushCapabilities>;

/** Keys that a browser could have made. */
export const keys: WebPushTarget['keys'] = {
  p256dh: createECDH('prime256v1').generateKeys('base64url'),
  auth: randomBytes(16).toString('base64url'),
};

/** A browser of its own for each number. */
export function browser(number = 1): WebPushTarget {
  return { kind: 'web-push', endpoint: `https://push.browser.example/send/secret-${number}`, keys };
}

/** An app on FCM. */
export const android: FcmTarget = { kind: 'fcm', token: 'secret:APA91b-token_of-an-app' };

/** An app on APNs. */
export const iphone: ApnsTarget = {
  kind: 'apns',
  token: 'a1'.repeat(32),
  topic: 'example.gazette',
};

/** A notification that every adapter takes. */
export const hello: PushNotification = { title: 'Issue 12 is out' };

/** Targets that no push service knows, each another one. */
export async function madeUpTargets(
  kind: PushTarget['kind'],
  count: number,
): Promise<readonly PushTarget[]> {
  return Array.from({ length: count }, (_, index): PushTarget => {
    if (kind === 'web-push') return browser(index);
    if (kind === 'fcm') return { kind, token: `token-${index}` };
    return { kind, token: index.toString(16).padStart(64, '0'), topic: iphone.topic };
  });
}

/** The kinds of target that the subject's adapter reaches. */
function kindsOf({ sender: { capabilities } }: PushSubject): PushTarget['kind'][] {
  return [
    ...(capabilities.webPush ? (['web-push'] as const) : []),
    ...(capabilities.fcm ? (['fcm'] as const) : []),
    ...(capabilities.apns ? (['apns'] as const) : []),
  ];
}

/** Targets that the subject's adapter reaches, one of each kind. */
export async function reachable(subject: PushSubject): Promise<PushTarget[]> {
  const targets = await Promise.all(
    kindsOf(subject).map(async (kind) => await subject.targets(kind, 1)),
  );
  return targets.flat();
}

/** A target that the subject's adapter reaches. */
export async function anyTarget(subject: PushSubject): Promise<PushTarget> {
  const [target] = await manyTargets(subject, 1);
  assert.ok(target);
  return target;
}

/** As many targets of one kind that the adapter reaches. */
export async function manyTargets(subject: PushSubject, count: number): Promise<PushTarget[]> {
  const [kind] = kindsOf(subject);
  assert.ok(kind, 'the adapter reaches no kind of target');
  return [...(await subject.targets(kind, count))];
}

/** The statuses of results, in order. */
export function statusesOf(results: readonly PushResult[]): string[] {
  return results.map(({ status }) => status);
}

/** Fails unless the notification is refused before anything is delivered. */
export async function refuses(
  subject: PushSubject,
  notification: object,
  code: InfrastructureError['code'] = 'invalid-argument',
): Promise<void> {
  const hint = (JSON.stringify(notification) ?? '').slice(0, 200);
  const target = await anyTarget(subject);
  await assert.rejects(
    subject.sender.send([target], { ...hello, ...notification }),
    (error) =>
      InfrastructureError.is(error, code) &&
      error.component === 'push' &&
      error.outcome === 'not-applied',
    `not refused as ${code}: ${hint}`,
  );
  assert.equal(
    (await subject.deliveries()).length,
    0,
    `refused and delivered all the same: ${hint}`,
  );
}

/** Fails unless this one target fails with this code, and with a message that keeps the target secret. */
export async function failsFor(
  subject: PushSubject,
  target: unknown,
  code: InfrastructureError['code'],
): Promise<void> {
  const hint = JSON.stringify(target) ?? 'undefined';
  // The targets of clients are data: their types promise nothing.
  const [result] = await subject.sender.send([target as PushTarget], hello);
  assert.equal(result?.status, 'failed', `did not fail: ${hint}`);
  assert.ok(
    result.status === 'failed' && InfrastructureError.is(result.error, code),
    `did not fail as ${code}: ${hint}`,
  );
  assert.equal(result.error.outcome, 'not-applied');
  assert.doesNotMatch(result.error.message, /secret|push\.browser|a1a1/);
  assert.equal(
    (await subject.deliveries()).length,
    0,
    `failed and delivered all the same: ${hint}`,
  );
}
