import type { Classification, Classify, Outcome } from '../../core/index.ts';

/** What a session with the server failed of. Its message holds no address, no credential and nothing of the mail. */
class SmtpFault extends Error {
  readonly classification: Classification;

  constructor(message: string, classification: Omit<Classification, 'message'>) {
    super(message);
    this.name = 'SmtpFault';
    this.classification = { ...classification, message };
  }
}

/** Where a session was when it failed. */
export interface SmtpStage {
  /** Whether every byte of the message was handed over, so that the server may have taken it even when it did not answer. */
  readonly isSent: boolean;
}

const sendLess = 'send a link in place of large files';

/** Knows {@link SmtpFault}. */
export const classifySmtp: Classify = (error) =>
  error instanceof SmtpFault ? error.classification : undefined;

/** What nodemailer's errors have, as far as it is used here. */
interface ClientError {
  readonly code?: unknown;
  readonly originalCode?: unknown;
  readonly command?: unknown;
  readonly response?: unknown;
}

/** Makes of an error of nodemailer what this room tells. An abort stays what it is. */
export function faultOf(error: unknown, { isSent }: SmtpStage): unknown {
  if (!(error instanceof Error) || error.name === 'AbortError') return error;
  const { code, originalCode, command, response } = error as ClientError;
  if (typeof response === 'string' && /^[45]\d\d/.test(response))
    return refusal(response, typeof command === 'string' ? command : '');
  // Those of a pool or a session that was closed have no code.
  if (typeof code !== 'string' && !error.message.startsWith('Connection')) return error;
  const system = [originalCode, code].find((each) => typeof each === 'string') ?? 'closed';
  // The message's own rules, which nodemailer checks by itself.
  if (code === 'EMESSAGE') {
    return new SmtpFault(`the message is larger than the server takes: ${sendLess}`, {
      code: 'resource-exhausted',
      outcome: 'not-applied',
      retryable: false,
    });
  }
  const outcome: Outcome = isSent ? 'unknown' : 'not-applied';
  const ending = isSent
    ? 'after the whole message was sent: whether the server took it is unknown'
    : 'before the message was sent';
  if (/CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|ALTNAME/.test(system)) {
    return new SmtpFault(
      `the server's certificate is not trusted (${system}): give the authority that signed it as the option tls.ca, or in NODE_EXTRA_CA_CERTS`,
      { code: 'failed-precondition', outcome: 'not-applied' },
    );
  }
  if (code === 'EDNS') {
    return new SmtpFault(`the server's name was not found (${system}): check the host`, {
      code: 'unavailable',
      outcome: 'not-applied',
    });
  }
  if (code === 'ETIMEDOUT') {
    return new SmtpFault(`the server did not answer in time, ${ending}`, {
      code: isSent ? 'deadline-exceeded' : 'unavailable',
      outcome,
    });
  }
  if (system === 'ECONNREFUSED' || code === 'ETLS')
    return new SmtpFault(
      code === 'ETLS'
        ? 'the server ended the connection while it was encrypted'
        : 'the server refuses connections (ECONNREFUSED): check host and port',
      { code: 'unavailable', outcome: 'not-applied' },
    );
  if (code === 'EPROTOCOL')
    return new SmtpFault(`what answers is no SMTP server, or it lost its way, ${ending}`, {
      code: 'unavailable',
      outcome,
    });
  return new SmtpFault(`the connection to the server broke (${system}), ${ending}`, {
    code: 'unavailable',
    outcome,
  });
}

// RFC 5321, 4.2, with the enhanced codes of RFC 3463. A server that answers so did not take the message.
function refusal(response: string, command: string): SmtpFault {
  const { status, enhanced, text } = readReply(response);
  const shown = enhanced === '' ? String(status) : `${status} ${enhanced}`;
  const fault = (
    code: Classification['code'],
    says: string,
    options: { readonly retryable?: boolean } = {},
  ): SmtpFault =>
    new SmtpFault(says, {
      code,
      outcome: 'not-applied',
      ...options,
      details: { status, ...(enhanced === '' ? {} : { enhanced }) },
    });
  const isTransient = status < 500;
  // What it says of a login may repeat what it was told.
  if (command.startsWith('AUTH')) {
    return isTransient
      ? fault('unavailable', `the server cannot check the user name and password now (${shown})`)
      : fault(
          'unauthenticated',
          `the server does not accept the user name and password (${shown})`,
        );
  }
  if (command === 'STARTTLS' && !isTransient) {
    return fault(
      'failed-precondition',
      `the server offers no encryption (STARTTLS), and without it no password is sent (${shown}): use its port for encrypted connections, or a server that has it`,
    );
  }
  const says = `the server refuses it: ${shown} ${text}`.trimEnd();
  if (status === 503) return fault('unavailable', says, { retryable: true });
  if (isTransient) {
    const isLimit =
      status === 452 ||
      /^4\.(?:2\.2|3\.1|5\.3)$/.test(enhanced) ||
      /too (?:many|much|fast)|rate.?limit|quota/i.test(text);
    return fault(isLimit ? 'resource-exhausted' : 'unavailable', says, { retryable: true });
  }
  if (status === 530 && /tls/i.test(text)) return fault('failed-precondition', says);
  if (status === 530 || status === 534 || status === 535) return fault('unauthenticated', says);
  if (status === 552 || /^5\.(?:2\.[23]|3\.4)$/.test(enhanced))
    return fault('resource-exhausted', `${says}: ${sendLess}`, { retryable: false });
  if (enhanced === '5.6.7') return fault('unimplemented', says);
  if (/^5\.1\.(?:0|1|2|6|10)$/.test(enhanced)) return fault('not-found', says);
  if (enhanced.startsWith('5.7.')) return fault('permission-denied', says);
  if (status === 501 || status === 553 || enhanced.startsWith('5.1.'))
    return fault('invalid-argument', says);
  if (status === 550 && command === 'RCPT TO') return fault('not-found', says);
  if (status === 500 || status === 502 || status === 504 || status === 555)
    return fault('unimplemented', says);
  return fault('failed-precondition', says);
}

function readReply(response: string): {
  readonly status: number;
  readonly enhanced: string;
  readonly text: string;
} {
  const [, status = '', enhanced = ''] =
    /^(\d{3})[ -](?:(\d\.\d{1,3}\.\d{1,3})\b)?/.exec(response) ?? [];
  const text = response
    .replaceAll(/^\d{3}[ -]?(?:\d\.\d{1,3}\.\d{1,3}\b)?/gm, '')
    // Servers repeat the address that they refuse.
    .replaceAll(/<?[^\s<>]+@[^\s<>,;]+>?/g, '<address>')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
  return { status: Number(status) || Number(response.slice(0, 3)), enhanced, text };
}
