import type { ConformanceSuite } from '../../core/index.ts';
import type { MailCapabilities } from '../driver.ts';
import { attachmentCases } from './attachments.ts';
import { idempotencyCases } from './idempotency.ts';
import { lifecycleCases } from './lifecycle.ts';
import { recipientCases } from './recipients.ts';
import { refuseCases } from './refuse.ts';
import { sendCases } from './send.ts';
import type { MailSubject } from './support.ts';

export type { MailSubject };

/** The rules of the mail port. Each adapter is held to all of them. */
export const mailConformance: ConformanceSuite<MailSubject, keyof MailCapabilities> = {
  port: 'mail',
  cases: [
    ...sendCases,
    ...recipientCases,
    ...attachmentCases,
    ...refuseCases,
    ...idempotencyCases,
    ...lifecycleCases,
  ],
};
