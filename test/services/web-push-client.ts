import webPush from 'web-push';

import type { PushSubject } from '../../src/push/conformance/index.ts';
import type { PushContent, PushUrgency, WebPushTarget } from '../../src/push/index.ts';
import type { VapidOptions } from '../../src/push/web-push/index.ts';

/** A notification that the push service took, as it tells of it. */
export interface AcceptedNotification {
  /** The last part of the subscription's endpoint. */
  readonly client: string;
  /** What the browser would read. */
  readonly message: string;
  readonly ttl: string | undefined;
  readonly urgency: string | undefined;
  readonly topic: string | undefined;
}

/** An application server of the tests. */
export const vapid: VapidOptions = {
  subject: 'mailto:tests@underpin.example',
  ...webPush.generateVAPIDKeys(),
};

/** Browsers of its own, which subscribed at the push service with this address to what {@link vapid} sends. */
export function browsersOn(
  address: string,
): Pick<PushSubject, 'targets' | 'deliveries' | 'retire'> {
  const browsers: WebPushTarget[] = [];
  const post = async (path: string, body?: unknown): Promise<Response> => {
    const response = await fetch(`${address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  return {
    async targets(_kind, count) {
      while (browsers.length < count) browsers.push(await subscribe(post));
      return browsers.slice(0, count);
    },
    async deliveries() {
      const clients = browsers.map(clientOf);
      const response = await post('/deliveries', { clients });
      const accepted = (await response.json()) as AcceptedNotification[];
      return accepted.flatMap(({ client, message, ttl, urgency, topic }) => {
        const target = browsers[clients.indexOf(client)];
        if (!target) return [];
        return {
          target,
          idempotencyKey: undefined,
          content: JSON.parse(message) as PushContent,
          ttlSeconds: Number(ttl),
          urgency: urgency as PushUrgency,
          collapseKey: topic,
        };
      });
    },
    async retire(target) {
      await post(`/expire/${clientOf(target as WebPushTarget)}`);
    },
  };
}

async function subscribe(
  post: (path: string, body: unknown) => Promise<Response>,
): Promise<WebPushTarget> {
  const response = await post('/subscribe', {
    // It takes texts only.
    userVisibleOnly: 'true',
    applicationServerKey: vapid.publicKey,
  });
  const { endpoint, keys } = (await response.json()) as Pick<WebPushTarget, 'endpoint' | 'keys'>;
  return { kind: 'web-push', endpoint, keys };
}

function clientOf({ endpoint }: WebPushTarget): string {
  return endpoint.slice(endpoint.lastIndexOf('/') + 1);
}
