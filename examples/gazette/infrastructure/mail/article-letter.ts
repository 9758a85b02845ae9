import { defineTemplate, html, type MailTemplate } from 'underpin/mail';

import type { ComposeLetter } from '../../application/newsroom.ts';

interface LetterData {
  readonly title: string;
  readonly summary: string;
  readonly section: string;
  readonly articleUrl: string;
  readonly unsubscribeUrl: string;
}

const template: MailTemplate<LetterData> = defineTemplate<LetterData>({
  subject: ({ title }) => title,
  text: ({ title, summary, section, articleUrl, unsubscribeUrl }) =>
    `THE UNDERPIN GAZETTE\n${section}\n\n${title}\n\n${summary}\n\nRead it: ${articleUrl}\n\n--\nNo more mails: ${unsubscribeUrl}\n`,
  html: ({ title, summary, section, articleUrl, unsubscribeUrl }) =>
    html`<!doctype html>
      <html lang="en">
        <body style="margin:0;background:#f3eee2;color:#1b1c1e;font-family:Georgia,serif">
          <div style="max-width:34rem;margin:0 auto;padding:2rem 1.5rem;background:#fbf8f1">
            <p
              style="margin:0;padding-bottom:.6rem;border-bottom:3px double #1b1c1e;text-align:center;font-size:1.4rem;font-weight:bold"
            >
              The Underpin Gazette
            </p>
            <p
              style="margin:1.6rem 0 .3rem;color:#9c2b1b;font:bold .75rem sans-serif;letter-spacing:.08em;text-transform:uppercase"
            >
              ${section}
            </p>
            <h1 style="margin:0;font-size:1.8rem;line-height:1.15">${title}</h1>
            <p style="font-size:1.05rem;line-height:1.5">${summary}</p>
            <p>
              <a
                href="${articleUrl}"
                style="display:inline-block;padding:.6rem 1.1rem;background:#9c2b1b;color:#ffffff;font:bold .95rem sans-serif;text-decoration:none"
                >Read it</a
              >
            </p>
            <p style="margin-top:2rem;color:#5c5a53;font:.8rem sans-serif">
              You get this since you subscribed.
              <a href="${unsubscribeUrl}" style="color:#5c5a53">No more mails</a>
            </p>
          </div>
        </body>
      </html>`,
});

/** Writes the mail about an article. */
export const composeArticleLetter: ComposeLetter = ({ title, summary, section }, links) => {
  const {
    subject,
    text,
    html: markup = '',
  } = template.render({
    title,
    summary,
    section,
    articleUrl: links.article,
    unsubscribeUrl: links.unsubscribe,
  });
  return { subject, text, html: markup };
};
