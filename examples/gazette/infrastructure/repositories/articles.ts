import type { Repository } from 'underpin/ports';

import type {
  ArticlePage,
  ArticleRepository,
  PublishedOptions,
  Section,
} from '../../domain/article-repository.ts';
import type { Article } from '../../domain/article.ts';
import { slugify } from '../../domain/slug.ts';

/** How an article is kept, in a table and in a collection; when it was published and changed each names in its own way. */
export const articleColumns = {
  id: 'text',
  slug: 'text',
  title: 'text',
  summary: 'text',
  body: 'text',
  section: 'text',
  picture: 'json|null',
  sourcePath: { name: 'source_path', type: 'text|null' },
  sourceHash: { name: 'source_hash', type: 'text|null' },
  status: 'text',
  version: 'integer',
} as const;

/** Adds what the newspaper asks of its articles to a repository on any adapter. */
export function articleRepository(
  base: Repository<Article>,
  sectionNames: () => Promise<readonly string[]>,
): ArticleRepository {
  return Object.assign(base, {
    findBySlug: (slug: string): Promise<Article | undefined> => base.findOne({ slug }),

    findBySource: (path: string): Promise<Article | undefined> =>
      base.findOne({ sourcePath: path }),

    async published({ limit, section, after }: PublishedOptions): Promise<ArticlePage> {
      const criteria = {
        status: 'published',
        ...(section === undefined ? {} : { section }),
      } as const;
      const page = await base.page(criteria, { orderBy: { publishedAt: 'desc' }, limit, after });
      return { articles: page.items, next: page.next };
    },

    drafts: (limit: number): Promise<readonly Article[]> =>
      base.find({ status: 'draft' }, { orderBy: { updatedAt: 'desc' }, limit }),

    async sections(): Promise<readonly Section[]> {
      const names = await sectionNames();
      return names
        .toSorted((a, b) => a.localeCompare(b, 'en'))
        .map((name) => ({ name, slug: slugify(name) }));
    },
  });
}
