import type { MailAddress } from './address.ts';

/** One address or several. */
export type MailAddresses = MailAddress | readonly MailAddress[];

/** A file that goes with a message. */
export interface MailAttachment {
  /** Name as the recipient sees it, without a path. */
  readonly filename: string;
  /** The bytes, a text (sent as UTF-8), or a stream such as `storedFile.stream()`, which is read to its end before anything is sent. */
  readonly content: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** Media type, such as `image/png`. Default: by the file name's extension. */
  readonly contentType?: string | undefined;
  /** Shows the file inside the HTML, which refers to it as `cid:<contentId>`: an inline image. */
  readonly contentId?: string | undefined;
}

/** How a recipient leaves the list, as mail clients show it beside the sender's name. */
export interface MailUnsubscribe {
  /**
   * Takes a POST without cookies or confirmation (RFC 8058, one click), so it must name the recipient by itself, signed.
   * `https:`; `http:` on the machine itself only.
   */
  readonly url: string;
  /** Address that takes an unsubscribe request by mail, for clients without one click. */
  readonly mailto?: string | undefined;
}

/** What every message has. */
export interface MailEnvelopeFields {
  /** Default: the mailer's `from`. */
  readonly from?: MailAddress | undefined;
  /** At least one of `to`, `cc` and `bcc` has a recipient. */
  readonly to?: MailAddresses | undefined;
  readonly cc?: MailAddresses | undefined;
  /** Gets the message and is named in none of its headers. */
  readonly bcc?: MailAddresses | undefined;
  /** Where answers go. Default: to `from`. */
  readonly replyTo?: MailAddresses | undefined;
  /** One line of at most 998 characters. */
  readonly subject: string;
  readonly attachments?: readonly MailAttachment[] | undefined;
  /** Further headers, such as `In-Reply-To`; an array gives one header line each. Those with a field of their own here are refused. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Adds `List-Unsubscribe` and `List-Unsubscribe-Post`. */
  readonly unsubscribe?: MailUnsubscribe | undefined;
  /**
   * Names this message among all that this mailer ever sends, such as `article-12/subscriber-7`. With the capability
   * `idempotencyKeys`, a second send with the same key delivers nothing and gives the receipt of the first, also after a crash
   * and in another process. Without it, as with SMTP, a second send is delivered under the first one's `Message-ID`, by which
   * mail systems can tell that it is the same, and some do. 1 to 255 characters.
   */
  readonly idempotencyKey?: string | undefined;
}

/** The body: plain text, HTML, or both, of which the recipient's client shows the better. */
export type MailBody =
  | { readonly text: string; readonly html?: string | undefined }
  | { readonly text?: string | undefined; readonly html: string };

/** A message to send. */
export type MailMessage = MailEnvelopeFields & MailBody;

/** A recipient that the engine refused while it took the message for others. */
export interface RejectedRecipient {
  readonly address: string;
  /** Why. An {@link InfrastructureError} when it comes from a mailer. */
  readonly error: unknown;
}

/** What became of a send. */
export interface MailReceipt {
  /** The `Message-ID` header without its angle brackets. */
  readonly id: string;
  /** Addresses that the engine took the message for, each once, with the domain in lower case. */
  readonly accepted: readonly string[];
  readonly rejected: readonly RejectedRecipient[];
}
