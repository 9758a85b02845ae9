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
export { migrationsFrom } from './migrations/files.ts';
export type { MigrationState, MigrationStatus } from './migrations/history.ts';
export type { Migration, MigrationStep } from './migrations/migration.ts';
export type {
  AppliedMigrations,
  MigrateDownOptions,
  MigrateOptions,
  MigrateUpOptions,
  MigratorOptions,
  MigratorStatus,
  RevertedMigrations,
} from './migrations/migrator.ts';
export { Migrator } from './migrations/migrator.ts';
export type { MigrationDirection, PlannedMigration, PlannedStatement } from './migrations/plan.ts';
export type { SchemaDrift } from './migrations/schema-record.ts';
export { type Parameter, PreparedQuery } from './prepared-query.ts';
export type { ColumnDescription, TableDescription } from './table-description.ts';
export type { Propagation, TransactionOptions } from './transaction-options.ts';
export type { TransactionCallback } from './transaction-scope.ts';
