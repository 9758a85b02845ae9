import { inspect } from 'node:util';

import { createItem, readItems } from '@directus/sdk';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import {
  directusAdministrator,
  makeCollection,
  makeUser,
  type TestUser,
} from '../../test/services/collections.ts';
import { type Proxy, startProxy } from '../../test/services/proxy.ts';
import { type PrivateServer, startServer } from '../../test/services/servers.ts';
import { service } from '../../test/services/services.ts';
import { InfrastructureError, noPolicy } from '../core/index.ts';
import { type DirectusClient, directusClient } from './directus.ts';

interface Schema {
  readonly [collection: string]: { readonly id: number; readonly title: string }[];
}

const { missing } = await service('directus');
const canary = 'canary-content';

interface Scene {
  readonly server: PrivateServer;
  readonly proxy: Proxy;
  readonly client: DirectusClient<Schema>;
  readonly collection: string;
}

/** What is done to the server or the way to it, the call that then fails, and how. */
interface Outage {
  readonly what: string;
  readonly harm: (scene: Scene) => Promise<void> | void;
  readonly call: (scene: Scene) => Promise<unknown>;
  readonly error: {
    readonly code: string;
    readonly outcome: string;
    readonly retryable: boolean;
  };
}

const write = async ({ client, collection }: Scene, signal?: AbortSignal): Promise<unknown> =>
  await client.request(createItem(collection, { title: canary }), { signal });
const soon = (): AbortSignal => AbortSignal.timeout(500);

const outages: readonly Outage[] = [
  {
    what: 'a write to a server that is dead',
    harm: async ({ proxy, client, collection }) => {
      await proxy.refuse();
      // Uses up the connection that was kept open, which breaks in use.
      await client.request(readItems(collection)).catch(() => {});
    },
    call: write,
    error: { code: 'unavailable', outcome: 'not-applied', retryable: true },
  },
  {
    what: 'a write to a server that hangs, until its deadline',
    harm: async ({ server }) => await server.pause(),
    call: async (scene) => await write(scene, soon()),
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a write over a connection on which nothing passes any more, until its deadline',
    harm: ({ proxy }) => proxy.stall(),
    call: async (scene) => await write(scene, soon()),
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a write whose connection is cut in the middle of the content',
    harm: ({ proxy }) => proxy.cutAfter(2 ** 20, 'request'),
    call: async ({ client, collection }) =>
      await client.request(createItem(collection, { title: canary.repeat(2 ** 19) })),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a write that is done, and whose answer is lost',
    harm: ({ proxy }) => proxy.cutAfter(0, 'answer'),
    call: write,
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a read whose answer is cut off in its head',
    harm: ({ proxy }) => proxy.cutAfter(20, 'answer'),
    call: async ({ client, collection }) => await client.request(readItems(collection)),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a read whose answer is cut off in its body',
    harm: ({ proxy }) => proxy.cutAfter(100_000, 'answer'),
    call: async ({ client, collection }) => await client.request(readItems(collection)),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a login at a server that is dead',
    harm: async ({ proxy }) => await proxy.refuse(),
    call: async ({ client }) => await client.start(),
    error: { code: 'unavailable', outcome: 'not-applied', retryable: true },
  },
];

describe.skipIf(missing)('directus › outages', () => {
  let server: PrivateServer;
  let user: TestUser;
  let collection: string;
  let proxy: Proxy;
  let client: DirectusClient<Schema>;

  beforeAll(async () => {
    server = await startServer('directus');
    const administrator = await directusAdministrator(server.url);
    collection = await makeCollection(administrator, [
      { field: 'id', type: 'integer', schema: { is_primary_key: true, has_auto_increment: true } },
      { field: 'title', type: 'text' },
    ]);
    await administrator.request('POST', `/items/${collection}`, { title: 'x'.repeat(1_000_000) });
    user = await makeUser(administrator, { [collection]: ['create', 'read'] });
  });

  beforeEach(async () => {
    proxy = await startProxy(new URL(server.url).origin);
    const { email, password } = user;
    client = directusClient<Schema>({ url: proxy.url, email, password, policy: noPolicy });
  });

  afterEach(async () => {
    await client.close();
    await proxy[Symbol.asyncDispose]();
  });

  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test.each(outages)(
    '$what is $error.code, $error.outcome; then the same client goes on',
    async ({ what, harm, call, error: expected }) => {
      const scene = { server, proxy, client, collection };
      if (!what.startsWith('a login')) await client.request(readItems(collection, { limit: 1 }));
      await harm(scene);
      const error: unknown = await call(scene).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(InfrastructureError);
      expect(error).toMatchObject(expected);
      const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
      expect(shown).not.toContain(user.password);
      expect(shown).not.toContain(canary);

      await server.resume();
      await proxy.heal();
      await write(scene);
    },
  );

  test('after a crash of the server the same client goes on', async () => {
    const scene = { server, proxy, client, collection };
    await write(scene);
    await server.kill();
    await expect(write(scene)).rejects.toMatchObject({ code: 'unavailable' });
    await server.restart();
    await write(scene);
  });
});
