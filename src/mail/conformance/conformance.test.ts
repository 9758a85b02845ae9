import { describe, expect, it } from 'vitest';

import {
  type ConformanceTarget,
  registerConformance,
  runConformanceCase,
} from '../../core/index.ts';
import { mailConformance, type MailSubject } from './index.ts';
import type { MailCapabilities, OutgoingMail } from '../driver.ts';
import { Mailer } from '../mail.ts';
import { MemoryMailDriver } from '../memory.ts';
import type { MailReceipt } from '../message.ts';
import type { Inbox, ReceivedMail } from '../received.ts';

type Target = ConformanceTarget<MailSubject, keyof MailCapabilities>;

function subjectOf(mailer: Mailer, inbox: Inbox): MailSubject {
  return {
    mailer,
    async received() {
      return await Array.fromAsync(inbox.messages());
    },
  };
}

let unique = 0;

/** Without any capability: every inverse rule runs. */
class PlainMailDriver extends MemoryMailDriver {
  override readonly capabilities = { idempotencyKeys: false, unicodeAddresses: false } as never;

  override async send(mail: OutgoingMail): Promise<MailReceipt> {
    unique += 1;
    return await super.send({ ...mail, deliveryKey: String(unique) });
  }
}

function broken(adapter: string, make: () => MemoryMailDriver): Target {
  return {
    adapter,
    capabilities: make().capabilities,
    async create() {
      const driver = make();
      return subjectOf(new Mailer(driver), driver.native);
    },
    dispose: async ({ mailer }) => {
      await mailer.close();
    },
  };
}

registerConformance(
  mailConformance,
  broken('plain', () => new PlainMailDriver()),
  { describe, it },
);

/** Changes what the driver is asked to send. */
function sending(change: (mail: OutgoingMail) => OutgoingMail): () => MemoryMailDriver {
  return () =>
    new (class extends MemoryMailDriver {
      override async send(mail: OutgoingMail): Promise<MailReceipt> {
        return await super.send(change(mail));
      }
    })();
}

/** Changes the receipt that the driver gives. */
function answering(change: (receipt: MailReceipt) => MailReceipt): () => MemoryMailDriver {
  return () =>
    new (class extends MemoryMailDriver {
      override async send(mail: OutgoingMail): Promise<MailReceipt> {
        return change(await super.send(mail));
      }
    })();
}

/** Changes what the inbox gives back. */
function reading(
  change: (messages: readonly ReceivedMail[]) => readonly ReceivedMail[],
): () => MemoryMailDriver {
  return () =>
    new (class extends MemoryMailDriver {
      override get native(): Inbox {
        const inbox = super.native;
        return {
          async *messages() {
            yield* change(await Array.fromAsync(inbox.messages()));
          },
          clear: () => inbox.clear(),
        };
      }
    })();
}

/** Each flaw with the rule that must catch it. */
const flawed: Readonly<Record<string, readonly [rule: string, make: () => MemoryMailDriver]>> = {
  'delivers every send, whatever its key': [
    'idempotency › a second send with the same key delivers nothing and gives the first receipt',
    sending((mail) => ({ ...mail, deliveryKey: String((unique += 1)) })),
  ],
  'takes keys that differ in case for one': [
    'idempotency › keys that differ in anything are different keys',
    sending((mail) => ({
      ...mail,
      deliveryKey: mail.idempotencyKey?.toLowerCase() ?? mail.deliveryKey,
    })),
  ],
  'drops every recipient but the first': [
    'send › to, cc and bcc all get the message, and the sender is the envelope’s sender',
    sending((mail) => ({
      ...mail,
      envelope: { ...mail.envelope, to: mail.envelope.to.slice(0, 1) },
    })),
  ],
  'takes its recipients from the headers': [
    'send › blind recipients alone are enough',
    sending((mail) => {
      const to = [
        ...(/^To: ([\s\S]*?)\r\n(?! )/m
          .exec(Buffer.from(mail.raw).toString())?.[1]
          ?.matchAll(/[^\s<>,]+@[^\s<>,]+/g) ?? []),
      ].map(([address]) => address);
      return { ...mail, envelope: { ...mail.envelope, to } };
    }),
  ],
  'shows blind recipients in a header': [
    'send › a blind recipient is named nowhere in the message',
    sending((mail) => ({
      ...mail,
      raw: Buffer.concat([Buffer.from(`Bcc: ${mail.envelope.to.join(', ')}\r\n`), mail.raw]),
    })),
  ],
  'changes line ends': [
    'send › the lines of the delivered message end in CRLF',
    sending((mail) => ({
      ...mail,
      raw: Buffer.from(Buffer.from(mail.raw).toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
    })),
  ],
  'cuts large messages': [
    'send › a message of 5 MiB arrives whole',
    sending((mail) => ({ ...mail, raw: mail.raw.subarray(0, 1024 ** 2) })),
  ],
  'loses bytes that are not ASCII': [
    'send › an address that is not ASCII gets the message',
    sending((mail) => ({
      ...mail,
      raw: Buffer.from(
        Buffer.from(mail.raw)
          .toString('latin1')
          .replaceAll(/[\x80-\xff]/g, '?'),
        'latin1',
      ),
    })),
  ],
  'sends in the name of another': [
    'send › to, cc and bcc all get the message, and the sender is the envelope’s sender',
    sending((mail) => ({
      ...mail,
      envelope: { ...mail.envelope, from: 'postmaster@relay.example' },
    })),
  ],
  'gives an id of its own': [
    'send › the receipt has the Message-ID and every recipient as accepted',
    answering((receipt) => ({ ...receipt, id: 'another@relay.example' })),
  ],
  'says nothing of the recipients it accepted': [
    'send › the receipt has the Message-ID and every recipient as accepted',
    answering((receipt) => ({ ...receipt, accepted: [] })),
  ],
  'reports accepted recipients as rejected too': [
    'send › the receipt has the Message-ID and every recipient as accepted',
    answering((receipt) => ({
      ...receipt,
      rejected: receipt.accepted.map((address) => ({ address, error: new Error('no') })),
    })),
  ],
  'loses attachments': [
    'send › attachments arrive byte for byte, in order, empty ones too',
    reading((messages) =>
      messages.map((message) => ({ ...message, attachments: message.attachments.slice(1) })),
    ),
  ],
  'delivers out of order': [
    'send › messages arrive in the order in which they were sent',
    reading((messages) => messages.toReversed()),
  ],
  'fails its health check while it works': [
    'life › health is ok while the engine works and down after close',
    () =>
      new (class extends MemoryMailDriver {
        async checkHealth(): Promise<void> {
          throw new Error('no answer');
        }
      })(),
  ],
};

describe('mail conformance', () => {
  it('has at least 30 cases, each under a name of its own', () => {
    const ids = mailConformance.cases.map(({ id }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(30);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(Object.entries(flawed))('catches a driver that %s', async (name, [rule, make]) => {
    const conformanceCase = mailConformance.cases.find(({ id }) => id === rule);
    if (!conformanceCase) throw new Error(`there is no rule "${rule}"`);
    expect(await runConformanceCase(conformanceCase, broken(name, make))).toMatchObject({
      status: 'failed',
    });
  });
});
