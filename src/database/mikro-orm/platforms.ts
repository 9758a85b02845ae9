import type { ExceptionConverter } from '@mikro-orm/core';
import type { AbstractSqlPlatform } from '@mikro-orm/sql';

import type { Engine } from '../orm-connection.ts';
import type { ValuePlatform } from './bind.ts';
import { exceptionConverter } from './exceptions.ts';
import { mikroSql } from './library.ts';
import { MySqlPlatform } from './mysql-platform.ts';

/** MikroORM's platform of SQLite. */
class SqlitePlatform extends mikroSql.SqlitePlatform implements ValuePlatform {
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
class PostgresPlatform extends mikroSql.BasePostgreSqlPlatform implements ValuePlatform {
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

/** MikroORM's platform for the SQL of an engine. */
export function platformOf(engine: Engine): AbstractSqlPlatform {
  if (engine === 'mysql') return new MySqlPlatform();
  return engine === 'sqlite' ? new SqlitePlatform() : new PostgresPlatform();
}
