import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import {
  infrastructureFromEnv,
  type RunningInfrastructure,
  type StandardComponents,
} from 'underpin';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Newsroom } from '../application/newsroom.ts';
import { publishArticle } from '../application/publish-article.ts';
import { subscribe } from '../application/subscribe.ts';
import { writeArticle } from '../application/write-article.ts';
import { compose, type Composition } from './composition.ts';
import type { Tables } from './database/tables.ts';
import type { DirectusSchema } from './directus/types.ts';

const text = { title: 'A bridge', summary: 'It holds.', body: 'Hello.', section: 'Works' };
const infrastructure = infrastructureFromEnv<Tables, Composition, DirectusSchema>(
  (standard, { env }) => compose(standard, env, () => 'https://gazette.example'),
);
let folder: string;
let gazette: RunningInfrastructure<StandardComponents<Tables, DirectusSchema> & Composition>;
let newsroom: Newsroom;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-composition-'));
  gazette = await infrastructure.start({ env: { DATA_DIR: folder, LOG_LEVEL: 'silent' } });
  newsroom = gazette.newsroom;
});

afterEach(async () => {
  await gazette.stop();
  await rm(folder, { recursive: true });
});

describe('publish', () => {
  test('the article and its jobs are committed together', async () => {
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    const { jobs } = await gazette.queue.list();
    expect(jobs.map(({ name }) => name).toSorted()).toEqual([
      'drop-article-pages',
      'make-thumbnail',
      'make-thumbnail',
      'send-newsletter',
      'send-notices',
    ]);
    expect((await newsroom.articles.getById(id)).status).toBe('published');
  });

  test.each([1, 2, 3, 4, 5])(
    'when job %i cannot be enqueued, the article is still a draft, and there are no jobs',
    async (failing) => {
      const { id } = await writeArticle(newsroom, text);
      const enqueue = newsroom.queue.enqueue.bind(newsroom.queue);
      let calls = 0;
      newsroom.queue.enqueue = async (...parameters) => {
        calls += 1;
        if (calls === failing) throw new Error('the power went out');
        return await enqueue(...parameters);
      };
      await expect(publishArticle(newsroom, id)).rejects.toThrow('the power went out');
      expect(await newsroom.articles.getById(id)).toMatchObject({
        status: 'draft',
        picture: null,
        version: 1,
      });
      expect((await gazette.queue.list()).jobs).toEqual([]);
    },
  );

  test('two editors who publish at the same time publish once', async () => {
    const { id } = await writeArticle(newsroom, text);
    await Promise.all([publishArticle(newsroom, id), publishArticle(newsroom, id)]);
    expect((await gazette.queue.list()).jobs).toHaveLength(5);
  });
});

describe('repositories', () => {
  test('an article comes back from the database as it went in', async () => {
    const article = await writeArticle(newsroom, text);
    expect(await newsroom.articles.getById(article.id)).toEqual(article);
    const published = await publishArticle(newsroom, article.id);
    expect(await newsroom.articles.findBySlug(article.slug)).toEqual(published);
    expect(await newsroom.articles.sections()).toEqual([{ name: 'Works', slug: 'works' }]);
  });

  test('an address is subscribed once, also by two requests at once', async () => {
    await Promise.all([
      subscribe(newsroom, 'ada@example.org'),
      subscribe(newsroom, 'ada@example.org'),
    ]);
    expect(await newsroom.subscribers.count()).toBe(1);
  });
});

test('a queue that cannot be part of a transaction is refused, with what to do', async () => {
  const start = infrastructure.start({ env: { DATA_DIR: folder, QUEUE_URL: 'memory:' } });
  await expect(start).rejects.toThrow(/QUEUE_URL.*database:/);
});
