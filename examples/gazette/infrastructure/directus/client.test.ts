import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { readItems } from '@directus/sdk';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** Answers as a Directus server does to a login and to one read; what it was asked is in `asked`. */
let server: Server;
let asked: string[];

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    asked.push(
      `${request.method} ${request.url?.split('?')[0]} ${request.headers.authorization ?? ''}`.trim(),
    );
    const tokens = { access_token: 'from-login', refresh_token: 'refresh', expires: 900_000 };
    const data = request.url === '/auth/login' ? tokens : [{ slug: 'one', title: 'One' }];
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ data }));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  for (const name of ['URL', 'TOKEN', 'EMAIL', 'PASSWORD'])
    vi.stubEnv(`DIRECTUS_${name}`, undefined);
  // There is one client for the whole process: each test is a process of its own.
  vi.resetModules();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => void server.close(resolve));
});

async function titles(): Promise<string[]> {
  const { getDirectusClient } = await import('./client.ts');
  const client = await getDirectusClient();
  expect(await getDirectusClient()).toBe(client);
  try {
    const articles = await client.request(readItems('articles', { fields: ['slug', 'title'] }));
    return articles.map(({ title }) => title);
  } finally {
    await client.close();
  }
}

function stubUrl(): void {
  vi.stubEnv('DIRECTUS_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

describe('getDirectusClient', () => {
  test('with a static token, it reads with that', async () => {
    stubUrl();
    vi.stubEnv('DIRECTUS_TOKEN', 'static');
    expect(await titles()).toEqual(['One']);
    expect(asked).toEqual(['GET /items/articles Bearer static']);
  });

  test('with an email and a password, it logs in once and reads with what it got', async () => {
    stubUrl();
    vi.stubEnv('DIRECTUS_EMAIL', 'editor@example.org');
    vi.stubEnv('DIRECTUS_PASSWORD', 'secret');
    expect(await titles()).toEqual(['One']);
    expect(asked.slice(0, 2)).toEqual([
      'POST /auth/login',
      'GET /items/articles Bearer from-login',
    ]);
  });

  test('without settings, it names every one that is missing, and asks nobody', async () => {
    const { getDirectusClient } = await import('./client.ts');
    await expect(getDirectusClient()).rejects.toThrow(
      /DIRECTUS_URL[^]*DIRECTUS_EMAIL[^]*DIRECTUS_PASSWORD/,
    );
    expect(asked).toEqual([]);
  });
});
