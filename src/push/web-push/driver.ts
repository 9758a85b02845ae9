import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';

import type { Redacted } from '../../core/index.ts';
import type { OutgoingPush, PushDriver } from '../driver.ts';
import type { WebPushTarget } from '../notification.ts';
import {
  classifyWebPush,
  ConnectTimeoutError,
  PushRequestFault,
  PushServiceRefusal,
} from './faults.ts';
import { webPushLibrary } from './library.ts';
import { isPrivateLiteral, lookupPublic, PrivateEndpointError } from './network.ts';

/** What {@link WebPushDriver} takes. */
export interface WebPushDriverOptions {
  readonly vapid: {
    readonly subject: string;
    readonly publicKey: string;
    readonly privateKey: Redacted;
  };
  readonly allowPrivateNetworks: boolean;
  readonly connectTimeoutMs: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

// Of an answer, enough for any reason; the rest is not kept.
const maxAnswerBytes = 16 * 1024;

/** Encrypts notifications and hands them to the push services of the browsers, over connections that it keeps. */
export class WebPushDriver implements PushDriver {
  readonly adapter = 'web-push';
  readonly capabilities = {
    webPush: true,
    fcm: false,
    apns: false,
    idempotencyKeys: false,
    goneTargets: true,
  } as const;
  readonly native = undefined;
  readonly classify: typeof classifyWebPush = classifyWebPush;
  readonly #options: WebPushDriverOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  readonly #closed = new AbortController();

  constructor(options: WebPushDriverOptions) {
    this.#options = options;
    // `lookup` belongs to the connection, so what was checked is what is connected to.
    const connections = {
      keepAlive: true,
      ...(options.allowPrivateNetworks ? {} : { lookup: lookupPublic }),
    };
    this.#http = new HttpAgent(connections);
    this.#https = new HttpsAgent(connections);
  }

  async send(push: OutgoingPush, signal?: AbortSignal): Promise<'delivered' | 'gone'> {
    const { status, headers, body } = await this.#post(push, signal);
    if (status >= 200 && status < 300) return 'delivered';
    // RFC 8030, 7.3: a subscription that has expired, or that the browser has ended.
    if (status === 404 || status === 410) return 'gone';
    throw new PushServiceRefusal(status, headers, body);
  }

  async close(): Promise<void> {
    this.#closed.abort(new DOMException('closed', 'AbortError'));
    this.#http.destroy();
    this.#https.destroy();
  }

  async #post(push: OutgoingPush, signal: AbortSignal | undefined): Promise<Answer> {
    // The portable class gives only kinds that the capabilities have.
    const { endpoint, keys } = push.target as WebPushTarget;
    const url = new URL(endpoint);
    if (!this.#options.allowPrivateNetworks && isPrivateLiteral(url))
      throw new PushRequestFault(false, new PrivateEndpointError());
    const { subject, publicKey, privateKey } = this.#options.vapid;
    const { headers, body } = webPushLibrary.generateRequestDetails(
      { endpoint, keys },
      JSON.stringify(push.content),
      {
        vapidDetails: { subject, publicKey, privateKey: privateKey.reveal() },
        TTL: push.ttlSeconds,
        urgency: push.urgency,
        contentEncoding: 'aes128gcm',
        ...topicOf(push),
      },
    );
    const aborted = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    let isSent = false;
    const isPlain = url.protocol === 'http:';
    const outgoing = (isPlain ? requestHttp : requestHttps)(url, {
      method: 'POST',
      headers,
      agent: isPlain ? this.#http : this.#https,
      signal: aborted,
    });
    const { connectTimeoutMs } = this.#options;
    const timer = setTimeout(
      () => outgoing.destroy(new ConnectTimeoutError(connectTimeoutMs)),
      connectTimeoutMs,
    );
    outgoing.on('socket', (socket: Socket) => {
      const onConnected = (): void => {
        clearTimeout(timer);
        isSent = true;
      };
      if (outgoing.reusedSocket) onConnected();
      else socket.once(isPlain ? 'connect' : 'secureConnect', onConnected);
    });
    outgoing.on('response', (response) => void readAnswer(response).then(resolve, reject));
    outgoing.on('error', reject);
    outgoing.end(body);
    try {
      return await promise;
    } catch (error) {
      throw signal?.aborted ? error : new PushRequestFault(isSent, error);
    } finally {
      clearTimeout(timer);
    }
  }
}

// A repetition takes the place of one that still waits. The key is hashed in it, to as many characters as a topic may have.
function topicOf({ collapseKey, idempotencyKey, deliveryKey }: OutgoingPush): { topic?: string } {
  if (collapseKey !== undefined) return { topic: collapseKey };
  return idempotencyKey === undefined ? {} : { topic: deliveryKey };
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0 } = response;
  const headers = new Headers();
  for (const [name, value] of Object.entries(response.headers))
    if (typeof value === 'string') headers.set(name, value);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const data of response) {
      // The stream has no encoding.
      const chunk = data as Buffer;
      bytes += chunk.byteLength;
      if (bytes > maxAnswerBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    // The status has said what became of it; only the reason is lost.
    if (status === 0) throw error;
  }
  return { status, headers, body: Buffer.concat(chunks).toString() };
}
