import type { Newsroom } from '../application/newsroom.ts';
import { articleTag, listsTag } from '../application/pages.ts';
import { availableThumbnails } from '../application/pictures.ts';
import type { PublishedOptions } from '../domain/article-repository.ts';
import type { Article } from '../domain/article.ts';
import type { Html } from './layout.ts';
import type { PrintableArticle } from './picture.ts';
import { articlePage, type ArticleList } from './reader-pages.ts';

/** Stories on one page of a list: a lead, and whole rows of the grid below it. */
const storiesPerPage = 13;

/** Gives a list page from the cache, or renders it. */
export async function printList(
  newsroom: Newsroom,
  { path, section, after }: { readonly path: string } & Omit<PublishedOptions, 'limit'>,
  render: (list: ArticleList) => Html,
): Promise<string> {
  return await newsroom.pages.getOrRender(`${path} ${after ?? ''}`, [listsTag], async () => {
    const [sections, page] = await Promise.all([
      newsroom.articles.sections(),
      newsroom.articles.published({ limit: storiesPerPage, section, after }),
    ]);
    const articles = await Promise.all(
      page.articles.map((article) => printable(newsroom, article)),
    );
    const older = `${path === '/' ? '/older' : path}?after=${encodeURIComponent(page.next ?? '')}`;
    const olderUrl = page.next === undefined ? undefined : older;
    return String(await render({ sections, articles, olderUrl }));
  });
}

/** Gives the page of a published article from the cache, or renders it; `undefined` when there is none of this slug. */
export async function printArticle(newsroom: Newsroom, slug: string): Promise<string | undefined> {
  const { articles, pages } = newsroom;
  const found = await articles.findBySlug(slug);
  if (found?.status !== 'published') return undefined;
  return await pages.getOrRender(`article ${found.id}`, [articleTag(found.id)], async () => {
    // Read again: what was found above may be older than the last time that this page was dropped.
    const [article, sections] = await Promise.all([
      articles.getById(found.id),
      articles.sections(),
    ]);
    return String(await articlePage(await printable(newsroom, article), sections));
  });
}

/** An article with what of its pictures there is. */
export async function printable(newsroom: Newsroom, article: Article): Promise<PrintableArticle> {
  return {
    article,
    thumbnails:
      article.picture === null ? [] : await availableThumbnails(newsroom, article.picture.id),
  };
}
