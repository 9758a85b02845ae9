import { html } from 'hono/html';

import type { Section } from '../domain/article-repository.ts';
import type { Article } from '../domain/article.ts';
import { slugify } from '../domain/slug.ts';
import { dateLine, type Html, layout } from './layout.ts';
import { renderMarkdown } from './markdown.ts';
import { pictureOf, type PrintableArticle } from './picture.ts';

/** One page of a list of articles. */
export interface ArticleList {
  readonly sections: readonly Section[];
  readonly articles: readonly PrintableArticle[];
  /** The address of the page with older articles. */
  readonly olderUrl: string | undefined;
}

/** The front page: the newest story large, the others in columns. */
export function frontPage({ sections, articles, olderUrl }: ArticleList): Html {
  const [lead, ...others] = articles;
  return layout(
    { title: '', description: 'News of the works below the house.', sections, current: '/' },
    html`<h1 class="unseen">Front page</h1>
      ${lead === undefined ? html`<p class="empty">Nothing has been published yet.</p>` : leadStory(lead)}
      ${storyGrid(others)} ${olderLink(olderUrl)} ${subscribeForm()}`,
  );
}

/** The stories of one section, or the older ones of all. */
export function sectionPage(
  { sections, articles, olderUrl }: ArticleList,
  title: string,
  path?: string,
): Html {
  return layout(
    { title, sections, ...(path === undefined ? {} : { current: path }) },
    html`<h1 class="section-title">${title}</h1>
      ${storyGrid(articles)} ${olderLink(olderUrl)} ${subscribeForm()}`,
  );
}

/** One article. */
export function articlePage(printable: PrintableArticle, sections: readonly Section[]): Html {
  const { article } = printable;
  return layout(
    { title: article.title, description: article.summary, sections },
    html`${articleBody(printable)} ${subscribeForm()}`,
  );
}

/** An article as readers see it. */
export function articleBody(printable: PrintableArticle): Html {
  const { article } = printable;
  const picture = pictureOf(printable, '(min-width: 62rem) 54rem, 100vw', 'eager');
  const description = article.picture?.description ?? '';
  return html`<article class="article">
    <header>
      <p class="kicker">${sectionLink(article)}</p>
      <h1>${article.title}</h1>
      ${article.summary === '' ? '' : html`<p class="standfirst">${article.summary}</p>`}
      <p class="when">
        ${article.publishedAt === null ? 'Not published yet' : dateLine(article.publishedAt)}
      </p>
    </header>
    ${picture === '' ? '' : html`<figure class="picture">${picture} ${description === '' ? '' : html`<figcaption>${description}</figcaption>`}</figure>`}
    <div class="text">${renderMarkdown(article.body, article.sourcePath ?? undefined)}</div>
  </article>`;
}

/** The form that subscribes, with what was wrong with the address given. */
export function subscribeForm(wrong?: { readonly email: string; readonly problem: string }): Html {
  return html`<section class="subscribe" aria-labelledby="subscribe-title">
    <div>
      <h2 id="subscribe-title">Every new story by mail</h2>
      <p>One mail for each story, on the day it is printed. Each has a link that ends them.</p>
    </div>
    <form method="post" action="/subscribe">
      <label for="email">Your e-mail address</label>
      <div class="row">
        <input
          id="email"
          name="email"
          type="email"
          autocomplete="email"
          maxlength="254"
          required
          placeholder="name@example.org"
          value="${wrong?.email ?? ''}"
          ${wrong === undefined ? '' : html`aria-invalid="true" aria-describedby="email-problem"`}
        />
        <button class="primary">Subscribe</button>
      </div>
      ${wrong === undefined ? '' : html`<p class="problem" id="email-problem">${wrong.problem}</p>`}
    </form>
  </section>`;
}

/** Asks before it unsubscribes, since mail scanners follow links. */
export function unsubscribePage(sections: readonly Section[], token: string): Html {
  return layout(
    { title: 'Unsubscribe', sections },
    html`<div class="message">
      <h1>Stop the mails?</h1>
      <p>You will get no more stories by mail. You can come back at any time.</p>
      <form method="post" action="/unsubscribe/${token}">
        <button class="primary">Unsubscribe</button>
      </form>
    </div>`,
  );
}

function leadStory(printable: PrintableArticle): Html {
  const { article } = printable;
  return html`<article class="story lead">
    <a class="picture" href="${articleUrl(article)}" tabindex="-1" aria-hidden="true"
      >${pictureOf(printable, '(min-width: 48rem) 42rem, 100vw', 'eager')}</a
    >
    <div>
      <p class="kicker">${sectionLink(article)}</p>
      <h2><a href="${articleUrl(article)}">${article.title}</a></h2>
      <p class="summary">${article.summary}</p>
      <p class="when">${article.publishedAt === null ? '' : dateLine(article.publishedAt)}</p>
    </div>
  </article>`;
}

function storyGrid(articles: readonly PrintableArticle[]): Html | '' {
  if (articles.length === 0) return '';
  return html`<div class="grid">${articles.map(gridStory)}</div>`;
}

function gridStory(printable: PrintableArticle): Html {
  const { article } = printable;
  return html`<article class="story">
    <a class="picture" href="${articleUrl(article)}" tabindex="-1" aria-hidden="true"
      >${pictureOf(printable, '(min-width: 48rem) 22rem, 100vw', 'lazy')}</a
    >
    <p class="kicker">${sectionLink(article)}</p>
    <h3><a href="${articleUrl(article)}">${article.title}</a></h3>
    <p class="summary">${article.summary}</p>
    <p class="when">${article.publishedAt === null ? '' : dateLine(article.publishedAt)}</p>
  </article>`;
}

function olderLink(url: string | undefined): Html | '' {
  return url === undefined
    ? ''
    : html`<p class="more"><a class="button" href="${url}">Older stories</a></p>`;
}

function sectionLink({ section }: Article): Html {
  return html`<a href="/sections/${encodeURIComponent(slugify(section))}">${section}</a>`;
}

/** Where an article is read. */
export function articleUrl({ slug }: Article): string {
  return `/articles/${encodeURIComponent(slug)}`;
}
