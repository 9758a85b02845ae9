import { resolve } from 'node:path';

import type { StandardComponents } from 'underpin';
import { memoryCache } from 'underpin/cache/memory';
import type { Environment, Managed } from 'underpin/core';
import type { Database } from 'underpin/database';
import type { Inbox } from 'underpin/mail';
import { outboxPush } from 'underpin/push/outbox';
import { sqlQueue } from 'underpin/queue/sql';

import type { Newsroom } from '../application/newsroom.ts';
import { migrations } from './database/migrations.ts';
import type { Tables } from './database/tables.ts';
import { composeArticleLetter } from './mail/article-letter.ts';
import { pictureDesk } from './pictures/picture-desk.ts';
import { sqlRepositories } from './repositories/sql-repositories.ts';

/** What the newspaper adds to the standard components. */
export interface Composition extends Pick<Newsroom, 'pages' | 'queue' | 'push'> {
  readonly schema: Managed;
  readonly newsroom: Newsroom;
  /** Where mails end, when they end on this machine. */
  readonly inbox: Inbox | undefined;
}

/** Puts the newsroom together out of the components that the environment chose. Does no I/O. */
export function compose(
  standard: StandardComponents<Tables>,
  env: Environment,
  siteUrl: () => string,
): Composition {
  const { database, files, mail } = standard;
  const pages = memoryCache();
  const queue = sqlQueue({ database });
  const push = outboxPush({
    directory: resolve(env.string('DATA_DIR', { default: 'data' }), 'push'),
  });
  const newsroom: Newsroom = {
    ...sqlRepositories(database),
    unitOfWork: database,
    files,
    pages,
    queue,
    push,
    mailer: mail,
    sender: env.string('MAIL_FROM', { default: 'The Underpin Gazette <news@gazette.example>' }),
    pictures: pictureDesk,
    composeLetter: composeArticleLetter,
    siteUrl,
    now: () => new Date(),
  };
  return { schema: migrated(database), pages, queue, push, newsroom, inbox: inboxOf(mail.native) };
}

/** Brings the tables up to date between the start of the database and that of whatever uses them. */
function migrated(database: Database<Tables>): Managed {
  return {
    component: 'schema',
    adapter: database.adapter,
    async start(options) {
      await database.migrate(migrations, options);
    },
    drain: async () => {},
    checkHealth: async () => ({ status: 'ok' }),
    close: async () => {},
  };
}

// The embedded mailers keep what they sent; those that send to the world do not.
function inboxOf(native: unknown): Inbox | undefined {
  return typeof native === 'object' && native !== null && 'messages' in native
    ? (native as Inbox)
    : undefined;
}
