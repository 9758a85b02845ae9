import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

import * as fc from 'fast-check';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { startProxy } from '../../../test/services/proxy.ts';
import { sharedServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import type { Cache } from '../index.ts';
import { redisCache, type RedisCacheDriver, type RedisCacheOptions } from './index.ts';

const { missing } = await service('redis');

const patient = { timeout: 30_000 };

describe('cache redis › options', () => {
  test.each<[string, RedisCacheOptions]>([
    ['neither a url nor a client', {}],
    ['a url of something else', { url: 'http://h' }],
    ['a url without a host', { url: 'redis://' }],
    ['a database that is no number', { url: 'redis://h/a' }],
    ['a parameter that is not known', { url: 'redis://h?x=1' }],
    ['a password that is not encoded', { url: 'redis://:canary%@h' }],
    ['a user without a password, which would be nobody', { url: 'redis://canary@h' }],
    ['tls for a URL without it', { url: 'redis://h', tls: { ca: 'canary' } }],
    ['a prefix with braces', { url: 'redis://h', prefix: '{a}' }],
    ['a prefix of nothing', { url: 'redis://h?prefix=' }],
  ])('%s is refused', (_what, options) => {
    const make = (): unknown => redisCache(options);
    expect(make).toThrow(
      expect.objectContaining({ code: 'invalid-argument', component: 'cache', adapter: 'redis' }),
    );
    expect(make).not.toThrow(/canary/);
  });

  test('a URL may leave out all but the host, and hold an IPv6 address and escaped characters', () => {
    for (const url of ['redis://h', 'rediss://u:p%40%2F@[::1]:1/2?prefix=a%3Ab', 'redis://h/'])
      expect(() => redisCache({ url })).not.toThrow();
  });
});

describe.skipIf(missing)('cache redis', () => {
  let url: string;
  let prefix: string;
  let admin: ReturnType<typeof createClient>;
  const open: Cache<RedisCacheDriver>[] = [];

  beforeAll(async () => {
    ({ url } = await sharedServer('redis'));
    admin = createClient({ url });
    await admin.connect();
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(open.splice(0).map(async (cache) => await cache.close()));
  });

  afterAll(() => {
    admin?.destroy();
  });

  function make(options: Partial<RedisCacheOptions> = {}): Cache<RedisCacheDriver> {
    if (options.prefix === undefined) prefix = randomUUID();
    const cache = redisCache({ url, prefix, ...options });
    open.push(cache);
    return cache;
  }

  async function names(): Promise<string[]> {
    const all = await admin.keys(`{${prefix}}:*`);
    return all.map((name) => name.slice(prefix.length + 3)).toSorted();
  }

  test('everything has its prefix, in the braces that make one slot of a cluster of it', async () => {
    const cache = make();
    await cache.set('a{b}c', 1, { tags: ['t'] });
    await cache.getOrSet('d', () => undefined, { tags: ['u'] });
    expect(await names()).toEqual(['e:a{b}c', 'g:d', 'root', 't:t', 't:u']);
  });

  test('the rights that docs/cache-redis.md lists are enough', async () => {
    const page = readFileSync(new URL('../../../docs/cache-redis.md', import.meta.url), 'utf8');
    prefix = randomUUID();
    const [line = ''] = /^ACL SETUSER app .*$/m.exec(page) ?? [];
    const rights = line.replace('app', prefix).replace('{cache}', `{${prefix}}`).split(' ');
    await admin.sendCommand(rights);
    const own = Object.assign(new URL(url), { username: prefix, password: 'PASSWORD' });
    const cache = make({ prefix, url: own.href });
    await cache.set('a', 1, { tags: ['t'] });
    await cache.set('a', 2, { ttl: 'forever' });
    expect(await cache.increment('a')).toBe(3);
    expect(await cache.getOrSet('b', () => 'loaded', { tags: ['t'] })).toBe('loaded');
    expect(await cache.getOrSet('b', () => 'again')).toBe('loaded');
    await cache.set('b', 1, { ttl: '1d', tags: ['t'] });
    await cache.set('c', 1, { ttl: 0 });
    await cache.deleteByTag('t');
    await cache.delete('b');
    expect((await cache.checkHealth()).status).toBe('ok');
    await admin.scriptFlush();
    await cache.clear();
    await cache.drain();
    expect(await names()).toEqual([]);
    await admin.aclDelUser(prefix);
  });

  test('two prefixes are two caches, also when one begins as the other', async () => {
    const one = make({ prefix: 'p' + randomUUID() });
    const two = make({ prefix: `${randomUUID()}*` });
    await one.set('a', 1);
    await two.set('a', 2);
    await two.clear();
    await two.drain();
    expect([await one.get('a'), await two.get('a')]).toEqual([1, undefined]);
  });

  test('plain values can be read by people', async () => {
    const cache = make();
    await cache.set('a', { title: 'Hellö', tags: [1, null] });
    expect(await admin.hGet(`{${prefix}}:e:a`, 'v')).toBe('J{"title":"Hellö","tags":[1,null]}');
  });

  test('a value in a form that is not known is a miss', async () => {
    const cache = make();
    await cache.set('a', new Date(5));
    for (const bytes of ['?', 'V\xff\xff', 'J{', '']) {
      await admin.hSet(`{${prefix}}:e:a`, 'v', bytes);
      expect(await cache.get('a')).toBeUndefined();
    }
    expect(await cache.getOrSet('a', () => 'loaded')).toBe('loaded');
  });

  test('the server drops what is past its ttl and its grace', async () => {
    const cache = make();
    await cache.set('a', 1, { ttl: '1m', grace: '1h', tags: ['t'] });
    for (const name of ['e:a', 't:t']) {
      const left = await admin.pTTL(`{${prefix}}:${name}`);
      expect(left).toBeGreaterThan(60 * 60_000);
      expect(left).toBeLessThanOrEqual(61 * 60_000);
    }
    await cache.set('a', 1, { ttl: 1 });
    await expect.poll(names).toEqual(['root', 't:t']);
    await cache.set('b', 1, { ttl: 'forever' });
    expect(await admin.pTTL(`{${prefix}}:e:b`)).toBe(-1);
  });

  test('a tag stays no longer than what has it, and what has one no longer than 30 days', async () => {
    const cache = make();
    await cache.set('a', 1, { ttl: 'forever', tags: ['t'] });
    await cache.set('b', 1, { ttl: '1m', tags: ['t', 'u'] });
    const left = async (name: string): Promise<number> => await admin.pTTL(`{${prefix}}:${name}`);
    const month = 30 * 86_400_000;
    for (const name of ['e:a', 't:t'])
      expect(Math.abs((await left(name)) - month)).toBeLessThan(60_000);
    expect(await left('t:u')).toBeLessThanOrEqual(60_000);
    expect(await cache.getMany(['a', 'b'])).toHaveProperty('size', 2);
    await cache.deleteByTag(['t', 'u']);
    expect(await names()).not.toContain('t:t');
  });

  test('a machine whose clock is wrong sees the same times', async () => {
    const cache = make();
    const wrong = make({ prefix });
    await cache.set('a', 1, { ttl: '1m' });
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now + 3_600_000);
    expect(await wrong.get('a')).toBe(1);
    await wrong.set('b', 2, { ttl: '1m' });
    vi.restoreAllMocks();
    expect(await cache.get('b')).toBe(2);
    expect(await admin.pTTL(`{${prefix}}:e:b`)).toBeLessThanOrEqual(60_000);
  });

  test.each(['root', 't:t', 'g:a'])(
    'whatever Redis evicts makes misses, and brings nothing back: %s',
    async (evicted) => {
      const cache = make();
      await cache.set('a', 'old', { tags: ['t'] });
      await cache.set('b', 'kept', { tags: ['t'] });
      await cache.delete('a');
      const started = Promise.withResolvers<void>();
      const result = Promise.withResolvers<string>();
      const loading = cache.getOrSet(
        'a',
        async () => {
          started.resolve();
          return await result.promise;
        },
        { tags: ['t'] },
      );
      await started.promise;
      expect(await admin.del(`{${prefix}}:${evicted}`)).toBe(1);
      result.resolve('loaded');
      expect(await loading).toBe('loaded');
      expect(await cache.get('a')).toBeUndefined();
      expect(await cache.get('b')).toBe(evicted === 'g:a' ? 'kept' : undefined);
      // What is written from then on does not bring back what was there before.
      await cache.set('c', 'new', { tags: ['t'] });
      expect(await cache.get('c')).toBe('new');
      expect(await cache.get('b')).toBe(evicted === 'g:a' ? 'kept' : undefined);
    },
  );

  test('a clear sweeps up what is kept for ever, and leaves what is written after it', async () => {
    const cache = make();
    const keys = Array.from({ length: 500 }, (_, index) => `k${index}`);
    await cache.setMany(
      keys.map((key) => [key, 1]),
      { ttl: 'forever' },
    );
    await cache.clear();
    await cache.set('after', 2, { ttl: 'forever' });
    await cache.drain();
    await expect.poll(async () => await names()).toEqual(['e:after', 'root']);
    expect(await cache.get('after')).toBe(2);
  });

  test('scripts that the server has forgotten are sent again', async () => {
    const cache = make();
    await cache.set('a', 1);
    await admin.scriptFlush();
    const results = await Promise.all([cache.get('a'), cache.increment('n'), cache.getMany(['a'])]);
    expect(results).toEqual([1, 1, new Map([['a', 1]])]);
  });

  test('thousands of keys, and values of megabytes, go there and back', async () => {
    const cache = make();
    const many = Array.from({ length: 1500 }, (_, index) => [`k${index}`, index] as const);
    await cache.setMany(many);
    expect([...(await cache.getMany(many.map(([key]) => key)))]).toEqual(many);
    expect(await cache.deleteMany(many.map(([key]) => key))).toBe(1500);
    const bytes = new Uint8Array(5_000_000).map((_, index) => index % 251);
    await cache.set('bytes', bytes);
    expect(Buffer.compare((await cache.get<Uint8Array>('bytes')) ?? new Uint8Array(), bytes)).toBe(
      0,
    );
  });

  test('no process serves what was loaded before a change whose invalidation was answered', async () => {
    const [here, there] = [make(), make({ prefix })];
    const step = fc.record({
      cache: fc.constantFrom(here, there),
      call: fc.constantFrom('read', 'read', 'readMany', 'delete', 'deleteByTag', 'clear'),
      pause: fc.integer({ min: 0, max: 2 }),
      load: fc.integer({ min: 0, max: 6 }),
    });
    const options = { tags: ['x'], ttl: '1h', grace: '1h', softTimeout: 1 } as const;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        await here.clear();
        let source = 0;
        let answered = 0;
        const old: string[] = [];
        const calls = steps.map(async ({ cache, call, load }, index) => {
          await delay(steps.slice(0, index).reduce((sum, { pause }) => sum + pause, 0));
          const atLeast = answered;
          const loader = async (): Promise<number> => {
            const seen = source;
            await delay(load);
            return seen;
          };
          if (call === 'read' || call === 'readMany') {
            const value =
              call === 'read'
                ? await cache.getOrSet('a', loader, options)
                : (
                    await cache.getOrSetMany(
                      ['a'],
                      async () => new Map([['a', await loader()]]),
                      options,
                    )
                  ).get('a');
            if ((value ?? -1) < atLeast) old.push(`${index}: ${value} < ${atLeast}`);
            return;
          }
          source += 1;
          const change = source;
          if (call === 'delete') await cache.delete('a');
          else if (call === 'deleteByTag') await cache.deleteByTag('x');
          else await cache.clear();
          answered = Math.max(answered, change);
        });
        await Promise.all(calls);
        expect(old).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('a client of one’s own is used and not closed, and has to be open', async () => {
    const client = createClient({ url, disableOfflineQueue: true });
    const cache = make({ client });
    await expect(cache.start()).rejects.toMatchObject({ code: 'failed-precondition' });
    await client.connect();
    await cache.set('a', 1);
    expect(await cache.get('a')).toBe(1);
    expect(cache.native).toBe(client);
    await cache.close();
    expect(await client.ping()).toBe('PONG');
    client.destroy();
  });

  test('a server that dies and comes back is used again by itself, and missed only for speed', async () => {
    await using server = await startServer('redis');
    await using cache = redisCache({ url: server.url });
    await cache.set('a', 1);
    await server.kill();
    await expect(cache.get('a')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(cache.delete('a')).rejects.toMatchObject({ code: 'unavailable' });
    expect(await cache.getOrSet('a', () => 'loaded')).toBe('loaded');
    expect((await cache.checkHealth()).status).toBe('down');
    await server.restart();
    await expect.poll(async () => await cache.get('a').catch(() => {}), patient).toBe(1);
    await cache.set('b', 2);
    expect(await cache.get('b')).toBe(2);
    expect((await cache.checkHealth()).status).toBe('ok');
  });

  test('a server that was not there at the start is used once it is', async () => {
    await using server = await startServer('redis');
    await server.kill();
    await using cache = redisCache({ url: server.url });
    expect(await cache.getOrSet('a', () => 'loaded')).toBe('loaded');
    await expect(cache.start()).rejects.toMatchObject({ code: 'unavailable' });
    await server.restart();
    await expect
      .poll(async () => await cache.set('a', 1).catch(() => 'no'), patient)
      .toBeUndefined();
    expect(await cache.get('a')).toBe(1);
  });

  test('a connection on which nothing moves any more is given up, and another one made', async () => {
    await using proxy = await startProxy(url);
    const cache = make({ url: proxy.url });
    await cache.set('a', 1);
    proxy.stall();
    await expect(cache.get('a')).rejects.toMatchObject({ retryable: true });
    expect(await cache.getOrSet('a', () => 'loaded')).toBe('loaded');
    await proxy.heal();
    await expect.poll(async () => await cache.get('a').catch(() => {}), patient).toBe(1);
  });

  test('one broken connection costs a reader nothing', async () => {
    await using proxy = await startProxy(url);
    const cache = make({ url: proxy.url });
    await cache.set('a', 1);
    for (let round = 0; round < 5; round += 1) {
      proxy.cut();
      await expect.poll(async () => await cache.get('a').catch(() => {}), patient).toBe(1);
    }
  });

  test.each(['start', 'get'])(
    'a process that closes in the middle of a %s that nobody answers ends by itself',
    async (call) => {
      await using proxy = await startProxy(url);
      const script = `
        import { redisCache } from 'underpin/cache/redis';
        const cache = redisCache({ url: process.env.REDIS_URL });
        process.stdin.once('data', async () => {
          process.stdin.destroy();
          cache.${call === 'start' ? 'start()' : "get('a')"}.catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 100));
          await cache.close();
          console.log('closed');
        });
        ${call === 'start' ? '' : 'await cache.start();'}
        console.log('ready');`;
      if (call === 'start') proxy.stall();
      const child = spawn(
        process.execPath,
        ['--conditions=underpin-source', '--input-type=module', '-e', script],
        {
          cwd: import.meta.dirname,
          env: { PATH: process.env['PATH'], REDIS_URL: proxy.url },
          stdio: 'pipe',
          timeout: 60_000,
        },
      );
      const complaints = text(child.stderr);
      const ended = once(child, 'exit');
      await Promise.race([once(child.stdout, 'data'), ended]);
      proxy.stall();
      const output = text(child.stdout);
      child.stdin.write('close\n');
      expect({
        ended: await ended,
        output: await output,
        complaints: await complaints,
      }).toEqual({ ended: [0, null], output: 'closed\n', complaints: '' });
    },
  );
});
