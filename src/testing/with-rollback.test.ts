import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../test/services/databases.ts';
import { service } from '../../test/services/services.ts';
import type { Database } from '../database/index.ts';
import { postgresDatabase } from '../database/postgres/index.ts';
import { sqliteDatabase } from '../database/sqlite/index.ts';
import { withRollback } from './index.ts';

const { missing } = await service('postgres');

interface Schema {
  item: { id: number };
}

interface Engine {
  readonly name: string;
  readonly skip: boolean;
  readonly open: () => Promise<{ database: Database<Schema>; remove: () => Promise<void> }>;
}

const engines: readonly Engine[] = [
  {
    name: 'sqlite',
    skip: false,
    async open() {
      const folder = await mkdtemp(path.join(tmpdir(), 'underpin-rollback-'));
      const database = sqliteDatabase<Schema>({ file: path.join(folder, 'test.db') });
      return { database, remove: async () => await rm(folder, { recursive: true }) };
    },
  },
  {
    name: 'postgres',
    skip: missing !== undefined,
    async open() {
      const made: TestDatabase = await makePostgresDatabase();
      return { database: postgresDatabase<Schema>({ url: made.url }), remove: made.remove };
    },
  },
];

describe.for(engines)('withRollback › $name', ({ skip, open }) => {
  let database: Database<Schema>;
  let remove: () => Promise<void>;

  beforeEach(async ({ skip: skipTest }) => {
    skipTest(skip);
    ({ database, remove } = await open());
    await sql`create table item (id integer primary key)`.execute(database.query);
  });

  afterEach(async () => {
    if (skip) return;
    await database.close();
    await remove();
  });

  const insert = async (id: number): Promise<unknown> =>
    await database.query.insertInto('item').values({ id }).execute();
  const ids = async (): Promise<number[]> =>
    (await database.query.selectFrom('item').select('id').orderBy('id').execute()).map(
      ({ id }) => id,
    );

  it('gives what its function gives, and leaves nothing', async () => {
    const result = await withRollback(database, async () => {
      await insert(1);
      await database.transaction(async () => await insert(2));
      return await ids();
    });
    expect(result).toEqual([1, 2]);
    expect(await ids()).toEqual([]);
  });

  it('throws the error of its function unchanged, after one run', async () => {
    const mine = new RangeError('mine');
    let runs = 0;
    const failing = withRollback(database, async () => {
      runs += 1;
      await insert(1);
      throw mine;
    });
    await expect(failing).rejects.toBe(mine);
    expect([runs, await ids()]).toEqual([1, []]);
  });

  it('a transaction inside that fails undoes its own work, and the rest goes on', async () => {
    const seen = await withRollback(database, async () => {
      await insert(1);
      const failing = database.transaction(async () => {
        await insert(2);
        await insert(2);
      });
      await expect(failing).rejects.toMatchObject({ code: 'already-exists' });
      return await ids();
    });
    expect(seen).toEqual([1]);
  });

  it('what follows a transaction inside runs as if it were the outermost', async () => {
    const seen: string[] = [];
    await withRollback(database, async () => {
      await database.transaction(async () => {
        await database.afterCommit(async () => void seen.push(`committed ${String(await ids())}`));
        await database.transaction(
          async () => await database.afterCommit(() => void seen.push('nested')),
        );
        await insert(1);
        seen.push('work');
      });
      const failing = database.transaction(async () => {
        database.afterRollback(() => void seen.push('undone'));
        await database.afterCommit(() => void seen.push('never'));
        throw new RangeError('mine');
      });
      await expect(failing).rejects.toThrow('mine');
      await database.afterCommit(
        () => void seen.push('never, for the test itself commits nothing'),
      );
      seen.push('end');
    });
    expect(seen).toEqual(['work', 'committed 1', 'nested', 'undone', 'end']);
  });

  it('its propagation and its options are judged as where there is no test', async () => {
    await withRollback(database, async () => {
      const run = database.transaction.bind(database);
      const nothing = async (): Promise<void> => undefined;
      await expect(run(nothing, { propagation: 'mandatory' })).rejects.toMatchObject({
        code: 'failed-precondition',
      });
      await run(async () => await insert(1), { propagation: 'requires-new' });
      await run(async () => await insert(2), { propagation: 'never' });
      await run(async () => void (await ids()), { readOnly: true, isolation: 'serializable' });
      await run(async () => {
        for (const propagation of ['requires-new', 'not-supported'] as const)
          await expect(run(nothing, { propagation })).rejects.toMatchObject({
            code: 'unimplemented',
          });
      });
    });
    expect(await ids()).toEqual([]);
  });
});
