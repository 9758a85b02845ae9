export { Database, type DatabaseOptions, type ExecuteOptions } from './database.ts';
export type {
  ArrayResult,
  BeginOptions,
  DatabaseCapabilities,
  DatabaseDriver,
  DriverTransaction,
  Isolation,
  NotificationListener,
  RowMode,
  SqlDialect,
  SqlExpressions,
  StatementResult,
  StatementStream,
  StreamOptions,
} from './driver.ts';
export type { AppliedMigrations, MigrateOptions, Migration } from './migrations.ts';
export { type Parameter, PreparedQuery } from './prepared-query.ts';
export type { Propagation, TransactionOptions } from './transaction-options.ts';
export type { TransactionCallback } from './transaction-scope.ts';
