import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  type Article,
  articleLimits,
  draftArticle,
  publishDraft,
  reviseArticle,
} from './article.ts';
import { BrokenRule } from './broken-rule.ts';
import { slugify } from './slug.ts';
import { normalizeEmail } from './subscriber.ts';

const text = { title: ' A bridge ', summary: 'It holds.', body: '# Hello', section: 'Works' };
const monday = new Date('2026-01-05T08:00:00Z');
const tuesday = new Date('2026-01-06T08:00:00Z');

function draft(changes: Partial<typeof text> = {}): Article {
  return draftArticle({ ...text, ...changes }, { id: '1', slug: 'a-bridge', now: monday });
}

function fieldOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof BrokenRule) return error.field;
    throw error;
  }
}

describe('article', () => {
  test('a draft has a trimmed title, no date, and is not published', () => {
    expect(draft()).toMatchObject({
      title: 'A bridge',
      status: 'draft',
      publishedAt: null,
      updatedAt: monday,
      version: 1,
    });
  });

  test.each(['title', 'section'] as const)(
    'a draft without a %s is refused, by the name of the field',
    (field) => {
      expect(fieldOf(() => draft({ [field]: '  ' }))).toBe(field);
    },
  );

  test.each(Object.entries(articleLimits))('%s has at most %i characters', (field, limit) => {
    expect(fieldOf(() => draft({ [field]: 'x'.repeat(limit) }))).toBeUndefined();
    expect(fieldOf(() => draft({ [field]: 'x'.repeat(limit + 1) }))).toBe(field);
  });

  test('a section without a letter or a digit has no address, and is refused', () => {
    expect(fieldOf(() => draft({ section: '!?' }))).toBe('section');
  });

  test('publishing dates the article', () => {
    expect(publishDraft(draft(), tuesday)).toMatchObject({
      status: 'published',
      publishedAt: tuesday,
      updatedAt: tuesday,
    });
  });

  test('publishing again changes nothing', () => {
    const published = publishDraft(draft(), monday);
    expect(publishDraft(published, tuesday)).toBe(published);
  });

  test('an article without text cannot be published', () => {
    expect(fieldOf(() => publishDraft(draft({ body: ' \n' }), tuesday))).toBe('body');
  });

  test('a revision keeps slug, status and date of publication', () => {
    const published = publishDraft(draft(), monday);
    const revised = reviseArticle(published, { ...text, title: 'Another title' }, tuesday);
    expect(revised).toEqual({ ...published, title: 'Another title', updatedAt: tuesday });
  });
});

describe('slug', () => {
  test.each([
    ['Hello, World!', 'hello-world'],
    ['  Ünïcode — “quotes”  ', 'unicode-quotes'],
    ['東京 2026', '東京-2026'],
    ['???', ''],
  ])('%j becomes %j', (title, slug) => {
    expect(slugify(title)).toBe(slug);
  });

  test('whatever the title, it is short, needs no escaping in a path, and is its own slug', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (title) => {
        const slug = slugify(title);
        expect(slug.length).toBeLessThanOrEqual(80);
        expect(slug).not.toMatch(/[\s/\\?#%.&]|^-|-$|--/u);
        expect(slugify(slug)).toBe(slug);
      }),
    );
  });
});

describe('e-mail address', () => {
  test('it is kept trimmed and in lower case', () => {
    expect(normalizeEmail(' Ada@Example.ORG ')).toBe('ada@example.org');
  });

  test.each([
    '',
    'ada',
    'ada@',
    '@example.org',
    'ada@example',
    'a b@example.org',
    'a@example.org, b@example.org',
    'a@b.org\r\nbcc: c@d.org',
    `${'a'.repeat(250)}@b.org`,
  ])('%j is refused', (address) => {
    expect(fieldOf(() => normalizeEmail(address))).toBe('email');
  });
});
