import { Readable } from 'node:stream';

import SMTPConnection, { type SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import SMTPPool, { type SMTPPoolSentMessageInfo } from 'nodemailer/lib/smtp-pool';

import { abortable, abortReason, type Redacted } from '../../core/index.ts';
import { needsUnicode } from '../address.ts';
import type { MailDriver, OutgoingMail } from '../driver.ts';
import type { MailReceipt } from '../message.ts';
import { classifySmtp, faultOf } from './faults.ts';

/** What {@link SmtpMailDriver} takes. */
export interface SmtpDriverOptions {
  readonly connection: SMTPConnectionOptions;
  readonly credentials: { readonly user: string; readonly password: Redacted } | undefined;
  readonly maxConnections: number;
}

// So that a message whose server has gone away is not held until its last byte was written to nobody.
const chunkBytes = 64 * 1024;
// Shorter than servers wait (RFC 5321: five minutes), many of which wait less.
const idleMs = 30_000;

type PooledMail = Parameters<SMTPPool['send']>[0];

/** Hands messages to an SMTP server. */
export class SmtpMailDriver implements MailDriver {
  readonly adapter = 'smtp';
  readonly capabilities = { idempotencyKeys: false, unicodeAddresses: true } as const;
  readonly classify: typeof classifySmtp = classifySmtp;
  // All of them private: what they hold shows the password when it is printed.
  readonly #pool: SMTPPool;
  readonly #options: SmtpDriverOptions;
  readonly #probes = new Set<SMTPConnection>();
  readonly #sending = new Set<Promise<unknown>>();

  constructor(options: SmtpDriverOptions) {
    this.#options = options;
    const { connection, credentials, maxConnections } = options;
    this.#pool = new SMTPPool({
      ...connection,
      ...(credentials && {
        auth: { user: credentials.user, pass: credentials.password.reveal() },
        // Else it sends without logging in when the server offers no login.
        forceAuth: true,
      }),
      maxConnections,
      // The policy repeats, and knows what is safe.
      maxRequeues: 0,
      idleTimeout: idleMs,
    });
  }

  get native(): SMTPPool {
    return this.#pool;
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.checkHealth(signal);
  }

  /** Connects and logs in, and leaves. */
  async checkHealth(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const probe = new SMTPConnection(this.#options.connection);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(signal && abortReason(signal));
    this.#probes.add(probe);
    signal?.addEventListener('abort', onAbort, { once: true });
    probe.on('error', reject);
    probe.once('end', () => {
      this.#probes.delete(probe);
      reject(new Error('Connection closed'));
    });
    probe.connect((error) => {
      if (error) reject(error);
      else this.#logIn(probe, (failure) => (failure ? reject(failure) : resolve()));
    });
    try {
      await promise;
      // It ends when the server has answered, or at the latest with `close`.
      probe.quit();
    } catch (error) {
      probe.close();
      throw faultOf(error, { isSent: false });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async send(mail: OutgoingMail, signal?: AbortSignal): Promise<MailReceipt> {
    const body = Readable.from(chunksOf(mail.raw), { objectMode: false });
    const sending = this.#send(mail, body, signal);
    this.#sending.add(sending);
    try {
      const { accepted, rejectedErrors = [], serverMessageId } = await sending;
      return {
        // Some servers give the message another, and say so.
        id: serverMessageId?.replaceAll(/^<|>$/g, '') ?? mail.id,
        accepted,
        rejected: rejectedErrors.map((error) => ({
          address: error.recipient ?? '',
          error: faultOf(error, { isSent: false }),
        })),
      };
    } catch (error) {
      throw faultOf(error, { isSent: body.readableEnded });
    } finally {
      this.#sending.delete(sending);
    }
  }

  async drain(signal?: AbortSignal): Promise<void> {
    const idle = Promise.allSettled(this.#sending);
    await (signal ? abortable(idle, signal).catch(() => undefined) : idle);
  }

  async close(): Promise<void> {
    for (const probe of this.#probes) probe.close();
    this.#pool.close({ force: true });
    await Promise.allSettled(this.#sending);
  }

  async #send(
    { id, envelope, raw }: OutgoingMail,
    body: Readable,
    signal: AbortSignal | undefined,
  ): Promise<SMTPPoolSentMessageInfo> {
    const mail = {
      data: { signal },
      message: {
        getEnvelope: () => ({
          from: envelope.from,
          to: [...envelope.to],
          size: raw.byteLength,
          use8BitMime: envelope.to.some(needsUnicode) || needsUnicode(envelope.from),
        }),
        getHeader: () => `<${id}>`,
        messageId: () => `<${id}>`,
        createReadStream: () => body,
      },
      // What the pool asks of a message. Of the whole class it composes mail with, which is done already, it needs no more.
    } as unknown as PooledMail;
    const { promise, resolve, reject } = Promise.withResolvers<SMTPPoolSentMessageInfo>();
    this.#pool.send(mail, (error, info) => {
      if (error) reject(error);
      else resolve(info as SMTPPoolSentMessageInfo);
    });
    return await promise;
  }

  #logIn(probe: SMTPConnection, done: (error: Error | null) => void): void {
    const { credentials } = this.#options;
    if (!credentials) done(null);
    else probe.login({ user: credentials.user, pass: credentials.password.reveal() }, done);
  }
}

function* chunksOf(raw: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < raw.byteLength; start += chunkBytes)
    yield raw.subarray(start, start + chunkBytes);
}
