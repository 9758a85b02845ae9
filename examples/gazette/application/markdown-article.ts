import path from 'node:path';

import { marked, type Token, type Tokens } from 'marked';

import { articleLimits, type ArticleText } from '../domain/article.ts';
import { slugify } from '../domain/slug.ts';

/** What a Markdown file says, as an article. */
export interface MarkdownArticle {
  readonly slug: string;
  readonly text: ArticleText;
}

/** The slug of the article that a file of this path (relative, with `/`) becomes. */
export function slugOfFile(filePath: string): string {
  const { dir, name } = path.posix.parse(filePath);
  return slugify(/^(readme|index)$/i.test(name) && dir !== '' ? dir : `${dir} ${name}`);
}

/**
 * Reads a Markdown file: its first heading of level 1 is the title (else the file's name), its first paragraph the summary, the
 * folder that it lies in the section. The rest is the body.
 */
export function parseMarkdownFile(filePath: string, markdown: string): MarkdownArticle {
  const tokens: Token[] = marked.lexer(markdown);
  const titleIndex = tokens.findIndex(
    (token) => token.type === 'heading' && (token as Tokens.Heading).depth === 1,
  );
  const titleToken = tokens[titleIndex] as Tokens.Heading | undefined;
  const { dir, name } = path.posix.parse(filePath);
  const rest = titleIndex === -1 ? tokens : tokens.toSpliced(titleIndex, 1);
  const lead = rest.find((token) => token.type !== 'space' && token.type !== 'html');
  const leadText = lead?.type === 'paragraph' ? plainText(lead) : '';
  // A sentence that announces what comes next says nothing without it.
  const summary = leadText.replace(/(?:^|(?<=[.!?]) )[^.!?]*:$/, '');
  const isAllOfLead = summary === leadText && summary.length <= articleLimits.summary;
  const body = (isAllOfLead ? rest.filter((token) => token !== lead) : rest)
    .map(({ raw }) => raw)
    .join('');
  return {
    slug: slugOfFile(filePath),
    text: {
      title: shortened(
        titleToken === undefined ? words(name) : plainText(titleToken),
        articleLimits.title,
      ),
      summary: shortened(summary, articleLimits.summary),
      // An article of a single paragraph keeps it as its text.
      body: (body.trim() === '' ? (lead?.raw ?? '') : body).trim(),
      section: shortened(
        dir === '' ? 'Guides' : words(path.posix.basename(dir)),
        articleLimits.section,
      ),
    },
  };
}

function plainText(token: Token): string {
  const children = 'tokens' in token ? token.tokens : undefined;
  if (children !== undefined)
    return children.map(plainText).join('').replaceAll(/\s+/g, ' ').trim();
  if (token.type === 'br') return ' ';
  if (token.type === 'html') return '';
  return 'text' in token && typeof token.text === 'string' ? decode(token.text) : '';
}

// The lexer leaves a few entities in text.
function decode(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

function words(name: string): string {
  const spaced = name.replaceAll(/[-_]+/g, ' ').trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function shortened(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).trimEnd()}…`;
}
