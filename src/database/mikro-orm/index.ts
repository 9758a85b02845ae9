import type {
  AnyEntity,
  Configuration,
  ConnectionOptions,
  ConnectionType,
  EntityClass,
  EntityDictionary,
  EntityName,
  EntitySchema,
  MikroORM,
  NativeInsertUpdateManyOptions,
  QueryResult,
  TransactionOptions,
} from '@mikro-orm/core';
import type { SqlEntityManager, SqlOptions } from '@mikro-orm/sql';

import type { Database } from '../database.ts';
import type { DatabaseDriver } from '../driver.ts';
import { engineOf } from '../orm-connection.ts';
import { DatabaseConnection, type MikroDatabase } from './connection.ts';
import { core, mikroSql } from './library.ts';
import { insertWithIds } from './mysql-ids.ts';
import { platformOf } from './platforms.ts';
import { propagated } from './propagation.ts';

/** What entities are declared by: `defineEntity`, `EntitySchema`, or a class. */
export type MikroEntity = EntityClass<AnyEntity> | EntitySchema;

/** Options of {@link mikroOrmOn}: MikroORM's own, but for those that say where the database is. */
export type MikroOrmOptions = Omit<
  SqlOptions,
  | 'clientUrl'
  | 'driver'
  | 'driverOptions'
  | 'ensureDatabase'
  | 'entities'
  | 'entitiesTs'
  | 'entityManager'
  | 'host'
  | 'password'
  | 'pool'
  | 'port'
  | 'replicas'
  | 'user'
>;

/** MikroORM's driver on a database. */
export class MikroDriver extends mikroSql.AbstractSqlDriver {
  constructor(config: Configuration, database: MikroDatabase) {
    const engine = engineOf(database.adapter, 'MikroORM');
    class Connection extends DatabaseConnection {
      constructor(
        ...values: [config: Configuration, options?: ConnectionOptions, type?: ConnectionType]
      ) {
        super({ database, numbered: engine === 'postgres' }, ...values);
      }
    }
    super(config, platformOf(engine), Connection, ['kysely']);
  }

  override async nativeInsertMany<Entity extends object>(
    entityName: EntityName<Entity>,
    data: EntityDictionary<Entity>[],
    options: NativeInsertUpdateManyOptions<Entity> = {},
    transform?: (sql: string) => string,
  ): Promise<QueryResult<Entity>> {
    const meta = this.getMetadata().get(entityName);
    const insert = async (
      rows: EntityDictionary<Entity>[],
      ctx: unknown,
    ): Promise<QueryResult<Entity>> =>
      await super.nativeInsertMany(entityName, rows, { ...options, ctx }, transform);
    if (this.platform.usesReturningStatement()) return await insert(data, options.ctx);
    const inserted = async (ctx: unknown): Promise<QueryResult<Entity>> =>
      await insertWithIds(meta, data, {
        insert: async (rows) => await insert(rows, ctx),
        step: async () => {
          const text = 'select @@auto_increment_increment as step';
          const { step } = await this.execute<{ step: number }>(text, [], 'get', ctx);
          return BigInt(step);
        },
      });
    if (options.ctx !== undefined || data.length === 1) return await inserted(options.ctx);
    return await this.getConnection('write').transactional(inserted);
  }
}

/** What {@link mikroOrmOn} gives. */
export type MikroOrm<Entities extends readonly MikroEntity[] = readonly MikroEntity[]> = MikroORM<
  MikroDriver,
  SqlEntityManager<MikroDriver>,
  Entities
>;

/**
 * MikroORM on a database: its statements run through the database, in the transaction of the caller if there is one, with the same
 * operations and policies as all others, and with their values as parameters. Its own transactions are the database's, which others
 * join. Its exceptions are MikroORM's and {@link InfrastructureError}s in one. Closing it leaves the database open, which stays its
 * creator's. Needs the optional peers `@mikro-orm/core` and `@mikro-orm/sql`.
 *
 * Throws `unimplemented` for an adapter whose SQL it is not configured for.
 *
 * @example
 * const orm = mikroOrmOn(database, [Article, Author]);
 * await database.transaction(async () => {
 *   const em = orm.em.fork();
 *   em.create(Article, { title: 'Hello' });
 *   await em.flush();
 *   await repository.save(entity);
 * });
 */
export function mikroOrmOn<
  DatabaseSchema,
  AnyDriver extends DatabaseDriver,
  const Entities extends readonly MikroEntity[],
>(
  database: Database<DatabaseSchema, AnyDriver>,
  entities: Entities,
  options: MikroOrmOptions = {},
): MikroOrm<Entities> {
  // Kysely's type is invariant in its schema, of which nothing here knows.
  const host = database as unknown as MikroDatabase;
  class Driver extends MikroDriver {
    constructor(config: Configuration) {
      super(config, host);
    }
  }
  class Manager extends mikroSql.SqlEntityManager<MikroDriver> {
    override async transactional<Result>(
      fn: (em: this) => Promise<Result> | Result,
      transaction: TransactionOptions = {},
    ): Promise<Result> {
      return await propagated(
        host,
        transaction,
        async (left) => await super.transactional(fn, left),
      );
    }
  }
  return new core.MikroORM<MikroDriver, SqlEntityManager<MikroDriver>, Entities>({
    dbName: database.adapter,
    ...options,
    driver: Driver,
    entityManager: Manager,
    entities,
    ensureDatabase: false,
  });
}
