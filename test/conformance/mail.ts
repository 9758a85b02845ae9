import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import { mailConformance, type MailSubject } from '../../src/mail/conformance/index.ts';
import { inboxMailer } from '../../src/mail/inbox.ts';
import type { Inbox, MailCapabilities, Mailer } from '../../src/mail/index.ts';
import { memoryMailer } from '../../src/mail/memory.ts';
import { smtpMailer } from '../../src/mail/smtp/index.ts';
import { sharedServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { mailboxOn } from '../services/smtp-mailbox.ts';
import { port, type RegisteredPort } from './registry.ts';

type MailTarget = ConformanceTarget<MailSubject, keyof MailCapabilities>;

const directories = new WeakMap<MailSubject, string>();

const memory: MailTarget = {
  adapter: 'memory',
  capabilities: memoryMailer().capabilities,
  create: async () => {
    const mailer = memoryMailer();
    return subjectOf(mailer, mailer.native);
  },
  dispose: async ({ mailer }) => {
    await mailer.close();
  },
};

const inbox: MailTarget = {
  adapter: 'inbox',
  capabilities: inboxMailer({ directory: 'unused' }).capabilities,
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'underpin-mail-'));
    const mailer = inboxMailer({ directory });
    const subject = subjectOf(mailer, mailer.native);
    directories.set(subject, directory);
    return subject;
  },
  dispose: async (subject) => {
    await subject.mailer.close();
    await rm(directories.get(subject) ?? '', { recursive: true, force: true });
  },
};

const smtp: MailTarget = {
  adapter: 'smtp',
  capabilities: smtpMailer({ url: 'smtp://unused' }).capabilities,
  create: async () => {
    const { options, received } = mailboxOn((await sharedServer('smtp')).url);
    return { mailer: smtpMailer(options), received };
  },
  dispose: async ({ mailer }) => {
    await mailer.close();
  },
};

function subjectOf(mailer: Mailer, inbox: Inbox): MailSubject {
  return { mailer, received: async () => await Array.fromAsync(inbox.messages()) };
}

/** The adapters of the mail port. */
export const mailPort: RegisteredPort = port(mailConformance, [
  memory,
  inbox,
  { ...smtp, skip: (await service('smtp')).missing },
]);
