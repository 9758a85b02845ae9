import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ConformanceTarget } from '../../src/core/index.ts';
import { mailConformance, type MailSubject } from '../../src/mail/conformance/index.ts';
import { inboxMailer } from '../../src/mail/inbox.ts';
import type { Inbox, MailCapabilities, Mailer } from '../../src/mail/index.ts';
import { memoryMailer } from '../../src/mail/memory.ts';
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

function subjectOf(mailer: Mailer, inbox: Inbox): MailSubject {
  return { mailer, received: async () => await Array.fromAsync(inbox.messages()) };
}

/** The adapters of the mail port. */
export const mailPort: RegisteredPort = port(mailConformance, [memory, inbox]);
