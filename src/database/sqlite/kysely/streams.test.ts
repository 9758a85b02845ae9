import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';

import { InfrastructureError } from '../../../core/index.ts';
import { type Gallery, openGallery } from '../../../../test/database/gallery.ts';

function names({ query }: Gallery) {
  return query.selectFrom('painter').select('name').orderBy('id');
}

const everybody = ['Alma', 'Boris', 'Cleo', 'Dora'];

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('kysely on sqlite › streams', () => {
  it.for([1, 2, 3, 4, 100])('in chunks of %i give every row once', async (chunkSize) => {
    await using gallery = await openGallery();
    const rows = await Array.fromAsync(names(gallery).stream(chunkSize));
    expect(rows.map(({ name }) => name)).toEqual(everybody);
  });

  it('of nothing end at once', async () => {
    await using gallery = await openGallery();
    const rows = await Array.fromAsync(names(gallery).where('id', '=', 9).stream());
    expect(rows).toEqual([]);
  });

  it('that are left early, or end by an error of their reader, let go of their connection', async () => {
    await using gallery = await openGallery();
    for await (const { name } of names(gallery).stream(1)) if (name === 'Boris') break;
    const reading = (async () => {
      for await (const { name } of names(gallery).stream(1))
        if (name === 'Cleo') throw new RangeError('mine');
    })();
    await expect(reading).rejects.toThrow(RangeError);
    await gallery.database.drain();
    expect(await names(gallery).execute()).toHaveLength(4);
  });

  it('that fail midway give the rows before, and then the error', async () => {
    await using gallery = await openGallery();
    // SQLite reads the number only when it comes to the row.
    const stream = gallery.query
      .selectFrom('painter')
      .select([
        'name',
        sql<number>`case id when 3 then abs(-9223372036854775807 - 1) else id end`.as('n'),
      ])
      .orderBy('id')
      .stream(1);
    const seen: string[] = [];
    const error = await failure(
      (async () => {
        for await (const { name } of stream) seen.push(name);
      })(),
    );
    expect(seen).toEqual(['Alma', 'Boris']);
    expect(InfrastructureError.is(error)).toBe(true);
    await gallery.database.drain();
  });

  it('of wrong SQL fail at the first row', async () => {
    await using gallery = await openGallery();
    const stream = gallery.query
      .selectFrom('painter')
      .select(sql`nothing`.as('n'))
      .stream();
    await expect(stream.next()).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('of rows that a write returns, which Kysely’s own driver refuses, write once and give them', async () => {
    await using gallery = await openGallery();
    const stream = gallery.query
      .updateTable('painter')
      .set(({ eb }) => ({ born: eb('born', '+', 1) }))
      .where('id', '<', 3)
      .returning('born')
      .stream(1);
    expect(await Array.fromAsync(stream)).toEqual([{ born: 1901 }, { born: 1911 }]);
  });

  it('in a transaction of Kysely’s see what it wrote, and end with it', async () => {
    await using gallery = await openGallery();
    const stream = await gallery.query.transaction().execute(async (transaction) => {
      await transaction.insertInto('painter').values({ name: 'Emil' }).execute();
      const inside = transaction.selectFrom('painter').select('name').orderBy('id');
      expect(await Array.fromAsync(inside.stream(2))).toHaveLength(5);
      const left = inside.stream(1);
      await left.next();
      await left.return?.();
      return inside.stream(1);
    });
    await expect(stream.next()).rejects.toThrow('Transaction is already committed');
  });

  it('two at once, with writes between, each see their own moment', async () => {
    await using gallery = await openGallery();
    const first = names(gallery).stream(1);
    expect((await first.next()).value).toEqual({ name: 'Alma' });
    await gallery.query.deleteFrom('painter').where('id', '>', 2).execute();
    const second = await Array.fromAsync(names(gallery).stream(1));
    expect(second).toHaveLength(2);
    expect(await Array.fromAsync(first)).toHaveLength(3);
  });
});
