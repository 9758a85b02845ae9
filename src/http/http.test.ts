import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';

import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { failureOf } from '../../test/support/failure.ts';
import {
  definePolicy,
  fakeClock,
  InfrastructureError,
  noPolicy,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import { type HttpClient, httpClient } from './http.ts';
import type { HttpClientOptions } from './request.ts';

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Answer = (request: Received, response: ServerResponse, count: number) => void;

interface Service {
  readonly url: string;
  readonly requests: Received[];
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A real server on loopback that answers as told. */
async function serve(answer: Answer): Promise<Service> {
  const requests: Received[] = [];
  const server: Server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() };
      requests.push(request);
      answer(request, response, requests.length);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body));
}

const quick = definePolicy('quick', { retry: { attempts: 2, initialDelay: 1, maxDelay: 50 } });

function client(options: HttpClientOptions): HttpClient {
  const made = httpClient({ policy: quick, ...options });
  cleanups.push(async () => await made.close());
  return made;
}

function record(): OperationEvent[] {
  const events: OperationEvent[] = [];
  cleanups.push(
    subscribeToOperations({
      end: (event) => void (event.component === 'http' && events.push(event)),
    }),
  );
  return events;
}

describe('http › requests', () => {
  it('send JSON and give the parsed answer, typed by its schema', async () => {
    const service = await serve((request, response) => {
      json(response, {
        id: 1,
        title: (JSON.parse(request.body) as { title: string }).title,
        extra: true,
      });
    });
    const api = client({ baseUrl: `${service.url}/v1/`, headers: { 'x-app': 'gazette' } });
    const article = await api.post('/articles', {
      json: { title: 'Ü' },
      response: z.object({ id: z.number(), title: z.string() }),
    });
    expect(article).toEqual({ id: 1, title: 'Ü' });
    expect(service.requests[0]).toMatchObject({
      method: 'POST',
      url: '/v1/articles',
      body: '{"title":"Ü"}',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'x-app': 'gazette',
      },
    });
  });

  it('fill path and query so that no value leaves its place', async () => {
    const service = await serve((_, response) => json(response, null));
    const api = client({ baseUrl: `${service.url}/v1` });
    await api.get('/users/{id}/files/{name}', {
      path: { id: 7, name: 'a/b ?#%&..é' },
      query: {
        q: 'a&b=c',
        tags: ['x', 'y z'],
        page: 2,
        deep: true,
        skipped: undefined,
        none: null,
      },
    });
    expect(service.requests[0]?.url).toBe(
      '/v1/users/7/files/a%2Fb%20%3F%23%25%26..%C3%A9?q=a%26b%3Dc&tags=x&tags=y+z&page=2&deep=true',
    );
  });

  it('of every method arrive as such, with any kind of body', async () => {
    const service = await serve((_, response) => void response.writeHead(204).end());
    const api = client({ baseUrl: service.url });
    await api.put('/a', { body: 'text' });
    await api.patch('/a', { body: new URLSearchParams({ b: 'c' }) });
    expect(await api.delete('/a')).toBeUndefined();
    const { status, headers, body } = await api.request('HEAD', '/a');
    expect([status, headers instanceof Headers, body]).toEqual([204, true, undefined]);
    expect(service.requests.map(({ method, body: sent }) => [method, sent])).toEqual([
      ['PUT', 'text'],
      ['PATCH', 'b=c'],
      ['DELETE', ''],
      ['HEAD', ''],
    ]);
  });

  it('read text and bytes when asked to', async () => {
    const service = await serve((_, response) => void response.end(Buffer.from('é')));
    const api = client({ baseUrl: service.url });
    expect(await api.get('/', { as: 'text' })).toBe('é');
    expect(await api.get('/', { as: 'bytes' })).toEqual(new Uint8Array([0xc3, 0xa9]));
  });
});

describe('http › what is refused before it is sent', () => {
  it.each([
    ['..'],
    ['.'],
    [''],
    [undefined],
    [null],
    [{}],
    [Number.NaN.toString().slice(3)],
    ['\ud800'],
  ])('the path parameter %j', async (id) => {
    const service = await serve((_, response) => json(response, null));
    const api = client({ baseUrl: `${service.url}/v1` });
    expect((await failureOf(api.get('/users/{id}', { path: { id: id as string } }))).code).toBe(
      'invalid-argument',
    );
    expect(service.requests).toEqual([]);
  });

  it.each([
    ['users'],
    ['//evil.example/x'],
    ['/a/../b'],
    ['/%2e%2e/b'],
    ['/a\\b'],
    ['/a?b=c'],
    ['/a#b'],
    ['/{id}'],
    ['http://evil.example/'],
    ['/a b'],
    ['/a\nb'],
  ])('the path %j', async (path) => {
    const service = await serve((_, response) => json(response, null));
    const api = client({ baseUrl: `${service.url}/v1` });
    expect((await failureOf(api.get(path as '/a'))).code).toBe('invalid-argument');
    expect(service.requests).toEqual([]);
  });

  it('no value of a path parameter reaches another path', async () => {
    const service = await serve((_, response) => json(response, null));
    const api = client({ baseUrl: `${service.url}/v1`, policy: noPolicy });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.constantFrom('%2e%2e', '../..', '..%2f', '\\..', ';', '@', ':', '?', '#'),
        ),
        async (id) => {
          const before = service.requests.length;
          await api.get('/users/{id}/x', { path: { id } }).catch(() => undefined);
          const sent = service.requests.slice(before).map(({ url }) => url.split('/'));
          // Sent or refused; when sent, the value is one segment and reads back as itself.
          expect(
            sent.every(
              ([, v1, users, segment = '', x, ...more]) =>
                v1 === 'v1' &&
                users === 'users' &&
                decodeURIComponent(segment) === id &&
                x === 'x' &&
                more.length === 0,
            ),
          ).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('a header with a line break, and one that the client sets itself', async () => {
    const service = await serve((_, response) => json(response, null));
    const api = client({ baseUrl: service.url });
    for (const headers of [
      { 'x-a': 'a\r\nx-evil: 1' },
      { 'x a': 'b' },
      { Authorization: 'Bearer mine' },
      { Host: 'evil.example' },
      { 'content-length': '5' },
    ]) {
      expect((await failureOf(api.get('/', { headers }))).code).toBe('invalid-argument');
    }
    const error = await failureOf(api.post('/', { idempotencyKey: 'secret\nvalue' }));
    expect([error.code, inspect(error).includes('secret')]).toEqual(['invalid-argument', false]);
    expect(service.requests).toEqual([]);
  });

  it('contradictions: two bodies, a body of a GET, JSON that has no text, a schema for bytes', async () => {
    const api = client({ baseUrl: 'http://127.0.0.1:1' });
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    for (const call of [
      api.post('/', { json: 1, body: 'x' }),
      api.get('/', { json: 1 }),
      api.post('/', { json: circle }),
      api.post('/', { json: () => 1 }),
      api.get('/', { as: 'bytes', response: z.string() }),
    ]) {
      expect((await failureOf(call)).code).toBe('invalid-argument');
    }
  });

  it.each([
    'nonsense',
    'ftp://host',
    'http://user:secret@host/',
    'http://host/?a=b',
    'http://host/#a',
  ])('the base URL %s, without showing a credential', (baseUrl) => {
    expect(() => httpClient({ baseUrl })).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        message: expect.not.stringContaining('secret'),
      }),
    );
  });
});

describe('http › answers that are no success', () => {
  it.each([
    [400, 'invalid-argument'],
    [401, 'unauthenticated'],
    [403, 'permission-denied'],
    [404, 'not-found'],
    [412, 'failed-precondition'],
    [429, 'resource-exhausted'],
    [500, 'internal'],
    [503, 'unavailable'],
  ])('%i is thrown as %s, without the body', async (status, code) => {
    const service = await serve((_, response) => json(response, { secret: 'token-123' }, status));
    const api = client({ baseUrl: service.url, policy: noPolicy });
    const error = await failureOf(api.get('/things/{id}', { path: { id: 'private-id' } }));
    expect(error).toMatchObject({
      code,
      component: 'http',
      adapter: 'fetch',
      operation: 'request',
      details: { status },
    });
    expect(inspect(error)).not.toMatch(/token-123|private-id/);
  });

  it('can be read by the client, which knows the service', async () => {
    const service = await serve((_, response) => json(response, { error: 'email_taken' }, 422));
    const api = client({
      baseUrl: service.url,
      classify: ({ status, body }) =>
        status === 422 && (body as { error?: string }).error === 'email_taken'
          ? { code: 'already-exists', message: 'the address is taken' }
          : undefined,
    });
    expect(await failureOf(api.post('/users', { json: {} }))).toMatchObject({
      code: 'already-exists',
      message: 'the address is taken',
      details: { status: 422 },
    });
  });

  it('an answer that its schema refuses is data-loss, and applied where something was sent', async () => {
    const service = await serve((_, response) => json(response, { id: 'secret-value' }));
    const api = client({ baseUrl: service.url });
    const response = z.object({ id: z.number() });
    expect(await failureOf(api.get('/', { response }))).toMatchObject({ code: 'data-loss' });
    const error = await failureOf(api.post('/', { json: {}, response }));
    expect(error).toMatchObject({ code: 'data-loss', outcome: 'applied', retryable: false });
    expect(error.message).toContain('id:');
    expect(inspect(error)).not.toContain('secret-value');
    expect(service.requests).toHaveLength(2);
  });

  it('an answer that is not JSON is data-loss, without showing it', async () => {
    const service = await serve((_, response) => void response.end('<html>secret-page'));
    const error = await failureOf(client({ baseUrl: service.url }).get('/'));
    expect(error.code).toBe('data-loss');
    expect(inspect(error)).not.toContain('secret-page');
  });

  it('a connection that is refused is unavailable and not applied', async () => {
    const service = await serve((_, response) => json(response, null));
    await cleanups.pop()?.();
    expect(
      await failureOf(client({ baseUrl: service.url, policy: noPolicy }).post('/', { json: 1 })),
    ).toMatchObject({ code: 'unavailable', outcome: 'not-applied' });
  });

  it('a connection that is cut is unavailable and of unknown outcome', async () => {
    const service = await serve((_, response) => void response.socket?.destroy());
    expect(await failureOf(client({ baseUrl: service.url }).post('/', { json: 1 }))).toMatchObject({
      code: 'unavailable',
      outcome: 'unknown',
    });
    expect(service.requests).toHaveLength(1);
  });
});

describe('http › size', () => {
  it('an answer larger than maxResponseSize is refused, announced or not', async () => {
    const service = await serve((request, response) => {
      if (request.url === '/announced') {
        response.writeHead(200, { 'content-length': '2000' }).end('x'.repeat(2000));
        return;
      }
      for (let index = 0; index < 20; index += 1) response.write('x'.repeat(100));
      response.end();
    });
    const api = client({ baseUrl: service.url, maxResponseSize: '1KiB' });
    expect((await failureOf(api.get('/announced', { as: 'text' }))).code).toBe(
      'resource-exhausted',
    );
    expect((await failureOf(api.get('/chunked', { as: 'text' }))).code).toBe('resource-exhausted');
    expect(service.requests).toHaveLength(2);
  });
});

describe('http › retries', () => {
  it('a GET is repeated after a passing failure', async () => {
    const service = await serve((_, response, count) =>
      json(response, count, count < 3 ? 503 : 200),
    );
    expect(await client({ baseUrl: service.url }).get('/')).toBe(3);
  });

  it('a POST is not, unless it has an idempotency key, which stays the same', async () => {
    const service = await serve((_, response, count) =>
      json(response, count, count % 3 === 0 ? 200 : 503),
    );
    const api = client({ baseUrl: service.url });
    expect((await failureOf(api.post('/', { json: 1 }))).code).toBe('unavailable');
    expect(service.requests).toHaveLength(1);
    service.requests.length = 0;
    expect(await api.post('/', { json: 1, idempotencyKey: 'k-1' })).toBe(3);
    expect(service.requests.map(({ headers, body }) => [headers['idempotency-key'], body])).toEqual(
      [
        ['k-1', '1'],
        ['k-1', '1'],
        ['k-1', '1'],
      ],
    );
  });

  it('a POST that was refused for its rate is repeated, since it was not done', async () => {
    const service = await serve((_, response, count) =>
      json(response, count, count === 1 ? 429 : 200, { 'retry-after': '0' }),
    );
    expect(await client({ baseUrl: service.url }).post('/', { json: 1 })).toBe(2);
  });

  it('an answer that cannot be mended is not repeated', async () => {
    const service = await serve((_, response) => json(response, null, 404));
    await failureOf(client({ baseUrl: service.url }).get('/'));
    expect(service.requests).toHaveLength(1);
  });

  it('Retry-After is told in milliseconds, from seconds or from a date', async () => {
    const clock = fakeClock(Date.parse('2026-01-01T00:00:00Z'));
    const service = await serve((_, response, count) =>
      json(response, null, 503, {
        'retry-after': count === 1 ? '120' : 'Thu, 01 Jan 2026 00:01:00 GMT',
      }),
    );
    const api = client({ baseUrl: service.url, clock });
    expect((await failureOf(api.get('/'))).retryAfterMs).toBe(120_000);
    expect((await failureOf(api.get('/'))).retryAfterMs).toBe(60_000);
    expect(service.requests).toHaveLength(2);
  });
});

describe('http › time', () => {
  it('a service that does not answer is deadline-exceeded', async () => {
    const service = await serve(() => undefined);
    const api = client({
      baseUrl: service.url,
      policy: definePolicy('short', { attemptTimeout: 50 }),
    });
    expect((await failureOf(api.get('/'))).code).toBe('deadline-exceeded');
  });

  it('a body that stops half way is deadline-exceeded', async () => {
    const service = await serve(
      (_, response) => void response.writeHead(200, { 'content-length': '10' }).write('half'),
    );
    const api = client({
      baseUrl: service.url,
      policy: definePolicy('short', { attemptTimeout: 50 }),
    });
    expect((await failureOf(api.get('/'))).code).toBe('deadline-exceeded');
  });

  it('a caller that aborts gets cancelled, and the connection is given up', async () => {
    const closed = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const service = await serve((_, response) => {
      response.on('close', () => closed.resolve());
      arrived.resolve();
    });
    const controller = new AbortController();
    const failure = failureOf(
      client({ baseUrl: service.url }).get('/', { signal: controller.signal }),
    );
    await arrived.promise;
    controller.abort();
    expect((await failure).code).toBe('cancelled');
    await closed.promise;
  });

  it('an abort with a reason of its own in the middle of a body is cancelled too', async () => {
    const service = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('[1,');
    });
    const controller = new AbortController();
    const api = client({
      baseUrl: service.url,
      policy: noPolicy,
      fetch: async (...request) => {
        const response = await fetch(...request);
        setImmediate(() => {
          controller.abort('the user left');
        });
        return response;
      },
    });
    expect((await failureOf(api.get('/', { signal: controller.signal }))).code).toBe('cancelled');
  });

  it('a HEAD of something larger than maxResponseSize is answered: it has no body', async () => {
    const service = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '5000' }).end();
    });
    const api = client({ baseUrl: service.url, maxResponseSize: 100 });
    const { headers } = await api.request('HEAD', '/');
    expect(headers.get('content-length')).toBe('5000');
  });

  it('after close every request is refused', async () => {
    const api = httpClient({ baseUrl: 'http://127.0.0.1:1' });
    await api.close();
    expect((await failureOf(api.get('/'))).code).toBe('failed-precondition');
  });
});

describe('http › auth', () => {
  it('a bearer token and basic credentials are sent, and never shown', async () => {
    const service = await serve((_, response) => json(response, null, 403));
    const bearer = client({ baseUrl: service.url, auth: { bearer: 'top-secret' } });
    const basic = client({
      baseUrl: service.url,
      auth: { basic: { username: 'ann', password: 'top-secret' } },
    });
    const errors = [await failureOf(bearer.get('/')), await failureOf(basic.get('/'))];
    expect(service.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer top-secret',
      `Basic ${Buffer.from('ann:top-secret').toString('base64')}`,
    ]);
    expect(inspect([errors, bearer, basic], { depth: 8 })).not.toMatch(/top-secret|YW5uOn/);
  });

  it.each(['', 'a b', 'a\nb', 'é'])('the token %j is refused', (bearer) => {
    expect(() => httpClient({ baseUrl: 'http://a.example', auth: { bearer } })).toThrow(
      InfrastructureError,
    );
  });

  it('many requests share one fetch of a token', async () => {
    const service = await serve((_, response) => json(response, null));
    let fetched = 0;
    const api = client({ baseUrl: service.url, auth: { token: async () => `t${(fetched += 1)}` } });
    await Promise.all(Array.from({ length: 10 }, async () => await api.get('/')));
    expect(fetched).toBe(1);
    expect(new Set(service.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set(['Bearer t1']),
    );
  });

  it('after a 401 the token is fetched once for all, and each request is sent once more', async () => {
    const service = await serve((request, response) =>
      json(response, request.body, request.headers.authorization === 'Bearer t2' ? 200 : 401),
    );
    let fetched = 0;
    const api = client({ baseUrl: service.url, auth: { token: async () => `t${(fetched += 1)}` } });
    const bodies = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => await api.post('/', { json: index })),
    );
    expect(bodies).toEqual(Array.from({ length: 10 }, (_, index) => String(index)));
    expect(fetched).toBe(2);
  });

  it('a 401 to a new token is the end', async () => {
    const service = await serve((_, response) => json(response, null, 401));
    const api = client({ baseUrl: service.url, auth: { token: async () => 't' } });
    expect((await failureOf(api.get('/'))).code).toBe('unauthenticated');
    expect(service.requests).toHaveLength(2);
  });

  it('a token is fetched anew before it ends', async () => {
    const clock = fakeClock();
    const service = await serve((_, response) => json(response, null));
    let fetched = 0;
    const api = client({
      baseUrl: service.url,
      clock,
      auth: {
        token: async () => ({ token: `t${(fetched += 1)}`, expiresAt: clock.now() + 60_000 }),
      },
    });
    await api.get('/');
    await clock.advance(49_999);
    await api.get('/');
    await clock.advance(1);
    await api.get('/');
    expect(service.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer t1',
      'Bearer t1',
      'Bearer t2',
    ]);
  });

  it('a request whose token could not be had was certainly not sent, so that it may be repeated', async () => {
    const service = await serve((_, response) => json(response, {}));
    let tries = 0;
    const token = async (): Promise<string> => {
      tries += 1;
      if (tries === 1) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
      return 'fresh';
    };
    await client({ baseUrl: service.url, auth: { token } }).post('/', { json: {} });
    expect([tries, service.requests.length]).toEqual([2, 1]);
    tries = 0;
    const failure = await failureOf(
      client({ baseUrl: service.url, auth: { token }, policy: noPolicy }).post('/', { json: {} }),
    );
    expect(failure).toMatchObject({ code: 'unavailable', outcome: 'not-applied' });
  });

  it('a provider that fails fails the request, and is asked again by the next', async () => {
    const service = await serve((_, response) => json(response, null));
    let fetched = 0;
    const token = async (): Promise<string> => {
      fetched += 1;
      if (fetched === 1)
        throw new InfrastructureError({
          code: 'permission-denied',
          component: 'secrets',
          message: 'no',
        });
      return 't';
    };
    const api = client({ baseUrl: service.url, auth: { token } });
    expect((await failureOf(api.get('/'))).code).toBe('permission-denied');
    await api.get('/');
    expect(service.requests).toHaveLength(1);
  });
});

describe('http › redirects', () => {
  it('are followed within the origin for a GET', async () => {
    const service = await serve((request, response) =>
      request.url === '/old'
        ? void response.writeHead(302, { location: '/new?a=b' }).end()
        : json(response, 'there'),
    );
    expect(await client({ baseUrl: service.url, auth: { bearer: 't' } }).get('/old')).toBe('there');
    expect(service.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/old', 'Bearer t'],
      ['/new?a=b', 'Bearer t'],
    ]);
  });

  it('to another origin are refused, so that no credential goes there', async () => {
    const other = await serve((_, response) => json(response, 'stolen'));
    const service = await serve(
      (_, response) =>
        void response.writeHead(307, { location: `${other.url}/x?token=secret` }).end(),
    );
    const error = await failureOf(client({ baseUrl: service.url, auth: { bearer: 't' } }).get('/'));
    expect(error.code).toBe('failed-precondition');
    expect(error.message).toContain(other.url);
    expect(inspect(error)).not.toContain('secret');
    expect(other.requests).toEqual([]);
  });

  it('of anything but a read, and without end, are refused', async () => {
    const service = await serve(
      (_, response) => void response.writeHead(307, { location: '/again' }).end(),
    );
    const api = client({ baseUrl: service.url });
    expect((await failureOf(api.post('/', { json: 1 }))).code).toBe('failed-precondition');
    expect(service.requests).toHaveLength(1);
    expect((await failureOf(api.get('/'))).message).toContain('more than 5');
    expect(service.requests).toHaveLength(7);
  });
});

describe('http › pages', () => {
  it('follow the Link header, with auth, until there is no next', async () => {
    const service: Service = await serve((_, response, count) =>
      json(
        response,
        [count],
        200,
        count < 3
          ? {
              link: `<${service.url}/first>; rel="first", <${service.url}/items?page=${count + 1}>; rel="prev next"`,
            }
          : {},
      ),
    );
    const api = client({ baseUrl: service.url, auth: { bearer: 't' } });
    expect(
      await Array.fromAsync(
        api.pages('/items', { query: { size: 1 }, response: z.array(z.number()) }),
      ),
    ).toEqual([[1], [2], [3]]);
    expect(service.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/items?size=1', 'Bearer t'],
      ['/items?page=2', 'Bearer t'],
      ['/items?page=3', 'Bearer t'],
    ]);
  });

  it('follow a cursor', async () => {
    const service = await serve((_, response, count) =>
      json(response, { items: [count], cursor: count < 3 ? `c${count}` : null }),
    );
    const api = client({ baseUrl: service.url });
    const Page = z.object({ items: z.array(z.number()), cursor: z.string().nullable() });
    const items: number[] = [];
    for await (const page of api.pages('/items', {
      query: { size: 1 },
      response: Page,
      next: ({ body }) => (body.cursor === null ? undefined : { cursor: body.cursor }),
    }))
      items.push(...page.items);
    expect(items).toEqual([1, 2, 3]);
    expect(service.requests.map(({ url }) => url)).toEqual([
      '/items?size=1',
      '/items?size=1&cursor=c1',
      '/items?size=1&cursor=c2',
    ]);
  });

  it('are fetched only as far as they are asked for', async () => {
    const service = await serve((_, response, count) =>
      json(response, count, 200, { link: `</items?page=${count}>; rel=next` }),
    );
    for await (const page of client({ baseUrl: service.url }).pages('/items'))
      if (page === 2) break;
    expect(service.requests).toHaveLength(2);
  });

  it('never leave the base URL, nor turn in place', async () => {
    const other = await serve((_, response) => json(response, null));
    for (const link of [
      `<${other.url}/v1/items>; rel="next"`,
      '</v2/items>; rel="next"',
      '</v1/items>; rel="next"',
    ]) {
      const service = await serve((_, response) => json(response, null, 200, { link }));
      const error = await failureOf(
        Array.fromAsync(
          client({ baseUrl: `${service.url}/v1`, auth: { bearer: 't' } }).pages('/items'),
        ),
      );
      expect(error.code).toBe('failed-precondition');
      expect(service.requests).toHaveLength(1);
    }
    expect(other.requests).toEqual([]);
  });
});

describe('http › events', () => {
  it('hold method, host, declared path and status, and no body, query, token or path value', async () => {
    const events = record();
    const service = await serve((_, response) => json(response, { secret: 'in-answer' }));
    const api = client({ baseUrl: service.url, auth: { bearer: 'in-token' } });
    await api.post('/users/{id}', {
      path: { id: 'in-path' },
      query: { key: 'in-query' },
      json: { secret: 'in-body' },
    });
    expect(events.map(({ operation, attributes }) => [operation, attributes])).toEqual([
      [
        'request',
        {
          adapter: 'fetch',
          method: 'POST',
          host: new URL(service.url).host,
          path: '/users/{id}',
          status: 200,
        },
      ],
    ]);
    expect(JSON.stringify(events)).not.toMatch(/in-(?:answer|token|path|query|body)/);
  });
});
