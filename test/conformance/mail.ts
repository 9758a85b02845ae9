import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { mailConformance, type MailSubject } from '../../src/mail/conformance.ts';
import { inboxMailer } from '../../src/mail/inbox.ts';
import { memoryMailer } from '../../src/mail/memory.ts';
import { port, type RegisteredPort } from './registry.ts';

const folders = new WeakMap<MailSubject, string>();

/** Every mail adapter. */
export const mailPort: RegisteredPort = port(mailConformance, [
  {
    adapter: 'memory',
    capabilities: memoryMailer().capabilities,
    async create() {
      const mailer = memoryMailer();
      return { mailer, received: async () => await Array.fromAsync(mailer.native.messages()) };
    },
    dispose: async ({ mailer }) => {
      await mailer.close();
    },
  },
  {
    adapter: 'inbox',
    capabilities: inboxMailer({ directory: 'unused' }).capabilities,
    async create() {
      const directory = await mkdtemp(path.join(tmpdir(), 'underpin-mail-'));
      const mailer = inboxMailer({ directory });
      const subject = {
        mailer,
        received: async () => await Array.fromAsync(mailer.native.messages()),
      };
      folders.set(subject, directory);
      return subject;
    },
    async dispose(subject) {
      await subject.mailer.close();
      await rm(folders.get(subject) ?? '', { recursive: true });
    },
  },
]);
