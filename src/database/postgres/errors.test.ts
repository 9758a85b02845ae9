import { sql } from 'kysely';
import { test } from 'vitest';

import { failureOf } from '../../../test/support/failure.ts';
import {
  describeLostConnections,
  describeServerErrors,
  expectIt,
  password,
  payload,
  reader,
  type RefusedStatement,
  refused,
  stranger,
} from '../../../test/database/servers/errors.ts';
import { makePostgresDatabase } from '../../../test/services/databases.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { classifyPostgres } from './classify.ts';
import { postgresDatabase } from './index.ts';

/** A statement that the server refuses, on the tables below. */
const statements: readonly RefusedStatement[] = [
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

describeLostConnections('postgres', classifyPostgres('h:5432/d'));

for (const server of ['postgres', 'postgres18'] as const) {
  const { missing } = await service(server);
  describeServerErrors({
    target: {
      engine: 'postgres',
      missing,
      make: async () => await makePostgresDatabase((await sharedServer(server)).url),
      open: postgresDatabase,
    },
    server,
    tables: (database) => `
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
          revoke connect on database ${database} from public;
          grant connect on database ${database} to ${reader};`,
    dropUsers: [`drop owned by ${reader} cascade`, `drop role ${reader}, ${stranger}`],
    statements,
    says: {
      wrongPassword: /password authentication failed/,
      noDatabase: /"nowhere" does not exist/,
    },
    tls: { parameter: 'sslmode=require', setting: /sslmode/ },
    more: (database) => {
      test('a parameter that its column cannot hold is not told', async () => {
        const error = await failureOf(
          sql`select cast(${payload} as integer)`.execute(database().query),
        );
        expectIt(error, {
          ...refused('invalid-argument'),
          message: /^invalid input syntax for type integer$/,
        });
      });
    },
  });
}
