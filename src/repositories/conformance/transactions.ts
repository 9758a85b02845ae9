import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';

import { type Case, ids, rejectsWith, sample, type Sample } from './support.ts';

export const transactionsCases: readonly Case[] = [
  {
    id: 'transaction › what was written in one that fails is undone',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction, 'a subject of an adapter with transactions must have `transaction`');
      await repository.insert(sample('a'));
      await assert.rejects(
        transaction(async () => {
          await repository.insert(sample('b'));
          await repository.insertMany([sample('c'), sample('d')]);
          await repository.save(sample('a', { rank: 1 }));
          await repository.deleteWhere({ id: 'a' });
          throw new Error('on purpose');
        }),
        /on purpose/,
      );
      assert.deepEqual(await repository.find(), [sample('a')]);
    },
    unsupported: async ({ repository, transaction }) => {
      assert.equal(
        transaction,
        undefined,
        'an adapter without transactions must not seem to have them',
      );
      const work = (async (): Promise<void> => {
        await repository.insert(sample('a'));
        throw new Error('on purpose');
      })();
      await assert.rejects(work, /on purpose/);
      assert.equal(
        await repository.count(),
        1,
        'without transactions every call takes effect by itself',
      );
    },
  },
  {
    id: 'transaction › its own reads see its writes, others do not before the commit',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      let release = (): void => undefined;

      const looked = new Promise<void>((resolve) => (release = resolve));
      let entered = (): void => undefined;
      const open = new Promise<void>((resolve) => (entered = resolve));
      const done = transaction(async () => {
        await repository.insert(sample('a'));
        assert.equal(await repository.count(), 1);
        assert.equal((await repository.findById('a'))?.id, 'a');
        entered();
        await looked;
      });
      await Promise.race([open, done]);
      const outside = repository.count();
      // An engine with one connection makes the outsider wait for the end; it may then see the commit.
      const early = await Promise.race([
        outside,
        new Promise<'waits'>((resolve) => void setImmediate(() => resolve('waits'))),
      ]);
      release();
      await done;
      assert.ok(early === 0 || early === 'waits', `an outsider saw ${early}`);
      await outside;
      assert.equal(await repository.count(), 1);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      assert.equal(await repository.count(), 1);
    },
  },
  {
    id: 'transaction › a call that fails inside of one leaves the rest of it usable',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      await transaction(async () => {
        await repository.insert(sample('a', { code: 'taken' }));
        await rejectsWith(repository.insertMany([sample('b'), sample('a')]), 'already-exists');
        await rejectsWith(repository.insert(sample('a')), 'already-exists');
        await rejectsWith(repository.save(sample('b', { code: 'taken' })), 'already-exists');
        await repository.insert(sample('c'));
        await rejectsWith(repository.update(sample('c', { code: 'taken' })), 'already-exists');
      });
      assert.deepEqual(ids(await repository.find()), ['a', 'c']);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      await rejectsWith(repository.insertMany([sample('b'), sample('a')]), 'already-exists');
      assert.deepEqual(ids(await repository.find()), ['a']);
    },
  },
  {
    id: 'transaction › reads of one tick inside and outside of it are not mixed',
    requires: ['transactions'],
    run: async ({ repository, transaction }) => {
      assert.ok(transaction);
      const outOfIt = AsyncLocalStorage.snapshot();
      let outside: Promise<Sample | undefined> | undefined;
      await assert.rejects(
        transaction(async () => {
          await repository.insert(sample('a'));
          outside = outOfIt(async () => repository.findById('a'));
          const found = await Promise.all([
            repository.findById('a'),
            repository.findById('a'),
            repository.getById('a'),
          ]);
          assert.deepEqual(
            found.map((entity) => entity?.id),
            ['a', 'a', 'a'],
          );
          throw new Error('on purpose');
        }),
        /on purpose/,
      );
      assert.equal(await outside, undefined);
    },
    unsupported: async ({ repository }) => {
      await repository.insert(sample('a'));
      assert.equal((await repository.findById('a'))?.id, 'a');
    },
  },
];
