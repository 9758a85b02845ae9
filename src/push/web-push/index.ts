import { createECDH } from 'node:crypto';

import {
  type ComponentOptions,
  definePolicy,
  type Duration,
  invalidArgument,
  type Policy,
  redact,
  type Secret,
  toMilliseconds,
} from '../../core/index.ts';
import { PushSender } from '../push.ts';
import { WebPushDriver } from './driver.ts';

export { WebPushDriver };

/** Who sends, as push services know it (RFC 8292). `npx web-push generate-vapid-keys` makes the keys. */
export interface VapidOptions {
  /** Where a push service's operators can reach you: a `mailto:` or `https:` URL. */
  readonly subject: string;
  /** What browsers subscribe with as `applicationServerKey`: 65 bytes in base64url. */
  readonly publicKey: string;
  /** 32 bytes in base64url. */
  readonly privateKey: Secret;
}

/** Options of {@link webPush}. */
export interface WebPushOptions extends ComponentOptions {
  readonly vapid: VapidOptions;
  /**
   * Whether an endpoint may lead into a private network or to this machine. Endpoints come from browsers, and so from anybody: with
   * `true` they can make this machine send requests to whatever it reaches. Default: no; for a push service of your own, or a test's.
   */
  readonly allowPrivateNetworks?: boolean | undefined;
  /** Until a connection to a push service is there, encrypted. Default 10 s. */
  readonly connectTimeout?: Duration | undefined;
}

/** Further attempts of what certainly was not delivered. */
const defaultPolicy: Policy = definePolicy('web-push', {
  retry: { attempts: 2, initialDelay: '500ms' },
  attemptTimeout: '30s',
});

/**
 * A push sender for browsers. Needs the optional peer `web-push`, which encrypts and signs.
 *
 * Throws `invalid-argument` for VAPID options that are none, or keys that do not belong together.
 *
 * @example
 * const push = webPush({ vapid: { subject: 'mailto:ops@gazette.example', publicKey, privateKey } });
 */
export function webPush(options: WebPushOptions): PushSender<WebPushDriver> {
  const { vapid, policy = defaultPolicy, allowPrivateNetworks = false } = options;
  const privateKey = redact(vapid.privateKey);
  checkVapid(vapid, privateKey.reveal());
  const driver = new WebPushDriver({
    vapid: { subject: vapid.subject, publicKey: vapid.publicKey, privateKey },
    allowPrivateNetworks,
    connectTimeoutMs: toMilliseconds(options.connectTimeout ?? '10s'),
  });
  return new PushSender(driver, { policy });
}

function checkVapid({ subject, publicKey }: VapidOptions, privateKey: string): void {
  const refuse = (message: string): Error =>
    invalidArgument({ component: 'push', adapter: 'web-push' }, message);
  if (!/^(?:mailto:[^\s@]+@[^\s@]+|https:\/\/[^\s/]+(?:\/\S*)?)$/.test(subject))
    throw refuse('vapid.subject is neither a mailto: nor an https: URL');
  if (!isKey(publicKey, 65))
    throw refuse(
      'vapid.publicKey is not 65 bytes in base64url: make a pair with "npx web-push generate-vapid-keys"',
    );
  if (!isKey(privateKey, 32))
    throw refuse(
      'vapid.privateKey is not 32 bytes in base64url: make a pair with "npx web-push generate-vapid-keys"',
    );
  if (publicKeyOf(privateKey) !== publicKey)
    throw refuse('vapid.publicKey and vapid.privateKey do not belong together');
}

function publicKeyOf(privateKey: string): string | undefined {
  const pair = createECDH('prime256v1');
  try {
    pair.setPrivateKey(privateKey, 'base64url');
    return pair.getPublicKey('base64url');
  } catch {
    // 32 bytes that are no key.
    return undefined;
  }
}

function isKey(text: string, bytes: number): boolean {
  return /^[\w-]+$/.test(text) && Buffer.from(text, 'base64url').byteLength === bytes;
}
