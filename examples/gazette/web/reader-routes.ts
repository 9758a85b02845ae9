import { type Context, Hono } from 'hono';
import { etag } from 'hono/etag';
import { InfrastructureError } from 'underpin/core';
import { z } from 'zod';

import type { Newsroom } from '../application/newsroom.ts';
import { registerDevice } from '../application/notices.ts';
import { originalKey, thumbnailKey, thumbnailWidths } from '../application/pictures.ts';
import { subscribe, unsubscribe } from '../application/subscribe.ts';
import { BrokenRule } from '../domain/broken-rule.ts';
import { favicon, style, styleUrl } from './assets.ts';
import { layout, messagePage } from './layout.ts';
import { printArticle, printList } from './printing.ts';
import { frontPage, sectionPage, subscribeForm, unsubscribePage } from './reader-pages.ts';
import { policyOfPictures, type WebEnvironment } from './web-environment.ts';

const forever = 'public, max-age=31536000, immutable';

// A Web Push subscription, as a browser's `PushSubscription.toJSON()` gives it: 65 bytes of public key and 16 of secret. Held
// to this here, since one bad device would keep a notice from all others.
const webPushSubscription = z.object({
  endpoint: z
    .url({ protocol: /^https$/, hostname: z.regexes.domain })
    .max(2000)
    .regex(/^[^@]*$/),
  keys: z.object({
    p256dh: z.string().regex(/^B[\w-]{86}$/),
    auth: z.string().regex(/^[\w-]{22}$/),
  }),
});

/** What readers see. */
export function readerRoutes(newsroom: Newsroom): Hono<WebEnvironment> {
  const routes = new Hono<WebEnvironment>();
  // Answers 304 when a page has not changed.
  for (const path of ['/', '/older', '/sections/*', '/articles/*']) routes.use(path, etag());

  routes.get('/', async (c) => page(c, await printList(newsroom, { path: '/' }, frontPage)));

  routes.get('/older', async (c) => {
    const after = c.req.query('after');
    if (after === undefined) return c.redirect('/');
    return page(
      c,
      await printList(newsroom, { path: '/', after }, (list) => sectionPage(list, 'Older stories')),
    );
  });

  routes.get('/sections/:slug', async (c) => {
    const slug = c.req.param('slug');
    const section = (await newsroom.articles.sections()).find((other) => other.slug === slug);
    if (section === undefined) return await c.notFound();
    const path = `/sections/${encodeURIComponent(slug)}`;
    const list = { path, section: section.name, after: c.req.query('after') };
    return page(
      c,
      await printList(newsroom, list, (stories) => sectionPage(stories, section.name, path)),
    );
  });

  routes.get('/articles/:slug', async (c) => {
    const printed = await printArticle(newsroom, c.req.param('slug'));
    return printed === undefined ? await c.notFound() : page(c, printed);
  });

  routes.get(
    '/pictures/:id{[0-9a-f]{64}}/:file{original|[0-9]+\\.webp}',
    async (c) => await picture(c, newsroom),
  );
  routes.get(styleUrl, (c) =>
    c.body(style, 200, { 'content-type': 'text/css; charset=utf-8', 'cache-control': forever }),
  );
  routes.get('/favicon.svg', (c) =>
    c.body(favicon, 200, {
      'content-type': 'image/svg+xml',
      'cache-control': 'public, max-age=86400',
    }),
  );
  routes.get('/robots.txt', (c) => c.text('User-agent: *\nDisallow: /desk\n'));

  routes.post('/subscribe', async (c) => {
    const { email } = await c.req.parseBody();
    const address = typeof email === 'string' ? email : '';
    try {
      await subscribe(newsroom, address);
      return c.redirect('/subscribed', 303);
    } catch (error) {
      if (!(error instanceof BrokenRule)) throw error;
      const form = subscribeForm({ email: address, problem: error.message });
      return await c.html(
        layout({ title: 'Subscribe', sections: await newsroom.articles.sections() }, form),
        422,
      );
    }
  });

  routes.get('/subscribed', async (c) =>
    c.html(
      messagePage(
        await newsroom.articles.sections(),
        'Welcome',
        'You are on the list: the next story that is printed comes to you by mail.',
      ),
    ),
  );

  routes.get('/unsubscribed', async (c) =>
    c.html(
      messagePage(
        await newsroom.articles.sections(),
        'Good-bye',
        'No more mails will be sent to you.',
      ),
    ),
  );

  routes.get('/unsubscribe/:token', async (c) =>
    c.html(unsubscribePage(await newsroom.articles.sections(), c.req.param('token'))),
  );

  routes.post('/devices', async (c) => {
    const parsed = webPushSubscription.safeParse(await c.req.json().catch(() => undefined));
    if (!parsed.success) return c.json({ error: z.prettifyError(parsed.error) }, 422);
    await registerDevice(newsroom, { kind: 'web-push', ...parsed.data });
    return c.body(null, 204);
  });

  return routes;
}

/**
 * The addresses that a mail program posts to by itself, without an origin (RFC 8058): what lets it in is the token, which only
 * that subscriber's mails carry.
 */
export function oneClickRoutes(newsroom: Newsroom): Hono<WebEnvironment> {
  const routes = new Hono<WebEnvironment>();
  routes.post('/unsubscribe/:token', async (c) => {
    await unsubscribe(newsroom, c.req.param('token'));
    return c.redirect('/unsubscribed', 303);
  });
  return routes;
}

function page(c: Context, printed: string): Response | Promise<Response> {
  c.header('cache-control', 'no-cache');
  return c.html(printed);
}

async function picture(c: Context<WebEnvironment>, { files }: Newsroom): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const width = Number.parseInt(c.req.param('file') ?? '', 10);
  if (!Number.isNaN(width) && !thumbnailWidths.includes(width)) return await c.notFound();
  try {
    const file = await files.get(Number.isNaN(width) ? originalKey(id) : thumbnailKey(id, width));
    c.set('contentSecurityPolicy', policyOfPictures);
    return c.body(file.stream(), 200, {
      'content-type': file.info.contentType,
      'content-length': String(file.info.size),
      // The name is the hash of the bytes, so what it names never changes.
      'cache-control': forever,
    });
  } catch (error) {
    if (InfrastructureError.is(error, 'not-found')) return await c.notFound();
    throw error;
  }
}
