import type { Repository } from 'underpin/ports';

import type { Article } from './article.ts';

/** One section of the newspaper. */
export interface Section {
  readonly name: string;
  readonly slug: string;
}

/** One page of a list, newest first. */
export interface ArticlePage {
  readonly articles: readonly Article[];
  /** Where the next page begins; `undefined` on the last one. */
  readonly next: string | undefined;
}

/** What {@link ArticleRepository.published} takes. */
export interface PublishedOptions {
  readonly limit: number;
  /** A section's name. */
  readonly section?: string | undefined;
  /** The `next` of the page before. Throws `invalid-argument` for what is none. */
  readonly after?: string | undefined;
}

/** Where articles are kept. */
export interface ArticleRepository extends Repository<Article> {
  findBySlug(slug: string): Promise<Article | undefined>;
  /** The article that was imported from this path. */
  findBySource(path: string): Promise<Article | undefined>;
  /** Published articles, newest first; of one section, or of all. */
  published(options: PublishedOptions): Promise<ArticlePage>;
  /** The sections of published articles, by name. */
  sections(): Promise<readonly Section[]>;
  /** Drafts, the last touched first. */
  drafts(limit: number): Promise<readonly Article[]>;
}
