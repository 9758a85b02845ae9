import type { Article } from '../domain/article.ts';
import type { Newsroom } from './newsroom.ts';
import { dropPagesWithCommit } from './pages.ts';
import { enqueueThumbnails, keepPicture } from './pictures.ts';

/** Gives an article a picture in place of the one it had. Throws a `BrokenRule` for what is no picture. */
export async function attachPicture(
  newsroom: Newsroom,
  {
    id,
    upload,
    description,
  }: { readonly id: string; readonly upload: Uint8Array; readonly description: string },
): Promise<Article> {
  const { articles, pictures, unitOfWork, now } = newsroom;
  const picture = await keepPicture(newsroom, await pictures.prepare(upload), description.trim());
  return await unitOfWork.transaction(async () => {
    const article = await articles.getById(id);
    const saved = await articles.update({ ...article, picture, updatedAt: now() });
    await enqueueThumbnails(newsroom, saved);
    await dropPagesWithCommit(newsroom, id);
    return saved;
  });
}

/** Changes what is said of an article's picture. */
export async function describePicture(
  newsroom: Newsroom,
  { id, description }: { readonly id: string; readonly description: string },
): Promise<Article> {
  const { articles, unitOfWork, now } = newsroom;
  return await unitOfWork.transaction(async () => {
    const article = await articles.getById(id);
    if (article.picture === null) return article;
    const saved = await articles.update({
      ...article,
      picture: { ...article.picture, description },
      updatedAt: now(),
    });
    await dropPagesWithCommit(newsroom, id);
    return saved;
  });
}
