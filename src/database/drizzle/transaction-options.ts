import { InfrastructureError } from '../../core/index.ts';
import type { TransactionOptions } from '../database.ts';
import { isolationOf } from '../kysely-bridge.ts';

/** What Drizzle's dialects take for a transaction. */
export interface DrizzleTransactionConfig {
  readonly isolationLevel?:
    | 'read uncommitted'
    | 'read committed'
    | 'repeatable read'
    | 'serializable';
  readonly accessMode?: 'read only' | 'read write';
  readonly deferrable?: boolean;
  readonly withConsistentSnapshot?: boolean;
}

/** Says it as a {@link TransactionOptions}. Throws `unimplemented` for what that has no word for. */
export function transactionOptions(
  config: DrizzleTransactionConfig,
  adapter: string,
): TransactionOptions {
  const { isolationLevel, accessMode, deferrable, withConsistentSnapshot } = config;
  const refused = Object.entries({
    "accessMode: 'read only'": accessMode === 'read only',
    deferrable,
    withConsistentSnapshot,
  }).find(([, isAsked]) => isAsked);
  if (refused !== undefined)
    throw new InfrastructureError({
      code: 'unimplemented',
      component: 'database',
      adapter,
      operation: 'transaction',
      message: `a transaction here cannot be begun with ${refused[0]}: leave it out`,
    });
  return isolationLevel === undefined ? {} : { isolation: isolationOf[isolationLevel] };
}
