import type { Duration, InfrastructureError } from '../core/index.ts';

/** A browser's subscription, as `PushSubscription.toJSON()` gives it (https://www.w3.org/TR/push-api/). */
export interface WebPushTarget {
  readonly kind: 'web-push';
  /** `https:`; `http:` on the machine itself only. Whoever knows it can address the browser: treat it as a secret. */
  readonly endpoint: string;
  readonly keys: {
    /** The browser's public key: 65 bytes in base64url. */
    readonly p256dh: string;
    /** 16 bytes in base64url. */
    readonly auth: string;
  };
}

/** An app that registered with Firebase Cloud Messaging. */
export interface FcmTarget {
  readonly kind: 'fcm';
  readonly token: string;
}

/** An app that registered with the Apple Push Notification service. */
export interface ApnsTarget {
  readonly kind: 'apns';
  /** The device token in hex. */
  readonly token: string;
  /** The app's bundle id, such as `example.gazette`. */
  readonly topic: string;
}

/** Who gets a notification: one app on one device. */
export type PushTarget = WebPushTarget | FcmTarget | ApnsTarget;

/** How soon a device is woken for a notification (RFC 8030, 5.3). `very-low`: on power and Wi-Fi; `high`: at once. */
export type PushUrgency = 'very-low' | 'low' | 'normal' | 'high';

/** What a notification shows and carries. At most 3 KiB as JSON, which every push service takes. */
export interface PushContent {
  readonly title: string;
  readonly body?: string | undefined;
  /** For the app: texts by name. */
  readonly data?: Readonly<Record<string, string>> | undefined;
  /** URL of a picture: absolute, or from the root of the site. */
  readonly icon?: string | undefined;
  /** What a tap opens: a URL, absolute or from the root of the site. */
  readonly url?: string | undefined;
}

/** A notification to send. */
export interface PushNotification extends PushContent {
  /** How long the push service holds it for a device that is off; 0: now or never. At most 28 days, the default. */
  readonly ttl?: Duration | undefined;
  /** Default `normal`. */
  readonly urgency?: PushUrgency | undefined;
  /** Replaces a waiting notification with the same key: a device that was off gets the last one only. 1 to 32 letters, digits, `-` and `_`. */
  readonly collapseKey?: string | undefined;
}

/**
 * What became of a notification for one target. `delivered`: the push service took it over. `gone`: the target does not
 * exist any more, and should be forgotten. `failed`: anything else; the error says whether to try again.
 */
export type PushResult =
  | { readonly target: PushTarget; readonly status: 'delivered' }
  | { readonly target: PushTarget; readonly status: 'gone' }
  | { readonly target: PushTarget; readonly status: 'failed'; readonly error: InfrastructureError };
