import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { InfrastructureError, subscribeToOperations } from '../../core/index.ts';
import { classifyPostgres } from './classify.ts';
import { type PostgresDatabase, postgresDatabase, type PostgresDatabaseOptions } from './index.ts';

const servers = [
  { name: 'postgres', missing: (await service('postgres')).missing },
  { name: 'postgres18', missing: (await service('postgres18')).missing },
] as const;

const password = 'canary-password';
const payload = 'canary-payload';
// Roles belong to the whole server.
const reader = `reader_${process.pid}`;
const stranger = `stranger_${process.pid}`;

interface Expected {
  readonly code: string;
  readonly outcome: string;
  readonly retryable: boolean;
  readonly message?: RegExp;
  readonly details?: Record<string, unknown>;
}

const refused = (code: string, details?: Record<string, unknown>): Expected => ({
  code,
  outcome: 'not-applied',
  retryable: false,
  ...(details && { details }),
});

/** A statement that the server refuses, on the tables below. */
const statements: readonly (Expected & { readonly what: string; readonly text: string })[] = [
  {
    what: 'a unique value that is taken',
    text: `insert into parent (id, name) values (2, '${payload}')`,
    ...refused('already-exists', {
      constraint: 'unique',
      table: 'parent',
      columns: ['name'],
      name: 'parent_name_key',
    }),
  },
  {
    what: 'a foreign key to nothing',
    text: 'insert into child (parent_id) values (9)',
    ...refused('failed-precondition', { constraint: 'foreign-key', table: 'child' }),
  },
  {
    what: 'a row that is referred to',
    text: 'delete from parent',
    ...refused('failed-precondition', { constraint: 'foreign-key' }),
  },
  {
    what: 'a check',
    text: `insert into parent (id, name, age) values (3, '${payload}!', -1)`,
    ...refused('invalid-argument', { constraint: 'check', name: 'age_positive' }),
  },
  {
    what: 'a null where none may be',
    text: 'insert into parent (id) values (3)',
    ...refused('invalid-argument', { constraint: 'not-null', table: 'parent', columns: ['name'] }),
  },
  {
    what: 'two that exclude each other',
    text: `insert into booking values ('[3,5)')`,
    ...refused('already-exists', { constraint: 'exclusion', table: 'booking' }),
  },
  {
    what: 'text that is no number',
    text: `select cast('${payload}' as integer)`,
    ...refused('invalid-argument'),
  },
  {
    what: 'a value of no enumeration',
    text: `select cast('${payload}' as mood)`,
    ...refused('invalid-argument'),
  },
  {
    what: 'a date that is none',
    text: `select cast('2026-02-31 ${payload}' as date)`,
    ...refused('invalid-argument'),
  },
  {
    what: 'bytes as text that are no UTF-8',
    text: String.raw`select convert_from('\xff', 'UTF8')`,
    ...refused('invalid-argument'),
  },
  { what: 'a number too large', text: 'select 2147483647 + 1', ...refused('invalid-argument') },
  {
    what: 'text too long',
    text: `insert into parent (id, name) values (4, repeat('x', 300))`,
    ...refused('invalid-argument'),
  },
  { what: 'a division by zero', text: 'select 1 / 0', ...refused('invalid-argument') },
  { what: 'wrong SQL', text: 'selec 1', ...refused('invalid-argument') },
  {
    what: 'a table that is not there',
    text: 'select * from nowhere',
    ...refused('invalid-argument'),
  },
  { what: 'two statements', text: 'select 1; select 2', ...refused('invalid-argument') },
  {
    what: 'a right that is lacking',
    text: 'select * from secret',
    ...refused('permission-denied'),
  },
  {
    what: 'a rule of a function of its own',
    text: 'select refuse()',
    ...refused('failed-precondition'),
  },
  {
    what: 'a lock that somebody holds',
    text: 'select * from locked for update nowait',
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: true,
  },
  {
    what: 'a statement that takes too long',
    text: 'select pg_sleep(60)',
    code: 'deadline-exceeded',
    outcome: 'not-applied',
    retryable: false,
    message: /statementTimeout/,
  },
];

/** Options with which nothing can be reached. */
const setups: readonly (Expected & {
  readonly what: string;
  readonly options: (url: URL) => Partial<PostgresDatabaseOptions>;
})[] = [
  {
    what: 'a wrong password',
    options: () => ({ password }),
    ...refused('unauthenticated'),
    message: /password authentication failed/,
  },
  {
    what: 'a user that is not there',
    options: (url) => ({ url: changed(url, { username: 'nobody', password }) }),
    ...refused('unauthenticated'),
  },
  {
    what: 'a user without a right to the database',
    options: (url) => ({ url: changed(url, { username: stranger, password }) }),
    ...refused('permission-denied'),
  },
  {
    what: 'a database that is not there',
    options: (url) => ({ url: changed(url, { pathname: 'nowhere' }) }),
    ...refused('not-found'),
    message: /"nowhere" does not exist/,
  },
  {
    what: 'a port on which nobody listens',
    options: (url) => ({ url: changed(url, { port: '1' }) }),
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: true,
    message: /127\.0\.0\.1:1\/.* is it running/,
  },
  {
    what: 'a host that is not there',
    options: (url) => ({ url: changed(url, { hostname: 'nowhere.invalid' }) }),
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: true,
  },
  {
    what: 'a server without TLS',
    options: (url) => ({ url: `${url.href}?sslmode=require` }),
    ...refused('failed-precondition'),
    message: /sslmode/,
  },
];

function changed(url: URL, change: Partial<URL>): string {
  return Object.assign(new URL(url), change).href;
}

async function failure(promise: Promise<unknown>): Promise<InfrastructureError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!InfrastructureError.is(error))
    throw new Error('it did not fail as it should', { cause: error });
  return error;
}

function expectIt(
  error: InfrastructureError,
  { code, outcome, retryable, message = /./, details = {} }: Expected,
): void {
  expect(error).toMatchObject({ code, outcome, retryable, details });
  expect(error.message).toMatch(message);
  const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
  for (const secret of [password, payload]) expect(shown).not.toContain(secret);
}

test.each([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'ECONNRESET',
  'EPIPE',
  'ERR_SSL_BAD_RECORD',
])(
  'database postgres › errors › %s, which a connection in use may have too, leaves the outcome unknown',
  (code) => {
    const error = Object.assign(new Error(`write ${code}`), { code });
    expect(classifyPostgres('h:5432/d')(error)).toMatchObject({ outcome: 'unknown' });
  },
);

for (const { name, missing } of servers)
  describe.skipIf(missing)(`database postgres › errors of ${name}`, () => {
    let made: TestDatabase;
    let holder: PostgresDatabase;
    let database: PostgresDatabase;

    beforeAll(async () => {
      made = await makePostgresDatabase((await sharedServer(name)).url);
      holder = postgresDatabase({ url: made.url });
      await holder.migrate([
        {
          name: 'tables',
          up: `
          create table parent (id integer primary key, name varchar(200) not null unique, age integer,
            constraint age_positive check (age > 0));
          insert into parent values (1, '${payload}', 1);
          create table child (parent_id integer not null references parent);
          insert into child values (1);
          create extension btree_gist;
          create table booking (during int4range, exclude using gist (during with &&));
          insert into booking values ('[1,4)');
          create type mood as enum ('glad');
          create table locked (id integer);
          insert into locked values (1);
          create table secret (id integer);
          create function refuse() returns void language plpgsql as $$ begin raise exception 'not today; commit;'; end $$;
          create role ${stranger} login password '${password}';
          create role ${reader} login password '${password}';
          grant select, insert, delete, update on all tables in schema public to public;
          revoke all on secret from public;
          revoke connect on database ${new URL(made.url).pathname.slice(1)} from public;
          grant connect on database ${new URL(made.url).pathname.slice(1)} to ${reader};`,
        },
      ]);
      database = postgresDatabase({
        url: changed(new URL(made.url), { username: reader, password }),
        statementTimeout: '1s',
      });
    });

    afterAll(async () => {
      await database?.close();
      if (holder) {
        await sql`drop owned by ${sql.id(reader)} cascade`.execute(holder.query);
        await sql`drop role ${sql.id(reader)}, ${sql.id(stranger)}`.execute(holder.query);
      }
      await holder?.close();
      await made?.remove();
    });

    test.each(statements)('$what is $code', async ({ what, text, ...expected }) => {
      await holder.transaction(async () => {
        if (what.startsWith('a lock'))
          await sql`select * from locked for update`.execute(holder.query);
        const events: unknown[] = [];
        const unsubscribe = subscribeToOperations({ end: ({ error }) => void events.push(error) });
        try {
          expectIt(await failure(sql.raw(text).execute(database.query)), expected);
        } finally {
          unsubscribe();
        }
        for (const event of events) expect(inspect(event)).not.toContain(payload);
        // The connection is as good as before.
        expect((await sql`select 1 as one`.execute(database.query)).rows).toEqual([{ one: 1 }]);
      });
    });

    test('a parameter that its column cannot hold is not told', async () => {
      const error = await failure(sql`select cast(${payload} as integer)`.execute(database.query));
      expectIt(error, {
        ...refused('invalid-argument'),
        message: /^invalid input syntax for type integer$/,
      });
    });

    test.each(setups)('$what is $code, at the start', async ({ options, ...expected }) => {
      await using other = postgresDatabase({ url: made.url, ...options(new URL(made.url)) });
      for (const call of [other.start(), other.transaction(async () => undefined)]) {
        const error = await failure(call);
        expect(error.component).toBe('database');
        expectIt(error, expected);
      }
    });

    test('a pool of which nothing is free is resource-exhausted, and says who waits', async () => {
      await using small = postgresDatabase({ url: made.url, poolSize: 1, waitTimeout: 50 });
      const outside = AsyncLocalStorage.snapshot();
      await small.transaction(async () => {
        const error = await failure(outside(async () => await sql`select 1`.execute(small.query)));
        expect(error.details).toMatchObject({ waiting: 1 });
        expectIt(error, {
          code: 'resource-exhausted',
          outcome: 'not-applied',
          retryable: true,
          message: /one of the 1 connections .* was not free within 50 ms, and 1 wait for it/,
        });
      });
    });

    test('nothing that is printed of it shows the password', () => {
      const url = changed(new URL(made.url), { password });
      const secretive = postgresDatabase({ url });
      const shown =
        inspect(secretive, { depth: 12, showHidden: true }) +
        inspect(secretive.native, { depth: 12, showHidden: true });
      expect(shown).not.toContain(password);
    });
  });
