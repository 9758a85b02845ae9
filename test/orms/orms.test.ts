import { AsyncLocalStorage } from 'node:async_hooks';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type OperationEvent, subscribeToOperations } from '../../src/core/index.ts';
import type { Database } from '../../src/database/index.ts';
import { type SqlRepository, sqlRepository } from '../../src/repositories/sql/index.ts';
import { orms, type OrmSession } from './orms.ts';
import { targets } from './targets.ts';

interface Note {
  id: number;
  title: string;
}

const undo = new RangeError('undo');

const pairs = targets.flatMap((target) => orms.map((orm) => ({ target, orm })));

describe.for(pairs)('orms › $orm.name on $target.adapter', ({ target, orm }) => {
  describe.skipIf(target.missing !== undefined)('rules', () => {
    let database: Database;
    let remove: () => Promise<void>;
    let notes: SqlRepository<Note, number>;
    let session: OrmSession;

    beforeEach(async () => {
      ({ database, remove } = await target.create());
      await database.query.schema
        .createTable('note')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('title', 'varchar(200)', (column) => column.notNull().unique())
        .execute();
      notes = sqlRepository<Note>({
        database,
        table: 'note',
        columns: { id: 'integer', title: 'text' },
      });
      session = orm.open(database);
    });

    afterEach(async () => {
      await remove();
    });

    const titles = async (): Promise<string[]> =>
      (await notes.find({}, { orderBy: { id: 'asc' } })).map(({ title }) => title);

    it('a write takes effect by itself outside of a transaction', async () => {
      await session.insert(1, 'one');
      expect(await titles()).toEqual(['one']);
    });

    it('a write by it and one by a repository commit together', async () => {
      await database.transaction(async () => {
        await notes.insert({ id: 1, title: 'one' });
        await session.insert(2, 'two');
      });
      expect(await session.titles()).toEqual(['one', 'two']);
    });

    it('a write by it and one by a repository roll back together', async () => {
      const failing = database.transaction(async () => {
        await notes.insert({ id: 1, title: 'one' });
        await session.insert(2, 'two');
        throw undo;
      });
      await expect(failing).rejects.toBe(undo);
      expect(await titles()).toEqual([]);
    });

    it('a write by it that fails undoes the one by a repository, and says why', async () => {
      const failing = database.transaction(async () => {
        await notes.insert({ id: 1, title: 'one' });
        await session.insert(2, 'one');
      });
      await expect(failing).rejects.toMatchObject({
        code: 'already-exists',
        component: 'database',
        details: { constraint: 'unique' },
      });
      expect(await titles()).toEqual([]);
    });

    it('a repository joins its own transaction', async () => {
      await session.transaction(async (inside) => {
        await inside.insert(1, 'one');
        await notes.insert({ id: 2, title: 'two' });
      });
      expect(await titles()).toEqual(['one', 'two']);
      const failing = session.transaction(async (inside) => {
        await notes.insert({ id: 3, title: 'three' });
        await inside.insert(4, 'four');
        throw undo;
      });
      await expect(failing).rejects.toBe(undo);
      expect(await titles()).toEqual(['one', 'two']);
    });

    it('its own transaction inside of another is a savepoint', async () => {
      await database.transaction(async () => {
        await session.insert(1, 'one');
        const failing = session.transaction(async (inside) => {
          await inside.insert(2, 'two');
          await notes.insert({ id: 3, title: 'three' });
          throw undo;
        });
        await expect(failing).rejects.toBe(undo);
        await session.transaction(async (inside) => {
          await inside.transaction(async (innermost) => await innermost.insert(4, 'four'));
        });
        await notes.insert({ id: 5, title: 'five' });
      });
      expect(await titles()).toEqual(['one', 'four', 'five']);
    });

    it('a transaction inside of its own is a savepoint, which its session joins', async () => {
      await session.transaction(async (inside) => {
        await inside.insert(1, 'one');
        const failing = database.transaction(async () => {
          await inside.insert(2, 'two');
          throw undo;
        });
        await expect(failing).rejects.toBe(undo);
      });
      expect(await titles()).toEqual(['one']);
    });

    it('a read inside sees what a repository wrote, and one outside does not', async () => {
      const outside = AsyncLocalStorage.snapshot();
      await database.transaction(async () => {
        await notes.insert({ id: 1, title: 'one' });
        expect(await session.titles()).toEqual(['one']);
        // On one connection it would wait for the end of the transaction.
        const others = database.capabilities.concurrentReads
          ? await outside(async () => await session.titles())
          : [];
        expect(others).toEqual([]);
      });
      expect(await session.titles()).toEqual(['one']);
    });

    it('whoever uses it after the end of the transaction is refused', async () => {
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      let late: Promise<void> | undefined;
      await database.transaction(async () => {
        late = ended.then(async () => await session.insert(1, 'late'));
      });
      end();
      await expect(late).rejects.toMatchObject({ code: 'failed-precondition' });
      expect(await titles()).toEqual([]);
    });

    it('what its own transaction handed out leads nowhere after the end', async () => {
      let kept: OrmSession | undefined;
      await session.transaction(async (inside) => {
        kept = inside;
      });
      const refused = { code: 'failed-precondition', component: 'database' };
      await expect(kept?.insert(1, 'late')).rejects.toMatchObject(refused);
      await database.transaction(async () => {
        await expect(kept?.titles()).rejects.toMatchObject(refused);
      });
      expect(await titles()).toEqual([]);
    });

    it('an abort ends the transaction with what it wrote', async () => {
      const controller = new AbortController();
      const aborted = database.transaction(
        async () => {
          await session.insert(1, 'one');
          controller.abort();
          await session.insert(2, 'two');
        },
        { signal: controller.signal },
      );
      await expect(aborted).rejects.toMatchObject({ code: 'cancelled' });
      expect(await titles()).toEqual([]);
    });

    it('each statement is an operation, with its text and without its values', async () => {
      const ended: OperationEvent[] = [];
      const unsubscribe = subscribeToOperations({ end: (event) => ended.push(event) });
      try {
        await database.transaction(async () => {
          await session.insert(1, 'secret-title');
          await session.rename(1, 'secret-rename');
        });
      } finally {
        unsubscribe();
      }
      const statements = ended
        .filter(({ operation }) => operation === 'query')
        .map(({ attributes }) => String(attributes['statement']));
      expect(statements.at(0)).toMatch(/^insert into/);
      expect(statements.at(-1)).toMatch(/^update/);
      expect(JSON.stringify(ended)).not.toMatch(/secret/);
    });

    // The other engines let only one of them write.
    it.skipIf(target.adapter !== 'postgres')(
      'a conflict that it runs into runs the transaction again',
      async () => {
        await session.insert(1, 'one');
        const outside = AsyncLocalStorage.snapshot();
        let attempts = 0;
        await database.transaction(async () => {
          attempts += 1;
          const [before] = await session.titles();
          if (attempts === 1) await outside(async () => await session.rename(1, 'two'));
          await session.rename(1, `${before}, again`);
        });
        expect(attempts).toBe(2);
        expect(await titles()).toEqual(['two, again']);
      },
    );
  });
});
