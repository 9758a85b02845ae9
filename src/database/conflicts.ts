import { InfrastructureError } from '../core/index.ts';

/** How far down the causes of an error a conflict is looked for. */
const deepestCause = 8;

/** Whether another transaction was in the way, also when the function has made an error of its own of it. */
export function isConflict(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < deepestCause && current instanceof Error; depth += 1) {
    if (
      InfrastructureError.is(current, 'aborted') &&
      current.component === 'database' &&
      current.retryable
    )
      return true;
    current = current.cause;
  }
  return false;
}
