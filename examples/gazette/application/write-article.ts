import { randomUUID } from 'node:crypto';

import { type Article, type ArticleText, draftArticle, reviseArticle } from '../domain/article.ts';
import { slugify } from '../domain/slug.ts';
import type { Newsroom } from './newsroom.ts';
import { dropPagesWithCommit } from './pages.ts';

/** Starts a draft. Throws a `BrokenRule` that names the field that is wrong. */
export async function writeArticle(newsroom: Newsroom, text: ArticleText): Promise<Article> {
  const { articles, unitOfWork, now } = newsroom;
  return await unitOfWork.transaction(async () => {
    const slug = await freeSlug(newsroom, slugify(text.title));
    return await articles.insert(draftArticle(text, { id: randomUUID(), slug, now: now() }));
  });
}

/**
 * Replaces an article's text. `version` is that of the article which the editor was shown: when somebody has saved it since,
 * it throws an InfrastructureError with code `aborted`, and nothing is lost.
 */
export async function editArticle(
  newsroom: Newsroom,
  {
    id,
    version,
    text,
  }: { readonly id: string; readonly version: number; readonly text: ArticleText },
): Promise<Article> {
  const { articles, unitOfWork, now } = newsroom;
  return await unitOfWork.transaction(async () => {
    const article = await articles.getById(id);
    const saved = await articles.update(reviseArticle({ ...article, version }, text, now()));
    await dropPagesWithCommit(newsroom, id);
    return saved;
  });
}

/** The slug itself, or the first of slug-2, slug-3, … that no article has. */
export async function freeSlug({ articles }: Newsroom, wanted: string): Promise<string> {
  const base = wanted === '' ? 'article' : wanted;
  for (let suffix = 1; ; suffix += 1) {
    const slug = suffix === 1 ? base : `${base}-${suffix}`;
    if ((await articles.findBySlug(slug)) === undefined) return slug;
  }
}
