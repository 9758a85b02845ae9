import { html } from 'hono/html';
import type { JobInfo, ReceivedMail } from 'underpin/ports';

import type { Section } from '../domain/article-repository.ts';
import { type Article, articleLimits, type ArticleText } from '../domain/article.ts';
import { dateLine, type Html, layout } from './layout.ts';
import { pictureOf, type PrintableArticle } from './picture.ts';
import { articleBody, articleUrl } from './reader-pages.ts';

/** The queue's jobs by state. */
export interface JobCounts {
  readonly waiting: number;
  readonly active: number;
  readonly dead: number;
}

/** Something to tell the editor above a form. */
export interface Notice {
  readonly text: string | Html;
  readonly isWrong?: boolean;
}

/** The form of an article, filled in. */
export interface ArticleForm {
  readonly text: ArticleText;
  /** The article as it is kept; `undefined` for a new one. */
  readonly kept: PrintableArticle | undefined;
  /** The version that the editor has seen. */
  readonly version: number;
  readonly pictureDescription: string;
  /** By field. */
  readonly problems: Readonly<Record<string, string>>;
  readonly notice: Notice | undefined;
}

/** The desk: drafts, what is printed, and how the presses run. */
export function deskPage({
  sections,
  drafts,
  published,
  jobs,
  subscribers,
}: {
  readonly sections: readonly Section[];
  readonly drafts: readonly Article[];
  readonly published: readonly Article[];
  readonly jobs: JobCounts;
  readonly subscribers: number;
}): Html {
  const isBusy = jobs.waiting + jobs.active > 0;
  return layout(
    { title: 'Editors’ desk', sections, refresh: isBusy ? 2 : undefined },
    html`${deskHead('Editors’ desk')}
      <div class="desk">
        <div>
          <h2>Drafts</h2>
          ${drafts.length === 0 ? html`<p class="empty">No drafts. Everything is in print.</p>` : articleTable(drafts)}
          <h2>In print</h2>
          ${published.length === 0 ? html`<p class="empty">Nothing yet.</p>` : articleTable(published)}
        </div>
        <aside>
          <section class="sheet" aria-labelledby="presses">
            <h2 id="presses">The presses</h2>
            ${isBusy ? html`<progress aria-label="Jobs under way"></progress>` : ''}
            ${jobTally(jobs)}
            <p><a href="/desk/jobs">All jobs</a></p>
          </section>
          <section class="sheet" aria-labelledby="readers">
            <h2 id="readers">Readers</h2>
            <dl class="tally">
              <dt>Subscribers</dt>
              <dd>${subscribers}</dd>
            </dl>
            <p><a href="/desk/inbox">Mails that went out</a></p>
          </section>
        </aside>
      </div>`,
  );
}

/** The form to write or change an article. */
export function articleFormPage(sections: readonly Section[], form: ArticleForm): Html {
  const { text, kept, version, problems, notice, pictureDescription } = form;
  const article = kept?.article;
  const isPublished = article?.status === 'published';
  return layout(
    { title: article === undefined ? 'New article' : article.title, sections },
    html`${deskHead(article === undefined ? 'New article' : isPublished ? 'In print' : 'Draft')}
      ${notice === undefined ? '' : html`<p class="notice ${notice.isWrong ? 'wrong' : ''}" role="status">${notice.text}</p>`}
      <form
        method="post"
        action="${article === undefined ? '/desk/articles' : `/desk/articles/${article.id}`}"
        enctype="multipart/form-data"
      >
        <input type="hidden" name="version" value="${version}" />
        <div class="desk">
          <div class="fields">
            <div class="pair">
              ${field('title', 'Title', problems, html`<input ${inputAttributes('title', problems)} value="${text.title}" required maxlength="${articleLimits.title}" />`)}
              ${field(
                'section',
                'Section',
                problems,
                html`<input
                    ${inputAttributes('section', problems)}
                    value="${text.section}"
                    required
                    maxlength="${articleLimits.section}"
                    list="sections"
                    autocomplete="off"
                  />
                  <datalist id="sections">
                    ${sections.map(({ name }) => html`<option value="${name}"></option>`)}
                  </datalist>`,
              )}
            </div>
            ${field(
              'summary',
              'Summary',
              problems,
              html`<textarea
                ${inputAttributes('summary', problems)}
                rows="3"
                maxlength="${articleLimits.summary}"
              >
${text.summary}</textarea>`,
              'One or two sentences under the headline, in lists and in the mail.',
            )}
            ${field(
              'body',
              'Text',
              problems,
              html`<textarea
                class="markdown"
                ${inputAttributes('body', problems)}
                maxlength="${articleLimits.body}"
                spellcheck="true"
              >
${text.body}</textarea>`,
              'Markdown: **bold**, *italic*, ## heading, [link](https://example.org), > quotation.',
            )}
          </div>
          <aside>
            <section class="sheet">
              <h2>${isPublished ? 'Published' : 'Ready?'}</h2>
              ${
                isPublished && article.publishedAt !== null
                  ? html`<p>
                      On ${dateLine(article.publishedAt)}. Changes appear at once; nobody is mailed
                      again.
                    </p>`
                  : html`<p class="hint">
                      Publishing prints it, makes its pictures, and mails every subscriber.
                    </p>`
              }
              <p class="row">
                ${isPublished ? '' : html`<button class="primary" name="action" value="publish">Publish</button>`}
                <button name="action" value="save" ${isPublished ? html`class="primary"` : ''}>
                  Save
                </button>
              </p>
              ${
                article === undefined
                  ? ''
                  : html`<p>
                      <a
                        href="${isPublished ? articleUrl(article) : `/desk/articles/${article.id}/preview`}"
                        >${isPublished ? 'Read it' : 'Preview'}</a
                      >
                    </p>`
              }
            </section>
            <section class="sheet fields">
              <h2>Picture</h2>
              ${
                kept === undefined || kept.article.picture === null
                  ? html`<p class="hint">Without one, a cover is drawn.</p>`
                  : pictureOf(kept, '20rem', 'eager')
              }
              ${field(
                'picture',
                kept?.article.picture ? 'Another picture' : 'Attach a picture',
                problems,
                html`<input
                  ${inputAttributes('picture', problems)}
                  type="file"
                  accept="image/jpeg,image/png,image/webp,image/gif,image/avif"
                />`,
              )}
              ${field(
                'pictureDescription',
                'What it shows',
                problems,
                html`<input
                  ${inputAttributes('pictureDescription', problems)}
                  value="${pictureDescription}"
                  maxlength="300"
                />`,
                'Stands under the picture, and is read to who cannot see it.',
              )}
            </section>
          </aside>
        </div>
      </form>`,
  );
}

/** A draft as readers would see it. */
export function previewPage(sections: readonly Section[], printable: PrintableArticle): Html {
  const { article } = printable;
  return layout(
    { title: article.title, sections },
    html`<p class="notice">
        This is a preview: no reader sees it.
        <a href="/desk/articles/${article.id}">Back to the draft</a>
      </p>
      ${articleBody(printable)}`,
  );
}

/** The queue, job by job. */
export function jobsPage(
  sections: readonly Section[],
  {
    jobs,
    counts,
    next,
  }: {
    readonly jobs: readonly JobInfo[];
    readonly counts: JobCounts;
    readonly next: string | undefined;
  },
): Html {
  return layout(
    { title: 'The presses', sections, refresh: counts.waiting + counts.active > 0 ? 2 : undefined },
    html`${deskHead('The presses')}
      <div class="sheet">${jobTally(counts)}</div>
      ${
        counts.dead === 0
          ? ''
          : html`<form method="post" action="/desk/jobs/retry">
              <p><button class="primary">Try the failed ones again</button></p>
            </form>`
      }
      ${
        jobs.length === 0
          ? html`<p class="empty">All work is done.</p>`
          : html`<div class="scroll" tabindex="0">
              <table class="list">
                <thead>
                  <tr>
                    <th scope="col">Job</th>
                    <th scope="col">State</th>
                    <th scope="col">Attempts</th>
                    <th scope="col">What went wrong</th>
                  </tr>
                </thead>
                <tbody>
                  ${jobs.map(
                    (job) =>
                      html`<tr>
                        <td>${job.name}</td>
                        <td>${job.state}</td>
                        <td>${job.attempts} of ${job.maxAttempts}</td>
                        <td>${job.failure?.message ?? ''}</td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
      }
      ${next === undefined ? '' : html`<p class="more"><a class="button" href="/desk/jobs?after=${encodeURIComponent(next)}">More</a></p>`}`,
  );
}

/** The mails that went out. */
export function inboxPage(
  sections: readonly Section[],
  mails: readonly ReceivedMail[] | undefined,
): Html {
  return layout(
    { title: 'Mails that went out', sections },
    html`${deskHead('Mails that went out')}
    ${
      mails === undefined
        ? html`<p class="empty">Mails are sent to the world and not kept here.</p>`
        : mails.length === 0
          ? html`<p class="empty">
              None so far. Subscribe on the front page, then publish an article.
            </p>`
          : html`<div class="scroll" tabindex="0">
              <table class="list">
                <thead>
                  <tr>
                    <th scope="col">To</th>
                    <th scope="col">Subject</th>
                    <th scope="col">Sent</th>
                  </tr>
                </thead>
                <tbody>
                  ${mails.map(
                    (mail) =>
                      html`<tr>
                        <td>${mail.to.map(({ address }) => address).join(', ')}</td>
                        <td>
                          <a href="/desk/inbox/${encodeURIComponent(mail.id)}">${mail.subject}</a>
                        </td>
                        <td>${dateLine(mail.receivedAt)}</td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
    }`,
  );
}

/** One mail. Its HTML stands in a frame in which nothing runs. */
export function mailPage(sections: readonly Section[], mail: ReceivedMail): Html {
  return layout(
    { title: mail.subject, sections },
    html`${deskHead(mail.subject)}
      <dl class="facts">
        <dt>From</dt>
        <dd>${mail.from.address}</dd>
        <dt>To</dt>
        <dd>${mail.to.map(({ address }) => address).join(', ')}</dd>
      </dl>
      ${
        mail.html === undefined
          ? ''
          : html`<h2 class="part">As HTML</h2>
              <iframe
                class="letter"
                title="The mail as HTML"
                sandbox
                src="/desk/inbox/${encodeURIComponent(mail.id)}/html"
              ></iframe>`
      }
      <h2 class="part">As text</h2>
      <pre class="plain">${mail.text ?? ''}</pre>`,
  );
}

function deskHead(title: string): Html {
  return html`<div class="desk-head">
    <h1>${title}</h1>
    <nav class="row" aria-label="Desk">
      <a class="button" href="/desk">Desk</a>
      <a class="button" href="/desk/inbox">Mails</a>
      <a class="button" href="/desk/new">Write an article</a>
    </nav>
  </div>`;
}

function articleTable(articles: readonly Article[]): Html {
  return html`<table class="list">
    <thead>
      <tr>
        <th scope="col">Title</th>
        <th scope="col">Section</th>
        <th scope="col">Date</th>
      </tr>
    </thead>
    <tbody>
      ${articles.map(
        (article) =>
          html`<tr>
            <td><a href="/desk/articles/${article.id}">${article.title}</a></td>
            <td>${article.section}</td>
            <td>${dateLine(article.publishedAt ?? article.updatedAt)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function jobTally({ waiting, active, dead }: JobCounts): Html {
  return html`<dl class="tally">
    <dt>Jobs waiting</dt>
    <dd>${waiting}</dd>
    <dt>Under way</dt>
    <dd>${active}</dd>
    <dt>Failed for good</dt>
    <dd>${dead}</dd>
  </dl>`;
}

function field(
  name: string,
  label: string,
  problems: ArticleForm['problems'],
  control: Html,
  hint?: string,
): Html {
  const problem = problems[name];
  return html`<div>
    <label for="${name}">${label}</label>
    ${control} ${hint === undefined ? '' : html`<p class="hint">${hint}</p>`}
    ${problem === undefined ? '' : html`<p class="problem" id="${name}-problem">${problem}</p>`}
  </div>`;
}

function inputAttributes(name: string, problems: ArticleForm['problems']): Html {
  return html`id="${name}" name="${name}"
  ${problems[name] === undefined ? '' : html`aria-invalid="true" aria-describedby="${name}-problem"`}`;
}
