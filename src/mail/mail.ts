import { createHash, randomBytes } from 'node:crypto';
import { domainToASCII } from 'node:url';

import {
  type ByteSize,
  type CallOptions,
  type Clock,
  Component,
  type ComponentOptions,
  InfrastructureError,
  invalidArgument,
  type OperationAttributes,
  requireCapability,
  systemClock,
  toBytes,
  withOutcome,
} from '../core/index.ts';
import { type MailAddress, type Mailbox, needsUnicode } from './address.ts';
import { composeMail } from './compose.ts';
import type { MailDriver, OutgoingMail } from './driver.ts';
import type { MailMessage, MailReceipt } from './message.ts';
import { loadAttachments, one, validateMail } from './validate.ts';

/** Options that every mailer takes beside those of its adapter. */
export interface MailerOptions extends ComponentOptions {
  /** Sender of messages that name none. Throws `invalid-argument` at construction when it is not an address. */
  readonly from?: MailAddress | undefined;
  /** Largest message, as it goes over the wire: attachments grow by a third. Default 25 MiB. */
  readonly maxSize?: ByteSize | undefined;
  /** Dates the messages. Default: the machine's time. */
  readonly clock?: Clock | undefined;
}

/**
 * Sends mail. Messages are checked and composed here, so that every adapter delivers the same bytes.
 *
 * @example
 * const mailer = inboxMailer({ directory: 'data/mail', from: 'Gazette <news@gazette.example>' });
 * await mailer.send({ to: 'ada@example.com', subject: 'Welcome', text: 'Hello Ada.', idempotencyKey: 'welcome/7' });
 */
export class Mailer<AnyDriver extends MailDriver = MailDriver> extends Component<AnyDriver> {
  readonly #from: Mailbox | undefined;
  readonly #maxSize: number;
  readonly #clock: Clock;

  constructor(driver: AnyDriver, options: MailerOptions = {}) {
    super('mail', driver, options);
    const origin = { component: this.component, adapter: driver.adapter };
    this.#from =
      options.from === undefined
        ? undefined
        : one(options.from, 'from', (message) => invalidArgument(origin, message));
    this.#maxSize = toBytes(options.maxSize ?? '25MiB');
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Sends one message to all of its recipients. Resolves when the engine has taken it over, and says for whom.
   *
   * Throws `invalid-argument` for a message that is not sendable (no recipient, a line break in a header, …),
   * `resource-exhausted` for one larger than `maxSize` and for a full disk, and `unimplemented` for what the adapter lacks.
   */
  async send(message: MailMessage, options: CallOptions = {}): Promise<MailReceipt> {
    const attributes: OperationAttributes = {};
    let composing: Promise<OutgoingMail> | undefined;
    return await this.run(
      'send',
      attributes,
      {
        signal: options.signal,
        repeatable: message.idempotencyKey !== undefined && this.capabilities.idempotencyKeys,
      },
      async (signal) => {
        // Once for all attempts: a stream can be read only once.
        composing ??= this.#compose(message, attributes, signal);
        const mail = await composing.catch((error: unknown) => {
          throw withOutcome(this.wrap(error, 'send', signal), 'not-applied');
        });
        const receipt = await this.driver.send(mail, signal);
        const rejected = receipt.rejected.map(({ address, error }) => ({
          address,
          error: this.wrap(error, 'send'),
        }));
        attributes['accepted'] = receipt.accepted.length;
        attributes['rejected'] = rejected.length;
        return { id: receipt.id, accepted: receipt.accepted, rejected };
      },
    );
  }

  async #compose(
    message: MailMessage,
    attributes: OperationAttributes,
    signal: AbortSignal | undefined,
  ): Promise<OutgoingMail> {
    const origin = { component: this.component, adapter: this.adapter, operation: 'send' };
    const refuse = (reason: string): InfrastructureError => invalidArgument(origin, reason);
    const refuseSize = (): InfrastructureError =>
      new InfrastructureError({
        code: 'resource-exhausted',
        ...origin,
        retryable: false,
        message: `the message is larger than ${this.#maxSize} bytes: send a link to a large file, or raise maxSize as far as the recipients' servers allow`,
      });

    const mail = validateMail(message, this.#from, refuse);
    const { idempotencyKey } = mail;
    if (
      [mail.from, ...mail.to, ...mail.cc, ...mail.bcc].some(({ address }) => needsUnicode(address))
    ) {
      requireCapability(this.capabilities, 'unicodeAddresses', origin);
    }
    attributes['recipients'] = mail.to.length + mail.cc.length + mail.bcc.length;
    attributes['attachments'] = mail.attachments.length;

    const bodySize = Buffer.byteLength(mail.text ?? '') + Buffer.byteLength(mail.html ?? '');
    if (bodySize > this.#maxSize) throw refuseSize();
    const attachments = await loadAttachments(mail.attachments, {
      maxBytes: this.#maxSize - bodySize,
      refuse,
      refuseSize,
      refuseSource: (reason, cause) =>
        new InfrastructureError({
          code: 'aborted',
          ...origin,
          outcome: 'not-applied',
          retryable: false,
          message: reason,
          cause,
        }),
      signal,
    });
    const deliveryKey =
      idempotencyKey === undefined
        ? randomBytes(16).toString('hex')
        : createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 32);
    const id = `${deliveryKey}@${domainToASCII(mail.from.address.slice(mail.from.address.lastIndexOf('@') + 1))}`;
    const { envelope, raw } = await composeMail({
      ...mail,
      attachments,
      id,
      date: new Date(this.#clock.now()),
    });
    attributes['size'] = raw.byteLength;
    if (raw.byteLength > this.#maxSize) throw refuseSize();
    return { id, deliveryKey, idempotencyKey, envelope, raw };
  }
}
