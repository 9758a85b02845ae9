// Outside of `src`, since what is in there counts as the package's own code, and not as an application's.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type OperationEvent, subscribeToOperations } from '../../src/core/index.ts';
import { type SqliteDatabase, sqliteDatabase } from '../../src/database/sqlite/index.ts';

interface Schema {
  item: { id: number };
}

/** Where this is called, as a call site is told. */
function here(): string {
  const [, , line = ''] = (new Error('here').stack ?? '').split('\n');
  return `${fileURLToPath(import.meta.url)}:${/:(\d+):\d+\)?$/.exec(line)?.[1]}`;
}

describe('call sites › what holds a connection is told by the line of the application', () => {
  let folder: string;
  let database: SqliteDatabase<Schema>;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'underpin-call-sites-'));
    database = sqliteDatabase<Schema>({ file: path.join(folder, 'test.db'), leakAfter: 1 });
    await sql`create table item (id integer primary key)`.execute(database.query);
    await database.query
      .insertInto('item')
      .values([{ id: 1 }, { id: 2 }])
      .execute();
  });

  afterAll(async () => {
    await database.close();
    await rm(folder, { recursive: true });
  });

  /** The site of the leak that is told while it is held; `hold` gives where it began, and how it is ended. */
  async function siteOf(
    hold: () => Promise<{ readonly site: string; readonly end: () => Promise<unknown> }>,
  ): Promise<readonly [told: unknown, expected: string]> {
    const leaks: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => void (event.operation === 'leak' && leaks.push(event)),
    });
    const { site, end } = await hold();
    while (leaks.length === 0) await nextTurn();
    unsubscribe();
    await end();
    return [leaks[0]?.attributes['site'], site];
  }

  it('a transaction', async () => {
    const [told, expected] = await siteOf(async () => {
      await nextTurn();
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const [site, held] = [here(), database.transaction(async () => await released)];
      return {
        site,
        end: async () => {
          release();
          await held;
        },
      };
    });
    expect(told).toBe(expected);
  });

  it('a stream, by the first of its rows', async () => {
    const [told, expected] = await siteOf(async () => {
      const stream = database.query.selectFrom('item').selectAll().stream(1);
      const [site] = await Promise.all([here(), stream.next()]);
      return { site, end: async () => await stream.return?.() };
    });
    expect(told).toBe(expected);
  });

  it("a transaction of Kysely's own", async () => {
    const [told, expected] = await siteOf(async () => {
      const builder = database.query.startTransaction();
      let site = '';
      const transaction = await ((site = here()), builder.execute());
      return { site, end: async () => await transaction.rollback().execute() };
    });
    expect(told).toBe(expected);
  });
});
