// Types only, so that a domain layer can name what it needs without touching infrastructure: importing this loads nothing.

export type { Cache } from './cache/index.ts';
export type { Clock, Context, ErrorCode, InfrastructureError } from './core/index.ts';
export type { Database } from './database/index.ts';
export type { DirectusClient } from './directus/index.ts';
export type { LogFields, Logger } from './logging/index.ts';
export type { Inbox, Mailer, MailMessage, MailReceipt, ReceivedMail } from './mail/index.ts';
export type { PushNotification, PushResult, PushSender, PushTarget } from './push/index.ts';
export type { JobInfo, JobQueue } from './queue/index.ts';
export type { Criteria, OrderBy, Page, Repository } from './repositories/index.ts';
export type {
  FileInfo,
  FileStorage,
  StorageReader,
  StorageWriter,
  StoredFile,
} from './storage/index.ts';
