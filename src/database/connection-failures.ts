import type { Classification } from '../core/index.ts';

/**
 * What became of a connection: no TLS could be agreed upon; the server did not take it in time; it was found closed before anything
 * was sent; or it was lost while it was used.
 */
export type ConnectionFailure = 'tls' | 'timeout' | 'closed' | 'lost';

/** What {@link classifyConnectionFailure} needs to know of the server and of its client. */
export interface ConnectionFailureOptions {
  /** Such as `MySQL`. */
  readonly product: string;
  /** What the product calls its option of TLS. */
  readonly tlsOption: string;
  /** Names the server. */
  readonly where: string;
  /** Knows the client's own errors. Those of Node are known here. */
  readonly failureOf: (message: string, code: string) => ConnectionFailure | undefined;
}

/** Codes that only an attempt to connect has. */
const connecting: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
const unreachable: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

const tlsCodes =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_|ERR_SSL_|EPROTO|HOSTNAME_MISMATCH)/;

/**
 * What an error says of a connection; undefined when that is nothing. One that a connection may also have later on than when it is
 * made, upon which nothing has been sent, leaves the outcome open.
 */
export function classifyConnectionFailure(
  error: Error & { readonly code?: unknown },
  { product, tlsOption, where, failureOf }: ConnectionFailureOptions,
): Classification | undefined {
  const { message } = error;
  const code = typeof error.code === 'string' ? error.code : '';
  const failure = failureOf(message, code) ?? nodeFailureOf(code);
  if (failure === 'tls')
    return {
      code: 'failed-precondition',
      outcome: 'unknown',
      message: `no TLS connection to ${product} at ${where}: check ${tlsOption} and the certificates (${message})`,
    };
  if (failure === 'timeout')
    return {
      code: 'unavailable',
      outcome: 'not-applied',
      message: `${product} at ${where} did not take a connection in time: is it running, and reachable from here?`,
    };
  if (failure === 'closed')
    return {
      code: 'unavailable',
      outcome: 'not-applied',
      message: `the connection to ${where} is lost`,
    };
  if (failure === 'lost')
    return {
      code: 'unavailable',
      outcome: 'unknown',
      message: `the connection to ${product} at ${where} was lost`,
    };
  if (!connecting.has(code) && !unreachable.has(code)) return undefined;
  return {
    code: 'unavailable',
    outcome: connecting.has(code) ? 'not-applied' : 'unknown',
    message: `${product} at ${where} cannot be reached (${code}): is it running, and is its address right?`,
  };
}

function nodeFailureOf(code: string): ConnectionFailure | undefined {
  if (tlsCodes.test(code)) return 'tls';
  return code === 'ECONNRESET' || code === 'EPIPE' ? 'lost' : undefined;
}
