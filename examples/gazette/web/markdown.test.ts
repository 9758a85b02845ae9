import fc from 'fast-check';
import { Parser } from 'htmlparser2';
import { describe, expect, test } from 'vitest';

import { renderMarkdown } from './markdown.ts';

function render(markdown: string, sourcePath?: string): string {
  return String(renderMarkdown(markdown, sourcePath)).trim();
}

describe('markdown', () => {
  test('text becomes paragraphs, lists, tables and code', () => {
    expect(render('Some *text*.')).toBe('<p>Some <em>text</em>.</p>');
    expect(render('- one\n- two')).toContain('<li>two</li>');
    expect(render('| a |\n|:-|\n| 1 |')).toMatch(
      /^<div class="scroll" tabindex="0"><table>.*<\/table>\s*<\/div>$/s,
    );
    expect(render('```ts\nconst a = 1 < 2;\n```')).toContain('const a = 1 &lt; 2;');
  });

  test('headings start below the title, and can be linked to', () => {
    expect(render('# One\n\n##### One')).toBe('<h2 id="one">One</h2><h4 id="one-1">One</h4>');
  });

  test('a link to a file beside it leads to that article', () => {
    expect(render('[keys](storage.md#keys)', 'cache.md')).toContain(
      '<a href="/articles/storage#keys">keys</a>',
    );
    expect(render('[up](../storage.md)', 'decisions/one.md')).toContain('href="/articles/storage"');
  });

  test('a link to a file that is no article is only its text', () => {
    expect(render('[code](../src/index.ts)', 'cache.md')).toBe('<p>code</p>');
    expect(render('[out](../../elsewhere.md)', 'cache.md')).not.toContain('elsewhere');
    expect(render('[odd](%zz.md)', 'cache.md')).toContain('odd');
  });

  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg/onload=alert(1)>',
    '<iframe src="javascript:alert(1)"></iframe>',
    '<a href="javascript:alert(1)">x</a>',
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt&colon;alert(1))',
    '[x](data:text/html,<script>alert(1)</script>)',
    '<style>body{display:none}</style>',
    '<p style="position:fixed">x</p>',
    '<form action="https://evil.example"><input name=password></form>',
    '<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>',
    '# <img src=x onerror=alert(1)>',
    '[x](" onclick="alert(1))',
    '![x](https://evil.example/pixel.png)',
  ])('%j runs, frames, styles and loads nothing', (markdown) => {
    expect(findings(render(markdown))).toEqual([]);
  });

  test('whatever an article says, it runs nothing', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.constantFrom(
        '<script>',
        '</script>',
        '<img src=x onerror=',
        '<svg ',
        'onload=',
        '<a href="',
        'javascript:',
        '">',
        '[x](',
        ')',
        '`',
        '<!--',
        '-->',
        '\n\n',
        '<style>',
        '</',
        '&lt;',
        '&#60;',
        "'",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        expect(findings(render(pieces.join('')))).toEqual([]);
      }),
    );
  });
});

const harmless: ReadonlySet<string> = new Set(['http:', 'https:', 'mailto:']);

/** What a browser would run, frame, style or load, as a parser sees it. */
function findings(html: string): string[] {
  const found: string[] = [];
  const parser = new Parser({
    onopentag(name, attributes) {
      if (
        /^(script|style|iframe|object|embed|form|input|svg|math|img|link|meta|base|video|audio)$/.test(
          name,
        )
      )
        found.push(name);
      for (const [attribute, value] of Object.entries(attributes)) {
        if (attribute.startsWith('on') || attribute === 'style') found.push(attribute);
        if (
          attribute === 'href' &&
          !harmless.has(new URL(value, 'https://gazette.example').protocol)
        )
          found.push(value);
      }
    },
  });
  parser.end(html);
  return found;
}
