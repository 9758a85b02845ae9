import type { Classification, Classify } from '../../core/index.ts';
import { classifyConnectionFailure, type ConnectionFailure } from '../connection-failures.ts';
import { classifyServerError, serverError } from '../postgres-sql/classify.ts';

/** Maps the server's errors by their SQLSTATE, and those of the connection by what `pg` says. `where` names the server. */
export function classifyPostgres(where: string): Classify {
  const classifyServer = classifyServerError(where);
  return (error) => {
    const known = classifyServer(error);
    if (known !== undefined) return known;
    return error instanceof Error ? classifyConnection(error, where) : undefined;
  };
}

/** Whether the connection is gone with whatever was on it. */
export function isConnectionLost(error: unknown): boolean {
  const known = serverError(error);
  if (known !== undefined) return /^(?:08|57P0)/.test(known.code);
  return error instanceof Error && classifyConnection(error) !== undefined;
}

function classifyConnection(
  error: Error & { readonly code?: unknown },
  where = 'the server',
): Classification | undefined {
  if (/^SASL:|password must be a string/.test(error.message)) {
    return {
      code: 'unauthenticated',
      message: `PostgreSQL at ${where} wants a password: give the right one (${error.message})`,
    };
  }
  return classifyConnectionFailure(error, {
    product: 'PostgreSQL',
    tlsOption: 'sslmode',
    where,
    failureOf,
  });
}

/** What `pg` means by its own errors. */
function failureOf(message: string): ConnectionFailure | undefined {
  if (/SSL connection/.test(message)) return 'tls';
  if (/connection timeout|timeout expired|timeout exceeded when trying to connect/.test(message))
    return 'timeout';
  if (/not queryable|was closed and is not queryable/.test(message)) return 'closed';
  return /^Connection terminated|^Connection ended/.test(message) ? 'lost' : undefined;
}
