import GithubSlugger from 'github-slugger';
import { raw } from 'hono/html';
import { Marked, Renderer, type Tokens } from 'marked';
import sanitizeHtml from 'sanitize-html';

import { slugOfFile } from '../application/markdown-article.ts';
import type { Html } from './layout.ts';

/** What an article's text may consist of: what Markdown makes, and nothing that runs, frames, styles or loads from elsewhere. */
const allowed: sanitizeHtml.IOptions = {
  allowedTags:
    'h2 h3 h4 p blockquote hr br ul ol li pre code em strong del a sup sub kbd table thead tbody tr th td div'.split(
      ' ',
    ),
  allowedAttributes: {
    a: ['href', 'title'],
    h2: ['id'],
    h3: ['id'],
    h4: ['id'],
    ol: ['start'],
    th: ['align'],
    td: ['align'],
    div: ['class', 'tabindex'],
  },
  allowedClasses: { div: ['scroll'] },
  allowedSchemes: ['http', 'https', 'mailto'],
  allowProtocolRelative: false,
};

/** Renders an article's Markdown; raw HTML in it goes through the same sieve. Ids of headings are their words, as on code hosts. */
export function renderMarkdown(markdown: string, sourcePath?: string): Html {
  const slugger = new GithubSlugger();
  const base = new Renderer();
  const marked = new Marked({
    gfm: true,
    async: false,
    renderer: {
      heading({ tokens, depth }: Tokens.Heading): string {
        const level = Math.min(Math.max(depth, 2), 4);
        return `<h${level} id="${slugger.slug(this.parser.parseInline(tokens, this.parser.textRenderer))}">${this.parser.parseInline(tokens)}</h${level}>`;
      },
      table(token: Tokens.Table): string {
        return `<div class="scroll" tabindex="0">${base.table.call(this, token)}</div>`;
      },
      link(token: Tokens.Link): string {
        const href = linkTarget(token.href, sourcePath);
        if (href === undefined) return this.parser.parseInline(token.tokens);
        return base.link.call(this, { ...token, href });
      },
    },
  });
  return raw(sanitizeHtml(marked.parse(markdown, { async: false }), allowed));
}

/** Where a link of an article leads: between imported files from article to article; `undefined` for a file that is none. */
function linkTarget(href: string, sourcePath: string | undefined): string | undefined {
  if (sourcePath === undefined || /^(?:[a-z][a-z\d+.-]*:|\/|#)/i.test(href)) return href;
  const base = new URL(sourcePath, 'file:///root/').href;
  if (!URL.canParse(href, base)) return undefined;
  const target = new URL(href, base);
  if (!target.pathname.startsWith('/root/') || !target.pathname.endsWith('.md')) return undefined;
  return `/articles/${encodeURIComponent(slugOfFile(decoded(target.pathname.slice('/root/'.length))))}${target.hash}`;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
