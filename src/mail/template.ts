/** HTML that is safe as it stands, made by {@link html}. */
export class SafeHtml {
  readonly #markup: string;

  /** Takes the markup as it is: only for markup that no stranger wrote. */
  constructor(markup: string) {
    this.#markup = markup;
  }

  toString(): string {
    return this.#markup;
  }
}

/** What can stand in an {@link html} template: text and numbers are escaped; lists are joined; `null`, `undefined` and `false` are nothing. */
export type HtmlValue =
  | string
  | number
  | bigint
  | SafeHtml
  | null
  | undefined
  | false
  | readonly HtmlValue[];

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Writes HTML in which every value is escaped, for element content and quoted attributes. It does not judge URLs: check
 * those of strangers before they become an `href`.
 *
 * @example
 * html`<p>Hello ${name},</p><ul>${titles.map((title) => html`<li>${title}</li>`)}</ul>`;
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): SafeHtml {
  return new SafeHtml(
    parts.reduce((markup, part, index) => markup + render(values[index - 1]) + part),
  );
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof SafeHtml) return value.toString();
  if (typeof value === 'object') return value.map(render).join('');
  return String(value).replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

/** How one kind of message is written. Every message has a plain-text part, for the clients and people that read no HTML. */
export interface TemplateOptions<Data> {
  readonly subject: (data: Data) => string;
  readonly text: (data: Data) => string;
  readonly html?: (data: Data) => SafeHtml;
}

/** The part of a message that a template writes. */
export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html?: string;
}

/** A typed template: `mailer.send({ to, ...template.render(data) })`. */
export interface MailTemplate<Data> {
  render(data: Data): RenderedMail;
}

/**
 * Defines a template.
 *
 * @example
 * const welcome = defineTemplate<{ name: string }>({
 *   subject: ({ name }) => `Welcome, ${name}`,
 *   text: ({ name }) => `Hello ${name}.`,
 *   html: ({ name }) => html`<p>Hello ${name}.</p>`,
 * });
 */
export function defineTemplate<Data>(options: TemplateOptions<Data>): MailTemplate<Data> {
  return {
    render(data) {
      return {
        // One line, whatever the data holds: a subject with a line break would be refused.
        subject: options.subject(data).replaceAll(/\s+/g, ' ').trim(),
        text: options.text(data),
        ...(options.html ? { html: options.html(data).toString() } : {}),
      };
    },
  };
}
