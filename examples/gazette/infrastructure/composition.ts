import type { StandardComponents } from 'underpin';
import type { Environment, Managed } from 'underpin/core';
import type { Inbox } from 'underpin/mail';

import type { Newsroom } from '../application/newsroom.ts';
import { pageCache } from './cache/page-cache.ts';
import { migrationsFor } from './database/migrations.ts';
import type { Tables } from './database/tables.ts';
import { directusArticles } from './directus/articles.ts';
import { changeWatch } from './directus/change-watch.ts';
import type { DirectusSchema } from './directus/types.ts';
import { composeArticleLetter } from './mail/article-letter.ts';
import { pictureDesk } from './pictures/picture-desk.ts';
import { composeArticleNotice } from './push/article-notice.ts';
import { sqlRepositories } from './repositories/sql-repositories.ts';
import { startStep } from './start-step.ts';

/** What the newspaper adds to the standard components. */
export interface Composition {
  /** Brings the tables up to date, before anything uses them. */
  readonly schema: Managed;
  readonly newsroom: Newsroom;
  /** Where mails end, when they end on this machine. */
  readonly inbox: Inbox | undefined;
  /** Drops pages whose articles were changed elsewhere, when they are written elsewhere: in Directus. */
  readonly changes: Managed | undefined;
}

/** Puts the newsroom together out of the components that the environment chose. Does no I/O. */
export function compose(
  standard: StandardComponents<Tables, DirectusSchema>,
  env: Environment,
  siteUrl: () => string,
): Composition {
  const { database, files, cache, queue, mail, push, directus, log } = standard;
  if (!queue.capabilities.transactions) {
    env.problem(
      'QUEUE_URL',
      'publishing needs jobs that are part of its transaction: leave it out, or give database:',
      undefined,
    );
  }
  const newsroom: Newsroom = {
    ...sqlRepositories(database),
    ...(directus && { articles: directusArticles(directus) }),
    unitOfWork: database,
    files,
    pages: pageCache(cache),
    queue,
    push,
    mailer: mail,
    sender: env.string('MAIL_FROM', { default: 'The Underpin Gazette <news@gazette.example>' }),
    pictures: pictureDesk,
    composeLetter: composeArticleLetter,
    composeNotice: composeArticleNotice,
    siteUrl,
    now: () => new Date(),
  };
  const schema = startStep('schema', async (options) => {
    await database.migrate(migrationsFor(database.adapter), options);
  });
  const changes = directus && changeWatch(newsroom, log);
  return { schema, newsroom, inbox: inboxOf(mail.native), changes };
}

// The embedded mailers keep what they sent; those that send to the world do not.
function inboxOf(native: unknown): Inbox | undefined {
  return typeof native === 'object' && native !== null && 'messages' in native
    ? (native as Inbox)
    : undefined;
}
