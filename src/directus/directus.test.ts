import { inspect } from 'node:util';

import {
  createItem,
  customEndpoint,
  readAssetArrayBuffer,
  readAssetRaw,
  readItem,
  readItems,
  readMe,
  serverPing,
  withToken,
} from '@directus/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { failureOf } from '../../test/support/failure.ts';
import { DirectusServer, sendData, sendError } from '../../test/support/directus-server.ts';
import {
  definePolicy,
  fakeClock,
  noPolicy,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import { type DirectusClient, directusClient, type DirectusClientOptions } from './directus.ts';
import { DirectusSession } from './session.ts';

interface Article {
  readonly id: number;
  readonly title: string;
}

interface Schema {
  readonly articles: Article[];
}

const quick = definePolicy('quick', { retry: { attempts: 2, initialDelay: 1, maxDelay: 1000 } });
const login = { email: 'ann@example.com', password: 'pass word' } as const;

let server: DirectusServer;
const clients: DirectusClient<Schema>[] = [];
beforeEach(async () => {
  server = await DirectusServer.start();
  server.answer('/items/articles', (_, response) => {
    sendData(response, [{ id: 1, title: 'One' }]);
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await server[Symbol.asyncDispose]();
});

function connect(
  options: Partial<DirectusClientOptions> = { token: 'static-token' },
): DirectusClient<Schema> {
  const client = directusClient<Schema>({
    url: server.url,
    policy: quick,
    ...options,
  } as DirectusClientOptions);
  clients.push(client);
  return client;
}

describe('directus › requests', () => {
  it('send the SDK’s commands with the static token', async () => {
    const articles = await connect().request(
      readItems('articles', { fields: ['id', 'title'], filter: { id: { _gt: 0 } }, limit: 5 }),
    );
    expect(articles).toEqual([{ id: 1, title: 'One' }]);
    const [request] = server.requests;
    expect(request?.headers.authorization).toBe('Bearer static-token');
    expect(Object.fromEntries(request?.query ?? [])).toEqual({
      fields: 'id,title',
      filter: '{"id":{"_gt":0}}',
      limit: '5',
    });
  });

  it('of the native client go the same way', async () => {
    const client = connect();
    expect(await client.native.request(readItems('articles'))).toHaveLength(1);
    server.answer('/items/articles', (_, response) => void response.writeHead(502).end());
    expect((await failureOf(client.native.request(readItems('articles')))).code).toBe(
      'unavailable',
    );
  });

  it('with a token of the command’s own use that one, and are not repeated with ours', async () => {
    const client = connect();
    expect((await failureOf(client.request(withToken('other', readItems('articles'))))).code).toBe(
      'unauthenticated',
    );
    expect(server.requests[0]?.headers.authorization).toBe('Bearer other');
  });

  it('under a path prefix stay under it', async () => {
    server.answer('/cms/items/articles', (_, response) => sendData(response, []));
    expect(
      await connect({ url: `${server.url}/cms/`, token: 'static-token' }).request(
        readItems('articles'),
      ),
    ).toEqual([]);
  });

  it('that answer with other things than JSON still do', async () => {
    server.answer(
      '/assets/a',
      (_, response) => void response.writeHead(200, { 'content-type': 'image/png' }).end('png'),
    );
    server.answer(
      '/flows/trigger/f',
      (_, response) => void response.writeHead(200, { 'content-type': 'text/plain' }).end('done'),
    );
    const client = connect();
    expect(Buffer.from(await client.request(readAssetArrayBuffer('a'))).toString()).toBe('png');
    expect(await client.request(customEndpoint<string>({ path: '/flows/trigger/f' }))).toBe('done');
    expect(await client.request(serverPing())).toBe('pong');
  });

  it('give a file as a stream, which the caller may cancel, also under timeouts that were for the call', async () => {
    server.answer('/assets/a', (_, response) => void response.writeHead(200).write('start'));
    const controller = new AbortController();
    const policy = definePolicy('timed', { timeout: '10s', attemptTimeout: '5s' });
    const stream = await connect({ token: 'static-token', policy }).request(readAssetRaw('a'), {
      signal: controller.signal,
    });
    controller.abort(new Error('enough'));
    await expect(Array.fromAsync(stream)).rejects.toThrow('enough');
  });

  it('that the SDK refuses are invalid-argument', async () => {
    const client = connect();
    expect((await failureOf(client.request(readItem('articles', '')))).code).toBe(
      'invalid-argument',
    );
    // Core collections have commands of their own.
    const core = readItems<Schema, 'articles', object>('directus_users' as 'articles');
    expect((await failureOf(client.request(core))).code).toBe('invalid-argument');
    expect(server.requests).toEqual([]);
  });
});

describe('directus › errors', () => {
  it.each([
    [400, 'RECORD_NOT_UNIQUE', 'already-exists'],
    [413, 'CONTENT_TOO_LARGE', 'invalid-argument'],
    [503, 'UNDER_PRESSURE', 'unavailable'],
    [500, 'SOMETHING_NEW', 'internal'],
    [418, 'SOMETHING_NEW', 'invalid-argument'],
  ])('%i %s is %s, with its names and without its values', async (status, directusCode, code) => {
    server.answer('/items/articles', (_, response) => {
      sendError(response, status, directusCode, {
        extensions: { field: 'slug', collection: 'articles', value: 'private-value' },
      });
    });
    const error = await failureOf(
      connect({ token: 'static-token', policy: noPolicy }).request(readItems('articles')),
    );
    expect(error).toMatchObject({
      code,
      component: 'directus',
      adapter: 'rest',
      operation: 'request',
      details: { status, directusCode, field: 'slug', collection: 'articles' },
    });
    expect(inspect(error, { depth: 9 })).not.toMatch(/private-value|static-token/);
  });

  it.each<[string, number, Readonly<Record<string, string>>, string]>([
    ['a 502 without a content type', 502, {}, ''],
    ['a 503 of octets', 503, { 'content-type': 'application/octet-stream' }, 'x'],
    ['a 502 page of a proxy', 502, { 'content-type': 'text/html' }, '<html>Bad Gateway'],
    [
      'a 503 with an empty list of errors',
      503,
      { 'content-type': 'application/json' },
      '{"errors":[]}',
    ],
    ['a 503 whose JSON is cut', 503, { 'content-type': 'application/json' }, '{"errors":[{'],
    ['a 503 whose JSON is null', 503, { 'content-type': 'application/json' }, 'null'],
  ])('%s is thrown as unavailable', async (...[, status, headers, body]) => {
    server.answer(
      '/items/articles',
      (_, response) => void response.writeHead(status, headers).end(body),
    );
    expect(
      await failureOf(
        connect({ token: 'static-token', policy: noPolicy }).request(readItems('articles')),
      ),
    ).toMatchObject({ code: 'unavailable', details: { status } });
  });

  it.each<[string, Readonly<Record<string, string>>, string]>([
    ['a page', { 'content-type': 'text/html' }, '<html>Log in'],
    ['octets', { 'content-type': 'application/octet-stream' }, 'x'],
    ['something without a type', {}, 'x'],
    [
      'JSON that is cut',
      { 'content-type': 'application/json' },
      '{"data":[{"title":"private-value',
    ],
  ])('a 200 with %s where JSON belongs is data-loss', async (...[, headers, body]) => {
    server.answer(
      '/items/articles',
      (_, response) => void response.writeHead(200, headers).end(body),
    );
    const error = await failureOf(connect().request(readItems('articles')));
    expect(error).toMatchObject({ code: 'data-loss', details: { status: 200 } });
    expect(inspect(error, { depth: 9 })).not.toContain('private-value');
    expect(server.requests).toHaveLength(1);
  });

  it('a 200 that holds errors is thrown', async () => {
    server.answer(
      '/graphql',
      (_, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"errors":[{"message":"private-value","extensions":{"code":"FORBIDDEN"}}]}'),
    );
    const error = await failureOf(
      connect().request(customEndpoint({ path: '/graphql', method: 'POST', body: '{}' })),
    );
    expect(error).toMatchObject({
      code: 'permission-denied',
      // Another mutation of the same request may have been done.
      outcome: 'unknown',
      details: { directusCode: 'FORBIDDEN' },
    });
    expect(error.message).not.toContain('private-value');
  });

  it('a redirect is not followed', async () => {
    server.answer(
      '/items/articles',
      (_, response) =>
        void response.writeHead(301, { location: 'https://elsewhere.example/' }).end(),
    );
    expect((await failureOf(connect().request(createItem('articles', { title: 'x' })))).code).toBe(
      'failed-precondition',
    );
  });

  it('a server that is away is unavailable and not applied', async () => {
    const client = connect({ token: 'static-token', policy: noPolicy });
    await server[Symbol.asyncDispose]();
    expect(await failureOf(client.request(createItem('articles', { title: 'x' })))).toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
    });
    server = await DirectusServer.start();
  });

  it('a connection that breaks half way is unavailable', async () => {
    server.answer('/items/articles', (_, response) => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        .write('{"data":');
      setImmediate(() => response.socket?.destroy());
    });
    expect(
      (
        await failureOf(
          connect({ token: 'static-token', policy: noPolicy }).request(readItems('articles')),
        )
      ).code,
    ).toBe('unavailable');
  });
});

describe('directus › policy', () => {
  it('a read is repeated after a passing failure', async () => {
    server.answer('/items/articles', (_, response, count) =>
      count < 3 ? sendError(response, 503, 'SERVICE_UNAVAILABLE') : sendData(response, []),
    );
    expect(await connect().request(readItems('articles'))).toEqual([]);
  });

  it('a write is not, unless it was refused for its rate', async () => {
    server.answer('/items/articles', (_, response) =>
      sendError(response, 503, 'SERVICE_UNAVAILABLE'),
    );
    const client = connect();
    await failureOf(client.request(createItem('articles', { title: 'x' })));
    expect(server.requests).toHaveLength(1);
    server.answer('/items/articles', (_, response, count) =>
      count === 2
        ? sendError(response, 429, 'REQUESTS_EXCEEDED', { headers: { 'retry-after': '0' } })
        : sendData(response, { id: 9 }),
    );
    expect(await client.request(createItem('articles', { title: 'x' }))).toEqual({ id: 9 });
  });

  it('a Retry-After that is too long to wait for is told', async () => {
    server.answer('/items/articles', (_, response) =>
      sendError(response, 429, 'REQUESTS_EXCEEDED', { headers: { 'retry-after': '30' } }),
    );
    expect((await failureOf(connect().request(readItems('articles')))).retryAfterMs).toBe(30_500);
    expect(server.requests).toHaveLength(1);
  });

  it('no more requests than allowed are under way at once', async () => {
    let underWay = 0;
    let most = 0;
    server.answer('/items/articles', (_, response) => {
      underWay += 1;
      most = Math.max(most, underWay);
      setImmediate(() => {
        underWay -= 1;
        sendData(response, []);
      });
    });
    const client = connect({
      token: 'static-token',
      policy: definePolicy('narrow', { limit: { concurrency: 3, queue: 50 } }),
    });
    await Promise.all(
      Array.from({ length: 30 }, async () => await client.request(readItems('articles'))),
    );
    expect(server.requests).toHaveLength(30);
    expect(most).toBeLessThanOrEqual(3);
  });

  it('a server that does not answer is deadline-exceeded, and a caller can abort', async () => {
    server.answer('/items/articles', () => undefined);
    const client = connect({
      token: 'static-token',
      policy: definePolicy('short', { attemptTimeout: 40 }),
    });
    expect((await failureOf(client.request(readItems('articles')))).code).toBe('deadline-exceeded');
    const controller = new AbortController();
    server.answer('/items/articles', () => controller.abort());
    expect(
      (await failureOf(connect().request(readItems('articles'), { signal: controller.signal })))
        .code,
    ).toBe('cancelled');
  });
});

describe('directus › login', () => {
  it('sends a one-time password where there is one', async () => {
    await connect({ ...login, otp: async () => '123456' }).start();
    expect(JSON.parse(server.requests[0]?.body ?? '')).toMatchObject({ otp: '123456' });
  });

  it('a renewal that fails on the way leaves the request not applied, so that it may be repeated', async () => {
    server.answer('/items/articles', (_, response) => {
      sendData(response, { id: 2 });
    });
    let refreshes = 0;
    const clock = fakeClock();
    const client = connect({
      ...login,
      clock,
      fetch: async (input, init) => {
        const isRefresh = new URL(input).pathname === '/auth/refresh';
        if (isRefresh && (refreshes += 1) === 1) return new Response(null, { status: 503 });
        return await fetch(input, init);
      },
    });
    await client.start();
    await clock.advance(server.tokenLife);
    await client.request(createItem('articles', { title: 'Two' }));
    expect([refreshes, server.count('/items/articles')]).toEqual([1, 1]);
  });

  it('a one-time password that never comes is given up with the client', async () => {
    const asked = Promise.withResolvers<void>();
    const session = new DirectusSession(
      {
        ...login,
        otp: async () => {
          asked.resolve();
          return await new Promise<never>(() => undefined);
        },
      },
      { clock: fakeClock(), send: async () => await Promise.resolve({}) },
    );
    const token = session.token();
    await asked.promise;
    await session.close(new AbortController().signal);
    await expect(token).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('a refresh whose answer was lost is not tried with the same token again', async () => {
    const clock = fakeClock();
    const client = connect({ ...login, clock, policy: noPolicy });
    await client.request(readItems('articles'));
    await clock.advance(server.tokenLife);
    server.answer('/auth/refresh', (_, response) => void response.socket?.destroy());
    expect((await failureOf(client.request(readItems('articles')))).code).toBe('unavailable');
    await client.request(readItems('articles'));
    expect([server.count('/auth/login'), server.count('/auth/refresh')]).toEqual([2, 1]);
  });

  it('a token that the server keeps refusing is the end', async () => {
    server.answer('/users/me', (_, response) => sendError(response, 401, 'INVALID_CREDENTIALS'));
    expect((await failureOf(connect(login).request(readMe()))).code).toBe('unauthenticated');
    expect(server.count('/users/me')).toBe(2);
  });

  it('a short-lived token is used for half its life', async () => {
    const clock = fakeClock();
    server.tokenLife = 4000;
    const client = connect({ ...login, clock });
    await client.request(readItems('articles'));
    await clock.advance(1999);
    await client.request(readItems('articles'));
    expect(server.count('/auth/refresh')).toBe(0);
    await clock.advance(1);
    await client.request(readItems('articles'));
    expect(server.count('/auth/refresh')).toBe(1);
  });

  it('a close while the server is away ends all the same', async () => {
    const client = connect(login);
    await client.start();
    server.answer('/auth/logout', (_, response) => void response.socket?.destroy());
    await expect(client.close()).resolves.toBeUndefined();
  });
});

describe('directus › options', () => {
  it.each<Record<string, unknown>>([
    {},
    { email: 'a@b.c' },
    { password: 'x' },
    { token: 't', email: 'a@b.c', password: 'x' },
    { token: '' },
    { token: 'two words' },
    { token: 't', url: 'cms.example.com' },
    { token: 't', url: 'https://ann:secret@cms.example.com' },
    { token: 't', url: 'redis://cms' },
  ])('%j are refused, without showing a secret', (options) => {
    expect(() =>
      directusClient({ url: 'https://cms.example.com', ...options } as DirectusClientOptions),
    ).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        message: expect.not.stringMatching(/secret|two words/),
      }),
    );
  });
});

describe('directus › health and events', () => {
  it('is healthy while the server answers its ping', async () => {
    const client = connect();
    expect(await client.checkHealth()).toEqual({ status: 'ok' });
    server.answer('/server/ping', (_, response) => void response.writeHead(503).end());
    expect((await client.checkHealth()).status).toBe('down');
  });

  it('an event names method and collection, and no id, query, body or token', async () => {
    const events: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => void (event.component === 'directus' && events.push(event)),
    });
    server.answer('/items/articles/private-id', (_, response) => sendData(response, { id: 1 }));
    await connect().request(
      readItem('articles', 'private-id', { filter: { title: { _eq: 'private-title' } } } as never),
    );
    unsubscribe();
    expect(events.map(({ operation, attributes }) => [operation, attributes])).toEqual([
      ['request', { adapter: 'rest', request: 'GET /items/articles' }],
    ]);
    expect(JSON.stringify(events)).not.toMatch(/private|static-token/);
  });
});
