export type { MailAddress, Mailbox } from './address.ts';
export type { MailCapabilities, MailDriver, MailEnvelope, OutgoingMail } from './driver.ts';
export { Mailer, type MailerOptions } from './mail.ts';
export type {
  MailAddresses,
  MailAttachment,
  MailBody,
  MailEnvelopeFields,
  MailMessage,
  MailReceipt,
  MailUnsubscribe,
  RejectedRecipient,
} from './message.ts';
export {
  type DeliveryFacts,
  type Inbox,
  parseReceivedMail,
  type ReceivedAttachment,
  type ReceivedMail,
} from './received.ts';
export {
  defineTemplate,
  html,
  type HtmlValue,
  type MailTemplate,
  type RenderedMail,
  SafeHtml,
  type TemplateOptions,
} from './template.ts';
