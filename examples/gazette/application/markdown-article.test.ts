import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { articleLimits } from '../domain/article.ts';
import { parseMarkdownFile } from './markdown-article.ts';

describe('markdown file', () => {
  test('the first heading is the title, the first paragraph the summary, the rest the text', () => {
    expect(
      parseMarkdownFile(
        'storage.md',
        '# File storage\n\nWhere *files* are `kept`.\n\n## Keys\n\nText.\n',
      ),
    ).toEqual({
      slug: 'storage',
      text: {
        title: 'File storage',
        summary: 'Where files are kept.',
        body: '## Keys\n\nText.',
        section: 'Guides',
      },
    });
  });

  test('without a heading, the file name is the title', () => {
    expect(parseMarkdownFile('how-to_begin.md', 'Text.').text.title).toBe('How to begin');
  });

  test('the folder is the section, and a part of the slug', () => {
    const { slug, text } = parseMarkdownFile('decisions/0001-one-package.md', '# One package');
    expect({ slug, section: text.section }).toEqual({
      slug: 'decisions-0001-one-package',
      section: 'Decisions',
    });
  });

  test('a README is named after its folder', () => {
    expect(parseMarkdownFile('decisions/README.md', '# Decisions').slug).toBe('decisions');
  });

  test('an only paragraph is both the summary and the text', () => {
    expect(parseMarkdownFile('a.md', '# A\n\nAll there is.').text).toMatchObject({
      summary: 'All there is.',
      body: 'All there is.',
    });
  });

  test('a sentence that announces a list stays in the text, before it', () => {
    const { text } = parseMarkdownFile('a.md', '# A\n\nTwo rules. They are:\n\n- one\n- two\n');
    expect(text.summary).toBe('Two rules.');
    expect(text.body).toBe('Two rules. They are:\n\n- one\n- two');
  });

  test('a text that begins with a list has no summary, and loses nothing', () => {
    expect(parseMarkdownFile('a.md', '# A\n\n- one\n- two\n').text).toMatchObject({
      summary: '',
      body: '- one\n- two',
    });
  });

  test('whatever the file says, the article keeps to the limits', () => {
    const part = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('# ', '\n\n', '- ', '> ', '```', '<b>', '[a](b)', '| a |\n|-|\n'),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const { title, summary, section } = parseMarkdownFile('notes/file.md', parts.join('')).text;
        expect(title.length).toBeLessThanOrEqual(articleLimits.title);
        expect(summary.length).toBeLessThanOrEqual(articleLimits.summary);
        expect(section).toBe('Notes');
      }),
    );
  });
});
