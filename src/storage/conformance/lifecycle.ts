import assert from 'node:assert/strict';

import { type Case, refused } from './support.ts';

/** What holds from start to close, and of every error. */
export const lifeCases: readonly Case[] = [
  {
    id: 'close › twice is once, and later calls are refused',
    async run(storage) {
      await storage.put('a', 'x');
      await storage.close();
      await storage.close();
      await refused('failed-precondition', storage.get('a'));
      await refused('failed-precondition', storage.put('b', 'x'));
      assert.equal((await storage.checkHealth()).status, 'down');
    },
  },
  {
    id: 'start › twice is once, and health is ok after it',
    async run(storage) {
      await storage.start();
      await storage.start();
      assert.deepEqual(await storage.checkHealth(), { status: 'ok' });
    },
  },
  {
    id: 'errors › say component, adapter, operation and key',
    async run(storage) {
      const error = await refused('not-found', storage.get('some/key'));
      assert.deepEqual(
        [error.component, error.adapter, error.operation],
        ['storage', storage.adapter, 'get'],
      );
      assert.ok(error.message.includes('some/key'), error.message);
      assert.deepEqual([error.retryable, error.outcome], [false, 'not-applied']);
    },
  },
  {
    id: 'errors › of every method that needs the file say its key and what was asked',
    async run(storage) {
      await storage.put('there', 'x');
      for (const [operation, call] of [
        ['head', async () => await storage.head('some/key')],
        ['copy', async () => await storage.copy('some/key', 'there')],
        ['move', async () => await storage.move('some/key', 'there')],
      ] as const) {
        const error = await refused('not-found', call(), operation);
        assert.equal(error.operation, operation);
        assert.ok(error.message.includes('some/key'), error.message);
      }
    },
  },
];
