import assert from 'node:assert/strict';

import { InfrastructureError } from '../../core/index.ts';
import type { FileStorage } from '../storage.ts';
import {
  type Case,
  chunksOf,
  keysOf,
  large,
  noise,
  refused,
  textOf,
  sameBytes,
} from './support.ts';

const conditionRefused = async (storage: FileStorage): Promise<void> => {
  await refused('unimplemented', storage.put('a', 'x', { ifNoneMatch: '*' }));
  await refused('unimplemented', storage.put('a', 'x', { ifMatch: 'x' }));
  await refused('unimplemented', storage.copy('a', 'b', { ifNoneMatch: '*' }));
  await refused('unimplemented', storage.move('a', 'b', { ifNoneMatch: '*' }));
};

/** What conditional writes promise. */
export const conditionsCases: readonly Case[] = [
  {
    id: "conditions › ifNoneMatch '*' writes only where nothing is",
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('a', 'first', { ifNoneMatch: '*' });
      const error = await refused(
        'already-exists',
        storage.put('a', 'second', { ifNoneMatch: '*' }),
      );
      assert.equal(error.outcome, 'not-applied');
      assert.equal(await textOf(storage, 'a'), 'first');
      await storage.delete('a');
      await storage.put('a', 'third', { ifNoneMatch: '*' });
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › ifMatch writes only over the version it names',
    requires: ['conditionalWrites'],
    async run(storage) {
      const first = await storage.put('a', 'first');
      const second = await storage.put('a', 'second', { ifMatch: first.etag });
      await refused('failed-precondition', storage.put('a', 'third', { ifMatch: first.etag }));
      assert.equal(await textOf(storage, 'a'), 'second');
      await storage.put('a', 'third', { ifMatch: `"${second.etag}"` });
      await refused('failed-precondition', storage.put('nope', 'x', { ifMatch: second.etag }));
      assert.equal(await storage.exists('nope'), false);
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › ifMatch deletes only the version it names',
    requires: ['conditionalDeletes'],
    async run(storage) {
      const { etag } = await storage.put('a', 'first');
      await refused('failed-precondition', storage.delete('a', { ifMatch: 'other' }));
      await storage.delete('a', { ifMatch: etag });
      await refused('failed-precondition', storage.delete('a', { ifMatch: etag }));
    },
    async unsupported(storage) {
      const { etag } = await storage.put('a', 'first');
      await refused('unimplemented', storage.delete('a', { ifMatch: etag }));
      assert.equal(await storage.exists('a'), true);
    },
  },
  {
    id: "conditions › copy and move with ifNoneMatch '*' leave a target that is there, and the source",
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('a', 'new', { metadata: { x: '1' } });
      await storage.put('b', 'old');
      await refused('already-exists', storage.copy('a', 'b', { ifNoneMatch: '*' }));
      await refused('already-exists', storage.move('a', 'b', { ifNoneMatch: '*' }));
      assert.equal(await textOf(storage, 'b'), 'old');
      assert.deepEqual((await storage.head('a')).metadata, { x: '1' });
      await storage.move('a', 'c', { ifNoneMatch: '*' });
      assert.deepEqual(await keysOf(storage), ['b', 'c']);
      assert.deepEqual((await storage.head('c')).metadata, { x: '1' });
    },
    unsupported: conditionRefused,
  },
  {
    id: "conditions › of many writers with ifNoneMatch '*' one wins",
    requires: ['conditionalWrites'],
    async run(storage) {
      const results = await Promise.allSettled(
        Array.from(
          { length: 16 },
          async (_, index) =>
            await storage.put('a', chunksOf(noise(5000, index + 1), 999), { ifNoneMatch: '*' }),
        ),
      );
      const winners = results.flatMap((result, index) =>
        result.status === 'fulfilled' ? [index] : [],
      );
      assert.equal(winners.length, 1);
      sameBytes(await (await storage.get('a')).bytes(), noise(5000, (winners[0] ?? 0) + 1));
      for (const result of results)
        if (result.status === 'rejected')
          assert.equal((result.reason as InfrastructureError).code, 'already-exists');
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › of many writers with one ifMatch one wins',
    requires: ['conditionalWrites'],
    async run(storage) {
      const { etag } = await storage.put('a', 'start');
      const results = await Promise.allSettled(
        Array.from(
          { length: 16 },
          async (_, index) => await storage.put('a', `writer ${index}`, { ifMatch: etag }),
        ),
      );
      const winners = results.flatMap((result, index) =>
        result.status === 'fulfilled' ? [index] : [],
      );
      assert.equal(winners.length, 1);
      assert.equal(await textOf(storage, 'a'), `writer ${winners[0]}`);
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › a counter that is kept by ifMatch loses no step',
    requires: ['conditionalWrites'],
    async run(storage) {
      await storage.put('n', '0');
      const step = async (): Promise<void> => {
        // Twenty steps of four writers cannot fail more often than this, unless none ever succeeds.
        for (let attempt = 0; attempt < 200; attempt += 1) {
          const file = await storage.get('n');
          const next = String(Number(await file.text()) + 1);
          try {
            await storage.put('n', next, { ifMatch: file.info.etag });
            return;
          } catch (error) {
            if (!InfrastructureError.is(error, 'failed-precondition')) throw error;
          }
        }
      };
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          for (let index = 0; index < 5; index += 1) await step();
        }),
      );
      assert.equal(await textOf(storage, 'n'), '20');
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › both at once are refused',
    requires: ['conditionalWrites'],
    async run(storage) {
      await refused('invalid-argument', storage.put('a', 'x', { ifMatch: 'x', ifNoneMatch: '*' }));
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › hold for a large stream, which leaves what is there',
    requires: ['conditionalWrites'],
    async run(storage) {
      const bytes = noise(large + 1);
      const { etag } = await storage.put('a', 'old');
      await refused(
        'already-exists',
        storage.put('a', chunksOf(bytes, 1_000_000), { ifNoneMatch: '*' }),
      );
      await refused(
        'failed-precondition',
        storage.put('a', chunksOf(bytes, 1_000_000), { ifMatch: 'other' }),
      );
      assert.equal(await textOf(storage, 'a'), 'old');
      await storage.put('a', chunksOf(bytes, 1_000_000), { ifMatch: etag });
      sameBytes(await (await storage.get('a')).bytes(), bytes);
    },
    unsupported: conditionRefused,
  },
  {
    id: 'conditions › the etag of a file that was deleted names nothing that comes after it',
    requires: ['conditionalWrites'],
    async run(storage) {
      const { etag } = await storage.put('a', 'old');
      await storage.delete('a');
      await refused('failed-precondition', storage.put('a', 'x', { ifMatch: etag }));
      assert.equal(await storage.exists('a'), false);
      await storage.put('a', 'new');
      await refused('failed-precondition', storage.put('a', 'x', { ifMatch: etag }));
      assert.equal(await textOf(storage, 'a'), 'new');
    },
    unsupported: conditionRefused,
  },
  {
    id: "conditions › of many copies with ifNoneMatch '*' to one key one wins",
    requires: ['conditionalWrites'],
    async run(storage) {
      const sources = Array.from({ length: 8 }, (_, index) => `from/${index}`);
      for (const key of sources) await storage.put(key, key);
      const results = await Promise.allSettled(
        sources.map(async (key) => {
          await storage.copy(key, 'to', { ifNoneMatch: '*' });
          return key;
        }),
      );
      const winners = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      assert.equal(winners.length, 1);
      assert.equal(await textOf(storage, 'to'), winners[0]);
    },
    unsupported: conditionRefused,
  },
];
