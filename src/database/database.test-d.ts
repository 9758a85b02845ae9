import type { Generated } from 'kysely';
import { describe, expectTypeOf, it } from 'vitest';

import { withRollback } from '../testing/index.ts';
import type { Database, Parameter } from './index.ts';
import type { SqliteDatabase } from './sqlite/index.ts';

interface Schema {
  user: { id: Generated<number>; name: string };
}

declare const database: Database<Schema>;

describe('database › types', () => {
  it('a query gives rows of its columns', () => {
    expectTypeOf(database.query.selectFrom('user').select('name').execute()).resolves.toEqualTypeOf<
      { name: string }[]
    >();
    // @ts-expect-error There is no such column.
    database.query.selectFrom('user').select('email');
  });

  it('a transaction gives what its function gives', () => {
    expectTypeOf(database.transaction(async () => 5)).resolves.toEqualTypeOf<number>();
    // @ts-expect-error A function that is not awaited would outlive its transaction.
    void database.transaction(() => 5);
  });

  it('a transaction takes only what means something', () => {
    const fn = async (): Promise<void> => undefined;
    void database.transaction(fn, {
      propagation: 'requires-new',
      isolation: 'read-committed',
      readOnly: true,
      retries: 3,
      timeout: '5s',
      signal: new AbortController().signal,
    });
    // @ts-expect-error There is no such propagation.
    void database.transaction(fn, { propagation: 'nested' });
    // @ts-expect-error There is no such isolation.
    void database.transaction(fn, { isolation: 'snapshot' });
    // @ts-expect-error A unit of time is missing.
    void database.transaction(fn, { timeout: '5' });
  });

  it('a test that is rolled back gives what its function gives', () => {
    expectTypeOf(withRollback(database, async () => 5)).resolves.toEqualTypeOf<number>();
    // @ts-expect-error A function that is not awaited would outlive its transaction.
    void withRollback(database, () => 5);
  });

  it('a prepared query takes its parameters and gives its rows', () => {
    const byId = database.prepare((query, parameter: Parameter<{ id: number }>) =>
      query.selectFrom('user').select('name').where('id', '=', parameter('id')),
    );
    expectTypeOf(byId.executeTakeFirst({ id: 1 })).resolves.toEqualTypeOf<
      { name: string } | undefined
    >();
    // @ts-expect-error A parameter is missing.
    void byId.execute({});
    // @ts-expect-error A parameter has the wrong type.
    void byId.execute({ id: 'one' });
    // @ts-expect-error There is no such parameter.
    void byId.execute({ id: 1, name: 'x' });
    database.prepare((query, parameter: Parameter<{ id: string }>) =>
      // @ts-expect-error The parameter is no number, as the column is.
      query.selectFrom('user').select('name').where('id', '=', parameter('id')),
    );
  });

  it('an adapter is a Database of the same schema', () => {
    expectTypeOf<SqliteDatabase<Schema>>().toExtend<Database<Schema>>();
    expectTypeOf<
      SqliteDatabase<Schema>['capabilities']['concurrentReads']
    >().toEqualTypeOf<boolean>();
  });
});
