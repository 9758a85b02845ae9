import { InfrastructureError } from 'underpin/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { WebServer } from './server.ts';

let server: WebServer;
let requests: PromiseWithResolvers<Response>[];
let arrived: PromiseWithResolvers<void>;

beforeEach(async () => {
  requests = [];
  arrived = Promise.withResolvers();
  server = new WebServer({
    fetch: async () => {
      const answer = Promise.withResolvers<Response>();
      requests.push(answer);
      arrived.resolve();
      return await answer.promise;
    },
    host: '127.0.0.1',
    port: 0,
  });
  await server.start();
});

afterEach(async () => {
  await server.close();
});

describe('web server', () => {
  test('a request under way is answered before it is drained, and no new one is taken', async () => {
    const { url } = server;
    const response = fetch(url);
    await arrived.promise;
    let isDrained = false;
    const drain = async (): Promise<void> => {
      await server.drain();
      isDrained = true;
    };
    const drained = drain();
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    expect(isDrained).toBe(false);
    requests[0]?.resolve(new Response('done'));
    expect(await (await response).text()).toBe('done');
    await drained;
    expect(requests).toHaveLength(1);
  });

  test('when the deadline of the drain passes, what is under way is cut off', async () => {
    const response = fetch(server.url);
    await arrived.promise;
    const deadline = new AbortController();
    const drained = server.drain({ signal: deadline.signal });
    deadline.abort();
    await expect(response).rejects.toThrow('fetch failed');
    await drained;
  });

  test('it is healthy while it listens, and can be closed twice', async () => {
    expect(await server.checkHealth()).toEqual({ status: 'ok' });
    await server.close();
    await server.close();
    expect(await server.checkHealth()).toMatchObject({ status: 'down' });
  });

  test('a port that is taken is an error that says what to do', async () => {
    const port = Number(new URL(server.url).port);
    const second = new WebServer({ fetch: () => new Response(), host: '127.0.0.1', port });
    await expect(second.start()).rejects.toSatisfy((error) =>
      InfrastructureError.is(error, 'failed-precondition'),
    );
    await expect(second.start()).rejects.toThrow(`port ${port} of 127.0.0.1 is in use`);
    await second.close();
  });
});
