import type { Driver } from '../core/index.ts';
import type { MailReceipt } from './message.ts';

/** What a mail adapter can do. */
export type MailCapabilities = {
  /**
   * Delivers one message per idempotency key, ever. Without it every send is delivered, and those with one key have one
   * `Message-ID`, by which mail systems can tell a repetition.
   */
  readonly idempotencyKeys: boolean;
  /** Takes addresses whose local part is not ASCII (SMTPUTF8, RFC 6531). Without it they are refused. */
  readonly unicodeAddresses: boolean;
};

/** Who sends and who gets a message, whatever its headers say. */
export interface MailEnvelope {
  readonly from: string;
  /** Each address once: `to`, `cc` and `bcc` together. At least one. */
  readonly to: readonly string[];
}

/** A validated and composed message, as a driver gets it. */
export interface OutgoingMail {
  /** The `Message-ID` without its angle brackets. The same for every send with the same idempotency key and sender. */
  readonly id: string;
  /** 32 hexadecimal digits: derived from the idempotency key alone, or random without one. Safe as a file name. */
  readonly deliveryKey: string;
  readonly idempotencyKey: string | undefined;
  readonly envelope: MailEnvelope;
  /** The whole message as RFC 5322 has it, lines ending in CRLF. MUST NOT be changed. */
  readonly raw: Uint8Array;
}

/** What a mail adapter implements. */
export interface MailDriver extends Driver {
  readonly capabilities: MailCapabilities;
  /**
   * Delivers the raw message to every recipient of the envelope.
   *
   * - MUST deliver to the envelope's recipients, not to those of the headers.
   * - With `idempotencyKeys`, MUST deliver at most one message per `deliveryKey`, also when the process is killed at any
   *   point and when several processes send at once, and MUST give the first's receipt again. A send that failed MUST
   *   leave the key free.
   * - MUST throw when no recipient was accepted; SHOULD list the refused ones in `rejected` when some were.
   * - MUST classify an error after which the engine may have taken the message as `unknown`, and no other.
   * - MUST deliver nothing when the signal was aborted before the call, and MAY finish when it is aborted later.
   */
  send(mail: OutgoingMail, signal?: AbortSignal): Promise<MailReceipt>;
}
