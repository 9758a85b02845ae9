import assert from 'node:assert/strict';

import { type ConformanceCase, InfrastructureError } from '../../core/index.ts';
import type { MailCapabilities } from '../driver.ts';
import type { Mailer } from '../mail.ts';
import type { MailMessage } from '../message.ts';
import type { ReceivedMail } from '../received.ts';

/** What the suite is run on. */
export interface MailSubject {
  /** A mailer with the default limits. */
  readonly mailer: Mailer;
  /** Every delivery so far, in order: one for each message that the engine took over. */
  readonly received: () => Promise<readonly ReceivedMail[]>;
}

/** A rule of the mail port. */
export type MailCase = ConformanceCase<MailSubject, keyof MailCapabilities>;

/** A message that every adapter takes. */
export const plain: MailMessage = {
  from: 'news@gazette.example',
  to: 'ada@readers.example',
  subject: 'Hello',
  text: 'Hello Ada.',
};

/** The one message that was delivered. */
export async function only({ received }: MailSubject): Promise<ReceivedMail> {
  const all = await received();
  assert.equal(all.length, 1, `${all.length} messages were delivered`);
  const [message] = all;
  assert.ok(message);
  return message;
}

/** Sends a message with these fields changed, and gives it as it was delivered. */
export async function sendAndReceive(
  subject: MailSubject,
  fields: Partial<MailMessage>,
): Promise<ReceivedMail> {
  await subject.mailer.send({ ...plain, ...fields } as MailMessage);
  return await only(subject);
}

/** Fails unless a message with these fields changed is refused, and nothing delivered. */
export async function refuses(
  subject: MailSubject,
  fields: object,
  code: InfrastructureError['code'] = 'invalid-argument',
): Promise<void> {
  const hint = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Uint8Array ? '(bytes)' : value,
  )?.slice(0, 200);
  await assert.rejects(
    subject.mailer.send({ ...plain, ...fields }),
    (error) =>
      InfrastructureError.is(error, code) &&
      error.component === 'mail' &&
      error.operation === 'send' &&
      error.outcome === 'not-applied',
    `not refused as ${code}: ${hint}`,
  );
  assert.equal((await subject.received()).length, 0, `refused and delivered all the same: ${hint}`);
}

/** Chunks as a stream. */
export async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Each value of a byte, once. */
export const everyByte: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 256 },
  (_, index) => index,
);
