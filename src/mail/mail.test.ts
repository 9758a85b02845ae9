import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { definePolicy, fakeClock, InfrastructureError, runWithContext } from '../core/index.ts';
import { parseMailAddress } from './address.ts';
import type { OutgoingMail } from './driver.ts';
import { Mailer, type MailerOptions } from './mail.ts';
import { memoryMailer, MemoryMailDriver } from './memory.ts';
import type { MailReceipt } from './message.ts';

const plain = { to: 'ada@readers.example', subject: 'Hello', text: 'Hello Ada.' } as const;
const from = 'news@gazette.example';

/** A driver that answers as told, call by call. */
function scripted(
  answers: readonly ((mail: OutgoingMail) => MailReceipt)[],
  options: MailerOptions = {},
): { readonly mailer: Mailer; readonly sent: readonly OutgoingMail[] } {
  const sent: OutgoingMail[] = [];
  class ScriptedDriver extends MemoryMailDriver {
    override async send(mail: OutgoingMail): Promise<MailReceipt> {
      sent.push(mail);
      const answer = answers[sent.length - 1];
      if (!answer) throw new Error('more calls than answers');
      return answer(mail);
    }
  }
  return { mailer: new Mailer(new ScriptedDriver(), { from, ...options }), sent };
}

function refuse(): never {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

describe('mailer', () => {
  it('options › from is the sender of messages that name none', async () => {
    const mailer = memoryMailer({ from: 'Gazette <news@gazette.example>' });
    await mailer.send(plain);
    await mailer.send({ ...plain, from: 'desk@gazette.example' });
    const senders = (await Array.fromAsync(mailer.native.messages())).map(
      (message) => message.from,
    );
    expect(senders).toEqual([
      { name: 'Gazette', address: 'news@gazette.example' },
      { address: 'desk@gazette.example' },
    ]);
  });

  it('options › a from that is not an address fails at construction', () => {
    expect(() => memoryMailer({ from: 'nobody' })).toThrow('from is not an address');
  });

  it('options › without a default a message must name its sender, and the error says so', async () => {
    await expect(memoryMailer().send(plain)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('give the mailer a default') as string,
    });
  });

  it('options › maxSize bounds the message as it goes over the wire', async () => {
    const mailer = memoryMailer({ from, maxSize: '10KiB' });
    await mailer.send({ ...plain, text: 'x'.repeat(9000) });
    const content = new Uint8Array(9000);
    for (const tooLarge of [
      { text: 'x'.repeat(10_241) },
      { attachments: [{ filename: 'a', content: new Uint8Array(11_000) }] },
      // Fits as it is, and not in base64.
      { attachments: [{ filename: 'a', content }] },
    ]) {
      await expect(mailer.send({ ...plain, ...tooLarge })).rejects.toMatchObject({
        code: 'resource-exhausted',
        retryable: false,
        outcome: 'not-applied',
      });
    }
    expect(await Array.fromAsync(mailer.native.messages())).toHaveLength(1);
  });

  it('options › the clock dates messages', async () => {
    const clock = fakeClock(Date.UTC(2027, 2, 4, 5, 6, 7));
    const mailer = memoryMailer({ from, clock });
    await mailer.send(plain);
    const [message] = await Array.fromAsync(mailer.native.messages());
    expect(message?.headers.get('date')).toEqual(['Thu, 04 Mar 2027 05:06:07 +0000']);
    expect(message?.receivedAt).toEqual(new Date(clock.now()));
  });

  it('send › the id follows from the key, so that servers that see a message twice know it', async () => {
    const first = await memoryMailer({ from }).send({ ...plain, idempotencyKey: 'k' });
    const second = await memoryMailer({ from }).send({ ...plain, idempotencyKey: 'k' });
    const other = await memoryMailer({ from }).send({ ...plain, idempotencyKey: 'K' });
    expect(first.id).toBe(second.id);
    expect(other.id).not.toBe(first.id);
    expect(first.id).toMatch(/^[0-9a-f]{32}@gazette\.example$/);
  });

  it('send › refused recipients come back with an error of the one model', async () => {
    const { mailer } = scripted([
      ({ id }) => ({
        id,
        accepted: ['ada@readers.example'],
        rejected: [{ address: 'gone@readers.example', error: new Error('550 no such user') }],
      }),
    ]);
    const { rejected } = await mailer.send({ ...plain, cc: 'gone@readers.example' });
    expect(rejected).toHaveLength(1);
    expect(rejected[0]?.address).toBe('gone@readers.example');
    expect(InfrastructureError.is(rejected[0]?.error, 'internal')).toBe(true);
  });

  it('policy › a retry sends the same bytes and reads a stream once', async () => {
    let reads = 0;
    async function* content(): AsyncGenerator<Uint8Array> {
      reads += 1;
      yield Buffer.from('once');
    }
    const policy = definePolicy('retrying', {
      retry: { attempts: 2, initialDelay: 0, maxDelay: 0 },
    });
    const answers = [
      refuse,
      refuse,
      (mail: OutgoingMail) => ({ id: mail.id, accepted: [], rejected: [] }),
    ];
    const { mailer, sent } = scripted(answers, { policy });
    await mailer.send({ ...plain, attachments: [{ filename: 'a.txt', content: content() }] });
    expect(reads).toBe(1);
    expect(new Set(sent).size).toBe(1);
    expect(sent).toHaveLength(3);
  });

  it('send › an abort while an attachment is read leaves the message not applied', async () => {
    const { mailer, sent } = scripted([]);
    const controller = new AbortController();
    async function* content(): AsyncGenerator<Uint8Array> {
      controller.abort();
      yield await new Promise<never>(() => undefined);
    }
    const attachments = [{ filename: 'a.txt', content: content() }];
    await expect(
      mailer.send({ ...plain, attachments }, { signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' });
    expect(sent).toEqual([]);
  });

  it('policy › a send whose outcome is unknown is repeated only with an idempotency key', async () => {
    const lost = (): never => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    };
    const done = (mail: OutgoingMail): MailReceipt => ({ id: mail.id, accepted: [], rejected: [] });
    const policy = definePolicy('retrying', {
      retry: { attempts: 1, initialDelay: 0, maxDelay: 0 },
    });
    const without = scripted([lost, done], { policy });
    await expect(without.mailer.send(plain)).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'unknown',
    });
    const withKey = scripted([lost, done], { policy });
    await withKey.mailer.send({ ...plain, idempotencyKey: 'k' });
    expect(withKey.sent).toHaveLength(2);
  });

  it('cancel › the signal of the context is that of the send', async () => {
    const mailer = memoryMailer({ from });
    const sending = runWithContext(
      { signal: AbortSignal.abort() },
      async () => await mailer.send(plain),
    );
    await expect(sending).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('inbox › clear removes every message and frees the keys', async () => {
    const mailer = memoryMailer({ from });
    await mailer.send({ ...plain, idempotencyKey: 'k' });
    await mailer.native.clear();
    await mailer.send({ ...plain, idempotencyKey: 'k' });
    expect(await Array.fromAsync(mailer.native.messages())).toHaveLength(1);
  });
});

describe('mail property', () => {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 80 })
    .filter((value) => !/\p{Cc}|[\u2028\u2029]/u.test(value) && value.isWellFormed());
  const squeeze = (value: string): string => value.replaceAll(/\s+/gu, ' ').trim();

  it('whatever a subject or a name holds, the message has that subject, that name and no other recipient', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (subject, name) => {
        fc.pre(!/=\?.*\?=/.test(name));
        const mailer = memoryMailer({ from });
        const receipt = await mailer.send({
          ...plain,
          subject,
          to: { name, address: 'ada@readers.example' },
        });
        const [message] = await Array.fromAsync(mailer.native.messages());
        expect(receipt.accepted).toEqual(['ada@readers.example']);
        expect(squeeze(message?.subject ?? '')).toBe(squeeze(subject));
        expect(message?.to.map(({ address }) => address)).toEqual(['ada@readers.example']);
        expect(squeeze(message?.to[0]?.name ?? '')).toBe(squeeze(name));
      }),
      { numRuns: 300, seed: 20_261_122 },
    );
  });

  it('whatever string is given as an address, it is refused or is exactly one recipient without specials', async () => {
    const pieces = fc.constantFrom(
      'a',
      'b@c.example',
      '@',
      '<',
      '>',
      '"',
      ',',
      ';',
      ':',
      ' ',
      '(',
      ')',
      '\\',
      '.',
      '[',
      ']',
      'ü',
      '\r\n',
      "'",
      'x.example',
    );
    const address = fc.oneof(
      fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
      fc.string({ unit: 'binary' }),
    );
    await fc.assert(
      fc.asyncProperty(address, async (value) => {
        const mailbox = parseMailAddress(value);
        if (mailbox === undefined) return;
        expect(mailbox.address).toMatch(/^[^\s<>(),:;"\\[\]@]+@[^\s<>(),:;"\\[\]@]+$/);
        const mailer = memoryMailer({ from });
        await mailer.send({ ...plain, to: value });
        const [message] = await Array.fromAsync(mailer.native.messages());
        expect(message?.envelope.to).toEqual([mailbox.address]);
        expect(message?.to.map((each) => each.address)).toEqual([mailbox.address]);
      }),
      { numRuns: 2000, seed: 20_261_122 },
    );
  });
});
