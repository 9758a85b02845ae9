import {
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';

import * as fc from 'fast-check';
import { type Generated, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { failureOf } from '../../../test/support/failure.ts';
import { fakeClock } from '../../core/index.ts';
import { sqliteDatabase, type SqliteDatabase, type SqliteDatabaseOptions } from './index.ts';

interface Schema {
  item: { id: Generated<number | bigint>; name: string | number; extra: unknown };
}

let folder: string;
let file: string;
const opened: { close(): unknown }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-sqlite-'));
  file = path.join(folder, 'app.db');
});

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
  await rm(folder, { recursive: true });
});

function open(options: Partial<SqliteDatabaseOptions> = {}): SqliteDatabase<Schema> {
  const database = sqliteDatabase<Schema>({ file, ...options });
  opened.push(database);
  return database;
}

/** Another process, as far as SQLite's locks go. */
function openRaw(): DatabaseSync {
  const raw = new DatabaseSync(file);
  opened.push({ close: () => raw.isOpen && raw.close() });
  return raw;
}

async function openWithItems(
  options: Partial<SqliteDatabaseOptions> = {},
): Promise<SqliteDatabase<Schema>> {
  const database = open(options);
  await sql`create table item (id integer primary key, name text not null, extra)`.execute(
    database.query,
  );
  return database;
}

const add = async ({ query }: SqliteDatabase<Schema>, name: string): Promise<unknown> =>
  await query.insertInto('item').values({ name, extra: null }).execute();

const names = async ({ query }: SqliteDatabase<Schema>): Promise<unknown[]> =>
  (await query.selectFrom('item').select('name').orderBy('id').execute()).map(({ name }) => name);

describe('sqlite › the file', () => {
  it('is made with its folders, in WAL mode, with foreign keys on', async () => {
    file = path.join(folder, 'a', 'b', 'app.db');
    const { writer } = await open()
      .start()
      .then(() => (opened.at(-1) as SqliteDatabase).native);
    expect(writer.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(writer.prepare('pragma foreign_keys').get()).toEqual({ foreign_keys: 1 });
    expect(writer.prepare('pragma synchronous').get()).toEqual({ synchronous: 1 });
  });

  it('is synced at every commit when asked to', async () => {
    const database = open({ synchronous: 'full' });
    await database.start();
    expect(database.native.writer.prepare('pragma synchronous').get()).toEqual({ synchronous: 2 });
  });

  it('keeps what was committed, and is one file once closed', async () => {
    const database = await openWithItems();
    await add(database, 'kept');
    await database.close();
    await expect(stat(`${file}-wal`)).rejects.toThrow('ENOENT');
    expect(await names(open())).toEqual(['kept']);
  });

  it('is not touched before the first use', async () => {
    open();
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });

  it.for([
    ['', 'invalid-argument'],
    ['a\0b', 'invalid-argument'],
    ['file:app.db?mode=memory', 'invalid-argument'],
    ['sqlite:app.db', 'invalid-argument'],
    ['postgres://user:canary@host/db', 'invalid-argument'],
  ] as const)('%j is refused', ([name, code]) => {
    expect(() => sqliteDatabase({ file: name })).toThrow(expect.objectContaining({ code }));
  });

  it.each([0.25, '30d'] as const)('opens with a wait of %s', async (waitTimeout) => {
    const database = await openWithItems({ waitTimeout });
    expect(await database.query.selectFrom('item').selectAll().execute()).toEqual([]);
  });

  it('a URL that is refused is not told, for it may hold a password', () => {
    expect(() => sqliteDatabase({ file: 'mysql://user:canary@host/db' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('canary') }),
    );
  });

  it('an unknown synchronous mode is refused', () => {
    // As from an environment variable.
    const synchronous = 'off; drop table item' as 'normal';
    expect(() => sqliteDatabase({ file, synchronous })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    );
  });
});

describe('sqlite › what cannot be opened says what to do, and is left as it was', () => {
  it('a file that is no database', async () => {
    const text = 'a diary, not a database\n'.repeat(500);
    await writeFile(file, text);
    const error = await failureOf(open().start());
    expect(error).toMatchObject({ code: 'data-loss', outcome: 'not-applied' });
    expect(error.message).toContain(file);
    expect(error.message).toContain('not an SQLite database');
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  it('a database that was cut off', async () => {
    const database = await openWithItems();
    await database.transaction(async () => {
      for (let id = 0; id < 500; id += 1) await add(database, 'x'.repeat(200));
    });
    await database.close();
    await truncate(file, 8192);
    const before = await readFile(file);
    const error = await failureOf(names(open()));
    expect(error).toMatchObject({ code: 'data-loss', retryable: false });
    expect(error.message).toMatch(/damaged/);
    await opened.pop()?.close();
    expect(await readFile(file)).toEqual(before);
  });

  it('a folder', async () => {
    await mkdir(file);
    const error = await failureOf(open().start());
    expect(error.code).toBe('permission-denied');
    expect(error.message).toContain('must be a file');
  });

  it('a file below something that is no folder', async () => {
    await writeFile(path.join(folder, 'occupied'), '');
    file = path.join(folder, 'occupied', 'app.db');
    const error = await failureOf(open().start());
    expect(error.code).toBe('permission-denied');
    expect(error.message).toMatch(/folder of .* cannot be made/);
  });

  it('can be opened again once the cause is gone', async () => {
    await mkdir(file);
    const database = open();
    await failureOf(database.start());
    await rm(file, { recursive: true });
    await sql`create table item (id integer primary key, name text, extra)`.execute(database.query);
    expect(await names(database)).toEqual([]);
  });
});

describe('sqlite › a full disk', () => {
  // A limit on the file's pages fails in the same way and place as the file system.
  async function openFull(): Promise<SqliteDatabase<Schema>> {
    const database = await openWithItems();
    await add(database, 'kept');
    await sql`pragma max_page_count = 4`.execute(database.query);
    return database;
  }

  it('fails the statement, keeps what was committed, and goes on once there is space', async () => {
    const database = await openFull();
    const error = await failureOf(add(database, 'x'.repeat(100_000)));
    expect(error).toMatchObject({
      code: 'resource-exhausted',
      retryable: false,
      outcome: 'not-applied',
    });
    expect(error.message).toContain('free some space');
    expect(await names(database)).toEqual(['kept']);
    await sql`pragma max_page_count = 100000`.execute(database.query);
    await add(database, 'later');
    expect(await names(database)).toEqual(['kept', 'later']);
  });

  it('undoes the whole transaction, whatever its function makes of the error', async () => {
    const database = await openFull();
    const transaction = database.transaction(async () => {
      await add(database, 'before');
      await failureOf(add(database, 'x'.repeat(100_000)));
      // SQLite has ended the transaction: this must not take effect by itself.
      await failureOf(add(database, 'after'));
    });
    await failureOf(transaction);
    expect(await names(database)).toEqual(['kept']);
  });
});

describe('sqlite › locks', () => {
  it('a writer of another process is waited for without blocking', async () => {
    const database = await openWithItems();
    const other = openRaw();
    other.exec('begin immediate');
    const adding = add(database, 'mine');
    let turns = 0;
    while (turns < 20) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
    other.exec("insert into item (name) values ('theirs'); commit");
    await adding;
    expect(await names(database)).toEqual(['theirs', 'mine']);
  });

  it('readers go on while another process writes', async () => {
    const database = await openWithItems();
    openRaw().exec("begin immediate; insert into item (name) values ('theirs')");
    expect(await names(database)).toEqual([]);
  });

  it('the wait for another process ends', async () => {
    const clock = fakeClock();
    const database = await openWithItems({ clock, waitTimeout: 100 });
    openRaw().exec('begin immediate');
    const adding = failureOf(add(database, 'mine'));
    const beginning = failureOf(database.transaction(async () => undefined));
    // Two waits, one after the other, each with a sleep of at most 25 ms at a time.
    for (let step = 0; step < 20; step += 1) await clock.advance(25);
    expect(await adding).toMatchObject({
      code: 'unavailable',
      retryable: true,
      outcome: 'not-applied',
    });
    await beginning;
    opened.pop()?.close();
    await add(database, 'later');
    expect(await names(database)).toEqual(['later']);
  });

  it('the wait for the open transaction ends, and says how many wait', async () => {
    const database = await openWithItems({ waitTimeout: 5 });
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const outside = begun.then(async () => await failureOf(add(database, 'mine')));
    await database.transaction(async () => {
      begin();
      expect(await outside).toMatchObject({
        code: 'resource-exhausted',
        outcome: 'not-applied',
        details: { waiting: 1 },
      });
    });
    await add(database, 'later');
    expect(await names(database)).toEqual(['later']);
  });

  it('there are sixteen streams at once, and the next waits its time', async () => {
    const database = await openWithItems({ waitTimeout: 5 });
    await database.transaction(async () => {
      await add(database, 'a');
      await add(database, 'b');
    });
    const streams = Array.from({ length: 17 }, () =>
      database.query.selectFrom('item').select('name').stream(1),
    );
    for (const stream of streams.slice(0, 16)) await stream.next();
    expect((await failureOf(streams[16]?.next() ?? Promise.resolve())).code).toBe(
      'resource-exhausted',
    );
    await streams[0]?.return?.();
    const stream = database.query.selectFrom('item').select('name').stream(1);
    expect(await stream.next()).toEqual({ done: false, value: { name: 'a' } });
  });
});

describe('sqlite › read-only transactions', () => {
  it('hold no write lock, and neither wait for a writer of another process nor keep it waiting', async () => {
    const database = await openWithItems();
    await add(database, 'a');
    const other = openRaw();
    other.exec('begin immediate');
    await database.transaction(
      async () => {
        expect(await names(database)).toEqual(['a']);
        other.exec(`insert into item (name) values ('b'); commit`);
        expect(await names(database)).toEqual(['a']);
      },
      { readOnly: true },
    );
    expect(await names(database)).toEqual(['a', 'b']);
  });

  it('leave a connection that may write again, however they end, also in memory', async () => {
    file = ':memory:';
    const database = await openWithItems();
    const reading = { readOnly: true } as const;
    const ends: readonly (() => Promise<unknown>)[] = [
      async () => await names(database),
      async () => await add(database, 'refused'),
      async () => await database.transaction(async () => await add(database, 'refused')),
      async () => await sql`commit`.execute(database.query),
      async () => await Promise.reject(new RangeError('mine')),
    ];
    for (const end of ends) {
      await database.transaction(end, reading).catch(() => undefined);
      await add(database, 'a');
    }
    expect(await names(database)).toEqual(ends.map(() => 'a'));
  });
});

describe('sqlite › an attached file', () => {
  it('that another has locked runs the transaction again, up to its retries', async () => {
    const clock = fakeClock();
    const database = await openWithItems({ clock });
    const attached = path.join(folder, 'other.db');
    const other = new DatabaseSync(attached);
    opened.push({ close: () => other.close() });
    other.exec('pragma journal_mode = wal; create table part (id integer); begin immediate');
    let runs = 0;
    const transaction = database.transaction(async () => {
      runs += 1;
      await add(database, `run ${runs}`);
      // A transaction locks from its beginning what is attached by then.
      if (runs === 1) await sql`attach ${attached} as other`.execute(database.query);
      await sql`insert into other.part values (${runs})`.execute(database.query);
    });
    while (clock.sleepers === 0) await nextTurn();
    other.exec('commit');
    await clock.advance(1000);
    await transaction;
    expect([runs, await names(database)]).toEqual([2, ['run 2']]);
  });
});

describe('sqlite › values', () => {
  it('whatever is stored comes back the same', async () => {
    const database = await openWithItems();
    const stored = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
      fc.uint8Array(),
      fc.constant(null),
    );
    await fc.assert(
      fc.asyncProperty(stored, async (value) => {
        const { rows } = await sql<{ value: unknown }>`select ${value} as value`.execute(
          database.query,
        );
        const isSafe =
          typeof value === 'bigint' &&
          value >= Number.MIN_SAFE_INTEGER &&
          value <= Number.MAX_SAFE_INTEGER;
        expect(rows).toEqual([{ value: isSafe ? Number(value) : value }]);
      }),
    );
  });

  describe('text that another program stored as something else than UTF-8', () => {
    async function withWrongText(): Promise<SqliteDatabase<Schema>> {
      const database = await openWithItems();
      await add(database, 'right \ufffd');
      openRaw().exec(`insert into item (name, extra) values (cast(x'ff41' as text), 'x')`);
      return database;
    }

    const refusal = {
      code: 'data-loss',
      outcome: 'not-applied',
      details: { columns: ['name'] },
    };

    it('is refused, by a read, a stream, in slices and in a transaction', async () => {
      const database = await withWrongText();
      const all = database.query.selectFrom('item').select(['id', 'name']).orderBy('id');
      const reads = [
        async () => await all.execute(),
        async () => await all.execute({ signal: new AbortController().signal }),
        async () => await Array.fromAsync(all.stream(1)),
        async () => await database.transaction(async () => await all.execute()),
        async () =>
          await sql`select name from item where id = ${2}; -- why`.execute(database.query),
        async () =>
          await sql`with x as (select * from item) select * from x`.execute(database.query),
      ];
      for (const read of reads) expect(await failureOf(read())).toMatchObject(refusal);
    });

    it('can be read as bytes, and what is beside it as ever', async () => {
      const database = await withWrongText();
      const { rows } =
        await sql`select cast(name as blob) as name, extra from item where id = 2`.execute(
          database.query,
        );
      expect(rows).toEqual([{ name: Uint8Array.of(0xff, 0x41), extra: 'x' }]);
    });

    it('is not mistaken for a replacement character that was stored as such', async () => {
      const database = await withWrongText();
      const first = database.query.selectFrom('item').select('name').where('id', '=', 1);
      const expected = [{ name: 'right \ufffd' }];
      expect(await first.execute()).toEqual(expected);
      expect(await Array.fromAsync(first.stream())).toEqual(expected);
      const updated = database.query.updateTable('item').set({ extra: 1 }).where('id', '=', 1);
      expect(await updated.returning('name').execute()).toEqual(expected);
    });

    it('a database in UTF-16 is read as any other', async () => {
      openRaw().exec(
        "pragma encoding = 'UTF-16le'; create table item (id integer primary key, name text, extra)",
      );
      const database = open();
      await add(database, 'wide \ufffd');
      expect(await names(database)).toEqual(['wide \ufffd']);
    });
  });

  it('an integer is stored as one, also in a column of text', async () => {
    const database = await openWithItems();
    await database.query.insertInto('item').values({ name: 5, extra: 7 }).execute();
    const { rows } = await sql`select name, typeof(extra) as type from item`.execute(
      database.query,
    );
    expect(rows).toEqual([{ name: '5', type: 'integer' }]);
  });

  it('a boolean is 1 or 0, and every view of bytes is a blob', async () => {
    const database = await openWithItems();
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const { rows } =
      await sql`select ${true} as yes, ${false} as no, ${bytes.buffer} as buffer, ${new DataView(bytes.buffer, 1, 2)} as part`.execute(
        database.query,
      );
    expect(rows).toEqual([{ yes: 1, no: 0, buffer: bytes, part: Uint8Array.of(2, 3) }]);
  });

  it.for([
    ['a Date', new Date(0), /toISOString/],
    ['an object', { secret: 'value' }, /JSON\.stringify/],
    ['NaN', Number.NaN, /NaN/],
    ['undefined', undefined, /undefined/],
    ['a symbol', Symbol('secret'), /symbol/],
    ['an integer of more than 64 bits', 2n ** 64n, /64 bits/],
  ] as const)('%s is refused with what to do', async ([, value, message]) => {
    const database = await openWithItems();
    const error = await failureOf(sql`select ${1}, ${value}`.execute(database.query));
    expect(error).toMatchObject({
      code: 'invalid-argument',
      outcome: 'not-applied',
      details: { parameter: 2 },
    });
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/secret/);
  });

  it('a new id beyond 2^53 is exact', async () => {
    const database = await openWithItems();
    const result = await database.query
      .insertInto('item')
      .values({ id: 9007199254740993n, name: 'x', extra: null })
      .executeTakeFirst();
    expect(result.insertId).toBe(9007199254740993n);
  });

  it('a column called __proto__ is a column', async () => {
    const { rows } = await sql`select 1 as "__proto__"`.execute(open({ file: ':memory:' }).query);
    expect(Object.getOwnPropertyDescriptor(rows[0], '__proto__')?.value).toBe(1);
    expect(Object.getPrototypeOf(rows[0])).toBe(Object.prototype);
  });
});

describe('sqlite › statements', () => {
  it('a second statement in one text is refused, and the first has no effect', async () => {
    const database = await openWithItems();
    const error = await failureOf(
      sql`insert into item (name) values ('a'); drop table item`.execute(database.query),
    );
    expect(error.code).toBe('invalid-argument');
    expect(await names(database)).toEqual([]);
  });

  it.for(['select 1 as one;', 'select 1 as one -- the end', 'select 1 as one; /* the end */ ;\n'])(
    '%j is one statement',
    async (text) => {
      expect((await sql.raw(text).execute(open({ file: ':memory:' }).query)).rows).toEqual([
        { one: 1 },
      ]);
    },
  );

  it('raw SQL cannot write to SQLite’s own tables', async () => {
    const database = await openWithItems();
    await database.transaction(async () => {
      await sql`pragma writable_schema = on`.execute(database.query);
      const update = sql`update sqlite_schema set sql = 'gone'`.execute(database.query);
      expect((await failureOf(update)).code).toBe('invalid-argument');
    });
  });

  it('an empty text is refused', async () => {
    expect((await failureOf(sql`-- nothing`.execute(open({ file: ':memory:' }).query))).code).toBe(
      'invalid-argument',
    );
  });

  it('raw SQL cannot begin a transaction', async () => {
    const database = await openWithItems();
    expect((await failureOf(sql`begin`.execute(database.query))).code).toBe('failed-precondition');
    await add(database, 'later');
    expect(openRaw().prepare('select name from item').all()).toEqual([{ name: 'later' }]);
  });

  it('a script that ends its transaction leaves nothing behind', async () => {
    const database = await openWithItems();
    const up = `
      create table one (id integer); -- commit;
      create trigger many after insert on item begin delete from one; end;
      /* and now */ commit;
      create table two (id integer);
    `;
    const error = await failureOf(database.migrate([{ name: 'sly', up }]));
    expect(error).toMatchObject({ code: 'failed-precondition', outcome: 'not-applied' });
    const { rows } =
      await sql`select name from sqlite_schema where name in ('one', 'many', 'two')`.execute(
        database.query,
      );
    expect(rows).toEqual([]);
    await database.migrate([{ name: 'fair', up: up.replace('/* and now */ commit;', '') }]);
  });

  it('raw savepoints may be gone back to', async () => {
    const database = await openWithItems();
    await database.transaction(async () => {
      await sql`savepoint here`.execute(database.query);
      await add(database, 'undone');
      await sql`rollback to here`.execute(database.query);
      await add(database, 'kept');
    });
    expect(await names(database)).toEqual(['kept']);
  });

  it.for(['commit', 'rollback', '/* sly */ END'])(
    'raw %s cannot end a transaction',
    async (text) => {
      const database = await openWithItems();
      const transaction = database.transaction(async () => {
        await add(database, 'before');
        await failureOf(sql.raw(text).execute(database.query));
        await add(database, 'after');
      });
      expect((await failureOf(transaction)).code).toBe('failed-precondition');
      expect(await names(database)).toEqual([]);
    },
  );

  it('more different texts than are kept prepared give the right rows', async () => {
    const database = open({ file: ':memory:' });
    for (let round = 0; round < 2; round += 1) {
      for (let n = 0; n < 600; n += 1) {
        expect((await sql.raw(`select ${n} as n${n}`).execute(database.query)).rows).toEqual([
          { [`n${n}`]: n },
        ]);
      }
    }
  });

  it('a star follows a schema that another process changes', async () => {
    const database = await openWithItems();
    await add(database, 'a');
    const all = database.query.selectFrom('item').selectAll();
    expect(await all.execute()).toEqual([{ id: 1, name: 'a', extra: null }]);
    openRaw().exec(
      "alter table item drop column extra; alter table item add column note text default 'n'",
    );
    expect(await all.execute()).toEqual([{ id: 1, name: 'a', note: 'n' }]);
  });

  it('what is affected by an insert that is ignored is none', async () => {
    const database = await openWithItems();
    const insert = database.query
      .insertInto('item')
      .values({ id: 1, name: 'a', extra: null })
      .orIgnore();
    expect(await insert.executeTakeFirst()).toMatchObject({
      insertId: 1n,
      numInsertedOrUpdatedRows: 1n,
    });
    expect(await insert.executeTakeFirst()).toMatchObject({
      insertId: undefined,
      numInsertedOrUpdatedRows: 0n,
    });
  });

  it('JSON functions, conflicts, window functions and returning work through the builder', async () => {
    const database = await openWithItems();
    const { query } = database;
    await query
      .insertInto('item')
      .values([
        { id: 1, name: 'a', extra: JSON.stringify({ n: 1 }) },
        { id: 2, name: 'b', extra: '{"n":2}' },
      ])
      .execute();
    const upserted = await query
      .insertInto('item')
      .values({ id: 1, name: 'c', extra: null })
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet((expression) => ({ name: expression.ref('excluded.name') })),
      )
      .returning(['id', 'name'])
      .execute();
    const { rows } =
      await sql`select extra ->> 'n' as n, row_number() over (order by id desc) as place from item order by id`.execute(
        query,
      );
    expect(upserted).toEqual([{ id: 1, name: 'c' }]);
    expect(rows).toEqual([
      { n: 1, place: 2 },
      { n: 2, place: 1 },
    ]);
  });

  it('a constraint of an index on an expression is named', async () => {
    const database = await openWithItems();
    await sql`create unique index item_lower on item (lower(name))`.execute(database.query);
    await add(database, 'Ada');
    expect((await failureOf(add(database, 'ADA'))).details).toEqual({
      constraint: 'unique',
      name: 'item_lower',
      table: 'item',
    });
  });

  it('a constraint over several columns names them all', async () => {
    const database = await openWithItems();
    await sql`create unique index item_both on item (name, extra)`.execute(database.query);
    const insert = database.query.insertInto('item').values({ name: 'a', extra: 'b' });
    await insert.execute();
    expect((await failureOf(insert.execute())).details).toEqual({
      constraint: 'unique',
      name: 'item_both',
      table: 'item',
      columns: ['name', 'extra'],
    });
  });
});

describe('sqlite › memory', () => {
  it('is one database for all connections of one object, and another for the next', async () => {
    file = ':memory:';
    const [one, other] = [await openWithItems(), await openWithItems()];
    await add(one, 'a');
    expect([await names(one), await names(other)]).toEqual([['a'], []]);
  });

  it('a copied file is a database too, once it is closed', async () => {
    const database = await openWithItems();
    await add(database, 'a');
    await database.close();
    await copyFile(file, path.join(folder, 'copy.db'));
    file = path.join(folder, 'copy.db');
    expect(await names(open())).toEqual(['a']);
  });
});
