import { abortable } from '../core/index.ts';
import { hasControlCharacter, type Mailbox, parseMailAddress } from './address.ts';
import type { LoadedAttachment } from './compose.ts';
import type { MailAddresses, MailAttachment, MailMessage, MailUnsubscribe } from './message.ts';

/** What of a message could be checked without reading its streams. */
export interface ValidMail {
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  readonly attachments: readonly MailAttachment[];
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly listUnsubscribe: string | undefined;
  readonly idempotencyKey: string | undefined;
}

/** Makes the error that refuses a message. Messages name fields and positions, never addresses or contents. */
export type Refuse = (message: string) => Error;

const maxRecipients = 1000;
const maxSubject = 998;
const maxHeaderValue = 8192;
const maxIdempotencyKey = 255;
const headerName = /^[A-Za-z][A-Za-z0-9-]{0,75}$/;
// Set from fields of their own, by the composer, or by the systems that carry the message.
const reservedHeader =
  /^(?:from|sender|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|list-unsubscribe(?:-post)?|return-path|received|delivered-to|dkim-signature|resent-.*|arc-.*|authentication-results)$/i;
const mediaType =
  /^(?!multipart\/)[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}(?:; ?[a-z0-9-]{1,60}=[a-z0-9._-]{1,100})*$/i;
const contentId = /^[A-Za-z0-9._@+-]{1,200}$/;

/** Checks everything about a message that can be checked before its streams are read. Throws what `refuse` makes. */
export function validateMail(
  message: MailMessage,
  defaultFrom: Mailbox | undefined,
  refuse: Refuse,
): ValidMail {
  const from = message.from === undefined ? defaultFrom : one(message.from, 'from', refuse);
  if (from === undefined)
    throw refuse('the message has no from: give it one, or give the mailer a default');
  const to = many(message.to, 'to', refuse);
  const cc = many(message.cc, 'cc', refuse);
  const bcc = many(message.bcc, 'bcc', refuse);
  const recipients = to.length + cc.length + bcc.length;
  if (recipients === 0)
    throw refuse('the message has no recipient: give at least one in to, cc or bcc');
  if (recipients > maxRecipients)
    throw refuse(
      `the message has ${recipients} recipients, and ${maxRecipients} is the most: send it in parts`,
    );
  return {
    from,
    to,
    cc,
    bcc,
    replyTo: many(message.replyTo, 'replyTo', refuse),
    subject: line(message.subject, 'subject', maxSubject, refuse),
    ...bodies(message, refuse),
    attachments: (message.attachments ?? []).map((attachment, index) =>
      validAttachment(attachment, `attachments[${index}]`, refuse),
    ),
    headers: validHeaders(message.headers ?? {}, refuse),
    listUnsubscribe: message.unsubscribe && listUnsubscribe(message.unsubscribe, refuse),
    idempotencyKey: validKey(message.idempotencyKey, refuse),
  };
}

/** Reads every attachment to its end. Throws what `refuse` makes as soon as they exceed `maxBytes` together. */
export async function loadAttachments(
  attachments: readonly MailAttachment[],
  {
    maxBytes,
    refuseSize,
    refuse,
    refuseSource,
    signal,
  }: {
    maxBytes: number;
    refuseSize: () => Error;
    refuse: Refuse;
    /** Makes the error for a stream that failed with this cause. */
    refuseSource: (message: string, cause: unknown) => Error;
    signal: AbortSignal | undefined;
  },
): Promise<LoadedAttachment[]> {
  const loaded: LoadedAttachment[] = [];
  let left = maxBytes;
  for (const [index, { filename, content, contentType, contentId: id }] of attachments.entries()) {
    const chunks: Uint8Array[] = [];
    const fail = (cause: unknown): Error =>
      refuseSource(
        `attachments[${index}].content failed while it was read, and nothing was sent: see the cause`,
        cause,
      );
    for await (const chunk of chunksOf(content, fail, signal)) {
      if (!(chunk instanceof Uint8Array))
        throw refuse(`attachments[${index}].content is a stream of something else than bytes`);
      left -= chunk.byteLength;
      if (left < 0) throw refuseSize();
      chunks.push(chunk);
    }
    loaded.push({ filename, content: Buffer.concat(chunks), contentType, contentId: id });
  }
  return loaded;
}

/** Reads one address of a field, or throws what `refuse` makes. */
export function one(value: unknown, field: string, refuse: Refuse): Mailbox {
  const mailbox = parseMailAddress(value);
  if (mailbox === undefined)
    throw refuse(
      `${field} is not an address: give "name@host", "Name <name@host>" or { name, address }, and an array for several`,
    );
  return mailbox;
}

function many(value: MailAddresses | undefined, field: string, refuse: Refuse): Mailbox[] {
  if (value === undefined) return [];
  if (!isList(value)) return [one(value, field, refuse)];
  return value.map((each, index) => one(each, `${field}[${index}]`, refuse));
}

// Array.isArray does not narrow readonly arrays.
function isList<Item>(value: Item | readonly Item[]): value is readonly Item[] {
  return Array.isArray(value);
}

function line(value: unknown, field: string, maxLength: number, refuse: Refuse): string {
  if (typeof value !== 'string') throw refuse(`${field} is not a string`);
  if (hasControlCharacter(value))
    throw refuse(`${field} has a line break or another control character: remove it`);
  if (value.length > maxLength)
    throw refuse(`${field} has ${value.length} characters, and ${maxLength} is the most`);
  return value;
}

function bodies(
  { text, html }: MailMessage,
  refuse: Refuse,
): { text: string | undefined; html: string | undefined } {
  if (text === undefined && html === undefined)
    throw refuse('the message has no body: give it text, html or both');
  for (const [field, body] of Object.entries({ text, html })) {
    if (body !== undefined && typeof body !== 'string') throw refuse(`${field} is not a string`);
  }
  return { text, html };
}

function validAttachment(
  attachment: MailAttachment,
  field: string,
  refuse: Refuse,
): MailAttachment {
  const filename = line(attachment.filename, `${field}.filename`, 255, refuse);
  if (filename === '' || /[/\\]/.test(filename))
    throw refuse(`${field}.filename is empty or a path: give the name alone`);
  const { content } = attachment;
  const isContent =
    typeof content === 'string' ||
    content instanceof Uint8Array ||
    Symbol.asyncIterator in Object(content);
  if (!isContent)
    throw refuse(`${field}.content is neither bytes nor a string nor a stream of bytes`);
  if (attachment.contentType !== undefined && !mediaType.test(attachment.contentType))
    throw refuse(`${field}.contentType is not a media type such as "image/png"`);
  if (attachment.contentId !== undefined && !contentId.test(attachment.contentId))
    throw refuse(`${field}.contentId may hold letters, digits and . _ @ + - only`);
  return attachment;
}

function validHeaders(
  headers: Readonly<Record<string, string | readonly string[]>>,
  refuse: Refuse,
): Readonly<Record<string, string | readonly string[]>> {
  for (const [name, value] of Object.entries(headers)) {
    if (!headerName.test(name))
      throw refuse(
        'headers has a name that is not one: letters, digits and hyphens, a letter first',
      );
    if (reservedHeader.test(name))
      throw refuse(
        `headers has "${name}", which the message's own fields or the mail system set: use those`,
      );
    for (const each of isList(value) ? value : [value])
      line(each, `headers["${name}"]`, maxHeaderValue, refuse);
  }
  return headers;
}

function listUnsubscribe({ url: text, mailto }: MailUnsubscribe, refuse: Refuse): string {
  const url =
    typeof text === 'string' && text.length <= 2000 && !hasControlCharacter(text)
      ? URL.parse(text)
      : null;
  const isLocal =
    url?.protocol === 'http:' && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url === null || (url.protocol !== 'https:' && !isLocal))
    throw refuse('unsubscribe.url is not an absolute https: URL of at most 2000 characters');
  if (url.username !== '' || url.password !== '')
    throw refuse('unsubscribe.url holds a user name or password: recipients would see it');
  const address =
    mailto === undefined ? undefined : one(mailto, 'unsubscribe.mailto', refuse).address;
  return address === undefined
    ? `<${url.href}>`
    : `<${url.href}>, <mailto:${encodeURIComponent(address).replace('%40', '@')}>`;
}

function validKey(key: string | undefined, refuse: Refuse): string | undefined {
  if (key === undefined) return undefined;
  if (line(key, 'idempotencyKey', maxIdempotencyKey, refuse) === '')
    throw refuse('idempotencyKey is empty: give what names this message, or leave it out');
  return key;
}

async function* chunksOf(
  content: MailAttachment['content'],
  fail: (cause: unknown) => Error,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') {
    yield Buffer.from(content);
  } else if (content instanceof Uint8Array) {
    yield content;
  } else {
    const iterator = content[Symbol.asyncIterator]();
    let isDone = false;
    try {
      for (;;) {
        const next = iterator.next();
        const result = await (signal ? abortable(next, signal) : next).catch((error: unknown) => {
          throw signal?.aborted ? error : fail(error);
        });
        if (result.done) break;
        yield result.value;
      }
      isDone = true;
    } finally {
      // Not awaited: a source that never answers `next` does not answer this either.
      if (!isDone) void iterator.return?.()?.catch(() => undefined);
    }
  }
}
