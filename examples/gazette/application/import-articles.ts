import { createHash, randomUUID } from 'node:crypto';

import { InfrastructureError } from 'underpin/core';

import { type Article, draftArticle, publishDraft, reviseArticle } from '../domain/article.ts';
import { BrokenRule } from '../domain/broken-rule.ts';
import { parseMarkdownFile } from './markdown-article.ts';
import type { Newsroom } from './newsroom.ts';
import { dropPagesWithCommit } from './pages.ts';
import { keepPicture } from './pictures.ts';
import { enqueuePublication } from './publish-article.ts';
import { freeSlug } from './write-article.ts';

/** A Markdown file to import. */
export interface MarkdownFile {
  /** Relative to the folder of the import, with `/`. */
  readonly path: string;
  readonly markdown: string;
}

/** What an import did. */
export interface ImportResult {
  readonly published: number;
  readonly updated: number;
  readonly unchanged: number;
  /** The files that cannot be articles, with what is wrong with them. */
  readonly refused: readonly { readonly path: string; readonly problem: string }[];
}

/**
 * Publishes each file as an article. Importing again updates the articles whose file has changed since, and leaves the others
 * alone, with whatever an editor made of them. Articles of files that are gone stay. A file that cannot be an article keeps no
 * other from being one.
 */
export async function importArticles(
  newsroom: Newsroom,
  files: AsyncIterable<MarkdownFile>,
): Promise<ImportResult> {
  const counts = { published: 0, updated: 0, unchanged: 0 };
  const refused: { path: string; problem: string }[] = [];
  for await (const file of files) {
    try {
      counts[await importArticle(newsroom, file)] += 1;
    } catch (error) {
      if (error instanceof BrokenRule) refused.push({ path: file.path, problem: error.message });
      // Another process, or an editor, was faster: what is there now decides.
      else if (isLostRace(error)) counts[await importArticle(newsroom, file)] += 1;
      else throw error;
    }
  }
  return { ...counts, refused };
}

function isLostRace(error: unknown): boolean {
  return (
    InfrastructureError.is(error, 'already-exists') || InfrastructureError.is(error, 'aborted')
  );
}

async function importArticle(
  newsroom: Newsroom,
  file: MarkdownFile,
): Promise<'published' | 'updated' | 'unchanged'> {
  const hash = createHash('sha256').update(file.markdown).digest('hex');
  const known = await newsroom.articles.findBySource(file.path);
  if (known === undefined) {
    await publishImported(newsroom, file, hash);
    return 'published';
  }
  if (known.sourceHash === hash) return 'unchanged';
  await updateImported(newsroom, { ...known, sourceHash: hash }, file);
  return 'updated';
}

async function publishImported(
  newsroom: Newsroom,
  { path, markdown }: MarkdownFile,
  hash: string,
): Promise<void> {
  const { articles, pictures, unitOfWork, now } = newsroom;
  const { slug, text } = parseMarkdownFile(path, markdown);
  const picture = await keepPicture(newsroom, pictures.cover(text.title), '');
  await unitOfWork.transaction(async () => {
    const draft = draftArticle(text, {
      id: randomUUID(),
      slug: await freeSlug(newsroom, slug),
      now: now(),
    });
    const article = { ...publishDraft(draft, now()), picture, sourcePath: path, sourceHash: hash };
    await enqueuePublication(newsroom, await articles.insert(article));
  });
}

async function updateImported(
  newsroom: Newsroom,
  article: Article,
  { path, markdown }: MarkdownFile,
): Promise<void> {
  const { articles, unitOfWork, now } = newsroom;
  const { text } = parseMarkdownFile(path, markdown);
  await unitOfWork.transaction(async () => {
    await articles.update(reviseArticle(article, text, now()));
    await dropPagesWithCommit(newsroom, article.id);
  });
}
