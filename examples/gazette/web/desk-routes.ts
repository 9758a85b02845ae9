import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { InfrastructureError } from 'underpin/core';
import type { Inbox, ReceivedMail } from 'underpin/ports';
import { z } from 'zod';

import { attachPicture, describePicture } from '../application/attach-picture.ts';
import type { Newsroom } from '../application/newsroom.ts';
import { publishArticle } from '../application/publish-article.ts';
import { editArticle, writeArticle } from '../application/write-article.ts';
import type { Article, ArticleText } from '../domain/article.ts';
import { BrokenRule } from '../domain/broken-rule.ts';
import { type DeskAccess, deskGuard } from './desk-access.ts';
import {
  type ArticleForm,
  articleFormPage,
  deskPage,
  inboxPage,
  jobsPage,
  mailPage,
  type Notice,
  previewPage,
} from './desk-pages.ts';
import { messagePage } from './layout.ts';
import { printable } from './printing.ts';
import { articleUrl } from './reader-pages.ts';
import { type WebEnvironment, policyOfLetters } from './web-environment.ts';

/** The newest mails that the desk lists. */
const listedMails = 200;

const articleForm = z.object({
  title: z.string(),
  summary: z.string(),
  // Browsers send CR LF.
  body: z.string().transform((body) => body.replaceAll('\r\n', '\n')),
  section: z.string(),
  version: z.coerce.number().int().nonnegative(),
  pictureDescription: z.string().trim().max(300),
  // An empty file field is a file without bytes.
  picture: z
    .instanceof(File)
    .optional()
    .transform((file) => (file === undefined || file.size === 0 ? undefined : file)),
  action: z.enum(['save', 'publish']).default('save'),
});

type SentForm = z.output<typeof articleForm>;

/** What editors see. */
export function deskRoutes(
  newsroom: Newsroom,
  {
    access,
    inbox,
    writtenAt,
  }: {
    readonly access: DeskAccess;
    readonly inbox: Inbox | undefined;
    readonly writtenAt: URL | undefined;
  },
): Hono<WebEnvironment> {
  const routes = new Hono<WebEnvironment>();
  const { articles, queue, subscribers } = newsroom;

  routes.use(deskGuard(access));
  routes.use(async (c, next) => {
    await next();
    c.header('cache-control', 'no-store');
  });

  if (writtenAt !== undefined) {
    const elsewhere = async (c: Context<WebEnvironment>): Promise<Response> =>
      await c.html(
        messagePage(
          await newsroom.articles.sections(),
          'Written elsewhere',
          html`The articles of this newspaper are written in
            <a href="${writtenAt.href}">Directus</a>.`,
        ),
        c.req.method === 'GET' ? 200 : 409,
      );
    routes.get('/new', elsewhere);
    routes.post('/articles', elsewhere);
    routes.on(['GET', 'POST'], '/articles/:id', elsewhere);
  }

  routes.get('/', async (c) => {
    const [sections, drafts, published, jobs, count] = await Promise.all([
      newsroom.articles.sections(),
      articles.drafts(50),
      articles.published({ limit: 50 }),
      queue.counts(),
      subscribers.count(),
    ]);
    return await c.html(
      deskPage({ sections, drafts, published: published.articles, jobs, subscribers: count }),
    );
  });

  routes.get('/new', async (c) => {
    const text = { title: '', summary: '', body: '', section: '' };
    const form = {
      text,
      kept: undefined,
      version: 0,
      pictureDescription: '',
      problems: {},
      notice: undefined,
    };
    return await c.html(articleFormPage(await newsroom.articles.sections(), form));
  });

  routes.post('/articles', async (c) => await saveForm(c, newsroom, undefined));
  routes.post(
    '/articles/:id',
    async (c) => await saveForm(c, newsroom, await articles.getById(c.req.param('id'))),
  );

  routes.get('/articles/:id', async (c) => {
    const article = await articles.getById(c.req.param('id'));
    return c.html(
      await formPage(newsroom, article, { notice: noticeOf(c.req.query('done'), article) }),
    );
  });

  routes.get('/articles/:id/preview', async (c) => {
    const article = await articles.getById(c.req.param('id'));
    return await c.html(
      previewPage(await newsroom.articles.sections(), await printable(newsroom, article)),
    );
  });

  routes.get('/jobs', async (c) => {
    const after = c.req.query('after');
    const [sections, counts, page] = await Promise.all([
      newsroom.articles.sections(),
      queue.counts(),
      queue.list({ limit: 100, ...(after === undefined ? {} : { after }) }),
    ]);
    return await c.html(jobsPage(sections, { jobs: page.jobs, counts, next: page.next }));
  });

  routes.post('/jobs/retry', async (c) => {
    await queue.redrive();
    return c.redirect('/desk/jobs', 303);
  });

  routes.get('/inbox', async (c) => {
    const mails = inbox === undefined ? undefined : await newestMails(inbox);
    return await c.html(inboxPage(await newsroom.articles.sections(), mails));
  });

  routes.get('/inbox/:id', async (c) => {
    const mail = await findMail(inbox, c.req.param('id'));
    return mail === undefined
      ? await c.notFound()
      : await c.html(mailPage(await newsroom.articles.sections(), mail));
  });

  routes.get('/inbox/:id/html', async (c) => {
    const mail = await findMail(inbox, c.req.param('id'));
    if (mail?.html === undefined) return await c.notFound();
    c.set('contentSecurityPolicy', policyOfLetters);
    return c.html(mail.html);
  });

  return routes;
}

/** Saves what the form says, step by step; what cannot be saved stands in the form that comes back. */
async function saveForm(
  c: Context<WebEnvironment>,
  newsroom: Newsroom,
  known: Article | undefined,
): Promise<Response> {
  const sent = articleForm.parse(await c.req.parseBody());
  let article = known;
  try {
    article =
      article === undefined
        ? await writeArticle(newsroom, sent)
        : await editArticle(newsroom, { id: article.id, version: sent.version, text: sent });
    article = await savePicture(newsroom, article, sent);
    if (sent.action === 'publish') article = await publishArticle(newsroom, article.id);
    return c.redirect(`/desk/articles/${article.id}?done=${sent.action}`, 303);
  } catch (error) {
    const problem = problemOf(error);
    // The version stays the one that the editor has seen when somebody else's save came between.
    const version = problem.isConflict ? sent.version : (article?.version ?? 0);
    return c.html(
      await formPage(newsroom, article, {
        ...problem,
        text: sent,
        version,
        pictureDescription: sent.pictureDescription,
      }),
      problem.isConflict ? 409 : 422,
    );
  }
}

async function savePicture(newsroom: Newsroom, article: Article, sent: SentForm): Promise<Article> {
  if (sent.picture !== undefined) {
    const upload = new Uint8Array(await sent.picture.arrayBuffer());
    return await attachPicture(newsroom, {
      id: article.id,
      upload,
      description: sent.pictureDescription,
    });
  }
  if (article.picture === null || article.picture.description === sent.pictureDescription)
    return article;
  return await describePicture(newsroom, { id: article.id, description: sent.pictureDescription });
}

function problemOf(
  error: unknown,
): Pick<ArticleForm, 'problems' | 'notice'> & { readonly isConflict: boolean } {
  if (error instanceof BrokenRule) {
    return {
      problems: { [error.field]: error.message },
      notice: { text: 'Not everything could be saved: see below.', isWrong: true },
      isConflict: false,
    };
  }
  if (InfrastructureError.is(error, 'aborted')) {
    const text =
      'Somebody else has saved this article since you opened it. Your text is below: copy what you need, then open the article again.';
    return { problems: {}, notice: { text, isWrong: true }, isConflict: true };
  }
  throw error;
}

async function formPage(
  newsroom: Newsroom,
  article: Article | undefined,
  form: Partial<ArticleForm> & { readonly text?: ArticleText },
): Promise<string> {
  const { title = '', summary = '', body = '', section = '' } = form.text ?? article ?? {};
  return String(
    await articleFormPage(await newsroom.articles.sections(), {
      version: article?.version ?? 0,
      pictureDescription: article?.picture?.description ?? '',
      problems: {},
      notice: undefined,
      ...form,
      text: { title, summary, body, section },
      kept: article === undefined ? undefined : await printable(newsroom, article),
    }),
  );
}

function noticeOf(done: string | undefined, article: Article): Notice | undefined {
  if (done === 'save') return { text: 'Saved.' };
  if (done !== 'publish') return undefined;
  return {
    text: html`Published: <a href="${articleUrl(article)}">read it</a>. Its pictures and mails are
      being made: see <a href="/desk">the presses</a>.`,
  };
}

async function newestMails(inbox: Inbox): Promise<readonly ReceivedMail[]> {
  const newest: ReceivedMail[] = [];
  for await (const mail of inbox.messages()) {
    newest.push(mail);
    if (newest.length > listedMails) newest.shift();
  }
  return newest.toReversed();
}

async function findMail(inbox: Inbox | undefined, id: string): Promise<ReceivedMail | undefined> {
  if (inbox === undefined) return undefined;
  for await (const mail of inbox.messages()) if (mail.id === id) return mail;
  return undefined;
}
