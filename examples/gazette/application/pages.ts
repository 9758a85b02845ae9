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
