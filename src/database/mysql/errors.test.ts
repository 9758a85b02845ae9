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
import { makeMariadbDatabase } from '../../../test/services/databases.ts';
import { service } from '../../../test/services/services.ts';
import { classifyMysql } from './classify.ts';
import { type MysqlDatabase, mysqlDatabase } from './index.ts';

const { missing } = await service('mariadb');

/** A statement that the server refuses, on the tables below. */
const statements: readonly RefusedStatement[] = [
  {
    what: 'a unique value that is taken',
    text: `insert into parent (id, name) values (2, '${payload}')`,
    ...refused('already-exists', { constraint: 'unique', name: 'parent_name_key' }),
    message: /^Duplicate entry for key 'parent_name_key'$/,
  },
  {
    what: 'a primary key that is taken',
    text: `insert into parent (id, name) values (1, '${payload}!')`,
    ...refused('already-exists', { constraint: 'unique', name: 'PRIMARY' }),
  },
  {
    what: 'a foreign key to nothing',
    text: 'insert into child (parent_id) values (9)',
    ...refused('failed-precondition', {
      constraint: 'foreign-key',
      table: 'child',
      columns: ['parent_id'],
      name: 'child_parent',
    }),
  },
  {
    what: 'a row that is referred to',
    text: 'delete from parent',
    ...refused('failed-precondition', {
      constraint: 'foreign-key',
      table: 'child',
      columns: ['parent_id'],
      name: 'child_parent',
    }),
  },
  {
    what: 'a check',
    text: `insert into parent (id, name, age) values (3, '${payload}!', -1)`,
    ...refused('invalid-argument', { constraint: 'check', name: 'age_positive', table: 'parent' }),
  },
  {
    what: 'a null where none may be',
    text: 'insert into parent (id, name) values (3, null)',
    ...refused('invalid-argument', { constraint: 'not-null', columns: ['name'] }),
  },
  {
    what: 'a column that is left out and has no default',
    text: 'insert into parent (id) values (3)',
    ...refused('invalid-argument', { constraint: 'not-null', columns: ['name'] }),
  },
  {
    what: 'text that is no number',
    text: `insert into parent (id, name, age) values (3, 'x', '${payload}')`,
    ...refused('invalid-argument', { table: 'parent', columns: ['age'] }),
    message: /^Incorrect integer value for column/,
  },
  {
    what: 'text that is a number and more',
    text: `update parent set age = '3 ${payload}'`,
    ...refused('invalid-argument'),
  },
  {
    what: 'a value of no enumeration',
    text: `insert into feeling values ('${payload}')`,
    ...refused('invalid-argument'),
  },
  {
    what: 'a date that is none',
    text: `insert into day values ('2026-02-31 ${payload}')`,
    ...refused('invalid-argument', { table: 'day', columns: ['day'] }),
  },
  {
    what: 'a date of zeros',
    text: `insert into day values ('0000-00-00')`,
    ...refused('invalid-argument'),
  },
  {
    what: 'JSON that is none',
    text: `insert into document values ('{${payload}')`,
    ...refused('invalid-argument', { constraint: 'check' }),
  },
  {
    what: 'a number too large for its column',
    text: `insert into parent (id, name) values (2147483648, 'x')`,
    ...refused('invalid-argument', { columns: ['id'] }),
  },
  {
    what: 'a sum too large',
    text: 'select 9223372036854775807 + 1',
    ...refused('invalid-argument'),
    message: /^BIGINT value is out of range$/,
  },
  {
    what: 'text too long',
    text: `insert into parent (id, name) values (4, repeat('x', 300))`,
    ...refused('invalid-argument', { columns: ['name'] }),
  },
  {
    what: 'a division by zero, in a write',
    text: 'insert into free values (1 / 0)',
    ...refused('invalid-argument'),
  },
  {
    what: 'two rows where one may be',
    text: 'select (select 1 union select 2)',
    ...refused('invalid-argument'),
  },
  {
    what: 'a column that is in no group',
    text: 'select id, count(*) from parent group by name',
    ...refused('invalid-argument'),
  },
  { what: 'wrong SQL', text: 'selec 1', ...refused('invalid-argument') },
  {
    what: 'a table that is not there',
    text: 'select * from information_schema.nowhere',
    ...refused('invalid-argument'),
  },
  {
    what: 'a column that is not there',
    text: 'select x from free',
    ...refused('invalid-argument'),
  },
  { what: 'two statements', text: 'select 1; select 2', ...refused('invalid-argument') },
  {
    what: 'a right to a table that is lacking',
    text: 'select * from secret',
    ...refused('permission-denied'),
  },
  {
    what: 'a right to the server that is lacking',
    text: 'set global max_connections = 1',
    ...refused('permission-denied'),
  },
  {
    what: 'a rule of a function of its own',
    text: 'select refuse()',
    ...refused('failed-precondition'),
    message: /^not today$/,
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
    text: 'select sleep(60)',
    code: 'deadline-exceeded',
    outcome: 'not-applied',
    retryable: false,
    message: /statementTimeout/,
  },
  {
    what: 'a statement that takes too long for the server',
    text: 'set statement max_statement_time = 0.1 for select sleep(60)',
    code: 'deadline-exceeded',
    outcome: 'not-applied',
    retryable: false,
    message: /limit of its own/,
  },
  {
    what: 'a value larger than the server takes in one message',
    text: `insert into document values (repeat('x', 1e9))`,
    ...refused('invalid-argument'),
  },
];

describeLostConnections('mysql', classifyMysql('h:3306/d'));

describeServerErrors({
  target: {
    engine: 'mysql',
    missing,
    make: async () => await makeMariadbDatabase(),
    open: mysqlDatabase,
  },
  server: 'mariadb',
  tables: () => `
          create table parent (id integer primary key, name varchar(200) not null, age integer,
            unique key parent_name_key (name), constraint age_positive check (age > 0));
          insert into parent values (1, '${payload}', 1);
          create table child (parent_id integer not null,
            constraint child_parent foreign key (parent_id) references parent (id));
          insert into child values (1);
          create table feeling (mood enum ('glad'));
          create table day (day datetime(3));
          create table document (document json);
          create table free (id integer);
          insert into free values (1);
          create table locked (id integer);
          insert into locked values (1);
          create table secret (id integer);
          create function refuse() returns integer deterministic
            begin signal sqlstate '45000' set message_text = 'not today'; return 1; end;
          create user ${stranger} identified by '${password}';
          create user ${reader} identified by '${password}';
          grant execute on * to ${reader};
          ${['parent', 'child', 'feeling', 'day', 'document', 'free', 'locked'].map((table) => `grant select, insert, delete, update on ${table} to ${reader};`).join('\n')}`,
  dropUsers: [`drop user ${reader}, ${stranger}`],
  statements,
  says: { wrongPassword: /Access denied/, noDatabase: /Unknown database 'nowhere'/ },
  tls: { parameter: 'ssl-mode=REQUIRED', setting: /ssl-mode/ },
  more: (database) => {
    test('a parameter that its column cannot hold is not told, and its table and column are', async () => {
      // Its tables, of which the rules of all servers do not know.
      const { query } = database() as MysqlDatabase<{
        parent: { id: number; name: string; age: unknown };
      }>;
      const error = await failureOf(
        query
          .insertInto('parent')
          .values({ id: 5, name: "it's 'x' for column", age: payload })
          .execute(),
      );
      expectIt(error, {
        ...refused('invalid-argument', { table: 'parent', columns: ['age'] }),
        message: /^Incorrect integer value for column `\w+`\.`parent`\.`age`$/,
      });
      const name = `'${payload}' for key 'x'`;
      await query.insertInto('parent').values({ id: 6, name, age: 1 }).execute();
      expectIt(
        await failureOf(query.updateTable('parent').set({ name }).where('id', '=', 1).execute()),
        {
          ...refused('already-exists', { name: 'parent_name_key', table: 'parent' }),
        },
      );
    });
  },
});
