import { inspect, type InspectOptions } from 'node:util';

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
  /** Says what to do, without secrets or bodies. Default: the raw error's message with credentials in URLs removed. */
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
  override readonly name: string = 'InfrastructureError';
  readonly code: ErrorCode;
  readonly component: string;
  readonly adapter: string | undefined;
  readonly operation: string | undefined;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(options: InfrastructureErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.component = options.component;
    this.adapter = options.adapter;
    this.operation = options.operation;
    this.outcome = options.outcome ?? defaultOutcome(options.code);
    this.retryable = options.retryable ?? defaultRetryable(options.code);
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
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

  /** The error as plain data for logs: no stack, and causes by name and message only. */
  toJSON(): Record<string, unknown> {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      component: this.component,
      adapter: this.adapter,
      operation: this.operation,
      outcome: this.outcome,
      retryable: this.retryable,
      retryAfterMs: this.retryAfterMs,
      details: this.details,
      cause: describeCause(this.cause),
    };
  }
}

// Not a method: isolated declarations cannot name a computed key.
Object.defineProperty(InfrastructureError.prototype, inspect.custom, {
  value(this: InfrastructureError, depth: number, options: InspectOptions): string {
    const head = scrubCredentials(this.stack ?? `${this.name}: ${this.message}`);
    const { cause, ...facts } = this.toJSON();
    const rendered = cause === undefined ? '' : `\n[cause]: ${renderCause(this.cause)}`;
    return `${head} ${inspect(facts, { ...options, depth })}${rendered}`;
  },
});

function describeCause(cause: unknown): unknown {
  if (cause === undefined) return undefined;
  if (InfrastructureError.is(cause)) return cause.toJSON();
  // oxlint-disable-next-line typescript/no-base-to-string -- an unknown object is not looked into: it may hold secrets
  if (!(cause instanceof Error)) return { message: scrubCredentials(String(cause)) };
  const code: unknown = (cause as { code?: unknown }).code;
  return {
    name: cause.name,
    message: scrubCredentials(cause.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause.cause === undefined ? {} : { cause: describeCause(cause.cause) }),
  };
}

// Only the stack: an engine's error may carry whole requests, with their headers and bodies, as properties.
function renderCause(cause: unknown): string {
  if (InfrastructureError.is(cause)) return inspect(cause);
  if (!(cause instanceof Error)) return scrubCredentials(String(cause));
  const own = scrubCredentials(cause.stack ?? String(cause));
  return cause.cause === undefined ? own : `${own}\n[cause]: ${renderCause(cause.cause)}`;
}

/**
 * Wraps a raw error once: an InfrastructureError passes unchanged; an abort becomes `cancelled` or `deadline-exceeded`;
 * then `classify` decides, then the operating system's codes; whatever nobody knows is `internal` with outcome `unknown`.
 */
export function wrapError(
  error: unknown,
  origin: ErrorOrigin,
  classify?: Classify,
): InfrastructureError {
  if (InfrastructureError.is(error)) return error;
  const classification = classify?.(error) ??
    classifyAbort(error) ??
    classifySystemError(error) ?? { code: 'internal' };
  return new InfrastructureError({
    ...classification,
    ...origin,
    message:
      classification.message ??
      scrubCredentials(error instanceof Error ? error.message : String(error)),
    cause: error,
  });
}

/** `TimeoutError` is `deadline-exceeded`, `AbortError` is `cancelled` (the names that the DOM's AbortSignal gives its reasons). */
export const classifyAbort: Classify = (error) => {
  if (!(error instanceof Error)) return undefined;
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
    current instanceof Error && hops < 4;
    current = current.cause, hops += 1
  ) {
    const code: unknown = (current as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && Object.hasOwn(systemCodes, code)) return systemCodes[code];
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
