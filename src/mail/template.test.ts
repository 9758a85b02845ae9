import { describe, expect, it } from 'vitest';

import { memoryMailer } from './memory.ts';
import { defineTemplate, html, SafeHtml } from './template.ts';

describe('mail template', () => {
  it('html › every value is escaped, in content and in attributes', () => {
    const bad = `<script>"&'`;
    expect(String(html`<a title="${bad}">${bad}</a>`)).toBe(
      '<a title="&lt;script&gt;&quot;&amp;&#39;">&lt;script&gt;&quot;&amp;&#39;</a>',
    );
  });

  it('html › templates nest and lists join, unescaped once', () => {
    const items = ['a', '<b>'].map((item) => html`<li>${item}</li>`);
    expect(String(html`${items}${html`<hr />`}`)).toBe('<li>a</li><li>&lt;b&gt;</li><hr />');
  });

  it('html › null, undefined and false are nothing; numbers are text', () => {
    expect(String(html`${null}${undefined}${false}${0}${7n}`)).toBe('07');
  });

  it('html › only what is marked as safe is taken as markup', () => {
    expect(String(html`${new SafeHtml('<b>')}${'<b>'}`)).toBe('<b>&lt;b&gt;');
  });

  it('render › gives what send takes, in both bodies', async () => {
    const welcome = defineTemplate<{ name: string }>({
      subject: ({ name }) => `Welcome, ${name}`,
      text: ({ name }) => `Hello ${name}.`,
      html: ({ name }) => html`<p>Hello ${name}.</p>`,
    });
    const mailer = memoryMailer({ from: 'news@gazette.example' });
    await mailer.send({ to: 'ada@readers.example', ...welcome.render({ name: 'A & B' }) });
    const [message] = await Array.fromAsync(mailer.native.messages());
    expect(message).toMatchObject({
      subject: 'Welcome, A & B',
      text: 'Hello A & B.',
      html: '<p>Hello A &amp; B.</p>',
    });
  });

  it('render › a subject is one line, whatever its data holds', () => {
    const template = defineTemplate<string>({
      subject: (title) => `New: ${title}`,
      text: (title) => title,
    });
    expect(template.render('two\r\n lines\n')).toEqual({
      subject: 'New: two lines',
      text: 'two\r\n lines\n',
    });
  });
});
