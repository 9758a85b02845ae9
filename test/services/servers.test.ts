import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';

import { exchange } from './processes.ts';
import { type PrivateServer, sharedServer, startServer } from './servers.ts';
import { service } from './services.ts';

const redis = await service('redis');

/** Whether it answers; a stopped one does not. */
async function answers({ url }: Pick<PrivateServer, 'url'>): Promise<boolean> {
  const { password } = new URL(url);
  return await exchange(url, `AUTH ${password}\r\nPING\r\n`, '+PONG');
}

/** What it answers to commands. */
async function ask({ url }: Pick<PrivateServer, 'url'>, ...commands: string[]): Promise<string> {
  const { port, password } = new URL(url);
  const socket = connect({ host: '127.0.0.1', port: Number(port) });
  socket.end([`AUTH ${password}`, ...commands, 'QUIT', ''].join('\r\n'));
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  await once(socket, 'close');
  return answer;
}

describe.skipIf(redis.missing)('services › startServer', () => {
  test('a killed server refuses, and a restarted one is at its address with its data', async () => {
    await using server = await startServer('redis');
    await ask(server, 'SET kept yes');
    await server.kill();
    expect(await answers(server)).toBe(false);
    await server.restart();
    expect(await ask(server, 'GET kept')).toContain('yes');
  });

  test('a paused server keeps its connections and answers nothing until it is resumed', async () => {
    await using server = await startServer('redis');
    await server.pause();
    const answer = ask(server, 'PING');
    expect(await answers(server)).toBe(false);
    await server.resume();
    expect(await answer).toContain('+PONG');
  });

  test('healing undoes a kill and a pause, and leaves alone a server that serves', async () => {
    await using server = await startServer('redis');
    const started = async (): Promise<string | undefined> =>
      /run_id:(\w+)/.exec(await ask(server, 'INFO server'))?.[1];
    const first = await started();
    await server.heal();
    await server.pause();
    await server.heal();
    expect(await started()).toBe(first);
    await server.pause();
    await server.kill();
    await server.heal();
    expect(await started()).toMatch(/./);
    expect(await started()).not.toBe(first);
  });

  test('each is another one, and ends when it is disposed of', async () => {
    const one = await startServer('redis');
    await using other = await startServer('redis');
    expect(one.url).not.toBe(other.url);
    await one[Symbol.asyncDispose]();
    expect([await answers(one), await answers(other)]).toEqual([false, true]);
  });
});

describe.skipIf(redis.missing)('services › sharedServer', () => {
  test('whoever asks gets the same one', async () => {
    const [one, other] = [await sharedServer('redis'), await sharedServer('redis')];
    expect(one).toEqual(other);
    expect(await exchange(one.url, 'PING\r\n', '\r\n')).toBe(true);
  });
});
