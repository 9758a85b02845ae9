import { dropArticlePages } from './jobs.ts';
import type { Newsroom } from './newsroom.ts';

/** The tag of cached pages that list articles. */
export const listsTag = 'lists';

/** The tag of cached pages that show an article, or a picture of it. */
export function articleTag(articleId: string): string {
  return `article:${articleId}`;
}

/** Drops the cached pages on which an article appears. */
export async function dropPagesOf({ pages }: Newsroom, articleId: string): Promise<void> {
  await pages.drop([articleTag(articleId), listsTag]);
}

/**
 * Drops the cached pages on which an article appears, for a change that the transaction under way makes to it: at once when it has
 * taken effect, and once more by a job. For then this process may be gone, or the cache not to be reached, and other processes
 * would go on showing the old pages.
 */
export async function dropPagesWithCommit(newsroom: Newsroom, articleId: string): Promise<void> {
  await newsroom.queue.enqueue(dropArticlePages, { articleId });
  await newsroom.unitOfWork.afterCommit(async () => {
    // The change has taken effect: nobody who made it need hear of the cache's trouble, which the log has, and the job sees to.
    await dropPagesOf(newsroom, articleId).catch(() => {});
  });
}
