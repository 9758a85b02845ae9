import { sqlRepository } from 'underpin/repositories/sql';
import type { Database } from 'underpin/database';

import type { ArticleRepository } from '../../domain/article-repository.ts';
import type { Article } from '../../domain/article.ts';
import type { Device, DeviceRepository } from '../../domain/device.ts';
import type { Subscriber, SubscriberRepository } from '../../domain/subscriber.ts';
import type { Tables } from '../database/tables.ts';
import { articleColumns, articleRepository } from './articles.ts';
import { subscriberRepository } from './subscribers.ts';

/** The repositories of the newspaper, in the tables of its database. */
export interface Repositories {
  readonly articles: ArticleRepository;
  readonly subscribers: SubscriberRepository;
  readonly devices: DeviceRepository;
}

/** Makes the {@link Repositories}. */
export function sqlRepositories(database: Database<Tables>): Repositories {
  const articles = sqlRepository<Article>({
    database,
    table: 'article',
    version: 'version',
    columns: {
      ...articleColumns,
      publishedAt: { name: 'published_at', type: 'date|null' },
      updatedAt: { name: 'updated_at', type: 'date' },
    },
  });
  const subscribers = sqlRepository<Subscriber>({
    database,
    table: 'subscriber',
    columns: {
      id: 'text',
      email: 'text',
      token: 'text',
      subscribedAt: { name: 'subscribed_at', type: 'date' },
    },
  });
  const devices = sqlRepository<Device>({
    database,
    table: 'device',
    columns: { id: 'text', target: 'json', registeredAt: { name: 'registered_at', type: 'date' } },
  });
  return {
    articles: articleRepository(articles, () => sectionNames(database)),
    subscribers: subscriberRepository(subscribers),
    devices,
  };
}

async function sectionNames({ query }: Database<Tables>): Promise<readonly string[]> {
  const rows = await query
    .selectFrom('article')
    .select('section')
    .distinct()
    .where('status', '=', 'published')
    .execute();
  return rows.map(({ section }) => section);
}
