import MailComposer from 'nodemailer/lib/mail-composer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';

import type { Mailbox } from './address.ts';
import type { MailEnvelope } from './driver.ts';

/** An attachment whose content is at hand. */
export interface LoadedAttachment {
  readonly filename: string;
  readonly content: Uint8Array;
  readonly contentType: string | undefined;
  readonly contentId: string | undefined;
}

/** A message in which everything is validated, and loaded. */
export interface ComposableMail {
  readonly id: string;
  readonly date: Date;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  readonly attachments: readonly LoadedAttachment[];
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** The value of `List-Unsubscribe`. */
  readonly listUnsubscribe: string | undefined;
}

/** Renders a message as MIME, and collects its envelope. */
export async function composeMail(
  mail: ComposableMail,
): Promise<{ readonly envelope: MailEnvelope; readonly raw: Uint8Array }> {
  const list = mail.listUnsubscribe
    ? [
        // Prepared: a URL may hold what looks like an encoded word, and must come out as it is.
        {
          key: 'List-Unsubscribe',
          value: { prepared: true, foldLines: true, value: mail.listUnsubscribe },
        },
        { key: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
      ]
    : [];
  const custom = Object.entries(mail.headers).flatMap(([key, value]) =>
    (typeof value === 'string' ? [value] : value).map((each) => ({ key, value: each })),
  );
  const node = new MailComposer({
    messageId: `<${mail.id}>`,
    date: mail.date,
    from: address(mail.from),
    to: addressList(mail.to),
    cc: addressList(mail.cc),
    replyTo: addressList(mail.replyTo),
    text: mail.text,
    html: mail.html,
    headers: [{ key: 'Subject', value: subjectValue(mail.subject) }, ...list, ...custom],
    attachments: mail.attachments.map(({ filename, content, contentType, contentId }) => ({
      filename,
      content: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
      contentType,
      ...(contentId === undefined ? {} : { cid: contentId, contentDisposition: 'inline' }),
    })),
    newline: 'win',
    // Content is at hand; nothing that a message says may make the composer read a file or a URL.
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  // Blind recipients never reach the composer: what it does not know it cannot render.
  const to = new Set([...mail.to, ...mail.cc, ...mail.bcc].map((recipient) => recipient.address));
  return { envelope: { from: mail.from.address, to: [...to] }, raw: await node.build() };
}

// The composer passes a valid encoded word through, and recipients would read another subject than the one that was given.
function subjectValue(
  subject: string,
): string | { prepared: true; foldLines: true; value: string } {
  return subject.includes('=?')
    ? { prepared: true, foldLines: true, value: encodeWord(subject, 'Q', 52) }
    : subject;
}

// An empty list would become an empty header.
function addressList(
  mailboxes: readonly Mailbox[],
): { name: string; address: string }[] | undefined {
  return mailboxes.length === 0 ? undefined : mailboxes.map(address);
}

function address({ name, address: value }: Mailbox): { name: string; address: string } {
  return { name: name ?? '', address: value };
}
