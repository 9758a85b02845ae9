import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type Proxy, startProxy } from './proxy.ts';

let echo: Server;
let proxy: Proxy;

beforeEach(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  proxy = await startProxy(`redis://:secret@127.0.0.1:${address.port}`);
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  echo.close();
});

async function open(): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(proxy.url).port) });
  await once(socket, 'connect');
  return socket;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** What became of a connection: what it received until it ended, or the code of its error. */
async function outcome(socket: Socket): Promise<string> {
  return await text(socket).catch(codeOf);
}

describe('services › startProxy', () => {
  test('keeps all of the URL but its host and port', () => {
    expect(proxy.url).toMatch(/^redis:\/\/:secret@127\.0\.0\.1:\d+$/);
  });

  test('passes everything on in both directions, and the end of each', async () => {
    const sent = 'a'.repeat(300_000);
    const socket = await open();
    socket.end(sent);
    expect(await outcome(socket)).toBe(sent);
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test('cut resets what is open, and serves what comes after', async () => {
    const first = await open();
    await expect.poll(() => proxy.connections).toBe(1);
    const ended = outcome(first);
    proxy.cut();
    expect(await ended).toBe('ECONNRESET');
    const second = await open();
    second.end('again');
    expect(await outcome(second)).toBe('again');
  });

  test('refuse takes no connection, until it heals on the same port', async () => {
    await proxy.refuse();
    await expect(open()).rejects.toThrow('ECONNREFUSED');
    await proxy.heal();
    const socket = await open();
    socket.end('back');
    expect(await outcome(socket)).toBe('back');
  });

  test('cutAfter passes exactly that many bytes of that direction', async () => {
    proxy.cutAfter(3, 'answer');
    const socket = await open();
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    const ended = once(socket, 'close').catch(codeOf);
    socket.write('abcdef');
    expect(await ended).toBe('ECONNRESET');
    // A reset may overtake what was sent before it.
    expect('abc'.startsWith(received)).toBe(true);
  });

  test('stall holds bytes back without ending anything, and heal lets them through', async () => {
    const socket = await open();
    proxy.stall('answer');
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.write('held');
    await sleep(50);
    expect([received, socket.readyState]).toEqual(['', 'open']);
    await proxy.heal();
    await expect.poll(() => received).toBe('held');
    socket.destroy();
  });

  test('delay and throttle pass everything on, later', async () => {
    proxy.delay(20);
    proxy.throttle(1_000_000);
    const started = performance.now();
    const socket = await open();
    socket.end('x'.repeat(20_000));
    expect(await outcome(socket)).toHaveLength(20_000);
    // Two directions, two chunks each: at least the delays and the time for 20 kB, there and back.
    expect(performance.now() - started).toBeGreaterThanOrEqual(2 * (20 + 20) * 0.9);
  });
});
