import { randomBytes } from 'node:crypto';

import type { ServerDefinition } from './definition.ts';
import { exchange, firstThatRuns, onPath } from './processes.ts';

/** Redis, with a password, and with an append-only file: what it has answered survives the end of its process. */
export const redis: ServerDefinition = {
  variable: 'REDIS_URL',
  packages: ['redis-server'],
  // It refuses a client without a password, or knows it.
  answers: async (address) => await exchange(address, 'PING\r\n', '\r\n'),
  locate: async () => await firstThatRuns(onPath(['redis-server'])),
  forApplication: async (address) => ({ CACHE_URL: address, QUEUE_URL: address }),

  async prepare({ folder, binary, freePort, spawn }) {
    const port = await freePort();
    const password = randomBytes(12).toString('hex');
    const address = `redis://:${password}@127.0.0.1:${port}`;
    return {
      address,
      launch() {
        const flags = {
          '--bind': '127.0.0.1',
          '--port': String(port),
          '--requirepass': password,
          '--dir': folder,
          '--save': '',
          '--appendonly': 'yes',
        };
        spawn(binary, Object.entries(flags).flat());
      },
      isReady: async () =>
        await exchange(address, `AUTH ${password}\r\nPING\r\n`, '+OK\r\n+PONG\r\n'),
    };
  },
};
