import {
  type Classification,
  type Classify,
  classifyHttpStatus,
  classifySystemError,
  systemErrorCode,
} from '../../core/index.ts';
import { PrivateEndpointError } from './network.ts';

/** An answer of a push service that is neither a success nor about the target's end. */
export class PushServiceRefusal extends Error {
  readonly status: number;
  readonly headers: Headers;
  /** What the service calls the reason, where it is one plain word or phrase. */
  readonly reason: string | undefined;

  constructor(status: number, headers: Headers, body: string) {
    const reason = reasonIn(body);
    super(`the push service answered ${status}${reason === undefined ? '' : ` (${reason})`}`);
    this.name = 'PushServiceRefusal';
    this.status = status;
    this.headers = headers;
    this.reason = reason;
  }
}

/** A request that failed without an answer. */
export class PushRequestFault extends Error {
  /** Whether a connection was there, so that the service may have taken the request. */
  readonly isSent: boolean;

  constructor(isSent: boolean, cause: unknown) {
    super('the request to the push service failed', { cause });
    this.name = 'PushRequestFault';
    this.isSent = isSent;
  }
}

/** Thrown by the driver for a connection that did not come about in time. */
export class ConnectTimeoutError extends Error {
  constructor(milliseconds: number) {
    super(`no connection to the push service within ${milliseconds} ms`);
    this.name = 'ConnectTimeoutError';
  }
}

/** Knows the answers and faults of push services (RFC 8030, 8292). */
export const classifyWebPush: Classify = (error) => {
  if (error instanceof PushServiceRefusal) return classifyAnswer(error);
  if (error instanceof PushRequestFault) return classifyFault(error);
  return undefined;
};

function classifyAnswer(refusal: PushServiceRefusal): Classification {
  const { status, headers, message, reason } = refusal;
  const known = classifyHttpStatus({ status, headers }, Date.now());
  const details = { status, ...(reason === undefined ? {} : { reason }) };
  if (status >= 300 && status < 400) {
    return {
      code: 'failed-precondition',
      outcome: 'not-applied',
      message: `${message}, a redirection, which is not followed`,
      details,
    };
  }
  if (status === 401) {
    return {
      ...known,
      details,
      message: `${message}: it does not accept the VAPID signature; check vapid.subject, the keys and this machine's clock`,
    };
  }
  if (status === 403) {
    return {
      ...known,
      details,
      message: `${message}: the subscription belongs to other VAPID keys; use those that the browser subscribed with, or let it subscribe again`,
    };
  }
  return { ...known, details, message };
}

function classifyFault({ isSent, cause }: PushRequestFault): Classification {
  if (cause instanceof PrivateEndpointError)
    return { code: 'invalid-argument', outcome: 'not-applied', message: cause.message };
  if (cause instanceof ConnectTimeoutError)
    return { code: 'unavailable', outcome: 'not-applied', message: cause.message };
  const code = systemErrorCode(cause) ?? 'no code';
  if (/CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH/.test(code)) {
    return {
      code: 'failed-precondition',
      outcome: 'not-applied',
      message: `the push service's certificate is not trusted (${code})`,
    };
  }
  // Node's own messages name the host.
  return {
    code: 'unavailable',
    ...classifySystemError(cause),
    outcome: isSent ? 'unknown' : 'not-applied',
    retryable: true,
    message: isSent
      ? `the connection to the push service broke (${code}) before it answered`
      : `no connection to the push service came about (${code})`,
  };
}

// Services put it into JSON under different names; anything longer may repeat what it was sent.
function reasonIn(body: string): string | undefined {
  try {
    const { reason, error } = JSON.parse(body) as { reason?: unknown; error?: unknown };
    const text = typeof reason === 'string' ? reason : error;
    return typeof text === 'string' && /^[A-Za-z][A-Za-z ]{0,60}$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
