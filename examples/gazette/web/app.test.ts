import { createECDH } from 'node:crypto';
import { request } from 'node:http';

import sharp from 'sharp';
import { Health } from 'underpin/core';
import { createLogger } from 'underpin/logging';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { publishArticle } from '../application/publish-article.ts';
import { subscribe } from '../application/subscribe.ts';
import { writeArticle } from '../application/write-article.ts';
import type { Article } from '../domain/article.ts';
import { type MemoryNewsroom, memoryNewsroom } from '../testing/memory-newsroom.ts';
import { createApp } from './app.ts';
import type { DeskAccess } from './desk-access.ts';
import { WebServer } from './server.ts';

const text = {
  title: 'A <bridge> & more',
  summary: 'It holds.',
  body: 'Hello **you**.',
  section: 'Works',
};
let newsroom: MemoryNewsroom;
let server: WebServer;

async function serve(desk: DeskAccess = { kind: 'local' }): Promise<void> {
  const logger = createLogger({ level: 'silent' });
  const app = createApp(newsroom, {
    logger,
    health: () => new Health({ web: server }),
    desk,
    inbox: newsroom.mailer.native,
  });
  server = new WebServer({ fetch: app.fetch, host: '127.0.0.1', port: 0 });
  await server.start();
}

beforeEach(async () => {
  newsroom = memoryNewsroom();
  await serve();
});

afterEach(async () => {
  await server.close();
});

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(server.url + path, { headers, redirect: 'manual' });
}

async function post(
  path: string,
  body: Record<string, string | Blob>,
  headers: Record<string, string> = { origin: server.url },
): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) form.set(name, value);
  return await fetch(server.url + path, {
    method: 'POST',
    body: form,
    headers,
    redirect: 'manual',
  });
}

async function publish(changes: Partial<typeof text> = {}): Promise<Article> {
  const { id } = await writeArticle(newsroom, { ...text, ...changes });
  return await publishArticle(newsroom, id);
}

/** A form as the page fills it in. */
function form(article?: Article): Record<string, string> {
  return {
    ...text,
    version: String(article?.version ?? 0),
    pictureDescription: '',
    action: 'save',
  };
}

describe('pages', () => {
  test('the front page shows a published article, escaped, with its picture', async () => {
    const { picture } = await publish();
    const page = await (await get('/')).text();
    expect(page).toContain('A &lt;bridge&gt; &amp; more');
    expect(page).toContain(`src="/pictures/${picture?.id}/original"`);
  });

  test('a draft is on no page', async () => {
    const { slug } = await writeArticle(newsroom, text);
    expect(await (await get('/')).text()).not.toContain('bridge');
    expect((await get(`/articles/${slug}`)).status).toBe(404);
  });

  test('a cached page shows the thumbnails as soon as they are made', async () => {
    const { slug, picture } = await publish();
    const path = `/articles/${slug}`;
    expect(await (await get(path)).text()).not.toContain('srcset');
    await newsroom.workOff();
    expect(await (await get(path)).text()).toContain(
      `srcset="/pictures/${picture?.id}/480.webp 480w, /pictures/${picture?.id}/1280.webp 1200w"`,
    );
    expect(await (await get('/')).text()).toContain(`/pictures/${picture?.id}/480.webp 480w`);
  });

  test('pages lead from list to list until every article was shown once', async () => {
    for (let index = 0; index < 30; index += 1) await publish({ title: `Story ${index}` });
    const titles: string[] = [];
    for (let path: string | undefined = '/'; path !== undefined;) {
      const page = await (await get(path)).text();
      titles.push(...page.matchAll(/>(Story \d+)</g).map((match) => match[1] ?? ''));
      path = /href="(\/older\?after=[^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&');
    }
    expect(titles.toSorted()).toEqual(
      Array.from({ length: 30 }, (_, index) => `Story ${index}`).toSorted(),
    );
  });

  test('a section shows its own articles only', async () => {
    await publish({ title: 'Ours', section: 'Über uns' });
    await publish({ title: 'Theirs', section: 'Elsewhere' });
    const page = await (await get('/sections/uber-uns')).text();
    expect(page).toContain('>Ours<');
    expect(page).not.toContain('>Theirs<');
  });

  test('a page that has not changed is not sent again', async () => {
    await publish();
    const etag = (await get('/')).headers.get('etag') ?? '';
    expect((await get('/', { 'if-none-match': etag })).status).toBe(304);
    await publish({ title: 'News' });
    expect((await get('/', { 'if-none-match': etag })).status).toBe(200);
  });

  test.each([
    '/nothing',
    '/articles/nothing',
    '/sections/nothing',
    `/pictures/${'0'.repeat(64)}/original`,
    '/pictures/../../etc/passwd',
    '/desk/articles/nothing',
  ])('%s is not found, with a page that says so', async (path) => {
    const response = await get(path);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('Not in this issue');
  });

  test.each(['/older?after=nonsense', '/articles/%00'])(
    '%s, which somebody made up, is a bad request and not a failure',
    async (path) => {
      expect((await get(path)).status).toBe(400);
    },
  );

  test('every page forbids scripts, foreign content and frames', async () => {
    for (const path of ['/', '/desk', '/nothing']) {
      const policy = (await get(path)).headers.get('content-security-policy');
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('script-src');
    }
  });

  test('a picture opened by itself is sandboxed, and may be kept for ever', async () => {
    const { picture } = await publish();
    const response = await get(`/pictures/${picture?.id}/original`);
    expect(response.headers.get('content-type')).toBe('image/svg+xml');
    expect(response.headers.get('content-security-policy')).toContain('sandbox');
    expect(response.headers.get('cache-control')).toContain('immutable');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('probes answer', async () => {
    expect((await get('/health/live')).status).toBe(200);
  });
});

describe('subscribe form', () => {
  test('an address is subscribed', async () => {
    const response = await post('/subscribe', { email: 'ada@example.org' });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/subscribed']);
    expect(await newsroom.subscribers.count()).toBe(1);
  });

  test('a wrong address comes back in the form, with what is wrong', async () => {
    const response = await post('/subscribe', { email: '"><script>' });
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain('value="&quot;&gt;&lt;script&gt;"');
    expect(page).toContain('this is not an e-mail address');
  });

  test('a form on another site subscribes nobody', async () => {
    const response = await post(
      '/subscribe',
      { email: 'ada@example.org' },
      { origin: 'https://evil.example' },
    );
    expect(response.status).toBe(403);
    expect(await newsroom.subscribers.count()).toBe(0);
  });

  test('a mail program unsubscribes with one post, without an origin', async () => {
    const { token } = await subscribe(newsroom, 'ada@example.org');
    const body = new URLSearchParams({ 'List-Unsubscribe': 'One-Click' });
    const response = await fetch(`${server.url}/unsubscribe/${token}`, {
      method: 'POST',
      body,
      redirect: 'manual',
    });
    expect(response.status).toBe(303);
    expect(await newsroom.subscribers.count()).toBe(0);
  });

  test('a link in a mail that is only followed unsubscribes nobody', async () => {
    const { token } = await subscribe(newsroom, 'ada@example.org');
    expect((await get(`/unsubscribe/${token}`)).status).toBe(200);
    expect(await newsroom.subscribers.count()).toBe(1);
  });
});

describe('devices', () => {
  const subscription = {
    endpoint: 'https://push.example/1',
    keys: {
      p256dh: createECDH('prime256v1').generateKeys('base64url'),
      auth: Buffer.alloc(16, 1).toString('base64url'),
    },
  };

  async function register(body: string): Promise<number> {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`${server.url}/devices`, { method: 'POST', body, headers })).status;
  }

  test('a browser registers its push subscription', async () => {
    expect(await register(JSON.stringify(subscription))).toBe(204);
    expect(await newsroom.devices.count()).toBe(1);
  });

  test.each([
    '',
    '{',
    '{}',
    JSON.stringify({ ...subscription, endpoint: 'http://push.example/1' }),
    JSON.stringify({ ...subscription, endpoint: 'https://me:secret@push.example/1' }),
    JSON.stringify({ ...subscription, keys: { p256dh: 'key', auth: 'auth' } }),
  ])('%j registers nothing', async (body) => {
    expect(await register(body)).toBe(422);
    expect(await newsroom.devices.count()).toBe(0);
  });
});

describe('desk', () => {
  test('an editor writes, attaches a picture and publishes in one form', async () => {
    const photo = await sharp({
      create: { width: 1600, height: 900, channels: 3, background: '#246' },
    })
      .png()
      .toBuffer();
    const picture = new File([new Uint8Array(photo)], 'bridge.png', { type: 'image/png' });
    const response = await post('/desk/articles', {
      ...form(),
      pictureDescription: 'The bridge',
      picture,
      action: 'publish',
    });
    expect(response.status).toBe(303);
    const [article] = (await newsroom.articles.published({ limit: 1 })).articles;
    expect(article).toMatchObject({
      title: text.title,
      picture: { width: 1600, height: 900, description: 'The bridge' },
    });
    expect(await (await get(`/articles/${article?.slug}`)).text()).toContain('alt="The bridge"');
  });

  test('line ends are kept as the file has them, not as browsers send them', async () => {
    await post('/desk/articles', { ...form(), body: 'one\r\n\r\ntwo' });
    expect((await newsroom.articles.find())[0]?.body).toBe('one\n\ntwo');
  });

  test('what cannot be saved comes back with all that was typed', async () => {
    const response = await post('/desk/articles', { ...form(), title: ' ', body: 'Long work' });
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain('an article needs a title');
    expect(page).toContain('Long work');
    expect(await newsroom.articles.count()).toBe(0);
  });

  test('a bad picture comes back as such, and the text is saved', async () => {
    const article = await writeArticle(newsroom, text);
    const picture = new File(['no picture'], 'a.png', { type: 'image/png' });
    const response = await post(`/desk/articles/${article.id}`, {
      ...form(article),
      body: 'New text',
      picture,
      action: 'publish',
    });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain('this is not a picture');
    expect(await newsroom.articles.getById(article.id)).toMatchObject({
      body: 'New text',
      status: 'draft',
      picture: null,
    });
  });

  test('of two editors, the second is told, and keeps the text', async () => {
    const article = await writeArticle(newsroom, text);
    await post(`/desk/articles/${article.id}`, { ...form(article), body: 'The first' });
    const response = await post(`/desk/articles/${article.id}`, {
      ...form(article),
      body: 'The second',
    });
    expect(response.status).toBe(409);
    expect(await response.text()).toContain('The second');
    expect((await newsroom.articles.getById(article.id)).body).toBe('The first');
  });

  test('a form on another site publishes nothing', async () => {
    const article = await writeArticle(newsroom, text);
    const sent = await post(
      `/desk/articles/${article.id}`,
      { ...form(article), action: 'publish' },
      { origin: 'https://evil.example' },
    );
    expect(sent.status).toBe(403);
    expect((await newsroom.articles.getById(article.id)).status).toBe('draft');
  });

  test('the desk shows the jobs that wait, and asks for itself again until they are done', async () => {
    await publish();
    expect(await (await get('/desk')).text()).toContain('http-equiv="refresh"');
    await newsroom.workOff();
    expect(await (await get('/desk')).text()).not.toContain('http-equiv="refresh"');
  });

  test('a mail that went out can be read, in a frame in which nothing runs', async () => {
    await subscribe(newsroom, 'ada@example.org');
    await publish();
    await newsroom.workOff();
    const list = await (await get('/desk/inbox')).text();
    const path = /href="(\/desk\/inbox\/[^"]+)"/.exec(list)?.[1] ?? '';
    expect(await (await get(path)).text()).toContain('<iframe');
    const letter = await get(`${path}/html`);
    expect(letter.headers.get('content-security-policy')).toContain('sandbox');
    expect(await letter.text()).toContain('A &lt;bridge&gt; &amp; more');
  });

  test('a request that is too large is refused', async () => {
    const picture = new File([new Uint8Array(26 * 1024 * 1024)], 'a.png', { type: 'image/png' });
    expect((await post('/desk/articles', { ...form(), picture })).status).toBe(413);
  });
});

describe('desk access', () => {
  test('under a name that is not this machine’s own, the desk is closed', async () => {
    const status = await new Promise((resolve, reject) => {
      const { port } = new URL(server.url);
      request(
        { host: '127.0.0.1', port, path: '/desk', headers: { host: 'evil.example' } },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      )
        .on('error', reject)
        .end();
    });
    expect(status).toBe(403);
  });

  test('with a password, only who gives it enters', async () => {
    await server.close();
    await serve({ kind: 'password', password: 'correct horse' });
    const basic = (password: string): Record<string, string> => ({
      authorization: `Basic ${Buffer.from(`editor:${password}`).toString('base64')}`,
    });
    expect((await get('/desk')).status).toBe(401);
    expect((await get('/desk', basic('wrong'))).status).toBe(401);
    expect((await get('/desk', basic('correct horse'))).status).toBe(200);
  });

  test('closed, nobody enters, and readers still read', async () => {
    await server.close();
    await serve({ kind: 'closed' });
    expect((await get('/desk')).status).toBe(403);
    expect((await get('/')).status).toBe(200);
  });
});
