import { type Article, publishDraft } from '../domain/article.ts';
import { sendNewsletter, sendNotices } from './jobs.ts';
import type { Newsroom } from './newsroom.ts';
import { dropPagesWithCommit } from './pages.ts';
import { enqueueThumbnails, keepPicture } from './pictures.ts';

/**
 * Publishes a draft: the article, its thumbnails, the newsletter and the notices take effect in one transaction, or not at all.
 * An article without a picture gets a cover. Publishing again changes nothing and mails nobody.
 */
export async function publishArticle(newsroom: Newsroom, id: string): Promise<Article> {
  const { articles, pictures, unitOfWork, now } = newsroom;
  const { title } = await articles.getById(id);
  // Outside of the transaction, for it is no part of the database; an original that no article names does no harm.
  const cover = await keepPicture(newsroom, pictures.cover(title), '');
  return await unitOfWork.transaction(async () => {
    const draft = await articles.getById(id);
    const published = publishDraft(draft, now());
    if (published === draft) return draft;
    const saved = await articles.update({ ...published, picture: published.picture ?? cover });
    await enqueuePublication(newsroom, saved);
    return saved;
  });
}

/** What follows from a publication. Called inside the transaction that saves the article. */
export async function enqueuePublication(newsroom: Newsroom, article: Article): Promise<void> {
  const { queue } = newsroom;
  await enqueueThumbnails(newsroom, article);
  await queue.enqueue(sendNewsletter, { articleId: article.id });
  await queue.enqueue(sendNotices, { articleId: article.id });
  await dropPagesWithCommit(newsroom, article.id);
}
