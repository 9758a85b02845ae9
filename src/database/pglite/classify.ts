import type { Classify } from '../../core/index.ts';
import { classifyServerError } from '../postgres-sql/classify.ts';
import { EngineEnded, EngineRefused } from './engine.ts';

/** Whether the engine is gone with whatever was on it. */
export function isEngineEnded(error: unknown): boolean {
  return error instanceof EngineEnded;
}

/** Maps the engine's errors by their SQLSTATE, its end, and what it says of a folder. `where` names the database. */
export function classifyPglite(where: string): Classify {
  const classifyServer = classifyServerError(where);
  return (error) => {
    if (error instanceof EngineEnded) {
      return {
        code: 'unavailable',
        outcome: 'unknown',
        // It does not come back by itself.
        retryable: false,
        message: `PGlite in ${where} has ended (${error.message}): start the process anew; what was committed is not lost`,
      };
    }
    if (error instanceof EngineRefused) {
      return {
        code: 'failed-precondition',
        message: `PGlite cannot use the data directory ${where}, and left it as it is: use the version that made it, dump from there, and restore into a new folder (${error.message})`,
      };
    }
    return classifyServer(error);
  };
}
