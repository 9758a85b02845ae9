import { memoryCache } from 'underpin/cache/memory';
import { type FakeClock, fakeClock } from 'underpin/core';
import { memoryMailer } from 'underpin/mail/memory';
import { memoryPush, type MemoryPushOptions } from 'underpin/push/memory';
import { memoryQueue } from 'underpin/queue/memory';
import { memoryRepository } from 'underpin/repositories/memory';
import { memoryStorage } from 'underpin/storage/memory';

import type { Newsroom } from '../application/newsroom.ts';
import type { Article } from '../domain/article.ts';
import type { Device } from '../domain/device.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { pageCache } from '../infrastructure/cache/page-cache.ts';
import { composeArticleLetter } from '../infrastructure/mail/article-letter.ts';
import { pictureDesk } from '../infrastructure/pictures/picture-desk.ts';
import { composeArticleNotice } from '../infrastructure/push/article-notice.ts';
import { gazetteWorker } from '../infrastructure/queue/worker.ts';
import { articleRepository } from '../infrastructure/repositories/articles.ts';
import { subscriberRepository } from '../infrastructure/repositories/subscribers.ts';

/** A newsroom of which nothing outlives the test. */
export interface MemoryNewsroom extends Newsroom {
  readonly clock: FakeClock;
  readonly mailer: ReturnType<typeof memoryMailer>;
  readonly push: ReturnType<typeof memoryPush>;
  readonly queue: ReturnType<typeof memoryQueue>;
  /** Does all jobs there are, and those that they lead to. */
  workOff(): Promise<void>;
}

/** Makes a {@link MemoryNewsroom} on the real use cases, pictures and templates. The options are those of its push service. */
export function memoryNewsroom(options: MemoryPushOptions = {}): MemoryNewsroom {
  const clock = fakeClock();
  const queue = memoryQueue({ clock });
  const articles: Newsroom['articles'] = articleRepository(
    memoryRepository<Article>({ version: 'version', unique: ['slug', 'sourcePath'] }),
    async () => [
      ...new Set((await articles.find({ status: 'published' })).map(({ section }) => section)),
    ],
  );
  const newsroom = {
    clock,
    articles,
    subscribers: subscriberRepository(memoryRepository<Subscriber>({ unique: ['email', 'token'] })),
    devices: memoryRepository<Device>(),
    // Each call takes effect by itself: what rolls back is tested on the database.
    unitOfWork: {
      transaction: async <Result>(work: () => Promise<Result>): Promise<Result> => await work(),
      afterCommit: async (callback: () => void | Promise<void>): Promise<void> => {
        await callback();
      },
    },
    files: memoryStorage(),
    pages: pageCache(memoryCache({ clock })),
    queue,
    mailer: memoryMailer(),
    sender: 'The Underpin Gazette <news@gazette.example>',
    push: memoryPush(options),
    pictures: pictureDesk,
    composeLetter: composeArticleLetter,
    composeNotice: composeArticleNotice,
    siteUrl: () => 'https://gazette.example',
    now: () => new Date(clock.now()),
  };
  return {
    ...newsroom,
    async workOff() {
      const worker = gazetteWorker(queue, newsroom);
      await worker.start();
      for (
        let counts = await queue.counts();
        counts.waiting + counts.active > 0;
        counts = await queue.counts()
      ) {
        await new Promise((resolve) => void setImmediate(resolve));
      }
      await worker.close();
    },
  };
}
