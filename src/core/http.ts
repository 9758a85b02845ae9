import type { Classification, Classify, ErrorCode } from './errors.ts';

const statusCodes: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  402: 'failed-precondition',
  403: 'permission-denied',
  404: 'not-found',
  408: 'deadline-exceeded',
  409: 'failed-precondition',
  410: 'not-found',
  412: 'failed-precondition',
  425: 'unavailable',
  428: 'failed-precondition',
  429: 'resource-exhausted',
  501: 'unimplemented',
  502: 'unavailable',
  503: 'unavailable',
  504: 'deadline-exceeded',
};

/** An HTTP answer, as far as its meaning for the error model goes. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
}

/**
 * What an HTTP answer that is no success means. A 4xx was refused, so it is `not-applied`; after a 5xx nobody knows.
 * `now` is for a Retry-After that names a date.
 */
export function classifyHttpStatus({ status, headers }: HttpAnswer, now: number): Classification {
  const code = statusCodes[status] ?? (status >= 500 ? 'internal' : 'invalid-argument');
  const retryAfterMs = parseRetryAfter(headers.get('retry-after'), now);
  return {
    code,
    outcome: status >= 400 && status < 500 ? 'not-applied' : 'unknown',
    // A 500 is most often a passing fault of one server of many.
    ...(status >= 500 && status !== 501 ? { retryable: true } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    details: { status },
  };
}

/** Milliseconds of a Retry-After header, which holds seconds or an HTTP date; `undefined` for anything else. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000;
  // Without a day name, Date.parse takes almost anything for a date.
  const date = /^\s*[A-Za-z]{3,9},? /.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

const fetchCodes: Readonly<Record<string, Classification>> = {
  UND_ERR_CONNECT_TIMEOUT: { code: 'unavailable', outcome: 'not-applied' },
  UND_ERR_HEADERS_TIMEOUT: { code: 'deadline-exceeded' },
  UND_ERR_BODY_TIMEOUT: { code: 'deadline-exceeded' },
  UND_ERR_SOCKET: { code: 'unavailable' },
  CERT_HAS_EXPIRED: { code: 'failed-precondition' },
  DEPTH_ZERO_SELF_SIGNED_CERT: { code: 'failed-precondition' },
  SELF_SIGNED_CERT_IN_CHAIN: { code: 'failed-precondition' },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: { code: 'failed-precondition' },
  ERR_TLS_CERT_ALTNAME_INVALID: { code: 'failed-precondition' },
};

/**
 * The errors of Node's fetch beyond what {@link classifySystemError} knows: timeouts of its own, cut connections,
 * certificates. What lies behind its `fetch failed` is in `cause`.
 */
export const classifyFetchError: Classify = (error) => {
  if (!(error instanceof TypeError) || !(error.cause instanceof Error)) return undefined;
  const code: unknown = (error.cause as NodeJS.ErrnoException).code;
  const known =
    typeof code === 'string' && Object.hasOwn(fetchCodes, code) ? fetchCodes[code] : undefined;
  return known && { ...known, message: `${error.message}: ${error.cause.message}` };
};
