import type { CompiledQuery, Kysely } from 'kysely';

import { InfrastructureError, wrapError } from '../../core/index.ts';
import type { SqlDialect } from '../driver.ts';
import { bridgeKysely, type StatementRunner } from '../kysely-bridge.ts';

/** A query builder that tells of each statement when it is executed. */
export function recordedQuery(
  { runner, dialect }: { readonly runner: StatementRunner; readonly dialect: SqlDialect },
  tell: (query: CompiledQuery) => void,
): Kysely<unknown> {
  const recorded: StatementRunner = {
    ambient: runner.ambient,
    execute: async (query, signal, scope) => {
      tell(query);
      return await runner.execute(query, signal, scope);
    },
    stream: (query, options, scope) => {
      tell(query);
      return runner.stream(query, options, scope);
    },
    begin: async (parent, options) => await runner.begin(parent, options),
    wrap: (error) => runner.wrap(error),
  };
  return bridgeKysely<unknown>(recorded, dialect);
}

/** A query builder that tells of each statement and executes none: every query finds nothing. */
export function unexecutedQuery(
  dialect: SqlDialect,
  tell: (query: CompiledQuery) => void,
): Kysely<unknown> {
  return bridgeKysely<unknown>(
    {
      ambient: { scope: undefined },
      execute: async (query) => {
        tell(query);
        return { rows: [] };
      },
      stream: async function* (query) {
        tell(query);
        yield { rows: [] };
      },
      begin: async () => {
        throw new InfrastructureError({
          code: 'unimplemented',
          component: 'database',
          operation: 'plan',
          message:
            'a migration begins a transaction of its own, which a dry run cannot follow on this engine: run it on a copy of the database',
        });
      },
      wrap: (error) => wrapError(error, { component: 'database', operation: 'plan' }),
    },
    dialect,
  );
}
