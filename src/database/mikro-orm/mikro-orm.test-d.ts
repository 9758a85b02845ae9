import { defineEntity, p } from '@mikro-orm/core';
import { describe, expectTypeOf, it } from 'vitest';

import type { SqliteDatabase } from '../sqlite/index.ts';
import { mikroOrmOn } from './index.ts';

interface Schema {
  user: { id: number };
}

const Author = defineEntity({
  name: 'Author',
  properties: { id: p.integer().primary(), name: p.string() },
});

declare const database: SqliteDatabase<Schema>;

describe('mikro-orm › types', () => {
  it('an entity has the types of its properties', () => {
    const { em } = mikroOrmOn(database, [Author]);
    expectTypeOf(em.findOneOrFail(Author, 1))
      .resolves.toHaveProperty('name')
      .toEqualTypeOf<string>();
    // @ts-expect-error The name is missing.
    em.create(Author, {});
  });

  it('its options leave out where the database is', () => {
    mikroOrmOn(database, [Author], { forceUndefined: true });
    // @ts-expect-error The database is given.
    mikroOrmOn(database, [Author], { dbName: 'x', host: 'db.example.com' });
  });
});
