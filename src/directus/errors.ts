import {
  type Classification,
  type Classify,
  classifyFetchError,
  classifyHttpStatus,
  type ErrorCode,
  InfrastructureError,
} from '../core/index.ts';

/** Directus' own error codes (`errors[].extensions.code`). What is not here goes by the status. */
const directusCodes: Readonly<Record<string, ErrorCode>> = {
  CONTAINS_NULL_VALUES: 'failed-precondition',
  CONTENT_TOO_LARGE: 'invalid-argument',
  EMAIL_LIMIT_EXCEEDED: 'resource-exhausted',
  FAILED_VALIDATION: 'invalid-argument',
  FORBIDDEN: 'permission-denied',
  ILLEGAL_ASSET_TRANSFORMATION: 'invalid-argument',
  INTERNAL_SERVER_ERROR: 'internal',
  INVALID_CREDENTIALS: 'unauthenticated',
  INVALID_FOREIGN_KEY: 'failed-precondition',
  INVALID_IP: 'permission-denied',
  INVALID_OTP: 'unauthenticated',
  INVALID_PAYLOAD: 'invalid-argument',
  INVALID_PROVIDER: 'unauthenticated',
  INVALID_QUERY: 'invalid-argument',
  INVALID_TOKEN: 'unauthenticated',
  LIMIT_EXCEEDED: 'resource-exhausted',
  METHOD_NOT_ALLOWED: 'unimplemented',
  NOT_NULL_VIOLATION: 'invalid-argument',
  RECORD_NOT_UNIQUE: 'already-exists',
  REQUESTS_EXCEEDED: 'resource-exhausted',
  ROUTE_NOT_FOUND: 'not-found',
  SERVICE_UNAVAILABLE: 'unavailable',
  TOKEN_EXPIRED: 'unauthenticated',
  UNDER_PRESSURE: 'unavailable',
  UNPROCESSABLE_CONTENT: 'invalid-argument',
  UNSUPPORTED_MEDIA_TYPE: 'invalid-argument',
  USER_SUSPENDED: 'unauthenticated',
  VALUE_OUT_OF_RANGE: 'invalid-argument',
  VALUE_TOO_LONG: 'invalid-argument',
};

/** Directus rounds Retry-After to the nearest second, so that it may say 0 while half of one remains. */
const RETRY_AFTER_ROUNDING_MS = 500;

const hints: Readonly<Record<string, string>> = {
  FORBIDDEN:
    ': the role lacks the permission, or the item, field or collection does not exist (Directus does not tell which)',
  INVALID_CREDENTIALS: ': check the token, or the email and password',
  ROUTE_NOT_FOUND: ': check the url, and the version of Directus',
};

/** What of a body's first error can be told: its code, and the names that it concerns. Its message can hold values. */
interface DirectusFault {
  readonly code: string | undefined;
  readonly collection: unknown;
  readonly field: unknown;
}

function faultOf(errors: unknown): DirectusFault {
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const extensions =
    (first as { readonly extensions?: Readonly<Record<string, unknown>> } | undefined)
      ?.extensions ?? {};
  const { code, collection, field } = extensions;
  return {
    code: typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined,
    collection,
    field,
  };
}

/** The endpoints below which stands a name; below the others it is an id. */
const NAMED_BELOW: ReadonlySet<string> = new Set(['auth', 'items', 'schema', 'server', 'utils']);

/** Where a request went, without ids: `GET /items/articles`. */
export function describeRequest(method: string, pathname: string): string {
  const [root = '', name] = pathname.split('/').filter(Boolean);
  return `${method} /${name !== undefined && NAMED_BELOW.has(root) ? `${root}/${name}` : root}`;
}

/** What an answer that is no success means. */
export function classifyAnswer(
  {
    status,
    headers,
    errors,
  }: { readonly status: number; readonly headers: Headers; readonly errors: unknown },
  { request, now }: { readonly request: string; readonly now: number },
): Classification & { readonly message: string } {
  const byStatus = classifyHttpStatus({ status, headers }, now);
  const { code, collection, field } = faultOf(errors);
  const isRedirect = status >= 300 && status < 400;
  const known =
    code !== undefined && Object.hasOwn(directusCodes, code) ? directusCodes[code] : undefined;
  return {
    ...byStatus,
    code: isRedirect ? 'failed-precondition' : (known ?? byStatus.code),
    ...(code === 'LIMIT_EXCEEDED' ? { retryable: false } : {}),
    ...(code === 'REQUESTS_EXCEEDED' && byStatus.retryAfterMs !== undefined
      ? { retryAfterMs: byStatus.retryAfterMs + RETRY_AFTER_ROUNDING_MS }
      : {}),
    details: {
      status,
      ...(code === undefined ? {} : { directusCode: code }),
      ...(typeof collection === 'string' ? { collection } : {}),
      ...(typeof field === 'string' ? { field } : {}),
    },
    message: isRedirect
      ? `${request} was answered with a redirect (${status}): give Directus' final address as url`
      : `${request} was answered with ${status}${code === undefined ? '' : ` ${code}${hints[code] ?? ''}`}`,
  };
}

/** The SDK's own errors: answers 2xx that hold `errors`, as GraphQL's do, and bodies that cannot be read. */
export const classifySdkError: Classify = (error) => {
  if (InfrastructureError.is(error)) return undefined;
  const { response, errors } = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly response?: unknown;
    readonly errors?: unknown;
  };
  if (!(response instanceof Response)) return classifyFetchError(error);
  if (errors instanceof SyntaxError) {
    return {
      code: 'data-loss',
      outcome: 'applied',
      message: `Directus answered ${response.status} with what is not JSON`,
      details: { status: response.status },
    };
  }
  if (errors instanceof TypeError)
    return (
      classifyFetchError(errors) ?? {
        code: 'unavailable',
        message: 'the connection to Directus broke during its answer',
      }
    );
  const { code } = faultOf(errors);
  return {
    // Of several mutations in one request, others may have been done.
    outcome: 'unknown',
    code:
      (code !== undefined && Object.hasOwn(directusCodes, code)
        ? directusCodes[code]
        : undefined) ?? 'internal',
    message: `Directus answered ${response.status} with errors${code === undefined ? '' : `: ${code}`}`,
    details: { status: response.status, ...(code === undefined ? {} : { directusCode: code }) },
  };
};
