import type { TransactionOptions } from '@mikro-orm/core';

import type { OrmDatabase } from '../orm-connection.ts';
import { core } from './library.ts';

/**
 * Lets MikroORM's propagation know the transactions that it did not begin: `fn` gets what is left to ask of MikroORM, and runs
 * where that means what was asked for.
 */
export async function propagated<Result>(
  database: OrmDatabase,
  options: TransactionOptions,
  fn: (options: TransactionOptions) => Promise<Result>,
): Promise<Result> {
  const { MANDATORY, NESTED, NEVER, NOT_SUPPORTED } = core.TransactionPropagation;
  const run = async (): Promise<Result> => await fn(options);
  if (!database.inTransaction) return await run();
  if (options.propagation === NOT_SUPPORTED)
    return await database.transaction(run, { propagation: 'not-supported' });
  if (options.propagation === NEVER)
    return await database.transaction(run, { propagation: 'never' });
  // To MikroORM there is none.
  return options.propagation === MANDATORY
    ? await fn({ ...options, propagation: NESTED })
    : await run();
}
