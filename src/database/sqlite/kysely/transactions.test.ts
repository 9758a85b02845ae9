import { Transaction } from 'kysely';
import { describe, expect, it } from 'vitest';

import { type Gallery, openGallery } from '../../../../test/database/gallery.ts';

const emil = { name: 'Emil', born: 1950, mentor_id: null };
const fay = { name: 'Fay', born: 1960, mentor_id: null };

async function added({ query }: Pick<Gallery, 'query'>): Promise<string[]> {
  const rows = await query.selectFrom('painter').select('name').where('id', '>', 4).execute();
  return rows.map(({ name }) => name).toSorted();
}

describe('kysely on sqlite › transactions', () => {
  it('commit, and give what their function gives', async () => {
    await using gallery = await openGallery();
    const value = await gallery.query.transaction().execute(async (transaction) => {
      expect(transaction.isTransaction).toBe(true);
      expect(transaction).toBeInstanceOf(Transaction);
      await transaction.insertInto('painter').values(emil).execute();
      expect(await added({ query: transaction })).toEqual(['Emil']);
      expect(await added(gallery)).toEqual([]);
      return 'value';
    });
    expect(value).toBe('value');
    expect(gallery.query.isTransaction).toBe(false);
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('roll back by an error, and throw that very error', async () => {
    await using gallery = await openGallery();
    const mine = new RangeError('mine');
    const undone = gallery.query.transaction().execute(async (transaction) => {
      await transaction.insertInto('painter').values(emil).execute();
      throw mine;
    });
    await expect(undone).rejects.toBe(mine);
    expect(await added(gallery)).toEqual([]);
  });

  it('that cannot commit throw why, and not that there is nothing to roll back', async () => {
    await using gallery = await openGallery();
    const failing = gallery.query.transaction().execute(async (transaction) => {
      // Its foreign key is checked at the commit.
      await transaction.insertInto('painting').values({ title: 'X', painter_id: 99 }).execute();
    });
    await expect(failing).rejects.toMatchObject({
      code: 'failed-precondition',
      details: { constraint: 'foreign-key' },
    });
    expect(await gallery.query.selectFrom('painting').select('id').execute()).toHaveLength(4);
    await gallery.query.insertInto('painter').values(emil).execute();
  });

  it('are of one writer: the next begins when the one before has ended', async () => {
    await using gallery = await openGallery();
    const order: string[] = [];
    await Promise.all(
      ['a', 'b'].map(async (name) => {
        await gallery.query.transaction().execute(async (transaction) => {
          order.push(`${name} begins`);
          await transaction
            .insertInto('painter')
            .values({ ...emil, name })
            .execute();
          order.push(`${name} ends`);
        });
      }),
    );
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it.for([
    'read uncommitted',
    'read committed',
    'repeatable read',
    'snapshot',
    'serializable',
  ] as const)('at %s work, and keep more apart than that', async (level) => {
    await using gallery = await openGallery();
    await gallery.query
      .transaction()
      .setIsolationLevel(level)
      .execute(async (transaction) => {
        await transaction.insertInto('painter').values(emil).execute();
        expect(await added(gallery)).toEqual([]);
      });
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('whoever uses one after its end is refused by Kysely itself', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.transaction().execute(async (handle) => handle);
    await expect(
      (async () => await transaction.selectFrom('painter').selectAll().execute())(),
    ).rejects.toThrow('Transaction is already committed');
  });

  it('do not take in what is run on the instance itself, unless they are the Database’s', async () => {
    await using gallery = await openGallery();
    const undone = gallery.query.transaction().execute(async () => {
      // In SQLite it would wait for the writer that its own transaction holds.
      expect(gallery.database.inTransaction).toBe(false);
      throw new RangeError('undo');
    });
    await expect(undone).rejects.toThrow(RangeError);
  });

  it.for(['commit', 'roll back'])(
    'never run outside a branch that nobody awaited, while they %s',
    async (end) => {
      await using gallery = await openGallery();
      const branches: Promise<unknown>[] = [];
      const undone = gallery.query.transaction().execute(async (transaction) => {
        const insert = transaction.insertInto('painter');
        for (let turns = 0; turns < 20; turns += 1)
          branches.push(
            (async () => {
              for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
              await insert.values({ ...emil, name: `late ${turns}` }).execute();
            })(),
          );
        if (end === 'roll back') throw new RangeError('undo');
      });
      await Promise.allSettled([undone]);
      const atTheEnd = await added(gallery);
      const results = await Promise.allSettled(branches);
      const done = results.filter(({ status }) => status === 'fulfilled');
      expect(atTheEnd).toHaveLength(end === 'commit' ? done.length : 0);
      expect(await added(gallery)).toEqual(atTheEnd);
    },
  );

  it('of Kysely inside of one of the Database are nested in it', async () => {
    await using gallery = await openGallery();
    await gallery.database.transaction(async () => {
      await gallery.query.insertInto('painter').values(emil).execute();
      const inner = gallery.query.transaction().execute(async (transaction) => {
        await transaction.insertInto('painter').values(fay).execute();
        throw new RangeError('undo');
      });
      await expect(inner).rejects.toThrow(RangeError);
    });
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('cannot be nested by Kysely’s own means, which says so', async () => {
    await using gallery = await openGallery();
    await gallery.query.transaction().execute(async (transaction) => {
      expect(() => (transaction as unknown as typeof gallery.query).transaction()).toThrow(
        'not supported',
      );
      expect(() => (transaction as unknown as typeof gallery.query).connection()).toThrow(
        'not supported',
      );
    });
  });
});

describe('kysely on sqlite › controlled transactions', () => {
  it('commit when told to', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    expect(await added(gallery)).toEqual([]);
    expect([transaction.isCommitted, transaction.isRolledBack]).toEqual([false, false]);
    await transaction.commit().execute();
    expect(transaction.isCommitted).toBe(true);
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('roll back when told to', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    await transaction.rollback().execute();
    expect(transaction.isRolledBack).toBe(true);
    expect(await added(gallery)).toEqual([]);
    await gallery.database.drain();
  });

  it('that have ended refuse every further use, with Kysely’s own words', async () => {
    await using gallery = await openGallery();
    const committed = await gallery.query.startTransaction().execute();
    await committed.commit().execute();
    const rolledBack = await gallery.query.startTransaction().execute();
    await rolledBack.rollback().execute();
    for (const [transaction, message] of [
      [committed, 'Transaction is already committed'],
      [rolledBack, 'Transaction is already rolled back'],
    ] as const) {
      const uses = [
        async () => await transaction.selectFrom('painter').selectAll().execute(),
        async () => await transaction.commit().execute(),
        async () => await transaction.rollback().execute(),
        async () => await transaction.savepoint('late').execute(),
        async () => await transaction.withoutPlugins().insertInto('painter').values(emil).execute(),
      ];
      for (const use of uses) await expect(use()).rejects.toThrow(message);
    }
    expect(await added(gallery)).toEqual([]);
  });

  it('go back to savepoints, again and again, and release them', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    const after = await transaction.savepoint('after_emil').execute();
    for (const name of ['x', 'y']) {
      await after
        .insertInto('painter')
        .values({ ...fay, name })
        .execute();
      await after.rollbackToSavepoint('after_emil').execute();
    }
    await after.insertInto('painter').values(fay).execute();
    await after.releaseSavepoint('after_emil').execute();
    await transaction.commit().execute();
    expect(await added(gallery)).toEqual(['Emil', 'Fay']);
  });

  it('go back past inner savepoints, which end with it', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    const outer = await transaction.savepoint('outer').execute();
    await outer.insertInto('painter').values(emil).execute();
    const inner = await outer.savepoint('inner').execute();
    await inner.insertInto('painter').values(fay).execute();
    await inner.rollbackToSavepoint('outer').execute();
    await expect(inner.releaseSavepoint('inner').execute()).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('"inner"'),
    });
    await transaction.commit().execute();
    expect(await added(gallery)).toEqual([]);
  });

  it('of two savepoints with one name, go back to the later', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    const first = await transaction.savepoint('here').execute();
    await first.insertInto('painter').values(emil).execute();
    const second = await first.savepoint('here').execute();
    await second.insertInto('painter').values(fay).execute();
    await second.rollbackToSavepoint('here').execute();
    await transaction.commit().execute();
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('a savepoint that is not there is refused, and the transaction goes on', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    // A caller without types gives it.
    const nowhere = 'nowhere' as never;
    await expect(transaction.rollbackToSavepoint(nowhere).execute()).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await transaction.commit().execute();
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('that cannot commit say why, have rolled back, and can be told to roll back', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painting').values({ title: 'X', painter_id: 99 }).execute();
    await expect(transaction.commit().execute()).rejects.toMatchObject({
      code: 'failed-precondition',
      details: { constraint: 'foreign-key' },
    });
    // What is still run on it must not take effect by itself.
    await expect(transaction.insertInto('painter').values(fay).execute()).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await transaction.rollback().execute();
    await gallery.query.insertInto('painter').values(emil).execute();
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('a failed statement leaves the rest of it', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    await expect(transaction.insertInto('painter').values(emil).execute()).rejects.toMatchObject({
      code: 'already-exists',
    });
    await transaction.commit().execute();
    expect(await added(gallery)).toEqual(['Emil']);
  });

  it('one that is still open when the database is closed is refused, and nothing of it stays', async () => {
    await using gallery = await openGallery();
    const transaction = await gallery.query.startTransaction().execute();
    await transaction.insertInto('painter').values(emil).execute();
    await gallery.database.close();
    await expect(transaction.commit().execute()).rejects.toMatchObject({
      component: 'database',
      code: 'failed-precondition',
    });
  });
});

describe('kysely on sqlite › connections', () => {
  it('connection() runs its function; statements go where each belongs, and not all to one connection', async () => {
    await using gallery = await openGallery();
    const value = await gallery.query.connection().execute(async (query) => {
      await query.insertInto('painter').values(emil).execute();
      await query.transaction().execute(async (transaction) => {
        await transaction.insertInto('painter').values(fay).execute();
      });
      const undone = query.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('painter').where('id', '>', 4).execute();
        throw new RangeError('undo');
      });
      await expect(undone).rejects.toThrow(RangeError);
      await query.updateTable('painter').set({ name: 'Gus' }).where('name', '=', 'Fay').execute();
      return await added({ query });
    });
    expect(value).toEqual(['Emil', 'Gus']);
  });

  it('destroy() is refused, where Kysely’s own would close what it does not own', async () => {
    await using gallery = await openGallery();
    const refusal = { code: 'failed-precondition', message: expect.stringContaining('close') };
    await expect(gallery.query.destroy()).rejects.toMatchObject(refusal);
    await expect(gallery.query.withoutPlugins()[Symbol.asyncDispose]()).rejects.toMatchObject(
      refusal,
    );
    expect(await added(gallery)).toEqual([]);
  });
});
