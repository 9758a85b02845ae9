import type { PgTransactionConfig } from 'drizzle-orm/pg-core';

import { transactionOptions, unimplemented } from '../orm-connection.ts';
import type { TransactionOptions } from '../transaction-options.ts';

/** What Drizzle's dialects take for a transaction. */
export interface DrizzleTransactionConfig extends PgTransactionConfig {
  readonly withConsistentSnapshot?: boolean;
}

/** Says it as a {@link TransactionOptions}. Throws `unimplemented` for what that has no word for. */
export function optionsOf(config: DrizzleTransactionConfig, adapter: string): TransactionOptions {
  const { isolationLevel, accessMode, deferrable, withConsistentSnapshot } = config;
  if (deferrable || withConsistentSnapshot)
    throw unimplemented(
      adapter,
      'a transaction takes neither "deferrable" nor "withConsistentSnapshot" here: leave it out',
    );
  const readOnly = accessMode === undefined ? undefined : accessMode === 'read only';
  return transactionOptions({ isolationLevel, readOnly });
}
