import { randomUUID } from 'node:crypto';

import { createClient } from 'redis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type Proxy, startProxy } from '../../test/services/proxy.ts';
import { sharedServer } from '../../test/services/servers.ts';
import { service } from '../../test/services/services.ts';
import { redact } from '../core/index.ts';
import { NotConnectedError, RedisConnection } from './connection.ts';
import { luaScript } from './script.ts';
import { parseRedisUrl } from './options.ts';

const { missing } = await service('redis');

const patient = { timeout: 30_000 };

describe.skipIf(missing)('redis › connection', () => {
  let proxy: Proxy;
  let connection: RedisConnection;

  beforeEach(async () => {
    proxy = await startProxy((await sharedServer('redis')).url);
    connection = new RedisConnection({
      component: 'cache',
      source: { server: parseRedisUrl(redact(proxy.url), 'cache') },
      createClient,
      texts: 'strings',
    });
  });

  afterEach(async () => {
    connection.close();
    await proxy[Symbol.asyncDispose]();
  });

  const ping = async (signal?: AbortSignal): Promise<unknown> =>
    await connection.send(['PING'], signal);

  test('the first call connects, and the one after a break connects anew', async () => {
    expect(await ping()).toBe('PONG');
    const first = connection.client;
    proxy.cut();
    await expect.poll(() => first?.isReady, patient).toBe(false);
    expect(await ping()).toBe('PONG');
    expect(connection.client).not.toBe(first);
    expect(proxy.connections).toBe(1);
  });

  test('one that answers nothing is given up, also while calls go on', async () => {
    await ping();
    const stale = connection.client;
    proxy.stall();
    await expect
      .poll(async () => {
        await expect(ping(AbortSignal.timeout(20))).rejects.toThrow();
        return stale?.isOpen;
      }, patient)
      .toBe(false);
    await proxy.heal();
    await expect.poll(async () => await ping().catch(() => 'no'), patient).toBe('PONG');
  });

  test('while the server is away, a call does not wait for the attempt that it begins', async () => {
    proxy.stall();
    await expect(connection.open()).rejects.toThrow(NotConnectedError);
    const call = ping();
    let isOver = false;
    const opening = connection.open().finally(() => (isOver = true));
    await expect(call).rejects.toThrow(NotConnectedError);
    expect(isOver).toBe(false);
    await proxy.heal();
    await opening;
    expect(await ping()).toBe('PONG');
  });

  test('a call that is given up while it connects was not sent', async () => {
    proxy.stall();
    await expect(ping(AbortSignal.timeout(20))).rejects.toThrow(NotConnectedError);
  });

  test('messages come, and a broken connection says that some may be missing', async () => {
    const heard: unknown[] = [];
    await connection.subscribe('c', (message) => heard.push(message));
    expect(heard).toEqual([undefined]);
    await connection.send(['PUBLISH', 'c', 'hello']);
    await expect.poll(() => heard).toEqual([undefined, 'hello']);
    proxy.cut();
    await expect.poll(() => heard.length, patient).toBeGreaterThan(2);
  });

  test('whoever unsubscribes while it is subscribed leaves no connection', async () => {
    proxy.stall();
    const subscribing = connection.subscribe('c', () => undefined);
    connection.unsubscribe();
    await proxy.heal();
    await subscribing;
    await expect.poll(() => proxy.connections, patient).toBe(0);
  });

  test('what it was sent is not in its errors', async () => {
    const error: unknown = await connection
      .send(['NOSUCH', 'canary'])
      .catch((reason: unknown) => reason);
    expect(String(error)).toContain('ERR unknown command');
    expect(String(error)).not.toContain('canary');
  });

  test('a script is sent whole once', async () => {
    const script = luaScript(`return { KEYS[1], ARGV[1] } -- ${randomUUID()}`);
    for (let round = 0; round < 2; round += 1)
      expect(await connection.run(script, ['k'], ['a'])).toEqual(['k', 'a']);
    expect(await connection.send(['SCRIPT', 'EXISTS', script.sha1])).toEqual([1]);
  });

  test('closed, it connects no more', async () => {
    await ping();
    connection.close();
    await expect(ping()).rejects.toThrow(NotConnectedError);
    await expect.poll(() => proxy.connections).toBe(0);
  });
});
