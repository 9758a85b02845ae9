import { inspect, type InspectOptions, types } from 'node:util';

import { scrubCredentials } from './redacted.ts';

/** Every error code, in gRPC's vocabulary. The list is closed: a driver maps each of its engine's errors to one of these. */
export const errorCodes = [
  'invalid-argument',
  'not-found',
  'already-exists',
  'failed-precondition',
  'aborted',
  'permission-denied',
  'unauthenticated',
  'resource-exhausted',
  'deadline-exceeded',
  'cancelled',
  'unavailable',
  'unimplemented',
  'data-loss',
  'internal',
] as const;

/** One of {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number];

/**
 * Whether the side effect happened. Retry and failover decide on this, never on a guess.
 * `not-applied`: certainly not; `applied`: certainly; `unknown`: the answer was lost.
 */
export type Outcome = 'not-applied' | 'unknown' | 'applied';

/** What a driver's `classify` says of a raw error. What it leaves out is derived from the code. */
export interface Classification {
  readonly code: ErrorCode;
  /** Says what to do, without secrets or bodies. Default: the raw error's message. Credentials in URLs are removed from either. */
  readonly message?: string;
  /** Default: {@link defaultOutcome} of the code. */
  readonly outcome?: Outcome;
  /** Whether the same call can succeed later unchanged. Default: {@link defaultRetryable} of the code. */
  readonly retryable?: boolean;
  /** How long the engine asked to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Facts for programs, such as the constraint's name. Never row values or secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Maps an engine's raw error to a code; `undefined` when it does not know the error. Must not throw. */
export type Classify = (error: unknown) => Classification | undefined;

/** Where an error arose. */
export interface ErrorOrigin {
  /** The room, such as `storage`. */
  readonly component: string;
  /** The adapter, such as `disk`. */
  readonly adapter?: string;
  /** The portable method, such as `put`. */
  readonly operation?: string;
}

/** What the constructor of {@link InfrastructureError} takes. */
export interface InfrastructureErrorOptions extends Classification, ErrorOrigin {
  readonly message: string;
  readonly cause?: unknown;
}

const brand: unique symbol = Symbol.for('underpin.InfrastructureError');

const retryableCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unavailable',
  'aborted',
  'resource-exhausted',
  'deadline-exceeded',
]);

const unknownOutcomeCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'deadline-exceeded',
  'cancelled',
  'unavailable',
  'internal',
  'data-loss',
]);

/** Whether an error of this code is worth repeating when its classification does not say. */
export function defaultRetryable(code: ErrorCode): boolean {
  return retryableCodes.has(code);
}

/** The outcome of an error of this code when its classification does not say: `unknown` where an answer may have been lost. */
export function defaultOutcome(code: ErrorCode): Outcome {
  return unknownOutcomeCodes.has(code) ? 'unknown' : 'not-applied';
}

/**
 * The one error that every component throws. `cause` holds the engine's own error; its rendering has credentials in
 * URLs removed. Test for it with {@link InfrastructureError.is}, which also knows errors of another copy of the package.
 */
export class InfrastructureError extends Error {
  declare readonly name: string;
  readonly code: ErrorCode;
  readonly component: string;
  readonly adapter: string | undefined;
  readonly operation: string | undefined;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(options: InfrastructureErrorOptions) {
    super(scrubCredentials(options.message));
    this.code = options.code;
    this.component = options.component;
    this.adapter = options.adapter;
    this.operation = options.operation;
    this.outcome = options.outcome ?? defaultOutcome(options.code);
    this.retryable = options.retryable ?? defaultRetryable(options.code);
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
    const { cause } = options;
    if (cause !== undefined) {
      // An accessor, since Node shows an uncaught error by its plain properties, and an engine's error may hold whole requests.
      Object.defineProperty(this, 'cause', { get: () => cause, configurable: true });
    }
  }

  /** Whether a value is an InfrastructureError, of this or of another copy of the package; with a code, whether it has that code. */
  static is(value: unknown, code?: ErrorCode): value is InfrastructureError {
    return (
      typeof value === 'object' &&
      value !== null &&
      brand in value &&
      (code === undefined || (value as { readonly code?: unknown }).code === code)
    );
  }

  /** The error as plain data for logs: no stack, and causes by name, code and message only. */
  toJSON(): Record<string, unknown> {
    return toPlain(this, 0);
  }
}

// Not a method: isolated declarations cannot name a computed key.
Object.defineProperty(InfrastructureError.prototype, inspect.custom, {
  value(this: InfrastructureError, depth: number, options: InspectOptions): string {
    const { name, message, cause, ...facts } = this.toJSON();
    const known = Object.fromEntries(
      Object.entries(facts).filter(([, fact]) => fact !== undefined),
    );
    const rendered = cause === undefined ? '' : `\n[cause]: ${renderCause(this.cause, 1)}`;
    return `${this.stack ?? `${String(name)}: ${String(message)}`} ${inspect(known, { ...options, depth })}${rendered}`;
  },
});
// On the prototype, so that it stands there when the stack is captured.
Object.defineProperty(InfrastructureError.prototype, 'name', {
  value: 'InfrastructureError',
  writable: true,
  configurable: true,
});

/** Causes may form a ring, and deeper ones help nobody. */
const maxCauses = 8;

function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** What a thrown value says for itself, whatever it is. */
function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null) {
    const { message, code, errors } = error as {
      message?: unknown;
      code?: unknown;
      errors?: unknown;
    };
    if (typeof message === 'string' && message !== '') return message;
    if (Array.isArray(errors) && errors.length > 0) return messageOf(errors[0]);
    if (typeof code === 'string' && code !== '') return code;
    return isError(error) ? error.name : 'an object that is no error was thrown';
  }
  return String(error);
}

function describeCause(cause: unknown, depth: number): unknown {
  if (cause === undefined || depth > maxCauses) return undefined;
  if (InfrastructureError.is(cause)) return toPlain(cause, depth);
  if (!isError(cause)) return { message: scrubCredentials(messageOf(cause)) };
  const { code, errors } = cause as { code?: unknown; errors?: unknown };
  return {
    name: cause.name,
    message: scrubCredentials(messageOf(cause)),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(Array.isArray(errors)
      ? { errors: errors.slice(0, maxCauses).map((each) => describeCause(each, depth + 1)) }
      : {}),
    ...(cause.cause === undefined ? {} : { cause: describeCause(cause.cause, depth + 1) }),
  };
}

function toPlain(error: InfrastructureError, depth: number): Record<string, unknown> {
  return {
    name: error.name,
    code: error.code,
    message: error.message,
    component: error.component,
    adapter: error.adapter,
    operation: error.operation,
    outcome: error.outcome,
    retryable: error.retryable,
    retryAfterMs: error.retryAfterMs,
    details: error.details,
    cause: describeCause(error.cause, depth + 1),
  };
}

// Only the stack: an engine's error may carry whole requests, with their headers and bodies, as properties.
function renderCause(cause: unknown, depth: number): string {
  if (depth > maxCauses) return '…';
  if (!isError(cause)) return scrubCredentials(messageOf(cause));
  const own = scrubCredentials(cause.stack ?? `${cause.name}: ${cause.message}`);
  const { errors } = cause as { errors?: unknown };
  const several = Array.isArray(errors)
    ? errors
        .slice(0, maxCauses)
        .map((each, index) => `\n[errors ${index}]: ${renderCause(each, depth + 1)}`)
    : [];
  return `${own}${several.join('')}${cause.cause === undefined ? '' : `\n[cause]: ${renderCause(cause.cause, depth + 1)}`}`;
}

/**
 * Wraps a raw error once: an InfrastructureError passes unchanged; `classify` decides first, then whether it is an abort
 * (`cancelled` or `deadline-exceeded`), then the operating system's codes; whatever nobody knows is `internal` with outcome
 * `unknown`.
 */
export function wrapError(
  error: unknown,
  origin: ErrorOrigin,
  classify?: Classify,
): InfrastructureError {
  if (InfrastructureError.is(error)) return error;
  const classification: Classification = tryClassify(error, classify) ??
    classifyAbort(error) ??
    classifySystemError(error) ?? { code: 'internal' };
  return new InfrastructureError({
    ...classification,
    ...origin,
    message: classification.message ?? messageOf(error),
    cause: error,
  });
}

/** The same error with another outcome, for whoever knows more of it than the call that threw it. */
export function withOutcome(error: InfrastructureError, outcome: Outcome): InfrastructureError {
  if (error.outcome === outcome) return error;
  const { code, message, component, adapter, operation, retryable, retryAfterMs, details, cause } =
    error;
  return new InfrastructureError({
    code,
    message,
    component,
    outcome,
    retryable,
    details,
    cause,
    ...(adapter === undefined ? {} : { adapter }),
    ...(operation === undefined ? {} : { operation }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

// A driver whose classify is broken must not hide what its engine said.
function tryClassify(error: unknown, classify: Classify | undefined): Classification | undefined {
  try {
    return classify?.(error);
  } catch {
    return undefined;
  }
}

/** `TimeoutError` is `deadline-exceeded`, `AbortError` is `cancelled` (the names that the DOM's AbortSignal gives its reasons). */
export const classifyAbort: Classify = (error) => {
  if (!isError(error)) return undefined;
  if (error.name === 'TimeoutError') {
    return {
      code: 'deadline-exceeded',
      message: 'the deadline passed before the operation finished',
    };
  }
  if (error.name === 'AbortError') {
    return { code: 'cancelled', message: 'the caller cancelled the operation' };
  }
  return undefined;
};

/** Why a signal was aborted: its timeout, or else a cancellation, whatever was given to `abort()`. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (classifyAbort(reason)) return reason as Error;
  return new DOMException('aborted', { name: 'AbortError', cause: reason });
}

const systemCodes: Readonly<Record<string, Classification>> = {
  ENOENT: { code: 'not-found' },
  EEXIST: { code: 'already-exists' },
  EACCES: { code: 'permission-denied' },
  EPERM: { code: 'permission-denied' },
  EROFS: { code: 'permission-denied' },
  ENOSPC: { code: 'resource-exhausted', retryable: false },
  EDQUOT: { code: 'resource-exhausted', retryable: false },
  EFBIG: { code: 'resource-exhausted', retryable: false },
  EMFILE: { code: 'resource-exhausted' },
  ENFILE: { code: 'resource-exhausted' },
  ENAMETOOLONG: { code: 'invalid-argument' },
  EADDRINUSE: { code: 'failed-precondition' },
  ECONNREFUSED: { code: 'unavailable', outcome: 'not-applied' },
  ENOTFOUND: { code: 'unavailable', outcome: 'not-applied' },
  EAI_AGAIN: { code: 'unavailable', outcome: 'not-applied' },
  EHOSTUNREACH: { code: 'unavailable', outcome: 'not-applied' },
  ENETUNREACH: { code: 'unavailable', outcome: 'not-applied' },
  ECONNRESET: { code: 'unavailable' },
  EPIPE: { code: 'unavailable' },
  ETIMEDOUT: { code: 'deadline-exceeded' },
  EIO: { code: 'data-loss' },
};

/** The operating system's error codes (`ENOSPC`, `ECONNREFUSED`, …), also where Node's fetch hides them in `cause`. */
export const classifySystemError: Classify = (error) => {
  for (
    let current = error, hops = 0;
    isError(current) && hops < 4;
    current = current.cause, hops += 1
  ) {
    const { code, syscall }: NodeJS.ErrnoException = current;
    if (typeof code !== 'string' || !Object.hasOwn(systemCodes, code)) continue;
    // A connection that was open may have carried what was sent, also when the way to its host is lost.
    const wasOpen = /^E(?:HOST|NET)UNREACH$/.test(code) && /^(?:read|write)$/.test(syscall ?? '');
    const classification = wasOpen ? systemCodes['ECONNRESET'] : systemCodes[code];
    // The outer error says only that something failed.
    return classification && current !== error
      ? { ...classification, message: `${messageOf(error)}: ${messageOf(current)}` }
      : classification;
  }
  return undefined;
};

/** The operating system's code of a raw error, such as `ENOENT`. */
export function systemErrorCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** An `invalid-argument` error, for a portable class that refuses what its caller gave. */
export function invalidArgument(
  origin: ErrorOrigin,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): InfrastructureError {
  return new InfrastructureError({
    code: 'invalid-argument',
    ...origin,
    message,
    ...(details ? { details } : {}),
  });
}
