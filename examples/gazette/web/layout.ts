import { html } from 'hono/html';

import type { Section } from '../domain/article-repository.ts';
import { styleUrl } from './assets.ts';

/** Escaped markup, as `hono/html` gives it. */
export type Html = ReturnType<typeof html>;

/** What frames a page. */
export interface Frame {
  /** The page's own title, without the newspaper's name. */
  readonly title: string;
  readonly description?: string;
  readonly sections: readonly Section[];
  /** The path of the section that the page is of. */
  readonly current?: string;
  /** Seconds after which the page asks for itself again. */
  readonly refresh?: number | undefined;
}

/** The newspaper's name. */
const paperName = 'The Underpin Gazette';

const longDate = new Intl.DateTimeFormat('en-GB', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
});
const shortDate = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'long',
  year: 'numeric',
});

/** A whole page. */
export function layout(
  { title, description, sections, current, refresh }: Frame,
  main: Html,
): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title === '' ? paperName : `${title} · ${paperName}`}</title>
        ${description === undefined ? '' : html`<meta name="description" content="${description}" />`}
        ${refresh === undefined ? '' : html`<meta http-equiv="refresh" content="${refresh}" />`}
        <link rel="stylesheet" href="${styleUrl}" />
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
      </head>
      <body>
        <a class="skip" href="#main">Skip to the text</a>
        <div class="page">
          <header class="masthead">
            <div class="ears">
              <span>${longDate.format(new Date())}</span>
              <a href="/desk">Editors’ desk</a>
            </div>
            <a class="name" href="/">${paperName}</a>
            <nav class="sections" aria-label="Sections">
              <ul>
                ${sectionLink('/', 'Front page', current)}
                ${sections.map(({ name, slug }) => sectionLink(`/sections/${encodeURIComponent(slug)}`, name, current))}
              </ul>
            </nav>
          </header>
          <main id="main">${main}</main>
          <footer class="foot">
            <span>${paperName}, printed by its own infrastructure</span>
            <a href="#main">Back to the top</a>
          </footer>
        </div>
      </body>
    </html>`;
}

function sectionLink(path: string, name: string, current: string | undefined): Html {
  return html`<li>
    <a href="${path}" ${path === current ? html`aria-current="page"` : ''}>${name}</a>
  </li>`;
}

/** A date for readers. */
export function dateLine(date: Date): Html {
  return html`<time datetime="${date.toISOString()}">${shortDate.format(date)}</time>`;
}

/** A page that says one thing. */
export function messagePage(
  sections: readonly Section[],
  title: string,
  text: Html | string,
): Html {
  return layout(
    { title, sections },
    html`<div class="message">
      <h1>${title}</h1>
      <p>${text}</p>
      <p><a class="button" href="/">To the front page</a></p>
    </div>`,
  );
}
