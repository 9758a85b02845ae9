import { BrokenRule } from './broken-rule.ts';
import { slugify } from './slug.ts';

/** A picture that belongs to an article. Its bytes are kept elsewhere, under its id. */
export interface Picture {
  /** The SHA-256 of the original's bytes, in hex: the same picture is kept once, and never changes. */
  readonly id: string;
  readonly contentType: string;
  readonly width: number;
  readonly height: number;
  /** What it shows, for who cannot see it. Empty for a mere ornament. */
  readonly description: string;
}

/** One article, as readers and editors know it. */
export interface Article {
  readonly id: string;
  /** Its name in URLs; unique. */
  readonly slug: string;
  readonly title: string;
  /** One or two sentences. */
  readonly summary: string;
  /** Markdown. */
  readonly body: string;
  readonly section: string;
  readonly picture: Picture | null;
  /** The path of the file that it was imported from, relative to the import's folder, with `/`; unique. */
  readonly sourcePath: string | null;
  /** The SHA-256 of that file's text, in hex. */
  readonly sourceHash: string | null;
  readonly status: 'draft' | 'published';
  /** `null` for a draft. */
  readonly publishedAt: Date | null;
  readonly updatedAt: Date;
  /** Counts its saves, so that two editors do not overwrite each other. */
  readonly version: number;
}

/** What an editor writes. */
export interface ArticleText {
  readonly title: string;
  readonly summary: string;
  readonly body: string;
  readonly section: string;
}

/** The longest of each part of {@link ArticleText}, in characters. */
export const articleLimits: Readonly<Record<keyof ArticleText, number>> = {
  title: 160,
  summary: 600,
  body: 400_000,
  section: 40,
};

/** Starts a draft. Throws {@link BrokenRule}. */
export function draftArticle(
  text: ArticleText,
  { id, slug, now }: { readonly id: string; readonly slug: string; readonly now: Date },
): Article {
  return {
    id,
    slug,
    ...checkedText(text),
    picture: null,
    sourcePath: null,
    sourceHash: null,
    status: 'draft',
    publishedAt: null,
    updatedAt: now,
    version: 1,
  };
}

/** Replaces an article's text; its name in URLs stays, so that links to it do. Throws {@link BrokenRule}. */
export function reviseArticle(article: Article, text: ArticleText, now: Date): Article {
  return { ...article, ...checkedText(text), updatedAt: now };
}

/** Publishes a draft; a published article keeps its date. Throws {@link BrokenRule} when there is nothing to read. */
export function publishDraft(article: Article, now: Date): Article {
  if (article.status === 'published') return article;
  if (article.body.trim() === '')
    throw new BrokenRule('body', 'write something before you publish');
  return { ...article, status: 'published', publishedAt: now, updatedAt: now };
}

function checkedText(text: ArticleText): ArticleText {
  const trimmed: ArticleText = {
    title: text.title.trim(),
    summary: text.summary.trim(),
    body: text.body,
    section: text.section.trim(),
  };
  if (trimmed.title === '') throw new BrokenRule('title', 'an article needs a title');
  if (slugify(trimmed.section) === '')
    throw new BrokenRule('section', 'an article needs a section, with a letter or a digit in it');
  for (const part of Object.keys(articleLimits) as (keyof ArticleText)[]) {
    const limit = articleLimits[part];
    if (trimmed[part].length > limit) {
      throw new BrokenRule(
        part,
        `the ${part} has ${trimmed[part].length} characters: shorten it to ${limit}`,
      );
    }
  }
  return trimmed;
}
