import type { ConnectionOptions } from 'node:tls';

import {
  definePolicy,
  type Duration,
  invalidArgument,
  type Policy,
  redact,
  Redacted,
  type Secret,
  toMilliseconds,
} from '../../core/index.ts';
import { Mailer, type MailerOptions } from '../mail.ts';
import { SmtpMailDriver } from './driver.ts';

export { SmtpMailDriver };

/** Options of {@link smtpMailer}. */
export interface SmtpMailerOptions extends MailerOptions {
  /**
   * `smtps://user:password@host:port` is encrypted from the first byte (default port 465), `smtp://…` from STARTTLS on (default port
   * 587). With a user, a server that offers no encryption is refused; without one, it is used where the server offers it.
   */
  readonly url: Secret;
  /** The user's password, when it does not stand in the URL. */
  readonly password?: Secret | undefined;
  /** Options of the encryption, such as `ca` for an authority that Node does not know. */
  readonly tls?: ConnectionOptions | undefined;
  /** How this client calls itself: a full host name. Default: the machine's, or its address if that is none. */
  readonly name?: string | undefined;
  /** Sessions at once, each of which sends one message at a time. Default 5. */
  readonly maxConnections?: number | undefined;
  /** Until a session is there: connected, greeted and encrypted. Default 15 s. */
  readonly connectTimeout?: Duration | undefined;
  /**
   * Until the server answers a command, or takes more of the message. Default 5 minutes: a server may check a message for long before it
   * answers for it, and who does not wait cannot tell whether it was sent.
   */
  readonly replyTimeout?: Duration | undefined;
}

/** Further attempts of what certainly was not sent. No timeout of the whole: the session has its own. */
const defaultPolicy: Policy = definePolicy('smtp', {
  retry: { attempts: 2, initialDelay: '500ms' },
});

/**
 * A mailer that hands its messages to an SMTP server, over sessions that it keeps open between them.
 *
 * Throws `invalid-argument` for a URL that is none of `smtp:` and `smtps:`, or has a user without a password.
 *
 * @example
 * const mailer = smtpMailer({ url: 'smtps://news:secret@mail.example.com', from: 'news@example.com' });
 */
export function smtpMailer(options: SmtpMailerOptions): Mailer<SmtpMailDriver> {
  const { policy = defaultPolicy, maxConnections = 5 } = options;
  const { host, port, secure, credentials } = serverOf(options);
  if (!Number.isInteger(maxConnections) || maxConnections < 1)
    throw refuse('maxConnections is not a whole number of at least 1');
  const driver = new SmtpMailDriver({
    connection: {
      host,
      port,
      secure,
      requireTLS: !secure && credentials !== undefined,
      connectionTimeout: toMilliseconds(options.connectTimeout ?? '15s'),
      greetingTimeout: toMilliseconds(options.connectTimeout ?? '15s'),
      dnsTimeout: toMilliseconds(options.connectTimeout ?? '15s'),
      socketTimeout: toMilliseconds(options.replyTimeout ?? '5m'),
      // A server that does not end its side must not keep the process.
      socketCloseTimeout: 0,
      ...(options.name !== undefined && { name: options.name }),
      ...(options.tls && { tls: options.tls }),
    },
    credentials,
    maxConnections,
  });
  return new Mailer(driver, { ...options, policy });
}

// Its messages never show the URL, which holds the password.
function serverOf({ url: secret, password }: SmtpMailerOptions): {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly credentials: { readonly user: string; readonly password: Redacted } | undefined;
} {
  const url = URL.parse(redact(secret).reveal());
  if (url?.protocol !== 'smtp:' && url?.protocol !== 'smtps:')
    throw refuse('url is not written as smtp://user:password@host:port, or with smtps:');
  if (url.hostname === '') throw refuse('url has no host: smtp://user:password@host:port');
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw refuse('nothing may follow the port in url; write / ? # as %2F %3F %23 in a password');
  const secure = url.protocol === 'smtps:';
  const user = decoded(url.username);
  const given = password === undefined ? decoded(url.password) : redact(password).reveal();
  if ((user === '') !== (given === ''))
    throw refuse('url has a user and no password, or a password and no user: give both or none');
  return {
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    credentials: user === '' ? undefined : { user, password: new Redacted(given) },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse('url has a % that encodes nothing: write % as %25');
  }
}

function refuse(message: string): Error {
  return invalidArgument({ component: 'mail', adapter: 'smtp' }, message);
}
