import { ECDH } from 'node:crypto';

import { type Duration, toMilliseconds } from '../core/index.ts';
import type { OutgoingPush } from './driver.ts';
import type { PushContent, PushNotification, PushTarget, PushUrgency } from './notification.ts';

/** Makes the error that refuses a notification or a target. Messages name fields, never tokens, endpoints or contents. */
export type Refuse = (message: string) => Error;

/** What of a notification is the same for every target. */
export type ValidNotification = Pick<
  OutgoingPush,
  'content' | 'ttlSeconds' | 'urgency' | 'collapseKey' | 'idempotencyKey'
> & {
  /** Of the content as JSON, in bytes. */
  readonly size: number;
};

const maxContentBytes = 3 * 1024;
const maxTtl: Duration = '28d';
const urgencies: ReadonlySet<string> = new Set<PushUrgency>(['very-low', 'low', 'normal', 'high']);
// RFC 8030, 5.4: what a Topic header may be, the narrowest of the services.
const collapseKeyPattern = /^[A-Za-z0-9_-]{1,32}$/;
const control = /\p{Cc}/u;
const base64url = /^[A-Za-z0-9_-]+={0,2}$/;

/** Checks a notification. Throws what `refuse` makes. */
export function validateNotification(
  notification: PushNotification,
  idempotencyKey: string | undefined,
  refuse: Refuse,
): ValidNotification {
  const content = validContent(notification, refuse);
  const size = Buffer.byteLength(JSON.stringify(content));
  if (size > maxContentBytes) {
    throw refuse(
      `the notification has ${size} bytes, and ${maxContentBytes} is the most: shorten the body, or put an id in data and load the rest in the app`,
    );
  }
  const { urgency = 'normal', collapseKey } = notification;
  if (!urgencies.has(urgency)) throw refuse(`urgency is none of ${[...urgencies].join(', ')}`);
  if (
    collapseKey !== undefined &&
    !(typeof collapseKey === 'string' && collapseKeyPattern.test(collapseKey))
  ) {
    throw refuse('collapseKey is not 1 to 32 letters, digits, - or _');
  }
  if (
    idempotencyKey !== undefined &&
    !(
      typeof idempotencyKey === 'string' &&
      idempotencyKey !== '' &&
      idempotencyKey.length <= 255 &&
      !control.test(idempotencyKey)
    )
  ) {
    throw refuse('idempotencyKey is not a text of 1 to 255 characters without control characters');
  }
  return {
    content,
    size,
    ttlSeconds: validTtl(notification.ttl ?? maxTtl, refuse),
    urgency,
    collapseKey,
    idempotencyKey,
  };
}

/** Checks a target and takes what is known of it, leaving out what else a client may have sent. Throws what `refuse` makes. */
export function validateTarget(target: PushTarget, refuse: Refuse): PushTarget {
  switch (target?.kind) {
    case 'web-push': {
      if (!isEndpoint(target.endpoint))
        throw refuse(
          'the endpoint of a web-push target is not an absolute https: URL without credentials',
        );
      const { p256dh, auth } = target.keys ?? {};
      if (!isPublicKey(p256dh) || !isKey(auth, 16))
        throw refuse(
          'the keys of a web-push target are not a P-256 public key (p256dh) and 16 bytes (auth) in base64url',
        );
      return { kind: 'web-push', endpoint: target.endpoint, keys: { p256dh, auth } };
    }
    case 'fcm':
      if (!matches(target.token, /^[A-Za-z0-9_:-]{1,4096}$/))
        throw refuse('the token of an fcm target is not one');
      return { kind: 'fcm', token: target.token };
    case 'apns':
      if (!matches(target.token, /^(?:[0-9a-fA-F]{2}){16,100}$/))
        throw refuse('the token of an apns target is not a device token in hex');
      if (!matches(target.topic, /^[A-Za-z0-9.-]{1,155}$/))
        throw refuse("the topic of an apns target is not an app's bundle id");
      return { kind: 'apns', token: target.token.toLowerCase(), topic: target.topic };
    default:
      throw refuse('a target has none of the kinds web-push, fcm and apns');
  }
}

/** What makes a target the same as another: texts that differ whenever the targets do. */
export function targetIdentity(target: PushTarget): string {
  if (target.kind === 'web-push') return JSON.stringify([target.kind, target.endpoint]);
  if (target.kind === 'fcm') return JSON.stringify([target.kind, target.token]);
  return JSON.stringify([target.kind, target.token, target.topic]);
}

function validContent(
  { title, body, data, icon, url }: PushNotification,
  refuse: Refuse,
): PushContent {
  if (typeof title !== 'string' || title.trim() === '')
    throw refuse('the notification has no title');
  if (body !== undefined && typeof body !== 'string') throw refuse('body is not a string');
  for (const [field, value] of Object.entries({ icon, url })) {
    if (value !== undefined && !isLink(value))
      throw refuse(`${field} is neither an http(s): URL nor a path from the root of the site`);
  }
  if (
    data !== undefined &&
    !(
      typeof data === 'object' &&
      data !== null &&
      Object.values(data).every((value) => typeof value === 'string')
    )
  ) {
    throw refuse(
      'data is not an object of strings, which is all that every push service carries: use JSON.stringify for other values',
    );
  }
  return {
    title,
    ...(body === undefined ? {} : { body }),
    ...(data === undefined ? {} : { data: { ...data } }),
    ...(icon === undefined ? {} : { icon }),
    ...(url === undefined ? {} : { url }),
  };
}

function validTtl(ttl: Duration, refuse: Refuse): number {
  let milliseconds: number;
  try {
    milliseconds = toMilliseconds(ttl);
  } catch (error) {
    throw refuse(`ttl: ${(error as Error).message}`);
  }
  if (milliseconds > toMilliseconds(maxTtl))
    throw refuse(`ttl is longer than ${maxTtl}, which no push service holds`);
  return Math.ceil(milliseconds / 1000);
}

function isEndpoint(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 2048) return false;
  const url = URL.parse(value);
  if (url === null || url.username !== '' || url.password !== '') return false;
  return (
    url.protocol === 'https:' ||
    (url.protocol === 'http:' && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname))
  );
}

// A path that begins with two slashes would lead to another host.
function isLink(value: unknown): boolean {
  if (typeof value !== 'string' || control.test(value)) return false;
  return /^\/(?![/\\])/.test(value) || /^https?:$/.test(URL.parse(value)?.protocol ?? '');
}

function isKey(value: unknown, bytes: number): value is string {
  return (
    typeof value === 'string' &&
    value.length <= 128 &&
    base64url.test(value) &&
    Buffer.from(value, 'base64url').byteLength === bytes
  );
}

// Nothing can be encrypted for a point that is not on the curve.
function isPublicKey(value: unknown): value is string {
  if (!isKey(value, 65)) return false;
  try {
    ECDH.convertKey(value, 'prime256v1', 'base64url', 'base64url', 'uncompressed');
    return true;
  } catch {
    return false;
  }
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}
