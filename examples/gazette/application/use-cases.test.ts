import { createECDH } from 'node:crypto';

import sharp from 'sharp';
import { InfrastructureError } from 'underpin/core';
import { beforeEach, describe, expect, test } from 'vitest';

import type { Article } from '../domain/article.ts';
import { BrokenRule } from '../domain/broken-rule.ts';
import { type MemoryNewsroom, memoryNewsroom } from '../testing/memory-newsroom.ts';
import { attachPicture } from './attach-picture.ts';
import { importArticles, type ImportResult, type MarkdownFile } from './import-articles.ts';
import { mailArticle, sendNewsletter, sendNotices } from './jobs.ts';
import { mailArticleTo } from './newsletter.ts';
import { fanOutNotices, registerDevice } from './notices.ts';
import { articleTag } from './pages.ts';
import { availableThumbnails, originalKey, thumbnailKey, thumbnailWidths } from './pictures.ts';
import { publishArticle } from './publish-article.ts';
import { subscribe, unsubscribe } from './subscribe.ts';
import { editArticle, writeArticle } from './write-article.ts';

const text = { title: 'A bridge', summary: 'It holds.', body: 'Hello.', section: 'Works' };
let newsroom: MemoryNewsroom;

beforeEach(() => {
  newsroom = memoryNewsroom();
});

async function importAll(...files: MarkdownFile[]): Promise<ImportResult> {
  return await importArticles(newsroom, ReadableStream.from(files));
}

/** The page as it is kept, or as it is rendered now. */
async function printed(key: string, tag: string, page: string): Promise<string> {
  return await newsroom.pages.getOrRender(key, [tag], async () => page);
}

async function photo(
  options: { readonly width?: number; readonly height?: number } = {},
): Promise<Buffer> {
  const { width = 2000, height = 1000 } = options;
  return await sharp({ create: { width, height, channels: 3, background: '#246' } })
    .jpeg()
    .toBuffer();
}

async function recipients(): Promise<string[]> {
  const mails = await Array.fromAsync(newsroom.mailer.native.messages());
  return mails.flatMap(({ to }) => to.map(({ address }) => address)).toSorted();
}

describe('write', () => {
  test('two articles of one title get two slugs', async () => {
    const first = await writeArticle(newsroom, text);
    const second = await writeArticle(newsroom, text);
    expect([first.slug, second.slug]).toEqual(['a-bridge', 'a-bridge-2']);
  });

  test('a title without letters still gets a slug', async () => {
    expect((await writeArticle(newsroom, { ...text, title: '!!!' })).slug).toBe('article');
  });

  test('an edit of an outdated version is refused, and nothing is lost', async () => {
    const { id, version } = await writeArticle(newsroom, text);
    await editArticle(newsroom, { id, version, text: { ...text, title: 'First' } });
    const late = editArticle(newsroom, { id, version, text: { ...text, title: 'Second' } });
    await expect(late).rejects.toSatisfy((error) => InfrastructureError.is(error, 'aborted'));
    expect((await newsroom.articles.getById(id)).title).toBe('First');
  });

  test('an edit drops the cached pages of the article, and no others', async () => {
    const { id, version } = await writeArticle(newsroom, text);
    await printed('mine', articleTag(id), 'old');
    await printed('other', articleTag('other'), 'old');
    await editArticle(newsroom, { id, version, text });
    expect(await printed('mine', articleTag(id), 'new')).toBe('new');
    expect(await printed('other', articleTag('other'), 'new')).toBe('old');
  });
});

describe('publish', () => {
  test('it makes every thumbnail, as WebP of the right width, out of the cover', async () => {
    const { id } = await writeArticle(newsroom, text);
    const { picture } = await publishArticle(newsroom, id);
    const pictureId = picture?.id ?? '';
    expect(await availableThumbnails(newsroom, pictureId)).toEqual([]);
    await newsroom.workOff();
    expect(await availableThumbnails(newsroom, pictureId)).toEqual(thumbnailWidths);
    const [width = 0] = thumbnailWidths;
    const metadata = await sharp(
      await (await newsroom.files.get(thumbnailKey(pictureId, width))).bytes(),
    ).metadata();
    expect(metadata).toMatchObject({ format: 'webp', width });
  });

  test('a finished thumbnail drops the cached pages that show the original', async () => {
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    await printed('page', articleTag(id), 'with the original');
    await newsroom.workOff();
    expect(await printed('page', articleTag(id), 'with thumbnails')).toBe('with thumbnails');
  });

  test('it mails every subscriber once, with a link to read and one to unsubscribe', async () => {
    const { token } = await subscribe(newsroom, 'ada@example.org');
    await subscribe(newsroom, 'bob@example.org');
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    await newsroom.workOff();
    expect(await recipients()).toEqual(['ada@example.org', 'bob@example.org']);
    const mails = await Array.fromAsync(newsroom.mailer.native.messages());
    const mail = mails.find(({ to }) => to[0]?.address === 'ada@example.org');
    expect(mail).toMatchObject({ subject: 'A bridge' });
    expect(mail?.text).toContain('https://gazette.example/articles/a-bridge');
    expect(mail?.headers.get('list-unsubscribe')?.[0]).toContain(
      `https://gazette.example/unsubscribe/${token}`,
    );
  });

  test.each([
    ['https://gazette.example', true],
    ['http://localhost:4000', true],
    ['http://192.0.2.1:4000', false],
  ])('at %s, mail programs are told how to unsubscribe: %s', async (siteUrl, isTold) => {
    newsroom = { ...newsroom, siteUrl: () => siteUrl };
    const { id: subscriberId } = await subscribe(newsroom, 'ada@example.org');
    const { id: articleId } = await writeArticle(newsroom, text);
    await mailArticleTo(newsroom, { articleId, subscriberId });
    const [mail] = await Array.fromAsync(newsroom.mailer.native.messages());
    expect(mail?.headers.has('list-unsubscribe')).toBe(isTold);
    expect(mail?.text).toContain(`${siteUrl}/unsubscribe/`);
  });

  test('a newsletter job that runs twice mails nobody twice', async () => {
    await subscribe(newsroom, 'ada@example.org');
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    await newsroom.workOff();
    await newsroom.queue.enqueue(sendNewsletter, { articleId: id });
    await newsroom.workOff();
    expect(await recipients()).toEqual(['ada@example.org']);
  });

  test('publishing twice mails nobody twice', async () => {
    await subscribe(newsroom, 'ada@example.org');
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    const again = await publishArticle(newsroom, id);
    await newsroom.workOff();
    expect(await recipients()).toEqual(['ada@example.org']);
    expect(again.version).toBe(2);
  });

  test('who unsubscribed in between gets no mail', async () => {
    const { id: subscriberId, token } = await subscribe(newsroom, 'ada@example.org');
    const { id: articleId } = await writeArticle(newsroom, text);
    await newsroom.queue.enqueue(mailArticle, { articleId, subscriberId });
    await unsubscribe(newsroom, token);
    await newsroom.workOff();
    expect(await recipients()).toEqual([]);
  });

  test('an article without text stays a draft, and nothing is enqueued', async () => {
    const { id } = await writeArticle(newsroom, { ...text, body: '' });
    await expect(publishArticle(newsroom, id)).rejects.toThrow(BrokenRule);
    expect((await newsroom.articles.getById(id)).status).toBe('draft');
    expect((await newsroom.queue.counts()).waiting).toBe(0);
  });
});

describe('picture', () => {
  let article: Article;

  beforeEach(async () => {
    article = await writeArticle(newsroom, text);
  });

  test('a photo is kept upright, without what the camera wrote, and no larger than a page needs', async () => {
    const upload = await sharp(await photo({ width: 3000, height: 1500 }))
      .withExif({ IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1' } })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { picture } = await attachPicture(newsroom, {
      id: article.id,
      upload,
      description: ' The bridge ',
    });
    expect(picture).toMatchObject({
      width: 1200,
      height: 2400,
      contentType: 'image/webp',
      description: 'The bridge',
    });
    const kept = await sharp(
      await (await newsroom.files.get(originalKey(picture?.id ?? ''))).bytes(),
    ).metadata();
    expect(kept.exif).toBeUndefined();
  });

  test.each([
    ['text', Buffer.from('no picture at all')],
    [
      'an SVG, which could name other files',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    ],
    ['nothing', Buffer.alloc(0)],
  ])('%s is refused, and the article keeps what it had', async (_, upload) => {
    await expect(
      attachPicture(newsroom, { id: article.id, upload, description: '' }),
    ).rejects.toThrow(BrokenRule);
    expect((await newsroom.articles.getById(article.id)).picture).toBeNull();
  });

  test('a cut-off photo is refused', async () => {
    const whole = await photo();
    const upload = whole.subarray(0, whole.length / 2);
    await expect(
      attachPicture(newsroom, { id: article.id, upload, description: '' }),
    ).rejects.toThrow(BrokenRule);
  });

  test('a small file that opens into too many pixels is refused before it is opened', async () => {
    const upload = await sharp({
      create: { width: 9000, height: 9000, channels: 3, background: '#fff' },
      limitInputPixels: false,
    })
      .png()
      .toBuffer();
    await expect(
      attachPicture(newsroom, { id: article.id, upload, description: '' }),
    ).rejects.toThrow('81 megapixels');
  });

  test('the picture that an editor attached is not replaced by a cover', async () => {
    const { picture } = await attachPicture(newsroom, {
      id: article.id,
      upload: await photo(),
      description: '',
    });
    expect((await publishArticle(newsroom, article.id)).picture).toEqual(picture);
  });
});

describe('import', () => {
  const file = { path: 'storage.md', markdown: '# Storage\n\nWhere files are kept.\n\nText.' };

  test('it publishes each file, with a cover', async () => {
    expect(await importAll(file, { path: 'b.md', markdown: '# B\n\nText.' })).toEqual({
      published: 2,
      updated: 0,
      unchanged: 0,
      refused: [],
    });
    expect(await newsroom.articles.findBySlug('storage')).toMatchObject({
      status: 'published',
      picture: { contentType: 'image/svg+xml' },
    });
  });

  test('importing again changes nothing and mails nobody', async () => {
    await importAll(file);
    await subscribe(newsroom, 'ada@example.org');
    await newsroom.workOff();
    const before = await recipients();
    expect(await importAll(file)).toEqual({ published: 0, updated: 0, unchanged: 1, refused: [] });
    await newsroom.workOff();
    expect(await recipients()).toEqual(before);
  });

  test('a changed file updates its article, at the same address', async () => {
    await importAll(file);
    const before = await newsroom.articles.findBySlug('storage');
    expect(await importAll({ ...file, markdown: '# All about storage\n\nNew.' })).toEqual({
      published: 0,
      updated: 1,
      unchanged: 0,
      refused: [],
    });
    expect(await newsroom.articles.findBySlug('storage')).toMatchObject({
      id: before?.id,
      title: 'All about storage',
      body: 'New.',
    });
  });

  test('what an editor changed stays until the file changes', async () => {
    await importAll(file);
    const article = await newsroom.articles.findBySlug('storage');
    await editArticle(newsroom, {
      id: article?.id ?? '',
      version: article?.version ?? 0,
      text: { ...text, title: 'By hand' },
    });
    await importAll(file);
    expect((await newsroom.articles.findBySlug('storage'))?.title).toBe('By hand');
  });

  test.each([' \n', '# Only a title', 'x'.repeat(400_001)])(
    'a file that cannot be an article is named, and keeps no other from being one',
    async (markdown) => {
      const result = await importAll({ path: 'bad.md', markdown }, file);
      expect(result).toMatchObject({ published: 1, refused: [{ path: 'bad.md' }] });
      expect(await newsroom.articles.count()).toBe(1);
    },
  );

  test('two imports at the same time publish each file once', async () => {
    const results = await Promise.all([importAll(file), importAll(file)]);
    expect(results.map(({ published }) => published)).toEqual(expect.arrayContaining([0, 1]));
    expect(await newsroom.articles.count()).toBe(1);
  });

  test('two files of one name in two folders both get an address', async () => {
    await importAll({ path: 'a/b c.md', markdown: 'One.' }, { path: 'a b/c.md', markdown: 'Two.' });
    expect(await newsroom.articles.count()).toBe(2);
  });
});

describe('subscribe', () => {
  test('an address is subscribed once, however it is written', async () => {
    const first = await subscribe(newsroom, 'ada@example.org');
    expect(await subscribe(newsroom, ' ADA@example.org')).toEqual(first);
    expect(await newsroom.subscribers.count()).toBe(1);
  });

  test('two requests at once subscribe it once', async () => {
    const [first, second] = await Promise.all([
      subscribe(newsroom, 'ada@example.org'),
      subscribe(newsroom, 'ada@example.org'),
    ]);
    expect(first).toEqual(second);
  });

  test('only the token of the own mails unsubscribes', async () => {
    const { id, token } = await subscribe(newsroom, 'ada@example.org');
    expect(await unsubscribe(newsroom, id)).toBe(false);
    expect(await unsubscribe(newsroom, token)).toBe(true);
    expect(await unsubscribe(newsroom, token)).toBe(false);
  });
});

describe('notices', () => {
  const target = {
    kind: 'web-push',
    endpoint: 'https://push.example/1',
    keys: {
      p256dh: createECDH('prime256v1').generateKeys('base64url'),
      auth: Buffer.alloc(16, 1).toString('base64url'),
    },
  } as const;

  test('a device is registered once', async () => {
    await registerDevice(newsroom, target);
    await registerDevice(newsroom, target);
    expect(await newsroom.devices.count()).toBe(1);
  });

  test('publishing shows a notice on every device, once', async () => {
    await registerDevice(newsroom, target);
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    await newsroom.workOff();
    await newsroom.queue.enqueue(sendNotices, { articleId: id });
    await newsroom.workOff();
    const deliveries = await Array.fromAsync(newsroom.push.native.deliveries());
    expect(deliveries.map(({ content }) => content.title)).toEqual(['A bridge']);
  });

  test('each device has a job of its own, so that what fails for one is not shown again on the others', async () => {
    const one = await registerDevice(newsroom, target);
    const other = await registerDevice(newsroom, { ...target, endpoint: 'https://push.example/2' });
    await fanOutNotices(newsroom, 'article');
    const { jobs } = await newsroom.queue.list();
    expect(jobs.map(({ payload }) => payload)).toEqual(
      expect.arrayContaining([
        { articleId: 'article', deviceId: one.id },
        { articleId: 'article', deviceId: other.id },
      ]),
    );
  });

  test('a device that is gone is forgotten, and the others are shown the notice', async () => {
    newsroom = memoryNewsroom({
      answer: (to) => (to.kind === 'web-push' && to.endpoint.endsWith('/1') ? 'gone' : 'delivered'),
    });
    await registerDevice(newsroom, target);
    const other = await registerDevice(newsroom, { ...target, endpoint: 'https://push.example/2' });
    const { id } = await writeArticle(newsroom, text);
    await publishArticle(newsroom, id);
    await newsroom.workOff();
    expect(await newsroom.devices.find()).toEqual([other]);
    expect(await Array.fromAsync(newsroom.push.native.deliveries())).toHaveLength(1);
  });
});
