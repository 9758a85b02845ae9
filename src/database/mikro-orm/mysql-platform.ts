import type { ExceptionConverter, MikroORM, RawQueryFragment } from '@mikro-orm/core';

import { unimplemented } from '../orm-connection.ts';
import type { ValuePlatform } from './bind.ts';
import { exceptionConverter } from './exceptions.ts';
import { core, mikroSql } from './library.ts';

const momentWithoutZone = /^\d{4,}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?$/;

/** MikroORM's platform of MySQL and MariaDB. */
export class MySqlPlatform extends mikroSql.BaseMySqlPlatform implements ValuePlatform {
  override readonly schemaHelper: SchemaHelper = new SchemaHelper(this);
  readonly #converter = exceptionConverter(super.getExceptionConverter());

  override getExceptionConverter(): ExceptionConverter {
    return this.#converter;
  }

  /** Foreign keys are checked always: to switch that off would be a setting of one of the pool's connections. */
  override init(orm: MikroORM): void {
    super.init(orm);
    orm.config.get('schemaGenerator').disableForeignKeysForClear = false;
  }

  /** The database writes moments in UTC. */
  dateParameter(date: Date): Date {
    return date;
  }

  /** `datetime` comes without a zone, and is in UTC. */
  override parseDate(value: number | string): Date {
    const isLocal = typeof value === 'string' && momentWithoutZone.test(value);
    return super.parseDate(isLocal ? `${value.replace(' ', 'T')}Z` : value);
  }

  /** By what MySQL and MariaDB have in common, which compare JSON with other values in ways of their own. */
  override getSearchJsonPropertyKey(
    [column = '', ...keys]: string[],
    type: string,
    aliased: boolean | string,
  ): RawQueryFragment {
    const path = `$.${keys.map((key) => this.quoteJsonKey(key)).join('.')}`;
    const literal = /^[\w$."]+$/.test(path) ? `'${path}'` : inHexadecimal(path);
    const expression = (name: string): string => {
      const value = `json_unquote(json_extract(${this.quoteIdentifier(name)}, ${literal}))`;
      return type === 'boolean' ? `(${value} = 'true')` : value;
    };
    if (typeof aliased === 'string') return core.raw(expression(`${aliased}.${column}`));
    if (aliased) return core.raw((alias) => expression(`${alias}.${column}`));
    return core.raw(expression(column));
  }

  /**
   * A literal, for what has no parameters: queries of the server's schema, and changes of it. It means the same whether or not a
   * backslash is an escape (`NO_BACKSLASH_ESCAPES`): a text with one is in hexadecimal, which a comment in a change of a schema cannot be.
   */
  override escape(value: unknown): string {
    if (value === null || value === undefined) return 'null';
    if (Array.isArray(value)) return value.map((item) => this.escape(item)).join(', ');
    if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint')
      return String(value);
    if (value instanceof Date) return `'${value.toISOString().replace('T', ' ').slice(0, -1)}'`;
    if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.includes('\\') ? inHexadecimal(text) : `'${text.replaceAll(`'`, `''`)}'`;
  }

  /** The database takes one statement at a time. */
  override supportsMultipleStatements(): boolean {
    return false;
  }
}

function inHexadecimal(text: string): string {
  return `_utf8mb4 x'${Buffer.from(text).toString('hex')}'`;
}

/** Changes of schemas that leave the pool's connections, and the database that they lead to, as they are. */
class SchemaHelper extends mikroSql.MySqlSchemaHelper {
  override getSchemaBeginning(): string {
    return '';
  }

  override disableForeignKeysSQL(): string {
    return '';
  }

  override enableForeignKeysSQL(): string {
    return '';
  }

  override getSetSchemaSQL(): never {
    throw unimplemented('mysql', 'the database that a connection uses is the one of its URL');
  }

  override getCreateDatabaseSQL(): never {
    throw unimplemented('mysql', 'MikroORM neither makes nor drops the database that it runs on');
  }

  override getDropDatabaseSQL(): never {
    throw unimplemented('mysql', 'MikroORM neither makes nor drops the database that it runs on');
  }
}
