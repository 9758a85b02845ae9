import type { HandledJob, JobQueue, Worker } from 'underpin/queue';

import {
  dropArticlePages,
  mailArticle,
  makeThumbnail,
  pushArticle,
  sendNewsletter,
  sendNotices,
} from '../../application/jobs.ts';
import { fanOutNewsletter, mailArticleTo } from '../../application/newsletter.ts';
import type { Newsroom } from '../../application/newsroom.ts';
import { fanOutNotices, pushArticleTo } from '../../application/notices.ts';
import { dropPagesOf } from '../../application/pages.ts';
import { createThumbnail } from '../../application/pictures.ts';

/** Each job with the use case that does it. */
function jobHandlers(newsroom: Newsroom): readonly HandledJob<false>[] {
  return [
    makeThumbnail.handle((payload, { signal }) => createThumbnail(newsroom, payload, signal)),
    sendNewsletter.handle(({ articleId }) => fanOutNewsletter(newsroom, articleId)),
    mailArticle.handle((payload, { signal }) => mailArticleTo(newsroom, payload, signal)),
    sendNotices.handle(({ articleId }) => fanOutNotices(newsroom, articleId)),
    pushArticle.handle((payload, { signal }) => pushArticleTo(newsroom, payload, signal)),
    dropArticlePages.handle(({ articleId }) => dropPagesOf(newsroom, articleId)),
  ];
}

/** The worker that does the newspaper's jobs in this process. */
export function gazetteWorker(queue: JobQueue, newsroom: Newsroom): Worker {
  return queue.worker(jobHandlers(newsroom), {
    // Thumbnails use libvips' threads beside this one; more at once only cost memory.
    concurrency: 4,
    // Every job takes seconds at most, so what a crash interrupted need not wait for the default minute.
    lease: '5s',
  });
}
