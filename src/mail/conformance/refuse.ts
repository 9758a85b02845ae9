import { type MailCase, refuses } from './support.ts';

/** Rules of the mail port: refuse. */
export const refuseCases: readonly MailCase[] = [
  {
    id: 'refuse › a message without a recipient',
    async run(subject) {
      await refuses(subject, { to: undefined });
      await refuses(subject, { to: [], cc: [], bcc: [] });
    },
  },
  {
    id: 'refuse › a message without a body',
    async run(subject) {
      await refuses(subject, { text: undefined });
    },
  },
  {
    id: 'refuse › a line break or another control character in anything that becomes a header',
    async run(subject) {
      const attachment = { filename: 'a.txt', content: 'a' };
      for (const bad of [
        '\r\nBcc: eve@evil.example',
        '\nBcc: eve@evil.example',
        '\rx',
        '\u0000',
        '\u007f',
        '\u0085',
        '\u2028x',
      ]) {
        await refuses(subject, { subject: `Hello${bad}` });
        await refuses(subject, { to: `ada@readers.example${bad}` });
        await refuses(subject, { to: `Ada${bad} <ada@readers.example>` });
        await refuses(subject, { cc: { name: `Ada${bad}`, address: 'ada@readers.example' } });
        await refuses(subject, { bcc: [{ address: `ada@readers.example${bad}` }] });
        await refuses(subject, { from: { name: `News${bad}`, address: 'news@gazette.example' } });
        await refuses(subject, { replyTo: `desk@gazette.example${bad}` });
        await refuses(subject, { headers: { 'X-Tag': `a${bad}` } });
        await refuses(subject, { headers: { 'X-Tag': ['a', `b${bad}`] } });
        await refuses(subject, { headers: { [`X-Tag${bad}`]: 'a' } });
        await refuses(subject, { attachments: [{ ...attachment, filename: `a${bad}.txt` }] });
        await refuses(subject, {
          attachments: [{ ...attachment, contentType: `text/plain${bad}` }],
        });
        await refuses(subject, { attachments: [{ ...attachment, contentId: `a${bad}` }] });
        await refuses(subject, { unsubscribe: { url: `https://gazette.example/${bad}` } });
        await refuses(subject, {
          unsubscribe: { url: 'https://gazette.example/', mailto: `leave@gazette.example${bad}` },
        });
        await refuses(subject, { idempotencyKey: `key${bad}` });
      }
    },
  },
  {
    id: 'refuse › a string that is not exactly one address',
    async run(subject) {
      const bad = [
        '',
        ' ',
        'ada',
        '@readers.example',
        'ada@',
        'a@b.example, c@d.example',
        'a@b.example; c@d.example',
        'a@b.example c@d.example',
        'Team: a@b.example;',
        'a b@c.example',
        'a@b@c.example',
        '"a b"@c.example',
        'a..b@c.example',
        '>b@c.example',
        'a<b@c.example',
        '.a@b.example',
        'a@b..example',
        'a@-b.example',
        'a@b.example.',
        'a@[127.0.0.1]',
        'a@127.0.0.1',
        'a@%41.example',
        'a@b.example (x)',
        'A <a@b.example> x',
        'A <a@b.example> <c@d.example>',
        '<a@b.example>, <c@d.example>',
        `${'a'.repeat(65)}@b.example`,
        `a@${'b'.repeat(64)}.example`,
        `a@${'b.'.repeat(150)}example`,
      ];
      for (const address of bad) {
        await refuses(subject, { to: address });
        await refuses(subject, { to: ['ada@readers.example', address] });
        await refuses(subject, { to: { name: 'Ada', address } });
      }
      for (const value of [
        null,
        7,
        {},
        { address: 7 },
        { name: 'Ada' },
        ['a@b.example', ['c@d.example']],
      ])
        await refuses(subject, { to: value });
    },
  },
  {
    id: 'refuse › a header that has a field of its own or belongs to the mail system',
    async run(subject) {
      for (const name of [
        'From',
        'to',
        'BCC',
        'Subject',
        'Date',
        'Message-ID',
        'Content-Type',
        'MIME-Version',
        'List-Unsubscribe',
        'Return-Path',
        'Received',
        'DKIM-Signature',
        'Resent-To',
      ]) {
        await refuses(subject, { headers: { [name]: 'x' } });
      }
      for (const name of ['', 'X Tag', 'X-Tag:', '-X', 'Überschrift'])
        await refuses(subject, { headers: { [name]: 'x' } });
    },
  },
  {
    id: 'refuse › an unsubscribe URL that is not https, or shows credentials',
    async run(subject) {
      for (const url of [
        'http://gazette.example/u',
        '/u',
        'javascript:alert(1)',
        'mailto:a@b.example',
        'https://user:pass@gazette.example/u',
        'https://',
        '',
      ]) {
        await refuses(subject, { unsubscribe: { url } });
      }
    },
  },
  {
    id: 'refuse › more than a thousand recipients',
    async run(subject) {
      await refuses(subject, {
        to: Array.from({ length: 1001 }, (_, index) => `reader${index}@x.example`),
      });
    },
  },
];
