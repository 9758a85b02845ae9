import type { ExceptionConverter } from '@mikro-orm/core';

import type { ValuePlatform } from './bind.ts';
import { exceptionConverter } from './exceptions.ts';
import { mikroSql } from './library.ts';

/** MikroORM's platform of SQLite. */
export class SqlitePlatform extends mikroSql.SqlitePlatform implements ValuePlatform {
  readonly #converter = exceptionConverter(super.getExceptionConverter());

  override getExceptionConverter(): ExceptionConverter {
    return this.#converter;
  }

  /** MikroORM keeps moments in SQLite as milliseconds. */
  dateParameter(date: Date): number {
    return date.getTime();
  }
}

/** MikroORM's platform of PostgreSQL. */
export class PostgresPlatform extends mikroSql.BasePostgreSqlPlatform implements ValuePlatform {
  readonly #converter = exceptionConverter(super.getExceptionConverter());

  override getExceptionConverter(): ExceptionConverter {
    return this.#converter;
  }

  dateParameter(date: Date): string {
    return this.formatDate(date);
  }

  /** The database takes one statement at a time. */
  override supportsMultipleStatements(): boolean {
    return false;
  }
}
