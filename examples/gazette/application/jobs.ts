import { defineJob } from 'underpin/queue';
import { z } from 'zod';

/** Makes one smaller copy of an article's picture. */
export const makeThumbnail = defineJob({
  name: 'make-thumbnail',
  payload: z.object({ articleId: z.string(), pictureId: z.string(), width: z.int().positive() }),
  attempts: 8,
});

/** Enqueues a {@link mailArticle} for every subscriber. */
export const sendNewsletter = defineJob({
  name: 'send-newsletter',
  payload: z.object({ articleId: z.string() }),
  attempts: 8,
});

/** Mails an article to one subscriber. */
export const mailArticle = defineJob({
  name: 'mail-article',
  payload: z.object({ articleId: z.string(), subscriberId: z.string() }),
  attempts: 8,
});

/** Enqueues a {@link pushArticle} for every device. */
export const sendNotices = defineJob({
  name: 'send-notices',
  payload: z.object({ articleId: z.string() }),
  attempts: 8,
});

/** Shows a notice of an article on one device. */
export const pushArticle = defineJob({
  name: 'push-article',
  payload: z.object({ articleId: z.string(), deviceId: z.string() }),
  attempts: 8,
});

/** Drops the cached pages on which an article appears. */
export const dropArticlePages = defineJob({
  name: 'drop-article-pages',
  payload: z.object({ articleId: z.string() }),
  attempts: 8,
});
