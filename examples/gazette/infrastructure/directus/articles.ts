import { aggregate } from '@directus/sdk';
import { InfrastructureError } from 'underpin/core';
import type { DirectusClient } from 'underpin/directus';
import type { Repository } from 'underpin/ports';
import { directusRepository } from 'underpin/repositories/directus';

import type { ArticleRepository } from '../../domain/article-repository.ts';
import type { Article } from '../../domain/article.ts';
import { articleColumns, articleRepository } from '../repositories/articles.ts';
import type { DirectusSchema } from './types.ts';

/** The articles that editors write in Directus. They are only read here: every write is refused as `unimplemented`. */
export function directusArticles(client: DirectusClient<DirectusSchema>): ArticleRepository {
  const articles = directusRepository<Article>({
    client,
    collection: 'articles',
    columns: {
      ...articleColumns,
      publishedAt: { name: 'date_published', type: 'date|null' },
      updatedAt: { name: 'date_updated', type: 'date' },
    },
  });
  const writes: Partial<Repository<Article>> = {
    insert: refuse,
    insertMany: refuse,
    save: refuse,
    update: refuse,
    delete: refuse,
    deleteWhere: refuse,
  };
  return articleRepository(Object.assign(articles, writes), () => sectionNames(client));
}

// What a publication leads to could not be one with it, nor could two editors be kept apart.
async function refuse(): Promise<never> {
  throw new InfrastructureError({
    code: 'unimplemented',
    component: 'repositories',
    adapter: 'directus',
    message: 'articles are written in Directus',
  });
}

async function sectionNames(client: DirectusClient<DirectusSchema>): Promise<readonly string[]> {
  const groups = await client.request(
    aggregate('articles', {
      aggregate: { count: '*' },
      groupBy: ['section'],
      query: { filter: { status: { _eq: 'published' } }, limit: -1 },
    }),
  );
  return groups.map((group) => (group as unknown as { section: string }).section);
}
