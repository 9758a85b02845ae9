import { inspect } from 'node:util';

import {
  createItem,
  createItems,
  customEndpoint,
  deleteFile,
  importFile,
  readAssetArrayBuffer,
  readItem,
  readItems,
  readMe,
  updateItem,
  uploadFiles,
} from '@directus/sdk';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { failureOf } from '../../test/support/failure.ts';
import {
  type DirectusAdministrator,
  directusAdministrator,
  makeCollection,
  makeUser,
  type TestUser,
} from '../../test/services/collections.ts';
import { type PrivateServer, sharedServer, startServer } from '../../test/services/servers.ts';
import { service } from '../../test/services/services.ts';
import {
  fakeClock,
  InfrastructureError,
  noPolicy,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import { type DirectusClient, directusClient, type DirectusClientOptions } from './directus.ts';

interface Schema {
  readonly [collection: string]: {
    readonly id: number;
    readonly title: string | null;
    readonly slug: string | null;
    readonly parent: number | null;
  }[];
}

/** Sends to the server, counts the requests by path, and keeps the tokens that pass by. */
class Line {
  readonly counts = new Map<string, number>();
  readonly refreshTokens: string[] = [];
  readonly accessTokens: string[] = [];

  readonly fetch: typeof fetch = async (input, init) => {
    const { pathname } = new URL(String(input));
    this.counts.set(pathname, (this.counts.get(pathname) ?? 0) + 1);
    const response = await fetch(input, init);
    if (/^\/auth\/(?:login|refresh)$/.test(pathname) && response.ok) {
      const { data } = (await response.clone().json()) as {
        data: { access_token: string; refresh_token: string };
      };
      this.accessTokens.push(data.access_token);
      this.refreshTokens.push(data.refresh_token);
    }
    return response;
  };

  count(path: string): number {
    return this.counts.get(path) ?? 0;
  }
}

const { missing } = await service('directus');
const canary = 'canary-7f3a';
const clients: DirectusClient<Schema>[] = [];

function connect(options: DirectusClientOptions): DirectusClient<Schema> {
  const client = directusClient<Schema>(options);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

describe.skipIf(missing)('directus › a real server', () => {
  let administrator: DirectusAdministrator;
  let articles: string;
  let editor: TestUser;
  let stranger: TestUser;

  beforeAll(async () => {
    administrator = await directusAdministrator((await sharedServer('directus')).url);
    articles = await makeCollection(administrator, [
      { field: 'id', type: 'integer', schema: { is_primary_key: true, has_auto_increment: true } },
      {
        field: 'title',
        type: 'text',
        meta: { validation: { _and: [{ title: { _neq: 'forbidden' } }] } },
      },
      { field: 'slug', type: 'string', schema: { is_unique: true } },
      { field: 'parent', type: 'integer' },
    ]);
    await administrator.request('POST', '/relations', {
      collection: articles,
      field: 'parent',
      related_collection: articles,
    });
    const all = ['create', 'read', 'update', 'delete'];
    editor = await makeUser(administrator, { [articles]: all, directus_files: all });
    stranger = await makeUser(administrator);
  });

  describe('a static token', () => {
    test('writes and reads', async () => {
      const client = connect({ url: administrator.url, token: editor.token });
      const { id } = await client.request(createItem(articles, { title: 'One', slug: 'one' }));
      await client.request(updateItem(articles, id, { title: 'First' }));
      expect(await client.request(readItem(articles, id, { fields: ['title', 'slug'] }))).toEqual({
        title: 'First',
        slug: 'one',
      });
    });

    test('is never logged out by close', async () => {
      const line = new Line();
      const client = connect({ url: administrator.url, token: editor.token, fetch: line.fetch });
      await client.request(readItems(articles));
      await client.close();
      expect([...line.counts.keys()]).toEqual(['/users/me', `/items/${articles}`]);
    });
  });

  describe('a login', () => {
    test('happens once for all who wait, and its session ends with close', async () => {
      const line = new Line();
      const client = connect({ url: administrator.url, ...loginOf(editor), fetch: line.fetch });
      await Promise.all(
        Array.from({ length: 10 }, async () => await client.request(readItems(articles))),
      );
      expect([line.count('/auth/login'), line.count(`/items/${articles}`)]).toEqual([1, 10]);
      await client.close();
      const again = await fetch(`${administrator.url}/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ mode: 'json', refresh_token: line.refreshTokens[0] }),
      });
      expect(again.status).toBe(401);
    });

    test('is refreshed once for all, round after round, and the session lives on', async () => {
      const clock = fakeClock();
      const line = new Line();
      const client = connect({
        url: administrator.url,
        clock,
        fetch: line.fetch,
        ...loginOf(editor),
      });
      for (let round = 0; round < 5; round += 1) {
        await Promise.all(Array.from({ length: 10 }, async () => await client.request(readMe())));
        await clock.advance(3_600_000);
      }
      expect([line.count('/auth/login'), line.count('/auth/refresh')]).toEqual([1, 4]);
      expect(new Set(line.refreshTokens).size).toBe(5);
    });

    test('happens again when the session is gone', async () => {
      const clock = fakeClock();
      const line = new Line();
      const client = connect({
        url: administrator.url,
        clock,
        fetch: line.fetch,
        ...loginOf(editor),
      });
      await client.request(readMe());
      await administrator.request('POST', '/auth/logout', {
        mode: 'json',
        refresh_token: line.refreshTokens[0],
      });
      await clock.advance(3_600_000);
      await Promise.all(Array.from({ length: 5 }, async () => await client.request(readMe())));
      expect([line.count('/auth/login'), line.count('/auth/refresh')]).toEqual([2, 1]);
    });
  });

  describe('files', () => {
    test('go up and come down as they were', async () => {
      const client = connect({ url: administrator.url, token: editor.token });
      const bytes = crypto.getRandomValues(new Uint8Array(60_000));
      const form = new FormData();
      // What stands behind the file is ignored by Directus.
      form.append('title', 'A file');
      form.append('file', new Blob([bytes], { type: 'application/x-test' }), 'a.bin');
      const file = (await client.request(uploadFiles(form))) as unknown as {
        id: string;
        title: string;
        filesize: string | number;
      };
      expect([file.title, Number(file.filesize)]).toEqual(['A file', bytes.byteLength]);
      const read = new Uint8Array(await client.request(readAssetArrayBuffer(file.id)));
      expect(Buffer.compare(read, bytes)).toBe(0);
      await client.request(deleteFile(file.id));
      expect((await failureOf(client.request(readAssetArrayBuffer(file.id)))).code).toBe(
        'permission-denied',
      );
    });
  });

  /** A call that fails, and how. */
  interface Failure {
    readonly what: string;
    readonly call: (client: DirectusClient<Schema>) => Promise<unknown>;
    readonly as?: () => Partial<DirectusClientOptions>;
    readonly error: {
      readonly code: string;
      readonly outcome: 'not-applied' | 'unknown' | 'applied';
      readonly retryable: boolean;
      readonly details: { readonly status: number; readonly directusCode?: string };
    };
  }

  const refused = (
    code: string,
    status: number,
    directusCode: string,
    retryable = false,
  ): Failure['error'] => ({
    code,
    outcome: 'not-applied',
    retryable,
    details: {
      status,
      directusCode,
    },
  });

  const failures: readonly Failure[] = [
    {
      what: 'a token that nobody has',
      as: () => ({ token: `${canary}-token` }),
      call: async (client) => await client.start(),
      error: refused('unauthenticated', 401, 'INVALID_CREDENTIALS'),
    },
    {
      what: 'a wrong password',
      as: () => ({ email: editor.email, password: `${canary}-password` }),
      call: async (client) => await client.start(),
      error: refused('unauthenticated', 401, 'INVALID_CREDENTIALS'),
    },
    {
      what: 'a collection without the right to it',
      as: () => ({ token: stranger.token }),
      call: async (client) =>
        await client.request(createItem(articles, { title: canary, slug: canary })),
      error: refused('permission-denied', 403, 'FORBIDDEN'),
    },
    {
      what: 'a collection that is not there',
      call: async (client) => await client.request(readItems(`missing_collection`)),
      error: refused('permission-denied', 403, 'FORBIDDEN'),
    },
    {
      what: 'an item that is not there',
      call: async (client) => await client.request(readItem(articles, 999_999)),
      error: refused('permission-denied', 403, 'FORBIDDEN'),
    },
    {
      what: 'a route that is not there',
      call: async (client) => await client.request(customEndpoint({ path: `/nowhere/${canary}` })),
      error: refused('not-found', 404, 'ROUTE_NOT_FOUND'),
    },
    {
      what: 'a value that breaks the rules of its field',
      call: async (client) =>
        await client.request(createItem(articles, { title: 'forbidden', slug: canary })),
      error: refused('invalid-argument', 400, 'FAILED_VALIDATION'),
    },
    {
      what: 'a unique value that is taken',
      call: async (client) => {
        const item = { title: canary, slug: `${canary}-taken` };
        return await client.request(createItems(articles, [item, item]));
      },
      error: refused('already-exists', 400, 'RECORD_NOT_UNIQUE'),
    },
    {
      what: 'a relation that leads nowhere',
      call: async (client) =>
        await client.request(createItem(articles, { title: canary, parent: 999_999 })),
      error: refused('failed-precondition', 400, 'INVALID_FOREIGN_KEY'),
    },
    {
      what: 'a filter that the type of the field does not have',
      call: async (client) =>
        await client.request(readItems(articles, { filter: { title: { _gt: canary } } as never })),
      error: refused('invalid-argument', 400, 'INVALID_QUERY'),
    },
    {
      what: 'a body that is no JSON',
      call: async (client) =>
        await client.request(
          customEndpoint({ path: `/items/${articles}`, method: 'POST', body: `{"${canary}` }),
        ),
      error: refused('invalid-argument', 400, 'INVALID_PAYLOAD'),
    },
    {
      what: 'a body that is too large',
      call: async (client) =>
        await client.request(createItem(articles, { title: canary.repeat(2 ** 21) })),
      error: refused('invalid-argument', 400, 'INVALID_PAYLOAD'),
    },
    {
      what: 'more parameters than the database takes',
      call: async (client) =>
        await client.request(() => ({
          path: `/items/${articles}`,
          method: 'SEARCH',
          body: JSON.stringify({
            query: { filter: { slug: { _in: Array.from({ length: 40_000 }, () => canary) } } },
          }),
        })),
      error: {
        code: 'internal',
        outcome: 'unknown',
        retryable: true,
        details: {
          status: 500,
          directusCode: 'INTERNAL_SERVER_ERROR',
        },
      },
    },
    {
      what: 'a service behind Directus that is away',
      call: async (client) =>
        await client.request(importFile(`http://127.0.0.1:1/${canary}`, { title: canary })),
      error: {
        code: 'unavailable',
        outcome: 'unknown',
        retryable: true,
        details: {
          status: 503,
          directusCode: 'SERVICE_UNAVAILABLE',
        },
      },
    },
  ];

  describe('errors', () => {
    test.each(failures)(
      '$what is $error.code, and shows no secret and no content',
      async ({ call, as, error: expected }) => {
        const events: OperationEvent[] = [];
        const unsubscribe = subscribeToOperations({ end: (event) => void events.push(event) });
        const credentials = as?.() ?? { token: editor.token };
        const options = { url: administrator.url, policy: noPolicy, ...credentials };
        const client = connect(options as DirectusClientOptions);
        const error = await failureOf(call(client));
        unsubscribe();
        expect(error).toMatchObject(expected);
        for (const secret of [canary, editor.token, stranger.token])
          expect(linesWith(secret, shownOf(error, events, client))).toEqual([]);
        expect((await client.checkHealth()).status).toBe(
          expected.code === 'unauthenticated' ? 'down' : 'ok',
        );
      },
    );

    test('a suspended user is unauthenticated', async () => {
      const user = await makeUser(administrator);
      await administrator.request('PATCH', `/users/${user.id}`, { status: 'suspended' });
      const client = connect({ url: administrator.url, ...loginOf(user) });
      expect(await failureOf(client.start())).toMatchObject({
        code: 'unauthenticated',
        outcome: 'not-applied',
      });
    });
  });
});

describe.skipIf(missing)('directus › a real server of short tokens', () => {
  let server: PrivateServer;
  let administrator: DirectusAdministrator;
  let user: TestUser;

  beforeAll(async () => {
    server = await startServer('directus', { env: { ACCESS_TOKEN_TTL: '4s' } });
    administrator = await directusAdministrator(server.url);
    user = await makeUser(administrator);
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /** Waits until the server no longer takes a token. */
  async function expired(token: string): Promise<string> {
    for (;;) {
      const response = await fetch(`${administrator.url}/users/me`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const body = await response.text();
      if (response.status === 401) return body;
    }
  }

  test('a token that has expired is refreshed once, and every request is sent again', async () => {
    const line = new Line();
    const client = connect({
      url: administrator.url,
      clock: fakeClock(),
      fetch: line.fetch,
      ...loginOf(user),
    });
    await client.start();
    expect(await expired(line.accessTokens[0] ?? '')).toContain('TOKEN_EXPIRED');
    const all = await Promise.all(
      Array.from({ length: 5 }, async () => await client.request(readMe({ fields: ['id'] }))),
    );
    expect(all.map(({ id }) => id)).toEqual(Array.from({ length: 5 }, () => user.id));
    expect([line.count('/auth/login'), line.count('/auth/refresh')]).toEqual([1, 1]);
  });

  test('an expired token that cannot be refreshed is unauthenticated', async () => {
    const { access_token: token } = (await administrator.request(
      'POST',
      '/auth/login',
      loginOf(user),
    )) as { access_token: string };
    await expired(token);
    const client = connect({ url: administrator.url, token, policy: noPolicy });
    const error = await failureOf(client.request(readMe()));
    expect(error).toMatchObject({
      code: 'unauthenticated',
      outcome: 'not-applied',
      retryable: false,
      details: { status: 401, directusCode: 'TOKEN_EXPIRED' },
    });
    expect(shownOf(error)).not.toContain(token);
  });
});

describe.skipIf(missing)('directus › a real server with a rate limit', () => {
  test('what is refused for its rate is resource-exhausted, says how long to wait, and succeeds later', async () => {
    await using server = await startServer('directus', {
      // Starting uses none of them up: the tests' own questions have passed by then.
      env: {
        RATE_LIMITER_ENABLED: 'true',
        RATE_LIMITER_POINTS: '20',
        RATE_LIMITER_DURATION: '1',
      },
    });
    const { url, token } = await directusAdministrator(server.url);
    const strict = connect({ url, token, policy: noPolicy });
    let error: InfrastructureError | undefined;
    while (error === undefined) {
      // All at once: however slow the machine is, they come within the second.
      const calls = Array.from({ length: 100 }, async () => await strict.request(readMe()));
      for (const result of await Promise.allSettled(calls))
        if (result.status === 'rejected' && InfrastructureError.is(result.reason))
          error = result.reason;
    }
    expect(error).toMatchObject({
      code: 'resource-exhausted',
      outcome: 'not-applied',
      retryable: true,
      details: { status: 429, directusCode: 'REQUESTS_EXCEEDED' },
    });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    expect(shownOf(error)).not.toContain(token);
    // The default policy waits as long as it is told to, also before a write.
    const patient = connect({ url, token });
    await patient.request(readMe());
  });
});

function loginOf({ email, password }: TestUser): { email: string; password: string } {
  return { email, password };
}

function shownOf(...values: readonly unknown[]): string {
  return values
    .map(
      (value) =>
        `${inspect(value, { depth: 9 })}${InfrastructureError.is(value) ? `${JSON.stringify(value)}${value.message}` : ''}`,
    )
    .join('\n');
}

function linesWith(text: string, shown: string): string[] {
  return shown.split('\n').filter((line) => line.includes(text));
}
