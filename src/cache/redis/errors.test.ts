import { inspect } from 'node:util';

import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { failureOf } from '../../../test/support/failure.ts';
import { startProxy } from '../../../test/services/proxy.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import type { InfrastructureError } from '../../core/index.ts';
import { noPolicy, subscribeToOperations } from '../../core/index.ts';
import { redisCache, type RedisCacheOptions } from './index.ts';

const { missing } = await service('redis');

const password = 'canary-password';
const payload = 'canary-payload';

interface Expected {
  readonly code: string;
  readonly outcome: string;
  readonly retryable: boolean;
  readonly message?: RegExp;
}

function refused(code: string, message?: RegExp): Expected {
  return { code, outcome: 'not-applied', retryable: false, ...(message && { message }) };
}

function unavailable(outcome = 'not-applied'): Expected {
  return { code: 'unavailable', outcome, retryable: true };
}

/** Options with which no cache can be used. */
const setups: readonly (Expected & {
  readonly what: string;
  readonly options: (url: URL) => Partial<RedisCacheOptions>;
})[] = [
  {
    what: 'a wrong password',
    options: (url) => ({ url: changed(url, { password }) }),
    ...refused('unauthenticated', /does not accept/),
  },
  {
    what: 'no password',
    options: (url) => ({ url: changed(url, { password: '' }) }),
    ...refused('unauthenticated', /asks for a password/),
  },
  {
    what: 'a user that is not there',
    options: (url) => ({ url: changed(url, { username: 'nobody', password }) }),
    ...refused('unauthenticated'),
  },
  {
    what: 'a user without a right to scripts',
    options: (url) => ({ url: changed(url, { username: 'plain', password }) }),
    ...refused('permission-denied', /docs\/cache-redis/),
  },
  {
    what: 'a user without a right to the prefix',
    options: (url) => ({ url: changed(url, { username: 'other', password }) }),
    ...refused('permission-denied'),
  },
  {
    what: 'a database that is not there',
    options: (url) => ({ url: changed(url, { pathname: '99' }) }),
    ...refused('failed-precondition', /database/),
  },
  {
    what: 'a port on which nobody listens',
    options: (url) => ({ url: changed(url, { port: '1' }) }),
    ...unavailable(),
    message: /ECONNREFUSED/,
  },
  {
    what: 'a host that is not there',
    options: () => ({ url: `redis://:${password}@nowhere.invalid` }),
    ...unavailable(),
  },
];

function changed(url: URL, change: Partial<URL>): string {
  return Object.assign(new URL(url), change).href;
}

function expectIt(error: InfrastructureError, { message = /./, ...facts }: Expected): void {
  expect(error).toMatchObject({ component: 'cache', adapter: 'redis' });
  const { code, outcome, retryable } = facts;
  expect(error).toMatchObject({ code, outcome, retryable });
  expect(error.message).toMatch(message);
  const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
  for (const secret of [password, payload]) expect(shown).not.toContain(secret);
}

describe.skipIf(missing)('cache redis › errors of a server', () => {
  let server: PrivateServer;
  let url: URL;
  let admin: ReturnType<typeof createClient>;

  const command = async (...args: string[]): Promise<unknown> => await admin.sendCommand(args);

  beforeAll(async () => {
    server = await startServer('redis');
    url = new URL(server.url);
    admin = createClient({ url: server.url });
    admin.on('error', () => {});
    await admin.connect();
    await command('ACL', 'SETUSER', 'plain', 'on', `>${password}`, '~*', '+@all', '-@scripting');
    await command('ACL', 'SETUSER', 'other', 'on', `>${password}`, '~other:*', '+@all');
  });

  afterAll(async () => {
    admin?.destroy();
    await server?.[Symbol.asyncDispose]();
  });

  test.each(setups)('$what is $code, at the start', async ({ options, ...expected }) => {
    await using cache = redisCache({ url: server.url, ...options(url) });
    expectIt(await failureOf(cache.start()), expected);
    expectIt(await failureOf(cache.set('a', payload)), expected);
    expect((await cache.checkHealth()).status).toBe('down');
  });

  test('no TLS where it is asked for is no connection', async () => {
    await using cache = redisCache({ url: changed(url, {}).replace('redis:', 'rediss:') });
    const { outcome } = await failureOf(cache.set('a', payload));
    expect(outcome).toBe('not-applied');
  });

  test('more clients than it takes is resource-exhausted', async () => {
    await command('CONFIG', 'SET', 'maxclients', '1');
    try {
      await using cache = redisCache({ url: server.url, policy: noPolicy });
      const error = await failureOf(cache.start());
      expectIt(error, { code: 'resource-exhausted', outcome: 'not-applied', retryable: true });
      expect(error.message).toMatch(/maxclients/);
    } finally {
      await command('CONFIG', 'SET', 'maxclients', '1000');
    }
  });

  test('a full memory is resource-exhausted for writes, and reads go on', async () => {
    await using cache = redisCache({ url: server.url, prefix: 'full' });
    await cache.set('a', 1);
    await command('CONFIG', 'SET', 'maxmemory', '1');
    try {
      expectIt(await failureOf(cache.set('b', payload)), {
        ...refused('resource-exhausted', /maxmemory/),
        retryable: true,
      });
      expect(await cache.get('a')).toBe(1);
      expect(await cache.getOrSet('b', () => 'loaded')).toBe('loaded');
      expect(await cache.delete('a')).toBe(true);
    } finally {
      await command('CONFIG', 'SET', 'maxmemory', '0');
    }
  });

  test('a replica is unavailable for writes, and reads go on', async () => {
    await using cache = redisCache({ url: server.url, prefix: 'replica' });
    await cache.set('a', 1);
    await command('REPLICAOF', '127.0.0.1', '1');
    try {
      expectIt(await failureOf(cache.set('b', payload)), unavailable());
      expect(await cache.get('a')).toBe(1);
      await command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
      expectIt(await failureOf(cache.get('a')), unavailable());
    } finally {
      await command('CONFIG', 'SET', 'replica-serve-stale-data', 'yes');
      await command('REPLICAOF', 'NO', 'ONE');
    }
  });

  test('a server in somebody’s endless script is unavailable', async () => {
    await using cache = redisCache({ url: server.url, policy: noPolicy, prefix: 'busy' });
    await cache.set('a', 1);
    await command('CONFIG', 'SET', 'busy-reply-threshold', '50');
    const other = createClient({ url: server.url });
    other.on('error', () => {});
    await other.connect();
    const endless = other.sendCommand(['EVAL', 'while true do end', '0']).catch(() => {});
    try {
      await expect
        .poll(async () => (await failureOf(cache.get('a'))).message, { timeout: 20_000 })
        .toMatch(/BUSY/);
      expectIt(await failureOf(cache.set('a', payload)), unavailable());
    } finally {
      await command('SCRIPT', 'KILL');
      await endless;
      other.destroy();
    }
    expect(await cache.get('a')).toBe(1);
  });

  test('other things under its prefix are failed-precondition', async () => {
    await using cache = redisCache({ url: server.url, prefix: 'taken' });
    await command('SET', '{taken}:e:a', 'mine');
    expectIt(await failureOf(cache.get('a')), {
      ...refused('failed-precondition', /prefix/),
      outcome: 'unknown',
    });
  });

  test('a connection that breaks before the answer leaves the outcome unknown', async () => {
    await using proxy = await startProxy(server.url);
    await using cache = redisCache({ url: proxy.url, policy: noPolicy, prefix: 'cut' });
    await cache.set('a', 1);
    proxy.stall('answer');
    const writing = failureOf(cache.set('a', payload));
    await expect.poll(async () => await command('HGET', '{cut}:e:a', 'v')).toContain(payload);
    proxy.cut();
    expectIt(await writing, unavailable('unknown'));
  });

  test('a connection that is not there is known before anything is sent', async () => {
    await using proxy = await startProxy(server.url);
    await using cache = redisCache({ url: proxy.url, policy: noPolicy, prefix: 'offline' });
    await cache.set('a', 1);
    await proxy.refuse();
    await expect
      .poll(async () => (await failureOf(cache.set('a', payload))).outcome)
      .toBe('not-applied');
    expectIt(await failureOf(cache.set('a', payload)), {
      ...unavailable(),
      message: /not connected/,
    });
  });

  test('a server that hangs is deadline-exceeded, by the policy that there is by itself', async () => {
    await using cache = redisCache({ url: server.url, prefix: 'hang' });
    await cache.set('a', 1);
    await server.pause();
    try {
      const events: unknown[] = [];
      const unsubscribe = subscribeToOperations({ end: ({ error }) => void events.push(error) });
      expectIt(await failureOf(cache.set('a', payload)), {
        code: 'deadline-exceeded',
        outcome: 'unknown',
        retryable: true,
      });
      unsubscribe();
      expect(inspect(events, { depth: 9 })).not.toContain(payload);
    } finally {
      await server.resume();
    }
  });

  test('a caller’s signal ends the wait', async () => {
    await using cache = redisCache({ url: server.url, policy: noPolicy, prefix: 'abort' });
    await cache.set('a', 1);
    await server.pause();
    try {
      const error = await failureOf(cache.get('a', { signal: AbortSignal.timeout(50) }));
      expect(error.code).toBe('deadline-exceeded');
    } finally {
      await server.resume();
    }
  });

  test('nothing that is printed of it shows the password', async () => {
    await using cache = redisCache({ url: changed(url, { username: 'plain', password }) });
    await cache.start().catch(() => {});
    const shown =
      inspect(cache, { depth: 12, showHidden: true }) +
      inspect(cache.native, { depth: 12, showHidden: true });
    expect(shown).not.toContain(password);
  });
});
