import type { Classification, Classify } from '../../core/index.ts';
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

/** Codes that only an attempt to connect has. */
const connecting: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);

const tlsCodes =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_|ERR_SSL_|EPROTO|HOSTNAME_MISMATCH)/;

/** An error that a connection may also have later on than when it is made, upon which nothing has been sent, leaves the outcome open. */
function classifyConnection(
  error: Error & { code?: unknown },
  where = 'the server',
): Classification | undefined {
  const { message } = error;
  const code = typeof error.code === 'string' ? error.code : '';
  if (tlsCodes.test(code) || /SSL connection/.test(message)) {
    return {
      code: 'failed-precondition',
      outcome: 'unknown',
      message: `no TLS connection to PostgreSQL at ${where}: check sslmode and the certificates (${message})`,
    };
  }
  if (/^SASL:|password must be a string/.test(message)) {
    return {
      code: 'unauthenticated',
      message: `PostgreSQL at ${where} wants a password: give the right one (${message})`,
    };
  }
  if (/connection timeout|timeout expired|timeout exceeded when trying to connect/.test(message)) {
    return {
      code: 'unavailable',
      outcome: 'not-applied',
      message: `PostgreSQL at ${where} did not take a connection in time: is it running, and reachable from here?`,
    };
  }
  if (/not queryable|was closed and is not queryable/.test(message))
    return {
      code: 'unavailable',
      outcome: 'not-applied',
      message: `the connection to ${where} is lost`,
    };
  if (
    /^Connection terminated|^Connection ended/.test(message) ||
    ['ECONNRESET', 'EPIPE'].includes(code)
  )
    return {
      code: 'unavailable',
      outcome: 'unknown',
      message: `the connection to PostgreSQL at ${where} was lost`,
    };
  if (connecting.has(code) || ['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'].includes(code)) {
    return {
      code: 'unavailable',
      outcome: connecting.has(code) ? 'not-applied' : 'unknown',
      message: `PostgreSQL at ${where} cannot be reached (${code}): is it running, and is its address right?`,
    };
  }
  return undefined;
}
