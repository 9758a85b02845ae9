import { inspect } from 'node:util';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { InfrastructureError } from '../../src/core/index.ts';
import type { FileStorage } from '../../src/storage/index.ts';
import type { ServerName } from '../services/definitions.ts';
import { type Proxy, startProxy } from '../services/proxy.ts';
import { type PrivateServer, startServer } from '../services/servers.ts';
import { mebibyte } from './content.ts';

const canary = 'canary-content';

interface Scene {
  readonly server: PrivateServer;
  readonly proxy: Proxy;
  readonly files: FileStorage;
}

/** What is done to the server or the way to it, the call that then fails, and how. */
interface Outage {
  readonly what: string;
  readonly harm: (scene: Scene) => Promise<void> | void;
  readonly call: (files: FileStorage) => Promise<unknown>;
  readonly error: {
    readonly code: string;
    readonly outcome: string;
    readonly retryable: boolean;
  };
}

const put = async (files: FileStorage): Promise<unknown> => await files.put('a', canary);
const soon = (): AbortSignal => AbortSignal.timeout(500);

const outages: readonly Outage[] = [
  {
    what: 'a put to a server that is dead',
    harm: async ({ proxy, files }) => {
      await proxy.refuse();
      // Uses up the connection that was kept open, which breaks in use.
      await files.exists('a').catch(() => {});
    },
    call: put,
    error: { code: 'unavailable', outcome: 'not-applied', retryable: true },
  },
  {
    what: 'a put over a connection that broke while it was kept',
    harm: async ({ proxy }) => await proxy.refuse(),
    call: put,
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a put to a server that hangs, until its deadline',
    harm: async ({ server }) => await server.pause(),
    call: async (files) => await files.put('a', canary, { signal: soon() }),
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a put whose connection is cut in the middle of the content',
    harm: ({ proxy }) => proxy.cutAfter(mebibyte, 'request'),
    call: async (files) => await files.put('a', Buffer.alloc(4 * mebibyte)),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a put that is done, and whose answer is lost',
    harm: ({ proxy }) => proxy.cutAfter(0, 'answer'),
    call: put,
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a read whose connection is cut in the middle of the content',
    harm: ({ proxy }) => proxy.cutAfter(mebibyte, 'answer'),
    call: async (files) => await (await files.get('large')).bytes(),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a list whose answer is cut off',
    harm: ({ proxy }) => proxy.cutAfter(100, 'answer'),
    call: async (files) => await files.list(),
    error: { code: 'unavailable', outcome: 'unknown', retryable: true },
  },
];

/** A storage in a server's bucket or container. */
export interface OutageTarget {
  readonly server: ServerName;
  /** Makes the bucket or container, which is empty. */
  readonly make: (serverUrl: string) => Promise<{
    /** The storage in it, by way of the proxy, and without a policy. */
    readonly open: (proxyUrl: string) => FileStorage;
    /** What no error may show. */
    readonly secret: string;
  }>;
  /** Whether what is stored is still there after a crash of the server. */
  readonly isDurable: boolean;
}

/** Registers what every storage keeps when its server, or the way there, fails. */
export function describeOutages({ server: name, make, isDurable }: OutageTarget): void {
  let server: PrivateServer;
  let made: Awaited<ReturnType<OutageTarget['make']>>;
  let proxy: Proxy;
  let files: FileStorage;

  describe('outages', () => {
    beforeAll(async () => {
      server = await startServer(name);
      made = await make(server.url);
    });

    beforeEach(async () => {
      proxy = await startProxy(server.url);
      files = made.open(proxy.url);
      await files.put('there', 'x');
      await files.put('large', Buffer.alloc(4 * mebibyte));
    });

    afterEach(async () => {
      await files.close();
      await proxy[Symbol.asyncDispose]();
    });

    afterAll(async () => await server?.[Symbol.asyncDispose]());

    test.each(outages)(
      '$what is $error.code, $error.outcome; then the same storage goes on',
      async ({ harm, call, error: expected }) => {
        await harm({ server, proxy, files });
        const error: unknown = await call(files).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).toBeInstanceOf(InfrastructureError);
        expect(error).toMatchObject(expected);
        const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
        expect(shown).not.toContain(made.secret);
        expect(shown).not.toContain(canary);

        await server.resume();
        await proxy.heal();
        await files.put('after', 'y');
        expect(await (await files.get('after')).text()).toBe('y');
      },
    );

    test('after a crash of the server the same storage goes on', async () => {
      await server.kill();
      await expect(put(files)).rejects.toMatchObject({ code: 'unavailable' });
      await server.restart();
      if (!isDurable) await make(server.url);
      await put(files);
      expect(await files.exists(isDurable ? 'there' : 'a')).toBe(true);
    });
  });
}
