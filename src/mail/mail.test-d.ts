import { describe, expectTypeOf, it } from 'vitest';

import {
  defineTemplate,
  html,
  type Inbox,
  type Mailer,
  type MailMessage,
  type MailReceipt,
} from './index.ts';
import { inboxMailer } from './inbox.ts';
import { memoryMailer } from './memory.ts';
import { smtpMailer } from './smtp/index.ts';

describe('types of mail', () => {
  it('a message has a subject and a body', () => {
    expectTypeOf<MailMessage['subject']>().toEqualTypeOf<string>();
    void ({ to: 'a@b.example', subject: 's', text: 't' } satisfies MailMessage);
    void ({ to: 'a@b.example', subject: 's', html: '<p>h</p>' } satisfies MailMessage);
    // @ts-expect-error there is no body
    void ({ to: 'a@b.example', subject: 's' } satisfies MailMessage);
    // @ts-expect-error there is no subject
    void ({ to: 'a@b.example', text: 't' } satisfies MailMessage);
    // @ts-expect-error content is at hand: neither paths nor URLs are read
    void ({ to: 'a@b.example', subject: 's', text: { path: '/etc/passwd' } } satisfies MailMessage);
  });

  it('every mailer takes an idempotency key, and its type says what it does with it', () => {
    const message = {
      from: 'a@b.example',
      to: 'a@b.example',
      subject: 's',
      text: 't',
      idempotencyKey: 'k',
    } as const;
    const smtp = smtpMailer({ url: 'smtp://localhost' });
    expectTypeOf(smtp.send(message)).resolves.toEqualTypeOf<MailReceipt>();
    expectTypeOf(smtp.capabilities.idempotencyKeys).toEqualTypeOf<false>();
    expectTypeOf(memoryMailer().capabilities.idempotencyKeys).toEqualTypeOf<true>();
  });

  it('every mailer is a Mailer, and the embedded ones have an inbox', () => {
    expectTypeOf(memoryMailer()).toExtend<Mailer>();
    expectTypeOf(inboxMailer({ directory: 'd' })).toExtend<Mailer>();
    expectTypeOf(smtpMailer({ url: 'smtp://localhost' })).toExtend<Mailer>();
    expectTypeOf(inboxMailer({ directory: 'd' }).native).toEqualTypeOf<Inbox>();
    // @ts-expect-error an inbox needs its folder
    void inboxMailer({});
  });

  it('a template takes its own data, and its HTML is escaped', () => {
    const template = defineTemplate<{ name: string }>({
      subject: ({ name }) => name,
      text: ({ name }) => name,
      html: ({ name }) => html`${name}`,
    });
    expectTypeOf<Parameters<typeof template.render>>().toEqualTypeOf<[{ name: string }]>();
    void ({ to: 'a@b.example', ...template.render({ name: 'Ada' }) } satisfies MailMessage);
    void defineTemplate<string>({
      subject: (name) => name,
      text: (name) => name,
      // @ts-expect-error a plain string is not escaped HTML
      html: (name) => name,
    });
    // @ts-expect-error every message has a plain-text part
    void defineTemplate<string>({ subject: (name) => name, html: (name) => html`${name}` });
  });
});
