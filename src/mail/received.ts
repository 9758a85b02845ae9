import PostalMime, { type Address } from 'postal-mime';

import type { Mailbox } from './address.ts';
import type { MailEnvelope } from './driver.ts';

/** A file that came with a received message. */
export interface ReceivedAttachment {
  readonly filename: string | undefined;
  /** Media type, in lower case. */
  readonly contentType: string;
  /** Without its angle brackets. */
  readonly contentId: string | undefined;
  readonly content: Uint8Array;
}

/** A message as it lies in an inbox: parsed from what was delivered, as a recipient's client would. */
export interface ReceivedMail {
  /** The `Message-ID` header without its angle brackets, as the sender's receipt has it. */
  readonly id: string;
  readonly idempotencyKey: string | undefined;
  readonly receivedAt: Date;
  readonly envelope: MailEnvelope;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  /** Lines end in `\n`; line breaks at the end are gone, since mail systems add and remove them. */
  readonly text: string | undefined;
  readonly html: string | undefined;
  readonly attachments: readonly ReceivedAttachment[];
  /** Header names in lower case to their values, in the message's order, unfolded and not decoded. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** The whole message as it was delivered. */
  readonly raw: Uint8Array;
}

/** What an inbox knows of a message beside its bytes. */
export type DeliveryFacts = Pick<ReceivedMail, 'id' | 'idempotencyKey' | 'receivedAt' | 'envelope'>;

/** The messages that an embedded adapter delivered: `mailer.native`. */
export interface Inbox {
  /** Every message, in the order of delivery, one in memory at a time. */
  messages(): AsyncIterable<ReceivedMail>;
  /** Removes every message. Idempotency keys are free again. */
  clear(): Promise<void>;
}

/** Parses a delivered message. */
export async function parseReceivedMail(
  raw: Uint8Array,
  facts: DeliveryFacts,
): Promise<ReceivedMail> {
  const email = await PostalMime.parse(raw, {
    attachmentEncoding: 'arraybuffer',
    forceRfc822Attachments: true,
  });
  const headers = new Map<string, string[]>();
  for (const { key, value } of email.headers) {
    const values = headers.get(key);
    if (values) values.push(value);
    else headers.set(key, [value]);
  }
  return {
    ...facts,
    from: mailboxes(email.from ? [email.from] : [])[0] ?? { address: facts.envelope.from },
    to: mailboxes(email.to),
    cc: mailboxes(email.cc),
    replyTo: mailboxes(email.replyTo),
    subject: email.subject ?? '',
    text: email.text?.replace(/\n+$/, ''),
    html: email.html?.replace(/\n+$/, ''),
    attachments: email.attachments.map(({ filename, mimeType, contentId, content }) => ({
      filename: filename ?? undefined,
      contentType: mimeType,
      contentId: contentId?.replace(/^<|>$/g, ''),
      // A string only with another attachmentEncoding.
      content: typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content),
    })),
    headers,
    raw,
  };
}

function mailboxes(addresses: readonly Address[] = []): Mailbox[] {
  return addresses
    .flatMap((address) => address.group ?? [address])
    .map(({ name, address }) => (name ? { name, address } : { address }));
}
