import { createECDH, randomBytes } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';

import { afterEach, describe, expect, it, vi } from 'vitest';

import webPushLibrary from 'web-push';

import { startProxy } from '../../../test/services/proxy.ts';
import { sharedServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { browsersOn, vapid } from '../../../test/services/web-push-client.ts';
import { InfrastructureError, noPolicy } from '../../core/index.ts';
import type { PushNotification, PushResult, PushSender, WebPushTarget } from '../index.ts';
import { webPush, type WebPushDriver, type WebPushOptions } from './index.ts';

const senders: PushSender<WebPushDriver>[] = [];
const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(senders.splice(0).map(async (sender) => await sender.close()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const keys: WebPushTarget['keys'] = {
  p256dh: createECDH('prime256v1').generateKeys('base64url'),
  auth: randomBytes(16).toString('base64url'),
};
const hello: PushNotification = { title: 'canary-title', body: 'canary-body' };

function sender(options: Partial<WebPushOptions> = {}): PushSender<WebPushDriver> {
  const made = webPush({ vapid, policy: noPolicy, allowPrivateNetworks: true, ...options });
  senders.push(made);
  return made;
}

function at(origin: string): WebPushTarget {
  return { kind: 'web-push', endpoint: `${origin}/canary-endpoint`, keys };
}

/** A push service that answers as it is told. */
async function answering(answer: RequestListener): Promise<WebPushTarget> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await vi.waitFor(() => expect(server.listening).toBe(true));
  return at(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** What the error of the one result says, after a look whether it says too much. */
function told(results: readonly PushResult[]): unknown[] {
  const [result] = results;
  if (result?.status !== 'failed') return [result?.status];
  const { error } = result;
  expect(InfrastructureError.is(error)).toBe(true);
  const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
  expect(shown).not.toMatch(/canary/);
  expect(shown).not.toContain(keys.auth);
  return [error.code, error.outcome, error.retryable];
}

describe('push web-push › options', () => {
  const other = createECDH('prime256v1').generateKeys('base64url');
  it.each([
    ['a subject that is none', { subject: 'ops@gazette.example' }, /vapid\.subject/],
    ['a public key that is none', { publicKey: 'x' }, /vapid\.publicKey is not 65 bytes/],
    ['a private key that is none', { privateKey: 'canary' }, /vapid\.privateKey is not 32 bytes/],
    ['32 bytes that are no key', { privateKey: 'A'.repeat(43) }, /do not belong together/],
    ['keys of two pairs', { publicKey: other }, /do not belong together/],
  ])('%s is refused', (_what, wrong, problem) => {
    const make = (): unknown => webPush({ vapid: { ...vapid, ...wrong } });
    expect(make).toThrow(problem);
    expect(make).not.toThrow(/canary/);
  });

  it('the private key is not shown by a sender that is printed', () => {
    const shown = inspect(sender(), { depth: 9, showHidden: true });
    expect(shown).not.toContain(vapid.privateKey);
  });
});

describe('push web-push › what a push service answers', () => {
  it.each([
    [200, 'delivered'],
    [201, 'delivered'],
    [202, 'delivered'],
    [404, 'gone'],
    [410, 'gone'],
  ])('%d is %s', async (status, expected) => {
    const target = await answering((_request, response) => response.writeHead(status).end());
    expect(await sender().send([target], hello)).toEqual([{ target, status: expected }]);
  });

  it.each([
    [301, 'failed-precondition', 'not-applied', false],
    [400, 'invalid-argument', 'not-applied', false],
    [401, 'unauthenticated', 'not-applied', false],
    [403, 'permission-denied', 'not-applied', false],
    [413, 'invalid-argument', 'not-applied', false],
    [429, 'resource-exhausted', 'not-applied', true],
    [500, 'internal', 'unknown', true],
    [502, 'unavailable', 'unknown', true],
    [503, 'unavailable', 'unknown', true],
  ])('%d is %s, %s', async (status, code, outcome, retryable) => {
    const target = await answering((_request, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/canary', 'retry-after': '7' });
      response.end('<p>canary-answer</p>');
    });
    const results = await sender().send([target], hello);
    expect(told(results)).toEqual([code, outcome, retryable]);
    const [result] = results;
    if (result?.status !== 'failed') throw new Error('it did not fail');
    expect(result.error.details).toEqual({ status });
    expect(result.error.retryAfterMs).toBe(status === 301 ? undefined : 7000);
  });

  it('the reason that a service names is told, and nothing else of its answer', async () => {
    const target = await answering((_request, response) => {
      response.writeHead(403).end(JSON.stringify({ reason: 'BadJwtToken', token: 'canary' }));
    });
    const results = await sender().send([target], hello);
    expect(told(results)[0]).toBe('permission-denied');
    expect(results[0]).toMatchObject({
      error: { details: { status: 403, reason: 'BadJwtToken' } },
    });
  });

  it('the default policy tries again what certainly was not delivered, and nothing else', async () => {
    let requests = 0;
    let status = 429;
    const target = await answering((_request, response) => {
      requests += 1;
      response.writeHead(requests === 1 ? status : 201, { 'retry-after': '0' }).end();
    });
    const retrying = sender({ policy: undefined });
    expect(told(await retrying.send([target], hello))).toEqual(['delivered']);
    expect(requests).toBe(2);
    requests = 0;
    status = 503;
    expect(told(await retrying.send([target], hello, { idempotencyKey: 'k' }))).toEqual([
      'unavailable',
      'unknown',
      true,
    ]);
    expect(requests).toBe(1);
  });

  it('a request has the headers of RFC 8030, and a body of at most 4096 bytes that nobody can read', async () => {
    let headers: Readonly<Record<string, unknown>> = {};
    let path: string | undefined;
    const target = await answering((request, response) => {
      ({ headers, url: path } = request);
      response.writeHead(201).end();
    });
    const body = 'x'.repeat(3000);
    const notification = { title: 't', body, ttl: '1h', urgency: 'low', collapseKey: 'c' } as const;
    await sender().send([target], notification);
    expect(headers).toMatchObject({
      ttl: '3600',
      urgency: 'low',
      topic: 'c',
      'content-encoding': 'aes128gcm',
    });
    expect(headers['authorization']).toMatch(/^vapid t=[^,]+, k=/);
    expect(Number(headers['content-length'])).toBeLessThanOrEqual(4096);
    expect(path).toBe('/canary-endpoint');
  });

  it('one key is one topic, so that a repetition takes the place of what still waits', async () => {
    const topics: unknown[] = [];
    const target = await answering((request, response) => {
      topics.push(request.headers['topic']);
      response.writeHead(201).end();
    });
    for (const idempotencyKey of ['canary', 'canary', 'other'])
      await sender().send([target], hello, { idempotencyKey });
    expect(topics[0]).toMatch(/^[\w-]{32}$/);
    expect([topics[1] === topics[0], topics[2] === topics[0]]).toEqual([true, false]);
  });
});

describe('push web-push › faults', () => {
  it('a refused connection is unavailable, and nothing was delivered', async () => {
    const target = await answering(() => undefined);
    servers[0]?.close();
    await vi.waitFor(() => expect(servers[0]?.listening).toBe(false));
    const results = await sender().send([target], hello);
    expect(told(results)).toEqual(['unavailable', 'not-applied', true]);
  });

  it('a name that is not known is unavailable, and nothing was delivered', async () => {
    const results = await sender().send([at('https://push.invalid')], hello);
    expect(told(results)).toEqual(['unavailable', 'not-applied', true]);
  });

  it('a connection that is cut before the answer leaves the outcome unknown', async () => {
    const target = await answering((request) => request.socket.destroy());
    const results = await sender().send([target], hello);
    expect(told(results)).toEqual(['unavailable', 'unknown', true]);
  });

  it('an answer that is cut after its status has said what became of it', async () => {
    const target = await answering((_request, response) => {
      response.writeHead(201, { 'content-length': '100' });
      response.write('x', () => response.destroy());
    });
    expect(told(await sender().send([target], hello))).toEqual(['delivered']);
  });

  it('a service that never answers is given up at the deadline, and nobody knows', async () => {
    const target = await answering(() => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    servers[0]?.once('request', () => resolve());
    const controller = new AbortController();
    const sending = sender().send([target], hello, { signal: controller.signal });
    await promise;
    controller.abort(new DOMException('too late', 'TimeoutError'));
    expect(told(await sending)).toEqual(['deadline-exceeded', 'unknown', true]);
  });

  it('an encryption that never comes about is unavailable, and nothing was delivered', async () => {
    // It takes the connection and says nothing, as a server behind a broken firewall does.
    const target = await answering(() => undefined);
    const endpoint = target.endpoint.replace('http:', 'https:');
    const results = await sender({ connectTimeout: '200ms' }).send(
      [{ ...target, endpoint }],
      hello,
    );
    expect(told(results)).toEqual(['unavailable', 'not-applied', true]);
  });

  it('close ends a request that is not answered', async () => {
    const target = await answering(() => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    servers[0]?.once('request', () => resolve());
    const push = sender();
    const sending = push.send([target], hello);
    await promise;
    await push.close();
    expect(told(await sending)).toEqual(['unavailable', 'unknown', true]);
  });
});

describe('push web-push › where an endpoint may lead', () => {
  it.each([
    'http://127.0.0.1:1',
    'http://localhost:1',
    'https://127.1:1',
    'https://0x7f000001:1',
    'https://[::1]:1',
    'https://[::ffff:127.0.0.1]:1',
    'https://[64:ff9b::7f00:1]:1',
    'https://10.0.0.1',
    'https://172.16.0.1',
    'https://192.168.1.1',
    'https://169.254.169.254',
    'https://100.64.0.1',
    'https://[fe80::1]',
    'https://[fd00::1]',
    'https://0.0.0.0:1',
  ])('%s is refused, and nothing is sent', async (origin) => {
    const results = await sender({ allowPrivateNetworks: false }).send([at(origin)], hello);
    expect(told(results)).toEqual(['invalid-argument', 'not-applied', false]);
    expect(results[0]).toMatchObject({
      error: { message: expect.stringMatching(/private network/) },
    });
  });
});

const { missing } = await service('webPush');

describe.skipIf(missing)('push web-push › on a push service that decrypts', () => {
  it('keys that the browser did not subscribe with are refused', async () => {
    const { targets, deliveries } = browsersOn((await sharedServer('webPush')).url);
    const other = { ...vapid, ...webPushLibrary.generateVAPIDKeys() };
    const [target] = await targets('web-push', 1);
    const results = await sender({ vapid: other }).send([target as WebPushTarget], hello);
    expect(told(results)).toEqual(['invalid-argument', 'not-applied', false]);
    expect(await deliveries()).toEqual([]);
  });

  it('connections are kept, and one that was cut while it was idle costs no notification', async () => {
    const { url } = await sharedServer('webPush');
    await using proxy = await startProxy(url);
    const { targets, deliveries } = browsersOn(url);
    const [known] = await targets('web-push', 1);
    if (known?.kind !== 'web-push') throw new Error('it subscribes browsers alone');
    const endpoint = known.endpoint.replace(new URL(url).port, new URL(proxy.url).port);
    const push = sender({ policy: undefined });
    for (const title of ['first', 'second']) {
      expect(told(await push.send([{ ...known, endpoint }], { title }))).toEqual(['delivered']);
    }
    expect(proxy.connections).toBe(1);
    proxy.cut();
    await vi.waitFor(() => expect(proxy.connections).toBe(0));
    expect(told(await push.send([{ ...known, endpoint }], { title: 'third' }))).toEqual([
      'delivered',
    ]);
    const delivered = await deliveries();
    expect(delivered.map(({ content }) => content.title)).toEqual(['first', 'second', 'third']);
  });

  it('recovers by itself when the service comes back', async () => {
    await using server = await startServer('webPush');
    const push = sender();
    // Its subscriptions are in its memory, so the one before is not known after.
    const [before] = await browsersOn(server.url).targets('web-push', 1);
    expect(told(await push.send([before as WebPushTarget], hello))).toEqual(['delivered']);
    await server.kill();
    expect(told(await push.send([before as WebPushTarget], hello))[0]).toBe('unavailable');
    await server.restart();
    const [after] = await browsersOn(server.url).targets('web-push', 1);
    expect(told(await push.send([after as WebPushTarget], hello))).toEqual(['delivered']);
  });
});
