import {
  type ErrorCode,
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import type { Logger } from './logger.ts';

/** Failures of the infrastructure itself; others tell of the call, or of a race that somebody wins. */
const severeCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unavailable',
  'deadline-exceeded',
  'resource-exhausted',
  'data-loss',
  'internal',
]);

/**
 * Writes a line for each operation of every component: at `debug` when it succeeded, at `warn` when it has a warning; when it failed, at `error` if the
 * infrastructure is at fault (`unavailable`, `deadline-exceeded`, `resource-exhausted`, `data-loss`, `internal`, or an error that
 * is none of ours), else at `warn`. Returns the function that ends it.
 *
 * @example
 * const stop = logOperations(createLogger({ level: 'warn' }));
 */
export function logOperations(logger: Logger): () => void {
  return subscribeToOperations({
    end: (event) => {
      const level = levelOf(event);
      if (!logger.isLevelEnabled(level)) return;
      const { component, operation, attributes, durationMs = 0, error } = event;
      const fields = {
        component,
        operation,
        durationMs: Math.round(durationMs * 1000) / 1000,
        attributes,
      };
      const name = `${component}.${operation}`;
      if (error === undefined)
        logger[level](
          fields,
          attributes.warning === undefined ? name : `${name}: ${attributes.warning}`,
        );
      else logger[level]({ ...fields, err: error }, `${name} failed${reasonOf(error)}`);
    },
  });
}

function levelOf({ error, attributes }: OperationEvent): 'debug' | 'warn' | 'error' {
  if (error === undefined) return attributes.warning === undefined ? 'debug' : 'warn';
  return InfrastructureError.is(error) && !severeCodes.has(error.code) ? 'warn' : 'error';
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? `: ${error.message}` : '';
}
